#!/usr/bin/env bash
# The portable directory is the same file, wherever and whenever it is made: tests/reproducible.sh builds it twice, in two directories, with another
# umask, time zone and time. Its SBOM lists what lib has, with versions.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT

export SOURCE_DATE_EPOCH=1800000000
export PG_REWIND_BUILD_VERSION=9.9.9
for copy in one another/one; do
    mkdir -p "$work/$copy"
    tar -c --exclude-vcs --exclude='./build*' . | tar -x -C "$work/$copy"
done
(cd "$work/one" && umask 022 && TZ=UTC packages/portable.sh >/dev/null)
(cd "$work/another/one" && umask 077 && TZ=Asia/Tokyo packages/portable.sh >/dev/null)
name=$(basename "$work"/one/build/portable/pg_rewind-*.tar.gz)
if ! cmp "$work/one/build/portable/$name" "$work/another/one/build/portable/$name"; then
    diff -rq "$work/one/build/portable/${name%.tar.gz}" "$work/another/one/build/portable/${name%.tar.gz}" || true
    echo "not ok - $name is not reproducible"
    exit 1
fi
echo "ok - $name, twice the same"
python3 - "$work/one/build/portable/${name%.tar.gz}" <<'END'
import json, os, sys
root = sys.argv[1]
with open(f"{root}/sbom.spdx.json") as file:
    document = json.load(file)
listed = {package["packageFileName"] for package in document["packages"]}
there = {f"{inside}/{name}" for inside in ("lib", "lib/gconv") for name in os.listdir(f"{root}/{inside}") if ".so" in name} | {"pg_rewind", "lib/pg_rewind"}
assert document["spdxVersion"] == "SPDX-2.3" and listed == there, (listed ^ there)
assert all(package["versionInfo"] and len(package["checksums"][0]["checksumValue"]) == 64 for package in document["packages"])
print(f"ok - the SBOM lists {len(listed)} files, with versions")
END
