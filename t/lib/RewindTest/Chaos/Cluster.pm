# A cluster that costs less time: its server is started, stopped and promoted without pg_ctl, which runs three more
# programs and sleeps for a tenth of a second, and it answers queries on one connection.

package RewindTest::Chaos::Cluster;

use strict;
use warnings;

use parent -norequire, 'RewindTest::Cluster';

use POSIX ();
use RewindTest::Cluster;
use RewindTest::Command;
use Time::HiRes ();

sub wait_a_little { return Time::HiRes::sleep(0.01) }

# The server is nobody's child when this returns: what ends is not left to us to wait for.
sub launch
{
    my ($self) = @_;
    pipe(my $reader, my $writer) or die "could not make a pipe: $!";
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        my $server = fork() // POSIX::_exit(1);
        if ($server != 0)
        {
            syswrite $writer, "$server\n";
            POSIX::_exit(0);
        }
        POSIX::setsid();
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', $self->log_path) or POSIX::_exit(126);
        open(STDERR, '>>&', \*STDOUT);
        { no warnings 'exec'; exec "$self->{bindir}/postgres", '-D', $self->data, '-c',
            "unix_socket_directories=$self->{dir}"; }
        POSIX::_exit(127);
    }
    waitpid($pid, 0);
    close $writer;
    chomp(my $server = readline $reader);
    return $server;
}

sub try_start
{
    my ($self, %option) = @_;
    # postmaster.pid does not say there when it is ready
    return $self->SUPER::try_start(%option) if %option || $self->{version} < 10;
    $self->{starts}++;
    my $began = Time::HiRes::time();
    my $server = $self->launch;
    my $deadline = $began + PATIENCE_SECONDS;
    while (-e "/proc/$server" && Time::HiRes::time() < $deadline)
    {
        my @lines = split /\n/, eval { slurp($self->path('postmaster.pid')) } // '';
        if (@lines >= 8 && $lines[0] eq $server && $lines[7] =~ /^(ready|standby)/)
        {
            RewindTest::Command::trace($began, "start $self->{name}");
            return { status => 0, stdout => '', stderr => '' };
        }
        wait_a_little();
    }
    return { status => 1, stdout => '', stderr => "the server did not start\n" };
}

sub stop
{
    my ($self, $mode) = @_;
    my %signal = (fast => 'INT', immediate => 'QUIT');
    my $signal = $signal{ $mode // 'fast' };
    $self->leave;
    return $self->SUPER::stop($mode) if !$signal;
    my $pid = $self->postmaster_pid or return $self;
    kill $signal, $pid;
    my $began = Time::HiRes::time();
    my $deadline = $began + PATIENCE_SECONDS;
    while (-e "/proc/$pid")
    {
        die "gave up waiting: $self->{name} stops; its log:\n" . $self->log if Time::HiRes::time() > $deadline;
        wait_a_little();
    }
    RewindTest::Command::trace($began, "stop " . ($mode // "fast") . " $self->{name} $pid");
    return $self;
}

sub promote
{
    my ($self) = @_;
    spew($self->path('promote'), '');
    kill 'USR1', $self->postmaster_pid;
    wait_until(sub { "$self->{name} leaves recovery; its log:\n" . $self->log },
        sub { die $self->log if !$self->is_running; $self->query('SELECT pg_is_in_recovery()') eq 'f' });
    return $self;
}

# A session that was ended by the server is replaced.
sub query
{
    my ($self, $sql, $database) = @_;
    return $self->SUPER::query($sql, $database) if defined $database;
    for my $attempt (1, 2)
    {
        $self->{session} //= eval { $self->session } // next;
        my $answer = eval { $self->{session}->sql("$sql\n;\\echo :ERROR\n") } // '';
        return $answer if $answer =~ s/\n?false\z//;
        $self->leave;
    }
    return $self->SUPER::query($sql);
}

sub leave
{
    my ($self) = @_;
    my $session = delete $self->{session} // return;
    $session->end;
    return;
}

1;
