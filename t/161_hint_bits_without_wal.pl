# Hints that the target set without WAL, on pages that nothing names after the last common checkpoint's record, do not
# survive: the scan goes back to where the transactions in doubt began.  (Hint bits. Both sources.)
#
#   source   1 ── begin, insert ──●────●────●──┬── 2 ─────────▶      ● checkpoints, none of them finished by the target
#   target                                     └── 1 ── commit ──▶     before the last one; it is a standby all the time, or
#                                                                      is promoted when it has seen the commit
#
#   source   1 ── begin, insert ──●──┬── 1 ── commit ──▶              cut off by the promotion: for the target the
#   target                           └── 2 ── hints ──▶               transaction has failed
#
#   target   1 ── prepare ──●──┬── 2 ──┬── 2 ── commit, hints ──●──▶  diverged behind the promotion, but before the first own
#   source                             └── 3 ── roll back ──▶         checkpoint of the target
# (Rules C9, C10, U3, U4.)

use strict;
use warnings;

use RewindTest;

sub insert_in_open_transaction
{
    my ($primary) = @_;
    my $session = $primary->session;
    $session->sql("BEGIN; INSERT INTO doubtful SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g");
    $session->sql("SAVEPOINT s; INSERT INTO doubtful SELECT g, repeat('x', 100) FROM generate_series(1001, 2000) g; RELEASE s");
    return $session;
}

# Asked before anybody looks at the source's rows: that would log hints there, and images of the pages with them.
sub rows_are
{
    my ($source, $target, $rows, $what) = @_;
    rewinds_from_both_kinds($source, $target, no_promotion => 1,
        rewound => sub {
            my ($rewound, $source) = @_;
            my $copy = $rewound->copy('looked_at');
            $copy->follow($source)->start;
            is($copy->query('SELECT count(*) FROM doubtful'), $rows, $what);
            $copy->discard;
        });
    RewindTest::Cluster::discard_all();
    return;
}

# It does not come to the end of its recovery, for now.
sub open_in_vain
{
    my ($standby, $unreadable) = @_;
    my $signal = $standby->path($standby->version < 12 ? 'recovery.conf' : 'standby.signal');
    unlink $signal or die "could not remove $signal: $!";
    chmod 0000, $standby->path($unreadable) or die;
    isnt($standby->try_start->{status}, 0, 'it does not open');
    chmod 0600, $standby->path($unreadable) or die;
    return;
}

# A target that passes the divergence in recovery. Options: promoted => 1, or opened => 1: by deleting its signal file,
# or opened => 'in vain'.
sub passed_in_recovery
{
    my ($version, %option) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE doubtful (a int, b text); CREATE TABLE other (a int)');
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    my $session = insert_in_open_transaction($primary);
    $primary->sql("INSERT INTO other VALUES ($_)"), $primary->sql('CHECKPOINT') for 1 .. 3;
    # No CHECKPOINT on the target here: hints reach the disk only with pages that are still to be written.
    $_->wait_for_replay_of($primary) for $target, $source;

    $source->promote;
    $source->sql('CHECKPOINT');
    $session->sql('COMMIT');
    $session->end;
    $primary->sql('CREATE TABLE gone (a int); DROP TABLE gone');
    $target->wait_for_replay_of($primary);
    is($target->query('SELECT count(*) FROM doubtful'), '2000', 'the standby sees the rows and sets hints');
    $target->sql('CHECKPOINT');
    if ($option{promoted})
    {
        $target->promote;
        $target->sql('INSERT INTO other VALUES (100); CHECKPOINT');
    }
    $primary->stop('immediate');
    my $catalog = $target->query("SELECT pg_relation_filepath('pg_class')");
    if (($option{opened} // '') eq 'in vain')
    {
        $target->stop;
        open_in_vain($target, $catalog);
    }
    elsif ($option{opened})
    {
        $target->open_without_promotion;
        $target->sql('INSERT INTO other VALUES (100); CHECKPOINT');
    }
    $target->stop;
    $primary->discard;
    return ($source, $target);
}

# Until a promoted server makes its first checkpoint it takes pages for logged that were changed since its last
# restartpoint.
sub cut_off_by_promotion
{
    my ($version) = @_;
    my $source = make_cluster('source', $version)->start;
    $source->sql('CREATE TABLE doubtful (a int, b text)');
    my $target = $source->standby('target');
    my $session = insert_in_open_transaction($source);
    $source->sql('CHECKPOINT');
    $target->wait_for_replay_of($source);

    my $checkpointer = $target->checkpointer_pid;
    stop_in_system_call($checkpointer);
    $target->promote;
    is($target->query('SELECT count(*) FROM doubtful'), 0,
        'the promoted server takes the transaction for failed and sets hints');
    kill 'CONT', $checkpointer;
    $target->sql('CHECKPOINT');
    $target->stop;
    $session->sql('COMMIT');
    $session->end;
    return ($source, $target);
}

# Options: begun => 1: the first checkpoint has begun, and takes an hour; what was dirty before is not yet written.
sub diverged_before_its_first_checkpoint
{
    my ($version, %option) = @_;
    my $slow =
        "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0";
    my $primary = make_cluster('primary', $version, $option{begun} ? (settings => $slow) : ())->start;
    $primary->sql('CREATE TABLE written_first (a int, b text)');
    $primary->sql('CREATE TABLE doubtful (a int)');
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    $primary->sql("BEGIN; INSERT INTO doubtful SELECT generate_series(1, 2000); PREPARE TRANSACTION 'p'");
    $primary->sql("INSERT INTO written_first SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g");
    $primary->sql('CHECKPOINT');
    $_->wait_for_replay_of($primary) for $target, $source;

    my $checkpointer = $target->checkpointer_pid;
    stop_in_system_call($checkpointer) if !$option{begun};
    $target->promote;
    $target->hold_first_checkpoint if $option{begun};
    $target->sql('CREATE TABLE common (a int)');
    $source->stop;
    $source->follow($target)->start;
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $target->sql("COMMIT PREPARED 'p'");
    is($target->query('SELECT count(*) FROM doubtful'), 2000, 'hints for the prepared transaction are set');
    kill 'CONT', $checkpointer;
    $target->sql('CHECKPOINT');
    $target->stop;
    $source->sql("ROLLBACK PREPARED 'p'");
    $primary->stop('immediate');
    $primary->discard;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    subtest('a standby that replayed three checkpoints since the transaction began', sub {
        rows_are(passed_in_recovery($version), 0, 'no row of the lost transaction is visible');
    });
    subtest('the same, promoted later', sub {
        rows_are(passed_in_recovery($version, promoted => 1), 0, 'no row of the lost transaction is visible');
    });
    subtest('the same, opened later by deleting its signal file', sub {
        rows_are(passed_in_recovery($version, opened => 1), 0, 'no row of the lost transaction is visible');
    });
    subtest('the same, whose server failed while it was opened so', sub {
        rows_are(passed_in_recovery($version, opened => 'in vain'), 0, 'no row of the lost transaction is visible');
    });
    subtest('cut off by the promotion of the target', sub {
        rows_are(cut_off_by_promotion($version), 2000, 'no row is lost');
    });
    subtest('diverged before the first checkpoint of the target', sub {
        rows_are(diverged_before_its_first_checkpoint($version), 0,
            'no row of the transaction that the source has rolled back is visible');
    });
    subtest('diverged during the first checkpoint of the target', sub {
        rows_are(diverged_before_its_first_checkpoint($version, begun => 1), 0,
            'no row of the transaction that the source has rolled back is visible');
    });
}, only => [ 10, 13, 15, 18 ]);
