# The source went on at wal_level minimal after a stop, and the target at another level right after it: no WAL tells
# that the source's level was minimal. What it filled without WAL would be emptied by replay, and not filled again.
# (Where recovery starts. Both sources.)
#
#   source   minimal ●──┬── minimal ── filled without WAL ── replica ──▶
#   target              └── replica ──▶                                       ● the last common checkpoint, a stop
# (Rule C6.)

use strict;
use warnings;

use RewindTest;

my %minimal = (wal_level => 'minimal', max_wal_senders => 0);

# The pair: the source has left the level by $leave.
sub pair
{
    my ($version, $leave) = @_;
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
    $leave->($source);
    $source->sql('INSERT INTO t VALUES (5)');
    return ($source, $target);
}

# No checkpoint lies between the work and the next record of the level: the server is killed, and opened by a promotion.
sub promote_after_crash
{
    my ($source) = @_;
    $source->stop('kill');
    $source->follow(bless { %$source, dir => '/nonexistent' }, ref $source);
    $source->try_start(settings => { hot_standby => 'off' });
    wait_until('it is in recovery', sub { $source->log =~ /entering standby mode/ });
    $source->promote;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = pair($version, sub { $_[0]->stop->start });
    $source->sql('INSERT INTO filled VALUES (1)');
    my $early = rewind($target, $source, options => [qw(--early-start --dry-run --debug)]);
    like($early->{stderr}, qr/^pg_rewind: recovery starts late, at the source's checkpoint /m,
        'not even --early-start starts early');
    rewinds_from_both_kinds($source, $target, quick => 1);
    return if $version >= 14;    # its recovery ends at a record of that level
    RewindTest::Cluster::discard_all();

    # (Up to 12 such a crash loses what was filled on the source, too.)
    ($source, $target) = pair($version, \&promote_after_crash);
    $source->sql('CHECKPOINT');
    my $opened = rewind($target, $source, options => [qw(--dry-run --debug)]);
    like($opened->{stderr}, qr/^pg_rewind: recovery starts late, at the source's checkpoint /m,
        'an end of recovery does not show that the server did nothing');
}, only => [ 10, 11, 12, 13, 15, 18 ]);
