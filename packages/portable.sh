#!/usr/bin/env bash
# Make build/portable/pg_rewind-VERSION-MACHINE.tar.gz: the program with all libraries that it needs, the C library and its loader included, in lib/,
# and a wrapper beside it that starts it by them. It needs nothing but Linux 3.10 or newer. sbom.spdx.json in it lists them with their versions. The same sources
# and libraries make the same file, wherever and whenever: its times are SOURCE_DATE_EPOCH, or that of the commit; of a
# release, which is built from a tarball as well, or where git does not answer, the date in debian/changelog. Needs what the build needs, and binutils; with ARCH=arm64 on another
# machine also what packages/deb.sh installs for that, and qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."

machine=$(uname -m)
tools='' # the prefix of the compiler's
cross=()
emulator=()

packages/newest_libpq.sh
made=$PWD/build/portable
rm -rf "$made"
mkdir -p "$made"
if [ "${ARCH:-$(dpkg --print-architecture)}" != "$(dpkg --print-architecture)" ]; then
    machine=$(dpkg-architecture -a "$ARCH" -q DEB_HOST_GNU_CPU 2>/dev/null)
    tools=$(dpkg-architecture -a "$ARCH" -q DEB_HOST_GNU_TYPE 2>/dev/null)-
    meson env2mfile --cross --debarch "$ARCH" -o "$made/cross.ini" >"$made/log" 2>&1
    cross=(--cross-file "$made/cross.ini")
    emulator=("qemu-$machine")
fi

if [ -z "${SOURCE_DATE_EPOCH:-}" ] && [[ $(packages/version.sh "$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)") == *~git* ]]; then
    SOURCE_DATE_EPOCH=$(git -c "safe.directory=$PWD" log -1 --format=%ct 2>/dev/null || true)
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -d "$(sed -n 's/^ -- .*>  //p' debian/changelog | head -n 1)" +%s)}
export SOURCE_DATE_EPOCH
# RPATH, not RUNPATH: it holds for the libraries' libraries and what they load, and goes before all other places.
# shellcheck disable=SC2016 # $ORIGIN is for the dynamic linker
meson setup "$made/build" "${cross[@]}" -Dtests=disabled -Dc_args="-ffile-prefix-map=$PWD=." -Dc_link_args='-Wl,-rpath,$ORIGIN,--disable-new-dtags' >"$made/log"
ninja -C "$made/build" >>"$made/log"

version=$("${emulator[@]}" "$made/build/pg_rewind" --version | sed -n 's/.*(standalone \(.*\))$/\1/p')
name=pg_rewind-$version-$machine
to=$made/$name
mkdir -p "$to/lib/gconv" "$made/origin"
loader=$(LC_ALL=C "${tools}readelf" -lW "$made/build/pg_rewind" | sed -n 's/.*program interpreter: \(.*\)\]$/\1/p')
"${tools}gcc" -std=gnu11 -O2 -Wall -Wextra -static "-ffile-prefix-map=$PWD=." "-DLOADER=\"$(basename "$loader")\"" -o "$to/pg_rewind" packages/portable_start.c
install -m 755 "$made/build/pg_rewind" "$to/lib/pg_rewind"
"${tools}strip" "$to/pg_rewind" "$to/lib/pg_rewind"
cp -r docs "$to/docs"
rm "$to/docs/releasing.md"
cp LICENSE README.md CHANGELOG.md SECURITY.md "$to/"
packages/installed_links.py "$to" .

# The package and architecture that a file is from; dpkg may know it without /usr.
find_package()
{
    local path
    path=$(realpath "$1")
    dpkg-query -S "*${path#/usr}" | sed 's/: .*//'
}

