#!/bin/sh
# component app: files, environment, build
set -eu
umask 022
cd /
mark() { printf 'imgbake: %s\n' "$1"; }
mark 'app files'
archive=/tmp/imgbake-files-app.tar.gz
if tar --version 2>/dev/null | grep -q GNU; then
    # what a folder of the machine says of itself stays, and a symlink to one stays a symlink
    tar -x -z -p --same-owner --numeric-owner --no-overwrite-dir --keep-directory-symlink -f "$archive" -C /
else
    tar -x -z -p -f "$archive" -C /
fi
rm -f "$archive"
mark 'app environment'
mkdir -p /etc/profile.d
printf '%s\n' 'export MODE='"'"'it'"'"'"'"'"'"'"'"'s $5'"'"'' >>/etc/profile.d/imgbake.sh
chmod 0644 /etc/profile.d/imgbake.sh
export MODE='it'"'"'s $5'
mark 'app build 1'
/bin/sh -c 'pip install /opt/wheels/*.whl' </dev/null
mark 'app build 2'
/bin/sh -c 'docker inspect --format '"'"'{{ .Id }}'"'"' x' </dev/null
mark end
