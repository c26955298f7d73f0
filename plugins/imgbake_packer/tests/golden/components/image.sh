#!/bin/sh
# image shop: environment
set -eu
umask 022
cd /
mark() { printf 'imgbake: %s\n' "$1"; }
mkdir -p /etc/profile.d
printf '%s\n' 'export LAST=1' >>/etc/profile.d/imgbake.sh
chmod 0644 /etc/profile.d/imgbake.sh
