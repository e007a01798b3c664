# An index of an unlogged table whose build begins on the source before the start of recovery, and ends after the
# rewind, does not keep the rewound target from being promoted. Where no number tells that it is new, pg_rewind warns.
# (What is fetched. Source is a server.)
#
#   source   ── 2 ─── main fork ─── checkpoint, the late start ─── listed ─── init fork ──▶
# (Rules C76, C78.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub before
{
    my ($primary) = @_;
    $primary->sql(<<'END');
CREATE UNLOGGED TABLE u AS SELECT i AS a FROM generate_series(1, 100) i;
CREATE TABLE p AS SELECT i AS a FROM generate_series(1, 100) i;
CREATE FUNCTION waits(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF $1 = 100 THEN PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1); END IF; RETURN $1; END';
END
    return;
}

# The build of an index that gets to its last row, and goes no further until it is let go.
sub begin_build
{
    my ($source) = @_;
    my ($lock, $build) = ($source->session, $source->session);
    $lock->sql('SELECT pg_advisory_lock(1)');
    $build->send('CREATE INDEX u_index ON u (waits(a))');
    wait_until('the build waits',
        sub { $source->query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") });
    return ($lock, $build);
}

sub end_build
{
    my ($lock, $build) = @_;
    $lock->end;
    $build->sql('SELECT 1');
    $build->end;
    return;
}

# The target's relations have the numbers that the source gives its own: they go on where WAL says, after a crash as
# after a promotion.
sub make_equal_numbers
{
    my ($target) = @_;
    $target->stop('immediate')->start;
    $target->sql("CREATE TABLE lost_$_ (a int)") for 1 .. 30;
    return;
}

my $warning =
    qr{^pg_rewind: warning: "base/\d+/\d+" may belong to an index of an unlogged table that the source builds: then the first promotion of the target fails$}m;

each_version(sub {
    my ($version) = @_;

    subtest('between the two starts', sub {
        my ($source, $target) = split_brain($version, before => \&before,
            source => sub { $_[0]->sql('INSERT INTO u SELECT generate_series(1, 100)') },
            target => \&make_equal_numbers);
        $source->sql('CREATE TABLE logged (a int); CREATE INDEX logged_a ON logged (a)');
        my @build = begin_build($source);
        $source->sql('CHECKPOINT');
        ok(-e $target->path($source->query("SELECT pg_relation_filepath('logged')")),
            'the target has a relation of the number of a table that the source logged');
        rewinds($target, $source, options => [ '--no-sync', '--late-start' ]);
        end_build(@build);
        rejoins($target, $source);
        RewindTest::Cluster::discard_all();
    });

    # The source is the former primary; its standby was promoted by mistake.
    subtest('before the last common checkpoint', sub {
        my $source = make_cluster('source', $version)->start;
        before($source);
        $source->sql('INSERT INTO u SELECT generate_series(1, 100)');
        my $target = $source->standby('target');
        my @build = begin_build($source);
        $source->sql('CHECKPOINT');
        $target->wait_for_replay_of($source);
        $target->sql('CHECKPOINT');
        $target->promote;
        $target->sql('INSERT INTO p VALUES (0)');
        $target->stop;
        my $result = rewind($target, $source, options => ['--early-start']);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        like($result->{stderr}, $warning, 'and warns');
        end_build(@build);
        rejoins($target, $source, no_promotion => 1);
    });
});
