# What the target has behind the end of a source's WAL is nothing that they have in common, whatever the history files
# say. (Equal timeline numbers prove nothing. All kinds of sources.)
#
# The source is a standby that was opened without a promotion, so it is on timeline 1 like the WAL that the target wrote
# since; its WAL ends before the target's last checkpoint, and before the target's switch.
#
#   source   1 ──┬─ 1 ─▶
#   target       └─ 1 ───●──┬── 2 ──▶
# (Rules C16, C24, I27.)

use strict;
use warnings;

use RewindTest;

# The target's own last checkpoint lies behind all that the source has: only what is before that can be compared.
sub target_is_far_ahead
{
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 1000) g');
    my $opened = $target->standby('opened');
    $opened->open_without_promotion;
    my $source = $opened->standby('source');
    $opened->sql('UPDATE t SET v = 1 WHERE g < 10');
    for (1 .. 3)
    {
        $target->sql('UPDATE t SET v = 2');
        $target->sql('SELECT pg_switch_wal()');
    }
    $target->sql('CHECKPOINT');
    $target->stop;
    $source->wait_for_replay_of($opened);
    # Files that the source has made for later would differ, by chance.
    my $last = $opened->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    unlink grep { m{/([0-9A-F]{24})$} && $1 gt $last } glob($source->path('pg_wal/*'));
    my $result = rewinds($target, $source);
    like($result->{stderr}, qr/servers diverged at WAL location/, 'the divergence is found');
    rejoins($target, $source, writer => $opened);
    RewindTest::Cluster::discard_all();
    return;
}

# A standby that has nothing else may receive what the target has, or something else in its place.
sub source_may_still_receive
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 1000) g');
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    $target->wait_for_replay_of($primary);
    $target->open_without_promotion;
    $target->sql('UPDATE t SET v = 1; CHECKPOINT');
    $target->stop;
    $source->wait_for_replay_of($primary);
    my $refused = qr/^pg_rewind: error: source has not received all WAL that the target has$/m;
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'it is refused');
    like($result->{stderr}, $refused, 'with the reason');
    # A note that a sync has failed, which makes each run compare, does not change that. (Rule I27.)
    my $note = $target->path('pg_rewind.unsynced');
    spew($note, "An error of the disk.\n");
    $result = rewind($target, $source);
    is($result->{status}, 1, 'also where all blocks are compared because of a note');
    like($result->{stderr}, $refused, 'with the same reason');
    ok(-e $note, 'and the note stays');
    my $asked = $target->copy('asked');
    is(rewind($asked, $source, options => ['--compare'])->{status}, 0, 'who asks for --compare gets it');
    $asked->discard;
    unlink $note or die;

    $primary->sql('UPDATE t SET v = 2 WHERE g < 10; CHECKPOINT');
    $source->wait_for_replay_of($primary);
    $result = rewinds($target, $source);
    like($result->{stderr}, qr/servers diverged at WAL location/, 'then the divergence is found');
    rejoins($target, $source, writer => $primary);
    RewindTest::Cluster::discard_all();
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('a standby that may still receive WAL', sub { source_may_still_receive($version) });
    subtest('both on one timeline, the target far ahead', sub { target_is_far_ahead($version) });
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 1000) g');
    my $source = $target->standby('source');
    $source->open_without_promotion;
    my $second = $source->standby('second');

    $source->sql('UPDATE t SET v = 1 WHERE g < 10');
    $target->sql('UPDATE t SET v = 2; CREATE TABLE u AS SELECT g FROM generate_series(1, 20000) g; DROP TABLE t');
    $target->stop;

    # A standby as source may receive more; but not what differs from what it has.
    $second->wait_for_replay_of($source);
    my $same_timeline = $target->copy('same_timeline');
    rewinds($same_timeline, $second);
    rejoins($same_timeline, $second, writer => $source, no_promotion => 1);
    $same_timeline->discard;

    my $nowhere = bless { %$target, dir => '/nonexistent' }, ref $target;
    $target->follow($nowhere)->start->promote->sql('INSERT INTO u VALUES (0)');
    $target->stop;

    my $from_standby = $target->copy('from_standby');
    $second->wait_for_replay_of($source);
    rewinds($from_standby, $second);
    rejoins($from_standby, $second, writer => $source);
    $_->discard for $from_standby, $second;
    rewinds_from_both_kinds($source, $target);
}, only => [ 10, 15, 18 ]);
