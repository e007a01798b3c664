# --rejoin to a standby, of a server that was promoted by mistake: the standby follows another primary, on a timeline
# that the target has left. A standby that may be about to follow the target itself is refused: it would leave no
# primary.
#
#   primary   1 ──┬── 2 ──────────▶ ──── source, its standby
#   target        └── 2 ──┬── 3 ──▶      promoted by mistake
# (Rule I51.)

use strict;
use warnings;

use RewindTest;

# The target follows the primary, and the source follows the target: then both would stand still.
sub in_a_circle
{
    my ($primary, $target, $source) = @_;
    my $rejoin = sub {
        my ($from) = @_;
        return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '--keep-config', '-B', $target->bindir,
            '--source-server', $from->conninfo . " application_name=target") ]);
    };
    my $refused = qr/^pg_rewind: error: the source server receives its WAL from the target$/m;
    my $pid = $target->postmaster_pid;
    my $result = $rejoin->($source);
    is($result->{status}, 1, 'a standby of a running standby: an error');
    like($result->{stderr}, $refused, 'with the reason') or diag($result->{stderr});
    is($target->postmaster_pid, $pid, 'the target still runs');

    # Nobody sees it before the start; and after it only when the source tries to connect again.
    $source->configure("wal_retrieve_retry_interval = '8s'");
    kill 'HUP', $source->postmaster_pid;
    $target->stop;
    $result = $rejoin->($source);
    is($result->{status}, 2, 'a standby of a standby that was stopped: an error after the start');
    like($result->{stderr}, $refused, 'with the reason') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: hint: Target and source are standbys of each other now, .* as --source-server\.$/m,
        'and what to do');
    $result = $rejoin->($primary);
    is($result->{status}, 0, 'that helps') or diag($result->{stderr});
    $primary->sql('INSERT INTO t VALUES (3)');
    $_->wait_for_replay_of($primary) for $target, $source;
    is($source->query('SELECT sum(a) FROM t'), 5056, 'both have its rows');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $first = make_cluster('first', $version)->start;
    $first->sql('CREATE TABLE t AS SELECT generate_series(1, 100) AS a');
    my $primary = $first->standby('primary');
    $primary->promote;
    $first->stop('immediate');
    my ($source, $target) = map { $primary->standby($_) } qw(source target);
    my $rejoin = sub {
        return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir,
            '--source-server', $source->conninfo . " application_name=target", @_) ]);
    };

    # The primary is held, so that it writes nothing on timeline 2 past the promotion.
    $_->wait_for_replay_of($primary) for $source, $target;
    stop_in_system_call(my @held = map { $_ || () } $primary->background_writer_pid, $primary->checkpointer_pid);
    $target->promote;
    $target->sql('UPDATE t SET a = -a');
    my $result = $rejoin->();
    is($result->{status}, 1, 'a standby without WAL past that promotion: an error');
    like($result->{stderr}, qr/^pg_rewind: error: the source server is a standby that may follow the target$/m,
        'with the reason') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: hint: If it follows another primary, run CHECKPOINT there/m,
        'and what helps');
    ok($target->is_running, 'the target still runs');

    kill 'CONT', @held;
    $primary->sql('INSERT INTO t VALUES (1)');
    $source->wait_for_replay_of($primary);
    $result = $rejoin->();
    like($result->{stderr},
        qr/^pg_rewind: error: the target was promoted from the source's timeline 2: it left that at /m,
        'once it has some, the target may be stopped');
    $result = $rejoin->('--demote=3');
    is($result->{status}, 0, 'once it has some, the target follows it') or do { diag($result->{stderr}); return };
    $primary->sql('INSERT INTO t VALUES (2)');
    $source->wait_for_replay_of($primary);
    $target->wait_for_replay_of($source);
    is($target->query('SELECT sum(a) FROM t'), 5053, 'and has its rows');
    subtest('to its own standby', sub { in_a_circle($primary, $target, $target->standby('own')) });
}, only => [ 10, 15, 18 ]);
