#!/usr/bin/env bash
# Make build/portable/pg_rewind-VERSION-MACHINE.tar.gz: the program, and in lib/ beside it all libraries but the C library's own.
# It runs where the C library is not older than the one that is named at the end. sbom.spdx.json in it lists them with their versions. The same sources
# and libraries make the same file, wherever and whenever: its times are that of the commit, or SOURCE_DATE_EPOCH. Needs what the build needs, and binutils; with ARCH=arm64 on another
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

# RPATH, not RUNPATH: it holds for the libraries' libraries too, and goes before LD_LIBRARY_PATH, which a manager may have set for others.
# shellcheck disable=SC2016 # $ORIGIN is for the dynamic linker
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || dpkg-parsechangelog -STimestamp)}
meson setup "$made/build" "${cross[@]}" -Dtests=disabled -Dc_args="-ffile-prefix-map=$PWD=." -Dc_link_args='-Wl,-rpath,$ORIGIN/lib,--disable-new-dtags' >"$made/log"
ninja -C "$made/build" >>"$made/log"

version=$("${emulator[@]}" "$made/build/pg_rewind" --version | sed -n 's/.*(standalone \(.*\))$/\1/p')
name=pg_rewind-$version-$machine
mkdir -p "$made/$name/lib"
install -m 755 "$made/build/pg_rewind" "$made/$name/pg_rewind"
"${tools}strip" "$made/$name/pg_rewind"
cp -r docs "$made/$name/docs"
rm "$made/$name/docs/releasing.md"
cp LICENSE README.md CHANGELOG.md SECURITY.md "$made/$name/"
packages/installed_links.py "$made/$name" .

# As ldd does, which knows no other machine's programs.
if [ ${#emulator[@]} -gt 0 ]; then
    "${emulator[@]}" -E LD_TRACE_LOADED_OBJECTS=1 "$made/build/pg_rewind"
else
    ldd "$made/build/pg_rewind"
fi | awk '$2 == "=>" && $1 !~ /^(libc|libm|libresolv|libpthread|libdl|librt)\.so/ { print $3 }' |
    while read -r library; do
        install -m 644 "$library" "$made/$name/lib/"
        path=$(realpath "$library") # which dpkg may know without /usr
        # Each package's licence goes with its library.
        package=$(dpkg-query -S "*${path#/usr}" | cut -d: -f1)
        install -D -m 644 "/usr/share/doc/$package/copyright" "$made/$name/lib/licences/$package"
        mkdir -p "$made/origin"
        dpkg-query -W -f '${Package} ${Version} ${source:Package} ${source:Version}' "$package" >"$made/origin/$(basename "$library")"
    done

for file in "$made/$name"/lib/*.so*; do
    path=$(basename "$file")
    library=$(find "$made/origin" -name "$path" -exec cat {} +)
    echo "lib/$path $library $(sha256sum <"$file" | cut -d' ' -f1)"
done | packages/sbom.py "$version" "$machine" "$(sha256sum <"$made/$name/pg_rewind" | cut -d' ' -f1)" >"$made/$name/sbom.spdx.json"

tar -C "$made" --owner=0 --group=0 --numeric-owner --sort=name --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" |
    gzip -9n >"$made/$name.tar.gz"
echo "$made/$name.tar.gz"
du -sh --apparent-size "$made/$name.tar.gz" "$made/$name" | cut -f1 | paste -sd' ' | sed 's/\(.*\) \(.*\)/\1, unpacked \2/'
"${tools}objdump" -T "$made/$name/pg_rewind" "$made/$name"/lib/*.so* | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | sed 's/GLIBC_/needs glibc /'
