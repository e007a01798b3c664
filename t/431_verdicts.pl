# Status 3 throws no good directory away: what another address, a stop or --compare mends ends with status 1, and a
# target that did not log its hints but has not diverged needs no rewind. (Invariant 1.)
#
#   source   1 ─────┬── 2 ──▶      standby    up to where the source is on 1, and stopped: nothing to rewind, whatever it logged
#                   │              former     the primary of 1, stopped before the source was promoted: the same
#                   └──────        diverged   the former primary, started again: only --compare knows what its hints are
#                         └── 2    twin       a copy of the source, started: no history file knows that it has diverged
# (Rules O1, O3, U1, U2.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Tree;

my %without_hints = (checksums => 0, settings => 'wal_log_hints = off');

# Fails with this status and these errors, in this order, their remedies and last line, with and without --dry-run;
# returns what was said.
sub refuses
{
    my ($name, $target, $source, %expected) = @_;
    my $before = tree($target);
    my $said;
    for my $dry ([], ['--dry-run'])
    {
        my $result = rewind($target, $source, kind => $expected{kind}
            // 'server', options => [ '--report=json', @$dry ]);
        my @errors = @{ JSON::PP->new->utf8->decode($result->{stdout})->{errors} };
        is($result->{status}, $expected{status} // 1, "$name: exit status @$dry") or diag($result->{stderr});
        is(join("\n", map { $_->{message} } @errors), join("\n", @{ $expected{errors} }), "$name: the errors");
        is(join(' ', map { $_->{remedy} // 'none' } @errors), $expected{remedies}, "$name: their remedies");
        like($result->{stderr}, qr/\npg_rewind: hint: $expected{last}\n\z/, "$name: the last line");
        $said = $result->{stderr};
    }
    is_same_tree(tree($target), $before, "$name: the target is as it was");
    return $said;
}

# A pair that was not meant: no way to rewind it is named.
sub mistaken
{
    my ($name, $target, $source, $option, %expected) = @_;
    my $said = refuses($name, $target, $source, remedies => 'none', last => 'The target is unchanged\.', %expected);
    like($said, qr/^pg_rewind: hint: Check -D and $option: /m, "$name: the hint names what to check");
    unlike($said, qr/base backup|--compare/, "$name: and no other way");
    return;
}

# Ends of transactions on both sides of a checkpoint, and hints for them on disk.
sub set_hints
{
    my ($primary, $standby) = @_;
    $primary->sql('BEGIN; INSERT INTO t SELECT generate_series(2001, 3000); ROLLBACK; DELETE FROM t WHERE a % 3 = 0; CHECKPOINT;
        UPDATE t SET a = -a WHERE a % 5 = 0');
    $standby->wait_for_replay_of($primary);
    $_->sql('SELECT count(*) FROM t; CHECKPOINT') for $primary, $standby;
    return;
}

sub needs_no_rewind
{
    my ($name, $target, $source, %option) = @_;
    my $before = tree($target);
    my $result = rewinds($target, $source, %option);
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, "$name: no rewind is required");
    unlike($result->{stderr}, qr/wal_log_hints/, "$name: of hints nothing is said");
    is_same_tree(tree($target), $before, "$name: nothing is changed") if !$option{options};
    return;
}

each_version(sub {
    my ($version) = @_;
    my $former = make_cluster('former', $version, %without_hints)->start;
    $former->sql('CREATE TABLE t AS SELECT generate_series(1, 2000) AS a');
    my $source = $former->standby('source');
    my $standby = $former->standby('standby');
    set_hints($former, $standby);

    if ($version == 18)    # for a server that might be about to stop five seconds are waited
    {
        my $result = rewind($standby, $former, not_foretold => 'it takes as long again');
        is($result->{status}, 1, 'a standby that runs: exit status') or diag($result->{stderr});
        my $pid = $standby->postmaster_pid;
        like($result->{stderr},
            qr/^pg_rewind: the target server \(PID $pid\) is running; waiting up to 5 s for it to stop$/m,
            'it is said what is waited for');
        like($result->{stderr},
            qr/^pg_rewind: hint: It is running\. Stop it, .* or: pg_ctl stop -m immediate -D \Q@{[ $standby->data ]}\E$/m,
            'it is said how to stop it');
        unlike($result->{stderr}, qr/wal_log_hints|base backup|--compare/, 'and nothing else');
    }
    $standby->stop;
    needs_no_rewind('a standby of its primary', $standby, $former);

    $source->wait_for_replay_of($former);
    my $crashed;
    if ($version == 15)
    {
        $former->stop('kill');
        $crashed = $former->copy('crashed');
        $former->start;
        $source->wait_for_replay_of($former);
    }
    $former->stop;
    $source->promote;
    $source->sql('CREATE TABLE s AS SELECT 1 AS a; DELETE FROM t WHERE a % 7 = 0');
    my $diverged = $former->copy('diverged');
    needs_no_rewind('a standby', $standby, $source);
    needs_no_rewind('a former primary', $former, $source, options => ['-R']);
    rejoins($former, $source, recovery_written => 1);
    $source->stop;
    needs_no_rewind('a standby of a directory', $standby, $source, kind => 'directory');
    $source->start;
    rejoins($standby, $source, quick => 1);
    $standby->discard;

    $diverged->start->sql('CREATE TABLE lost (a int)');
    $diverged->stop;
    my $needs_hints = 'target server needs to use either data checksums or "wal_log_hints = on"';
    # VACUUM marks a page as all visible without a position in it: the page may be on the disk, and the record not.
    refuses('hints off, not diverged, but crashed as a primary', $crashed, $source, remedies => 'compare',
        last => 'The target is unchanged\.',
        errors => [$needs_hints]) if $crashed;
    my $hints = refuses('hints off and diverged', $diverged, $source, remedies => 'compare',
        last => 'The target is unchanged\.',
        errors => [$needs_hints]);
    like($hints, qr/^pg_rewind: servers diverged at WAL location /m, 'it is said that they have diverged');
    like($hints, qr/^pg_rewind: hint: Compare all blocks instead with --compare\./m, 'and the way that is left');
    unlike($hints, qr/base backup/, 'which is no base backup');

    # By checksums too they would differ; of a cluster that was not meant that is nothing to know.
    my $different = 'source and target clusters are from different systems';
    my $other = make_cluster('other', $version, checksums => 1);
    $other->start->stop;
    mistaken('another cluster', $other, $source, '--source-server', errors => [$different]);
    my $other_version = make_cluster('version', $version == 10 ? 15 : 10, checksums => 1);
    $other_version->start->stop;
    mistaken('another version', $other_version, $source, '--source-server', remedies => 'none none',
        last => 'The target is unchanged\..*',
        errors => [ $different, 'clusters are not compatible with this version of pg_rewind' ]);
    $source->stop;
    mistaken('the directory of another cluster', $diverged, $other, '--source-pgdata', kind => 'directory',
        errors => [$different]);
    mistaken('the same directory', $diverged, $diverged, '--source-pgdata', kind => 'directory',
        errors => ['source and target are the same directory']);

    my $twin = $source->copy('twin');
    $_->start for $source, $twin;
    $source->sql('INSERT INTO s VALUES (2)');
    $twin->sql('CREATE TABLE lost (a int)');
    $_->stop for $twin, $source;
    refuses('hints off and diverged on one timeline', $twin, $source, kind => 'directory', remedies => 'compare',
        last => 'The target is unchanged\.', errors => [$needs_hints]);

    # What nothing mends.
    patch_segment_size($diverged, 64 * 1024 * 1024);
    refuses('one system in two formats', $diverged, $source, kind => 'directory', status => 3,
        remedies => 'base_backup', last => '.* new base backup\.',
        errors => ['clusters are not compatible with this version of pg_rewind']);
}, only => [ 10, 15, 18 ]);
