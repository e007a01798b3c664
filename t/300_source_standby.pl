# The source may be a standby of the promoted server.  (Invariants 6, 7. Both sources.)
#
#   primary      ┌── 2 ──────▶      ┬ divergence
#   source       └── 2 ──────▶        a standby of the primary: running, or stopped
#   target   1 ──┴── 1 ──────▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($primary, $target) = split_brain($version,
        before => sub {
        $_[0]->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 5000) i; CREATE INDEX ON t (a)') },
        source => sub {
        $_[0]->sql(q{INSERT INTO t SELECT generate_series(10000, 15000); CREATE TABLE s AS SELECT 1 AS a; DELETE FROM t WHERE a % 3 = 0}) },
        target => sub {
            $_[0]->sql(q{INSERT INTO t SELECT generate_series(20000, 29000); CREATE TABLE lost AS SELECT 1 AS a; DELETE FROM t WHERE a % 5 = 0}) });
    my $source = $primary->standby('standby');
    $primary->sql('INSERT INTO t SELECT generate_series(30000, 31000)');
    $source->wait_for_replay_of($primary);
    rewinds_from_both_kinds($source, $target, writer => $primary);
}, sample => 1);
