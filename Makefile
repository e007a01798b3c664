# Meson builds; this is the short way to it.  `make` leaves the program at build/pg_rewind.

MESON_OPTIONS ?=
TESTS ?=

.PHONY: all schemas manual setup check check-all servers check-unit check-end-to-end sanitizers arm64 torture guards chaos managers fuzz bench demo install dist deb check-package check-package-arm64 rpm check-rpm portable check-portable clean

all: build/build.ninja
	@ninja -C build

# The schemas in docs, from the tables of keys in schemas.
schemas: all
	@build/tests/print_schema report >docs/report.schema.json
	@build/tests/print_schema check >docs/check.schema.json

# Heads of the options in the manual page, from the program's table of options.
manual: all
	@tests/options build/tests/print_options write

build/build.ninja:
	meson setup build $(MESON_OPTIONS)

# Debian packages and server programs; does nothing if they are there.
setup:
	@tests/setup.sh

# Each test, on a version or a few; the last lines say what is left to check-all. TESTS="t/100_basic.pl" makes it less, PG_VERSIONS="15 18" runs
# what is there for these versions.
check:
	@tests/setup.sh packages
	@$(MAKE) --no-print-directory -j2 servers check-unit
	@PG_REWIND_TEST_PART=check $(MAKE) --no-print-directory check-end-to-end

# The other versions, also 19, of the tests that `make check` runs.
check-all: setup
	@PG_REWIND_TEST_PART=rest $(MAKE) --no-print-directory check-end-to-end

# All but that of 19.
servers:
	@tests/setup.sh check

check-unit: all
	@meson test -C build --no-rebuild --print-errorlogs

check-end-to-end: all
	@tests/end_to_end.sh $(TESTS)

# Tests under sanitizers and valgrind: a sample, or WHAT=all.
sanitizers: setup
	@tests/setup.sh thorough
	@$(MAKE) --no-print-directory all >/dev/null
	@tests/sanitizers.sh $(or $(WHAT),sample)

# The program for ARM64, under qemu-user: unit tests, and a sample of the end-to-end tests or TESTS; see tests/arm64.sh.
arm64:
	@tests/setup.sh arm64
	@tests/arm64.sh $(TESTS)

# All that may interrupt or mislead a rewind, for hours; PARTS="kill power" makes it less: see tests/torture.sh.
torture: setup
	@tests/setup.sh thorough
	@$(MAKE) --no-print-directory all >/dev/null
	@tests/torture.sh $(PARTS)

# Histories thrown by dice: RUNS=200 of them, JOBS=2 at a time, of VERSIONS="10 18", from SEED on; see tests/chaos.sh.
chaos: setup
	@$(MAKE) --no-print-directory all >/dev/null
	@RUNS="$(RUNS)" JOBS="$(JOBS)" SEED="$(SEED)" VERSIONS="$(VERSIONS)" KEEP="$(KEEP)" tests/chaos.sh

# Real managers call the program: MANAGERS="patroni repmgr" or all of t/managers; see tests/managers.sh.
managers: all
	@tests/managers.sh $(MANAGERS)

# Is each guard noticed when it is taken out? All of tests/guards, or GUARDS="wal_log_hints_off ready_kept".
guards: setup
	@$(MAKE) --no-print-directory all >/dev/null
	@tests/guards.sh $(GUARDS)

# Each fuzz target for a minute, or TARGETS="journal wal_scan" for SECONDS=600; two at a time.
fuzz:
	@tests/setup.sh thorough
	@tests/fuzz/run.sh $(or $(SECONDS),60) $(TARGETS)

# What a rewind costs beside the originals of 19, 18 and 15 and other tools, into BENCHMARKS.md and docs/ready.svg; WORKLOADS="typical latency",
# VERSIONS=19, ROUNDS=1, SCALE=10 and others of tests/bench.pl make it less: the results of smaller runs stay in build/bench.
bench:
	@tests/setup.sh bench
	@$(MAKE) --no-print-directory all >/dev/null
	@tests/bench.sh

demo: setup
	@$(MAKE) --no-print-directory all >/dev/null
	@tests/demo.sh

# Program, manual page, guides and bash completion, below DESTDIR if that is given.
install: all
	meson install -C build --no-rebuild

# What is committed as build/meson-dist/pg_rewind-VERSION.tar.gz, which builds without git.
dist: all
	meson dist -C build --formats gztar --no-tests

# The Debian package, into build/deb; root installs what it needs. ARCH=arm64 is a cross build, for a system of its own.
deb:
	@ARCH="$(ARCH)" packages/deb.sh

# Installed, put in the place of the original, used and removed, in a bare system; by root. SUITE=trixie makes it there as well; SUITE=noble MIRROR=URL
# does so in Ubuntu 24.04, from a mirror of Ubuntu. FROM=PACKAGE, of an earlier version, is upgraded first.
check-package:
	@tests/setup.sh packages debhelper fakeroot lintian debootstrap
	@$(if $(SUITE),,$(MAKE) --no-print-directory deb)
	@SUITE="$(SUITE)" MIRROR="$(MIRROR)" FROM="$(FROM)" tests/package.sh

# The package and the portable directory for ARM64, made by a cross build in a bare system, into build/arm64, and run under qemu-user; by root.
check-package-arm64:
	@tests/setup.sh packages debootstrap
	@tests/package_arm64.sh

# The RPM, into build/rpm, on a system that has rpmbuild and what the spec requires.
rpm:
	@packages/rpm.sh

# On Debian: its files in a bare system; by root.
check-rpm:
	@tests/setup.sh packages rpm rpmlint cpio debootstrap
	@DEBIAN=1 packages/rpm.sh
	@tests/rpm.sh

# Program and libraries in one directory, for places where nothing can be installed, into build/portable; ARCH as for deb.
portable:
	@ARCH="$(ARCH)" packages/portable.sh

# It rewinds in bare systems and without one; by root. SUITES="bullseye bookworm trixie sid", or SUITES=noble MIRROR=URL as above.
check-portable: portable
	@tests/setup.sh packages debootstrap busybox-static openssl
	@MIRROR="$(MIRROR)" tests/portable.sh $(SUITES)

clean:
	rm -rf build build-address build-thread build-arm64
