#!/usr/bin/env bash
# Print which libpq is built with, and the command that installs a newer one where apt offers it. Connection options that a libpq does not know are
# errors for those who need them. Nothing is installed here: a newer libpq-dev may bring newer server packages along, which restart a running server.
set -euo pipefail

installed=$(dpkg-query -W -f '${Version}' libpq-dev 2>/dev/null || true)
offered=$(LC_ALL=C apt-cache policy libpq-dev 2>/dev/null | sed -n 's/^ *Candidate: //p')

echo "libpq of $(pkg-config --modversion libpq)"
if [ -n "$installed" ] && [ -n "$offered" ] && [ "$offered" != "(none)" ] && dpkg --compare-versions "$offered" gt "$installed"; then
    echo "A newer one can be had, $offered: apt-get install libpq-dev (look at what else that upgrades: apt-get -s install libpq-dev)"
fi
