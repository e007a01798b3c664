# What is looked at while a program runs: space, memory of other processes, the load of the source. Each function that watches returns one that
# ends it and returns what was seen.

package Watch;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max sum);
use POSIX ();
use RewindTest;
use Time::HiRes ();

our @EXPORT = qw(watch_space watch_backends watch_load);

# Space below a directory, looked at ten times a second in a process of its own. Returns a function that ends it, and
# returns { occupied => the most at one time }.
sub watch_space
{
    my ($directory) = @_;
    my $path = work_dir() . '/occupied';
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        my ($ended, $most) = (0, 0);
        local $SIG{TERM} = sub { $ended = 1 };
        while (!$ended)
        {
            my ($now) = qx(du -s -B1 '$directory' 2>/dev/null) =~ /^(\d+)/;    # what was just removed is missed loudly
            $most = max($most, $now // 0);
            Time::HiRes::sleep(0.1);
        }
        spew($path, $most);
        POSIX::_exit(0);
    }
    return sub { kill 'TERM', $pid; waitpid($pid, 0); return { occupied => slurp($path) } };
}

# Private memory of the backends of a server but those given, looked at a hundred times a second in a process of its
# own. Returns a function that ends it, and returns { connections, backend, backends }: the most at one time, and bytes.
sub watch_backends
{
    my ($server, %but) = @_;
    my $path = work_dir() . '/backends';
    my $postmaster = $server->postmaster_pid;
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        my ($ended, %most) = (0, connections => 0, backend => 0, backends => 0);
        local $SIG{TERM} = sub { $ended = 1 };
        while (!$ended)
        {
            my @bytes;
            for my $backend (grep { !$but{$_} } split ' ', slurp("/proc/$postmaster/task/$postmaster/children"))
            {
                next if (eval { slurp("/proc/$backend/cmdline") } // '') !~ /^postgres: postgres postgres /;
                push @bytes, $1 * 1024 if (eval { slurp("/proc/$backend/status") } // '') =~ /^RssAnon:\s+(\d+)/m;
            }
            %most = (connections => max($most{connections}, scalar @bytes), backend => max($most{backend}, @bytes),
                backends => max($most{backends}, sum(0, @bytes)));
            Time::HiRes::sleep(0.01);
        }
        spew($path, join ' ', %most);
        POSIX::_exit(0);
    }
    return sub { kill 'TERM', $pid; waitpid($pid, 0); return { split ' ', slurp($path) } };
}

# The work of a server that logs each statement with its duration and has no other clients: { statements, log_lines, log_bytes, busy
# (seconds of all statements), source_cpu, source_read (bytes, by system calls) } and those of watch_backends.
sub watch_load
{
    my ($server) = @_;
    my $postmaster = $server->postmaster_pid;
    wait_for_no_backend($server);
    my @before = load_of_ended_children($postmaster);
    my $log_size = -s $server->log_path;
    my $watch = watch_backends($server);
    return sub {
        wait_for_no_backend($server);
        my $backends = $watch->();
        my ($cpu, $read) = map { $_ - shift @before } load_of_ended_children($postmaster);
        my $log = substr slurp($server->log_path), $log_size;
        return { %$backends, source_cpu => $cpu, source_read => $read, log_bytes => length $log, log_lines => $log =~ tr/\n//,
            statements => scalar(() = $log =~ /LOG:  (?:statement|execute [^:]*): /g),
            busy => sum(0, $log =~ /LOG:  duration: ([\d.]+) ms/g) / 1000 };
    };
}

# A server adds what its processes have cost when they end.
sub wait_for_no_backend
{
    my ($server) = @_;
    my $postmaster = $server->postmaster_pid;
    my $names = sub { join ' ', map { eval { slurp("/proc/$_/cmdline") } // '' }
        split ' ', slurp("/proc/$postmaster/task/$postmaster/children") };
    wait_until('the backends have ended', sub { $names->() !~ /postgres: (?:postgres|walsender) / });
    return;
}

# Of a process's children that have ended: processor time in seconds, bytes that they have read by system calls. (The process's own reads are few.)
sub load_of_ended_children
{
    my ($pid) = @_;
    my (@fields) = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    my ($read) = slurp("/proc/$pid/io") =~ /^rchar: (\d+)/m;
    return (($fields[13] + $fields[14]) / POSIX::sysconf(POSIX::_SC_CLK_TCK()), $read);
}

1;
