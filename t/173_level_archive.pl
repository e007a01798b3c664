# WAL of wal_level = archive, which 9.3 to 9.5 have, does not tell which transactions run. A target that was promoted
# with it may have set hints without WAL that say of one of them that it failed, and the source may have committed it
# since: such a target is refused, and rewound with --compare.
#
#   source   1 ── begin, insert ──●──┬── 1 ── commit ──▶     ● checkpoint, for which the target made no restartpoint
#   target                           └── 2 ── hints ──●──▶

use strict;
use warnings;

use RewindTest;

# It takes no connections before.
sub promote
{
    my ($standby) = @_;
    must_run([ "$standby->{bindir}/pg_ctl", '-D', $standby->data, 'promote' ]);
    wait_until('the standby is promoted', sub { ($standby->try_sql('SELECT pg_is_in_recovery()')->{stdout} // '')
        eq "f\n" });
    return;
}

each_version(sub {
    my ($version) = @_;
    my $source = make_cluster('source', $version,
        settings => "wal_level = archive\nhot_standby = off\ncheckpoint_timeout = 1h")->start;
    $source->sql('CREATE TABLE doubtful (a int, b text); CREATE TABLE other (a int)');
    my $target = $source->stop->copy('target');
    $source->start;
    $target->follow($source)->start(settings => { hot_standby => 'off' });
    my $session = $source->session;
    $session->sql("BEGIN; INSERT INTO doubtful SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g");
    $source->sql('INSERT INTO other VALUES (1); CHECKPOINT');
    wait_until('the standby has replayed it',
        sub { $source->query('SELECT replay_location >= pg_current_xlog_location() FROM pg_stat_replication') eq 't' });

    stop_in_system_call($target->checkpointer_pid);
    promote($target);
    is($target->query('SELECT count(*) FROM doubtful'), 0,
        'the promoted server takes the transaction for failed and sets hints');
    kill 'CONT', $target->checkpointer_pid;
    $target->sql('CHECKPOINT; INSERT INTO other VALUES (2); CHECKPOINT');
    $target->stop;
    $session->sql('COMMIT');
    $session->end;

    my $result = rewind($target, $source);
    is($result->{status}, 1, 'it is refused') or diag($result->{stderr});
    like($result->{stderr}, qr/error: target server was promoted with "wal_level = archive"$/m, 'with the reason');
    like($result->{stderr}, qr/^pg_rewind: hint: Compare all blocks instead with --compare/m,
        'and the way that is left');
    rewinds($target, $source, options => ['--compare']);
    $target->follow($source)->start(settings => { hot_standby => 'off' });
    wait_until('it follows',
        sub {
        $source->query('SELECT count(*) FROM pg_stat_replication WHERE replay_location >= pg_current_xlog_location()')
        eq '1' });
    promote($target);
    is($target->query('SELECT count(*) FROM doubtful'), 2000, 'no row is lost');
}, to => 9.5);
