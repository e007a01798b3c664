# Only the postmaster of the target's server has died: a process of it that is busy goes on writing, also into files
# that a rewind has put there. No rewind begins before it is gone, with or without a postmaster.pid. (Invariant 1. The
# original starts a server, which asks whether its shared memory is in use.)
# (Rule I15.)

use strict;
use warnings;

use RewindTest;

sub is_refused
{
    my ($target, $source, $pid, $what) = @_;
    my $result = rewind($target, $source);
    is($result->{status}, 1, "$what: it is refused") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: target server must be shut down cleanly$/m, 'as if the server ran');
    like($result->{stderr}, qr/^pg_rewind: detail: Process $pid of a crashed server is still running in ".*"\.$/m,
        'the process is named');
    like($result->{stderr}, qr/^pg_rewind: hint: Stop all processes that the server has left\.$/m, 'and what to do');
    return $result->{status} != 0;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        # its workers notice
        cluster => { settings => "shared_buffers = 128kB\n" . ($version >= 18 ? 'io_method = sync' : '') },
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT g, repeat('x', 500) AS f FROM generate_series(1, 2000) g") },
        source => sub {
            $_[0]->sql('DO $$BEGIN FOR i IN 1..40 LOOP UPDATE t SET g = g + 1; END LOOP; END$$; CHECKPOINT') });
    $target->start;
    my $session = $target->session;
    my $busy = $session->sql('SELECT pg_backend_pid()');
    my $size = $target->query("SELECT pg_relation_size('t')");
    $session->send('DO $$BEGIN LOOP UPDATE t SET g = g + 1; END LOOP; END$$');
    wait_until('it has begun', sub { $target->query("SELECT pg_relation_size('t')") > $size });

    my $postmaster = $target->postmaster_pid;
    kill 'KILL', $postmaster;
    wait_until('the postmaster is gone', sub { !-e "/proc/$postmaster" });
    my $refused = is_refused($target, $source, $busy, 'the lock file names the postmaster');
    if ($refused)
    {
        rename($target->path('postmaster.pid'), $target->dir . '/postmaster.pid') or die;
        is_refused($target, $source, $busy, 'there is no lock file');
        rename($target->dir . '/postmaster.pid', $target->path('postmaster.pid')) or die;
    }
    ok(kill('KILL', $busy), 'until then it has gone on');
    wait_until('it is gone', sub { !-e "/proc/$busy" });
    rewinds($target, $source) if $refused;
    rejoins($target, $source);
}, only => [ 10, 13, 15, 18 ]);
