#!/usr/bin/env bash
# Usage: tests/install.sh BUILD_DIR
#
# Installs into a scratch folder and builds a program against what is there and nothing else: with
# the flags that pkg-config gives, the public headers as installed, the library found by its soname.
# Then every example, as its reader would; two of them also run, one with a connector module.
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

DESTDIR=$prefix meson install -C "$build" --no-rebuild --quiet
pc=$(find "$prefix" -name evstream.pc)
[ -n "$pc" ] || {
    echo "evstream.pc is not installed"
    exit 1
}
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$prefix

cat >"$prefix/program.c" <<'C'
#include <evstream/evstream.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("%s\n", evs_version());
    return strcmp(evs_version(), EXPECTED_VERSION) != 0;
}
C
version=$(pkg-config --modversion evstream)
read -r -a flags <<<"$(pkg-config --cflags --libs evstream)"
cc -Wall -Wextra -Werror "-DEXPECTED_VERSION=\"$version\"" -o "$prefix/program" \
    "$prefix/program.c" "${flags[@]}"
libdir=$(dirname "$(find "$prefix" -name 'libevstream.so' | head -n 1)")
export LD_LIBRARY_PATH=$libdir
"$prefix/program"

# Every connector module that was built is where the library looks for it, beside itself.
while read -r module; do
    [ -f "$libdir/evstream/${module##*/}" ] || {
        echo "${module##*/} is not installed in $libdir/evstream"
        exit 1
    }
done < <(find "$build/lib/io" -name 'libevstream-*.so')

for source in examples/*.c; do
    name=$(basename "$source" .c)
    cc -Wall -Wextra -Werror -o "$prefix/$name" "$source" "${flags[@]}"
done
cd "$prefix"
./04_window
if [ -f "$libdir/evstream/libevstream-sqlite.so" ]; then
    ./05_views_per_minute embedded: views.db "$libdir/evstream"
    test -s views.db
fi