# Put a library below lib, the licence of its package with it, and note where it is from: add_library LIBRARY PACKAGE [MODE [DIRECTORY]].
add_library()
{
    local library=$1 package=$2 mode=${3:-644} inside=${4:-lib}

    install -m "$mode" "$library" "$to/$inside/"
    install -D -m 644 "/usr/share/doc/${package%%:*}/copyright" "$to/lib/licences/${package%%:*}"
    echo "$inside/$(basename "$library") $(dpkg-query -W -f '${Package} ${Version} ${source:Package} ${source:Version}' "$package")" \
        "$(sha256sum <"$library" | cut -d' ' -f1)" >>"$made/origin/list"
}

# As ldd does, which knows no other machine's programs.
"${emulator[@]}" "$loader" --list "$made/build/pg_rewind" | awk '$2 == "=>" { print $3 }' >"$made/origin/libraries"
while read -r library; do
    add_library "$library" "$(find_package "$library")"
done <"$made/origin/libraries"

# What the C library loads, or what modules of the system that it loads (NSS) need: those must not load the system's.
c_library=$(grep '/libc\.so\.6$' "$made/origin/libraries")
c_package=$(find_package "$c_library")
# The loader obeys /etc/ld.so.preload of the system, whose libraries may need a newer C library: it gets the name of a file that cannot be.
grep -q /etc/ld.so.preload "$loader"
LC_ALL=C sed 's|/etc/ld\.so\.preload|/dev/null/.preload|' "$loader" >"$made/origin/$(basename "$loader")"
add_library "$made/origin/$(basename "$loader")" "$c_package" 755
for library in libnss_compat.so.2 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libanl.so.1 libm.so.6 libresolv.so.2; do
    [ -e "$to/lib/$library" ] || add_library "$(dirname "$c_library")/$library" "$c_package"
done

# The tables of the encodings that src/base/encoding.c names, and the lines that lead to them.
tables=$(dpkg-query -L "$c_package" | sed -n 's|/gconv-modules$||p')
sed -n '/static const char \*const names/,/};/s/"[^"]*"/\n&\n/gp' src/base/encoding.c | sed -n 's/^"\(.*\)"$/\1/p' | sort -u | grep -vx ASCII |
    awk '
        FNR == NR { wanted[$1 "//"]; next }
        $1 == "alias" { meant[$2] = $3; line[$2] = $0 }
        $1 == "module" { table[$2, $3] = $4; cost[$2, $3] = $0 }
        END {
            for (each in wanted) {
                charset = each
                if (charset in meant) {
                    print line[charset]
                    charset = meant[charset]
                }
                if (!((charset, "INTERNAL") in table)) {
                    print "there is no table for " each ": libc-gconv-modules-extra may have it" >"/dev/stderr"
                    exit 1
                }
                if (!(charset in seen)) {
                    print cost[charset, "INTERNAL"]
                    print cost["INTERNAL", charset]
                }
                seen[charset]
            }
        }' - "$tables/gconv-modules" "$tables"/gconv-modules.d/*.conf | LC_ALL=C sort >"$to/lib/gconv/gconv-modules"
awk '$1 == "module" { print $4 ".so" }' "$to/lib/gconv/gconv-modules" | sort -u | while read -r table; do
    LC_ALL=C "${tools}readelf" -d "$tables/$table" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | while read -r library; do
        [ ! -e "$tables/$library" ] || echo "$library"
    done
    echo "$table"
done | sort -u | while read -r library; do
    add_library "$tables/$library" "$(find_package "$tables/$library")" 644 lib/gconv
done

packages/sbom.py "$version" "$machine" "$(sha256sum <"$to/lib/pg_rewind" | cut -d' ' -f1)" "$(sha256sum <"$to/pg_rewind" | cut -d' ' -f1)" \
    <"$made/origin/list" >"$to/sbom.spdx.json"

tar -C "$made" --owner=0 --group=0 --numeric-owner --sort=name --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" |
    gzip -9n >"$to.tar.gz"
echo "$to.tar.gz"
du -sh --apparent-size "$to.tar.gz" "$to" | cut -f1 | paste -sd' ' | sed 's/\(.*\) \(.*\)/\1, unpacked \2/'
