# --wait-timeout is one amount of time for all waits for others that use the target: what was waited for another
# pg_rewind is no longer left for a server that is stopping. (Nothing here depends on the server's version.)
#
#   pg_rewind   ── waits for the lock, 9 s ── waits for the server, 3 s ── refused             --wait-timeout=12
# (Rule I9.)

use strict;
use warnings;

use Fcntl ':flock';
use Time::HiRes ();
use lib 't/lib';
use RewindTest;
use RewindTest::Background;

use constant { TIMEOUT => 12, LOCKED => 9 };

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1') });
    $target->start;
    my $checkpointer = $target->checkpointer_pid;
    stop_in_system_call($checkpointer);
    kill 'INT', $target->postmaster_pid;
    wait_until('the server is stopping', sub { slurp($target->path('postmaster.pid')) =~ /^stopping *$/m });
    open(my $lock, '<', $target->data) or die;
    flock($lock, LOCK_EX | LOCK_NB) or die 'the directory is locked';
    my $run = start_rewind($target, $source, options => [ ONCE, '--wait-timeout=' . TIMEOUT ]);
    wait_until('it waits', sub { slurp($run->{errors}) =~ /^pg_rewind: waiting for another pg_rewind /m });
    Time::HiRes::sleep(LOCKED);
    close $lock;
    my $free = Time::HiRes::time();
    wait_until('it ends', sub { has_ended($run) });
    my $waited = Time::HiRes::time() - $free;
    my $result = end_of_rewind($run);
    kill 'CONT', $checkpointer;
    is($result->{status}, 1, 'the server is not waited for to its end');
    like($result->{stderr}, qr/^pg_rewind: error: target server must be shut down cleanly$/m, 'it says why');
    cmp_ok($waited, '<', TIMEOUT, 'what was waited for the lock is not waited for the server again');
    wait_until('the server is down', sub { !$target->is_running });
}, only => [15]);
