#!/bin/sh
# component app: validate
set -eu
umask 022
cd /
mark() { printf 'imgbake: %s\n' "$1"; }
export MODE='it'"'"'s $5'
mark 'app validate 1'
/bin/sh -c 'shop --version' </dev/null
mark end
