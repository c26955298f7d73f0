#!/bin/sh
# component Build.Tools: files, environment, build
set -eu
umask 022
cd /
mark() { printf 'imgbake: %s\n' "$1"; }
undo=
trap 'eval "$undo"' EXIT
mkdir -p /var/cache/apt
hidden=$(mktemp -d)
chmod 0777 "$hidden"
mount --bind "$hidden" /var/cache/apt
undo="umount "/var/cache/apt"; rm -rf '$hidden'; $undo"
mkdir -p '/my cache'
hidden=$(mktemp -d)
chmod 0777 "$hidden"
mount --bind "$hidden" '/my cache'
undo="umount "''"'"'/my cache'"'"''"; rm -rf '$hidden'; $undo"
mkdir -p /run/secrets
install -m 0444 /tmp/imgbake-secret-token /run/secrets/token
rm -f /tmp/imgbake-secret-token
undo="rm -f "/run/secrets/token"; $undo"
user=app group=staff
uid=$(id -u -- "$user" 2>/dev/null || echo "$user")
gid=$(id -g -- "$user" 2>/dev/null || echo 0)
if [ -n "$group" ]; then gid=$(getent group "$group" | cut -d: -f3); gid=${gid:-$group}; fi
home=$(getent passwd "$uid" | cut -d: -f6) || home=
groups=--clear-groups
if [ -n "$home" ]; then groups=--init-groups; fi
mkdir -p '/srv/my app'
cd '/srv/my app'
mark 'Build.Tools build 1'
unshare --net -- env HOME="${home:-/}" setpriv --reuid "$uid" --regid "$gid" "$groups" -- /bin/bash -ec 'echo "$HOME"' </dev/null
mark end
