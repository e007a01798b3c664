# A postmaster that was killed, and whose parent never asks for its status, stays a zombie: in a container whose process
# 1 does not reap, for good. Its number is in postmaster.pid and answers signals, but it is no server.
# (Rule I17.)

use strict;
use warnings;

use RewindTest;

sub start_as_child
{
    my ($cluster) = @_;
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open($_, '>', '/dev/null') for *STDOUT, *STDERR;
        exec $cluster->bindir . '/postgres', '-D', $cluster->data, '-k', $cluster->dir;
    }
    wait_until('it runs', sub { $cluster->try_sql('SELECT 1')->{status} == 0 });
    return $pid;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    my $postmaster = start_as_child($target);
    $target->sql('INSERT INTO t VALUES (2)');
    kill 'KILL', $postmaster;
    wait_until('it is a zombie', sub { process_file($postmaster, 'stat') =~ /\) Z / });
    like(slurp($target->path('postmaster.pid')), qr/\A$postmaster\n/, 'the lock file names it');

    my $result = rewinds($target, $source);
    like(process_file($postmaster, 'stat'), qr/\) Z /, 'it is one still');
    waitpid($postmaster, 0);
    rejoins($target, $source, no_promotion => 1, quick => 1) if $result->{status} == 0;
}, only => [ 10, 13, 15, 18 ]);
