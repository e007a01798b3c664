# A checkpoint record in WAL does not mean that the pages are as new: recovery starts at one that the target itself
# finished, or where its own recovery was to begin, and no later than at the source's own. (Where recovery starts. Both
# sources.)
#
#   source       1 ──r── update ──c──●──┬── 2 ──▶      ● checkpoints; r redo position, c record of the one at which the base backup
#   target                              └── 1 ──✕        of the target began: it made no restartpoint at the second, was killed, and
#                                                        has never written the pages
#
#   source       1 ──●──┬─ 2 ── update ──●──┬── 2 ──▶     the target was rewound to it, and never started
#   second              │                   └── 3 ──▶     then it is rewound to this one
#   target              └─ 1 ──▶
#
#   source       1 ──●── update ──●──┬── 2 ──▶      a standby, killed and started again, that made no restartpoint
#   target                           └── 1 ──▶
# (Rules C11, C12.)

use strict;
use warnings;

use RewindTest;

# Or a target that had time for it would have written the pages.
my %lazy = (settings => 'bgwriter_lru_maxpages = 0');

sub make_table { $_[0]->sql('CREATE TABLE t AS SELECT i AS a, 0 AS b FROM generate_series(1, 3000) i; CHECKPOINT');
    return }
sub change { $_[0]->sql('UPDATE t SET b = 1; CHECKPOINT'); return }

# What the server's checkpoints have written, also the one that is under way.
sub buffers_written
{
    my ($cluster) = @_;
    return $cluster->query($cluster->version < 17 ? 'SELECT buffers_checkpoint FROM pg_stat_bgwriter'
        : 'SELECT buffers_written FROM pg_stat_checkpointer');
}

# A standby made from a base backup, which begins with a slow checkpoint. The table is changed after the redo position,
# and the checkpoint does not write that. A change after the record would show nothing: the scan reads the target's WAL
# from there on in any case, and keeps each block that it names.
sub base_backup_with_change
{
    my ($primary) = @_;
    my $version = $primary->version;
    # the checkpoint rests after each page
    $primary->sql("CREATE TABLE filler AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 1000)");
    my $before = buffers_written($primary);
    my $session = $primary->session;
    $session->send($version >= 15 ? "SELECT pg_backup_start('b')" : "SELECT pg_start_backup('b')");
    wait_until('the checkpoint writes', sub { buffers_written($primary) > $before });
    $primary->sql('UPDATE t SET b = 1');
    $primary->configure('checkpoint_completion_target = 0');
    $primary->sql('SELECT pg_reload_conf()');
    $session->sql('SELECT 1');
    my $copy = RewindTest::Cluster->allocate('target', $version, $primary->bindir);
    must_run([ 'cp', '-a', $primary->data, $copy->data ]);
    unlink $copy->path('postmaster.pid');
    my $label = $session->sql($version >= 15 ? 'SELECT labelfile FROM pg_backup_stop()' : 'SELECT pg_stop_backup()');
    $session->end;
    spew($copy->path('backup_label'), $label =~ s/\n*\z/\n/r) if $version >= 15;
    return $copy->follow($primary)->start;
}

each_version(sub {
    my ($version) = @_;

    subtest('a standby that was killed', sub {
        my $primary = make_cluster('primary', $version, %lazy)->start;
        make_table($primary);
        my $source = $primary->standby('source');
        my $target = base_backup_with_change($primary);
        $primary->sql('CHECKPOINT');
        $_->wait_for_replay_of($primary) for $target, $source;
        $source->promote;
        $source->sql('CHECKPOINT');
        $primary->sql('CREATE TABLE lost AS SELECT 1 AS a');
        $target->wait_for_replay_of($primary);
        $target->stop('kill');
        $primary->stop('immediate');
        $primary->discard;
        rewinds_from_both_kinds($source, $target, no_promotion => 1);
        RewindTest::Cluster::discard_all();
    });

    subtest('a target that was rewound and never started', sub {
        my ($source, $target) = split_brain($version,
            before => \&make_table,
            target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
        my $second = $source->standby('second');
        change($source);
        $second->wait_for_replay_of($source);
        $second->promote;
        $second->sql('CHECKPOINT');
        $source->sql('CREATE TABLE more AS SELECT 1 AS a; CHECKPOINT');
        rewinds($target, $source);
        $source->stop;
        my ($checkpoint) = slurp($target->path('backup_label')) =~ /^CHECKPOINT LOCATION: (\S+)/m;
        # Its pages do not show it: the scan reads from the label's redo position on in any case, so that they would be
        # fetched.
        rewinds_from_both_kinds($second, $target, no_promotion => 1,
            rewound => sub {
                like($_[2]{stderr}, qr/servers diverged at WAL location/, 'it had passed the second divergence');
                like($_[2]{stderr}, qr/rewinding from last common checkpoint at \Q$checkpoint\E /,
                    'recovery starts where it was to start before');
            });
    });

    subtest('a source that made no restartpoint', sub {
        RewindTest::Cluster::discard_all();
        my $target = make_cluster('target', $version)->start;
        make_table($target);
        my $primary = $target->standby('primary');
        my $source = $target->standby('source');
        change($target);
        $_->wait_for_replay_of($target) for $primary, $source;
        $primary->promote;
        $primary->sql('CHECKPOINT; CREATE TABLE kept AS SELECT 1 AS a');
        $source->stop('kill');
        $source->follow($primary)->start->wait_for_replay_of($primary);
        $target->sql('UPDATE t SET b = 2');
        $target->stop;
        rewinds($target, $source, options => ['-N']);
        rejoins($target, $source, writer => $primary, no_promotion => 1);
    });
}, only => [ 10, 15, 18 ]);
