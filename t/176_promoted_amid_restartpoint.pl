# A server that is promoted amid a restartpoint logs no image of a page that was changed since that restartpoint, until
# its first own checkpoint begins. Such a record that clears a bit of a visibility map names its block from 19 on; when
# the source has cut the map off since then, replay from the last common checkpoint would not find it, and the server
# would not start. So recovery starts after that. (Both sources.)
#
#   source   ── R, its last restartpoint ── map changed ──c──┬─ 2 ── bit cleared, no image ── S, its checkpoint ── map cut off ──▶
#   target                                                  c└─ 1 ──╳
#
# Its standby, whose own restartpoint is c, replays such a record while a rewind from it is staged: the plan was made
# without it, the proof finds it. (Source is a server.)
#
#   primary  ── R ── map changed ──c──┬─ 2 ────────────────── bit cleared, no image ── S ── map cut off ──▶
#   source                         c──┴─ 2 ── plan is made ─────────────────────────── S, its restartpoint ──▶
#   target                         c──┴─ 1 ──╳
# (Rule C8.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

# The old primary, stopped, and its standbys, of which the first was promoted amid a restartpoint; the others follow it.
# The session in between must live as long as that restartpoint.
sub promoted_amid_restartpoint
{
    my ($version, @others) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE queue (a int) WITH (autovacuum_enabled = off); INSERT INTO queue SELECT generate_series(1, 1000)');
    $target->sql('VACUUM queue');
    my ($promoted, @standbys) = map { $target->standby($_) } 'promoted', @others;
    $promoted->configure("bgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\nlog_checkpoints = on");
    $promoted->restart;
    $target->sql(q{CREATE TABLE filler AS SELECT g, repeat('x', 900) AS t FROM generate_series(1, 8000) g; CHECKPOINT});
    $promoted->wait_for_replay_of($target);
    my $slow = $promoted->session;
    $slow->send('CHECKPOINT (MODE SPREAD)');
    wait_until('the restartpoint is under way', sub { $promoted->log =~ /restartpoint starting/ });
    $target->sql('DELETE FROM queue WHERE a = 1');
    $target->sql('VACUUM queue; CHECKPOINT');
    for my $standby (@standbys)
    {
        $standby->wait_for_replay_of($target);
        $standby->sql('CHECKPOINT');
        $standby->stop;
    }
    $promoted->wait_for_replay_of($target);
    $promoted->promote;
    $_->follow($promoted)->start for @standbys;
    $target->sql('CREATE TABLE lost (a int)');
    $target->stop;
    return ($target, $slow, $promoted, @standbys);
}

my $clears = 'DELETE FROM queue WHERE a < 500';

sub cut_off
{
    my ($primary) = @_;
    $primary->sql('CHECKPOINT; DELETE FROM queue');
    $primary->sql('VACUUM queue');
    is($primary->query(q{SELECT pg_relation_size('queue', 'vm')}), 0, 'the visibility map is cut off');
    return;
}

sub before_the_plan
{
    my ($version) = @_;
    my ($target, $slow, $source) = promoted_amid_restartpoint($version);
    $source->sql($clears);
    cut_off($source);
    rewinds_from_both_kinds($source, $target, options => ['--early-start']);    # asked for, but it would go wrong
    return;
}

sub after_the_plan
{
    my ($version) = @_;
    my ($target, $slow, $primary, $source) = promoted_amid_restartpoint($version, 'standby');
    my $without = $target->copy('without');
    my @held = map { hold($_, $source, 'create@*/pg_rewind.work/*') } $without, $target;
    $primary->sql($clears);
    $source->wait_for_replay_of($primary);
    my $result = go_on($held[0]);
    is($result->{status}, 1, 'where the source has no later restartpoint the rewind fails') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: replay would need blocks of visibility maps that may be gone$/m,
        'it says why');
    is($without->try_start->{status}, 0, 'before the commit: the old server starts');
    cut_off($primary);
    $source->wait_for_replay_of($primary);
    $source->sql('CHECKPOINT');
    $result = go_on($held[1]);
    is($result->{status}, 0, 'where it has one the rewind succeeds') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: .* or logged changes without page images in the meantime: starting again$/m,
        'with another plan');
    rejoins($target, $source, writer => $primary);
    return;
}

each_version(sub {
    my ($version) = @_;
    before_the_plan($version);
    RewindTest::Cluster::discard_all();
    after_the_plan($version);
}, only => [19]);
