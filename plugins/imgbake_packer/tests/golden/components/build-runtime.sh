#!/bin/sh
# component runtime: files, environment, build
set -eu
umask 022
cd /
mark() { printf 'imgbake: %s\n' "$1"; }
mark 'runtime build 1'
/bin/sh -c 'apt-get update' </dev/null
mark 'runtime build 2'
/bin/sh -c 'apt-get install -y \
  libpq5' </dev/null
mark end
