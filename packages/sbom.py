#!/usr/bin/env python3
"""Print the SBOM of the portable directory (SPDX 2.3, JSON): packages/sbom.py VERSION MACHINE SHA256 SHA256-OF-WRAPPER <LIBRARIES

Each line of LIBRARIES: a file's path in the directory, its Debian package and version, the source package and version, its SHA256.
"""
import json
import os
import sys
from datetime import datetime, timezone

version, machine, digest, wrapper = sys.argv[1:5]
name = f"pg_rewind-{version}-{machine}"
created = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)


def package(identifier, title, title_version, file, checksum, **more):
    return {
        "SPDXID": f"SPDXRef-{identifier}",
        "name": title,
        "versionInfo": title_version,
        "packageFileName": file,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": checksum}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        **more,
    }


lines = sorted(sys.stdin)
libc = next(line.split() for line in lines if line.startswith("lib/libc.so."))
packages = [
    package("pg-rewind", "pg_rewind standalone", version, "lib/pg_rewind", digest, licenseDeclared="PostgreSQL"),
    package("wrapper", "pg_rewind standalone, its wrapper", version, "pg_rewind", wrapper, licenseDeclared="PostgreSQL",
            sourceInfo=f"linked statically with {libc[1]} {libc[2]}"),
]
for number, line in enumerate(lines, 1):
    path, binary, binary_version, source, source_version, checksum = line.split()
    packages.append(
        package(
            f"library-{number}", binary, binary_version, path, checksum,
            sourceInfo=f"source package {source} {source_version} of Debian or a relative; its licence: lib/licences/{binary}",
            externalRefs=[{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:deb/debian/{binary}@{binary_version.replace('+', '%2B').replace(':', '%3A')}",
            }],
        ))
document = {
    "spdxVersion": "SPDX-2.3",
    "dataLicense": "CC0-1.0",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": name,
    "documentNamespace": f"https://pg-rewind-standalone.example/sbom/{name}-{digest[:16]}",
    "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: packages/sbom.py"]},
    "packages": packages,
    "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-pg-rewind"}]
    + [{"spdxElementId": "SPDXRef-pg-rewind", "relationshipType": "DYNAMIC_LINK", "relatedSpdxElement": each["SPDXID"]} for each in packages[1:]],
}
json.dump(document, sys.stdout, indent=1)
print()
