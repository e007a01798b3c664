# The source went on at wal_level minimal after a stop, and the target at another level right after it: no WAL tells that the source's level was
# minimal. What it filled without WAL would be emptied by replay, and not filled again.  (Where recovery starts. Both sources.)
#
#   source   minimal ●──┬── minimal ── filled without WAL ── replica ──▶
#   target              └── replica ──▶                                       ● the last common checkpoint, a stop

use strict;
use warnings;

use RewindTest;

my %minimal = (wal_level => 'minimal', max_wal_senders => 0);

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start(settings => \%minimal);
    $target->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) a');
    my $source = $target->stop->copy('source');
    $target->start->sql('CREATE TABLE lost AS SELECT generate_series(1, 1000) a; UPDATE t SET a = -a');
    $target->stop;
    $source->start(settings => \%minimal);
    $source->sql(<<'END');
BEGIN;
CREATE TABLE filled (a int, b text);
INSERT INTO filled SELECT 1, 'x';
TRUNCATE filled;
COPY filled FROM PROGRAM 'seq 1 20000 | sed ''s/$/\tabcdefghijklmnopqrstuvwxyz/''';
CREATE INDEX ON filled (a);
COMMIT;
END
    $source->stop->start;
    $source->sql('INSERT INTO t VALUES (5); INSERT INTO filled VALUES (1)');

    my $early = rewind($target, $source, options => [qw(--early-start --dry-run --debug)]);
    like($early->{stderr}, qr/^pg_rewind: recovery starts late, at the source's checkpoint /m, 'not even --early-start starts early');
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [ 10, 11, 12, 13, 15, 18 ]);
