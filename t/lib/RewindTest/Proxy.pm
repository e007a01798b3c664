# A proxy before a server, controlled by the test: what a network, a pooler or a virtual address does to a connection.
#
#   my $proxy = RewindTest::Proxy->new('proxy', $source);
#   $proxy->after(500_000, 'hang');              # forward half a megabyte of the server's answers, then nothing
#   my $running = start_rewind($target, $proxy); # of RewindTest::Background; rewind() works as well
#   $proxy->wait_for('hang');
#   $source->restart;
#   $proxy->pass;
#
# What can be asked for, at once or after so many bytes that came from the server:
#
#   pass     forward everything (also what was held back by hang)
#   hang     keep all connections open, accept new ones, and forward nothing
#   cut      close all connections; new ones work
#   refuse   close all connections, and new ones as soon as they come
#
# $proxy->pass_for($bytes, 'hang') forwards that many bytes more, then hangs again.
# $proxy->switch_to($cluster) sends later connections to another server.
# Options of new: tcp => 1 listens on 127.0.0.1 instead of a Unix-domain socket, tcp => 'ADDRESS:PORT' there; socket =>
# path of the server's, where there is no cluster; filter => sub changes what passes: given the number of the connection
# (from 1), 'server' or 'client' (who speaks), the bytes that came, and the state that act() takes, it returns the bytes
# to forward, and may keep some back for the next call. It runs in the process of the proxy.

package RewindTest::Proxy;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use RewindTest::Command;
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

use constant BUFFER_SIZE => 65536;

my %running;    # process ids
my $owner_pid = $$;
END { if ($$ == $owner_pid) { local $?; kill 'KILL', keys %running; waitpid($_, 0) for keys %running } }

sub new
{
    my ($class, $name, $cluster, %option) = @_;
    my $dir = work_dir() . "/$name";
    mkdir $dir or die "could not create $dir: $!";
    my $place = ($option{tcp} // '') eq '1' ? '127.0.0.1' : $option{tcp};
    my $listener = $place
        ? IO::Socket::INET->new(LocalAddr => $place, Listen => 64, ReuseAddr => 1)
        : IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 64);
    die "could not listen: $!" if !$listener;
    my ($host, $port) = $place ? ($listener->sockhost, $listener->sockport) : ($dir, 5432);

    socketpair(my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
    $ours->autoflush(1);
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        close $ours;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my $served = eval {
            serve(listener => $listener, control => $its, filter => $option{filter},
                backend => $option{socket} // socket_of($cluster));
            1;
        };
        print STDERR "proxy: $@" if !$served;
        POSIX::_exit(0);
    }
    close $its;
    close $listener;
    $running{$pid} = 1;
    return bless { dir => $dir, host => $host, port => $port, pid => $pid, control => $ours }, $class;
}

sub socket_of { my ($cluster) = @_; return $cluster->dir . '/.s.PGSQL.5432' }

# As of a cluster: how others connect.
sub conninfo
{
    my ($self, $database) = @_;
    $database //= 'postgres';
    return "host=$self->{host} port=$self->{port} user=postgres dbname=$database";
}

sub pass { my ($self) = @_; $self->command('pass'); return $self }
sub hang { my ($self) = @_; $self->command('hang'); return $self }
sub cut { my ($self) = @_; $self->command('cut'); return $self }
sub refuse { my ($self) = @_; $self->command('refuse'); return $self }

sub after
{
    my ($self, $bytes, $action) = @_;
    $self->command("after $bytes $action");
    return $self;
}

sub pass_for
{
    my ($self, $bytes, $action) = @_;
    $self->after($bytes, $action);
    $self->command('resume');
    return $self;
}

sub switch_to
{
    my ($self, $cluster) = @_;
    $self->command('switch ' . socket_of($cluster));
    return $self;
}

# Restart the server while everything is held back. That goes on as soon as the server was told: a backend that hears of
# it amid a statement first sends its last words, and waits for ever if nobody reads.
sub restart_server
{
    my ($self, $cluster) = @_;
    $cluster->restart_amid(sub { $self->pass });
    return;
}

# { last => what was done last, bytes => forwarded from servers so far, made => connections so far, open => now }
sub status
{
    my ($self) = @_;
    my %status;
    @status{qw(last bytes made open)} = split ' ', $self->command('status');
    return \%status;
}

# Wait until that was done, or die when it is not (a rewind that needs fewer bytes).
sub wait_for
{
    my ($self, $action) = @_;
    wait_until("the proxy comes to $action", sub { $self->status->{last} eq $action });
    return;
}

sub end
{
    my ($self) = @_;
    return if !delete $running{ $self->{pid} };
    kill 'KILL', $self->{pid};
    waitpid($self->{pid}, 0);
    system('rm', '-rf', $self->{dir});
    return;
}

sub DESTROY { my ($self) = @_; local $?; $self->end if $$ == $owner_pid; return }

sub command
{
    my ($self, $command) = @_;
    print { $self->{control} } "$command\n";
    my $answer = readline $self->{control};
    die "the proxy does not answer to: $command\n" if !defined $answer;
    chomp $answer;
    die "$answer\n" if $answer =~ /^no /;
    return $answer;
}

# ---------------------------------------------------------------- the process

# Its state is one hash, handed to each of these functions:
#
#   listener, control        where clients connect; where the test commands
#   backend                  path of the server's socket, for later connections
#   filter                   see the head; undef: all passes as it is
#   mode                     pass, hang or refuse: how it goes on
#   last                     what was done last
#   bytes, made              forwarded from servers, and connections made, so far
#   limit, limit_action      with so many bytes this is done; limit undef: nothing
#   open                     pairs of ends

# Forward until nobody commands any more. Given are listener, control, backend and filter.
sub serve
{
    my $process = { @_, mode => 'pass', last => 'pass', bytes => 0, made => 0, open => [] };
    my ($listener, $control, $open) = @$process{qw(listener control open)};
    $listener->blocking(0);
    local $SIG{PIPE} = 'IGNORE';
    for (;;)
    {
        my ($read, $write) = ('', '');
        vec($read, fileno $_, 1) = 1 for $control, $listener;
        for my $pair ($process->{mode} eq 'hang' ? () : @$open)
        {
            for my $end (@$pair)
            {
                vec($read, fileno $end->{socket}, 1) = 1 if length $end->{other}{pending} < BUFFER_SIZE
                    && !$end->{ended};
                vec($write, fileno $end->{socket}, 1) = 1 if length $end->{pending};
            }
        }
        next if select($read, $write, undef, undef) < 0;
        if (vec($read, fileno $control, 1))
        {
            obey($process) or return;
            next;
        }
        admit($process) if vec($read, fileno $listener, 1);
        next if $process->{mode} eq 'hang';
        for my $end (map { @$_ } @$open)
        {
            # Whatever was done to one connection may have closed or stopped the others.
            take($process, $end)
                if $end->{other} && $process->{mode} ne 'hang' && vec($read, fileno $end->{socket}, 1);
            give($process, $end)
                if $end->{other} && $process->{mode} ne 'hang' && vec($write, fileno $end->{socket}, 1);
        }
        # An end that has gone takes the other with it, once that has got all that is left.
        drop($process, grep { my $pair = $_; grep { $_->{ended} && !length $_->{other}{pending} } @$pair } @$open);
    }
    return;
}

# One command of the test.
sub obey
{
    my ($process) = @_;
    my $got = sysread($process->{control}, my $line, 4096);
    return 0 if !$got;
    chomp $line;
    my ($verb, @words) = split ' ', $line;
    my $answer = 'done';
    if ($verb eq 'status') { $answer = join ' ', @$process{qw(last bytes made)}, scalar @{ $process->{open} } }
    elsif ($verb eq 'switch') { $process->{backend} = $words[0] }
    elsif ($verb eq 'after') { @$process{qw(limit limit_action)} = ($process->{bytes} + $words[0], $words[1]) }
    elsif ($verb eq 'resume') { act($process, 'pass') }
    elsif ($verb =~ /^(?:pass|hang|cut|refuse)$/) { $process->{limit} = undef; act($process, $verb) }
    else { $answer = "no command: $line" }
    syswrite($process->{control}, "$answer\n");
    return 1;
}

sub act
{
    my ($process, $action) = @_;
    $process->{last} = $action;
    $process->{mode} = $action eq 'cut' ? 'pass' : $action;
    drop($process, @{ $process->{open} }) if $action eq 'cut' || $action eq 'refuse';
    return;
}

# Close pairs of connections.
sub drop
{
    my ($process, @pairs) = @_;
    my %dropped = map { $_ => 1 } @pairs;
    for my $end (map { @$_ } @pairs)
    {
        close $end->{socket};
        $end->{pending} = '';
        delete $end->{other};    # the two point to each other
    }
    @{ $process->{open} } = grep { !$dropped{$_} } @{ $process->{open} };
    return;
}

sub admit
{
    my ($process) = @_;
    my $client = $process->{listener}->accept or return;
    my $number = ++$process->{made};
    return if $process->{mode} eq 'refuse';
    my $server = IO::Socket::UNIX->new(Peer => $process->{backend}) or return;
    my @pair = (
        { socket => $client, name => 'client', number => $number, pending => '', ended => 0 },
        { socket => $server, name => 'server', number => $number, pending => '', ended => 0 },
    );
    $pair[0]{other} = $pair[1];
    $pair[1]{other} = $pair[0];
    $_->{socket}->blocking(0) for @pair;
    push @{ $process->{open} }, \@pair;
    return;
}

# Read what an end says, and put it where the other finds it.
sub take
{
    my ($process, $end) = @_;
    my $got = sysread($end->{socket}, my $chunk, BUFFER_SIZE);
    return if !defined $got && ($! == EAGAIN || $! == EINTR);
    if (!$got) { $end->{ended} = 1; return }
    $chunk = $process->{filter}->($end->{number}, $end->{name}, $chunk, $process) if $process->{filter};
    $end->{other}{pending} .= $chunk;
    return;
}

# Write to an end what waits for it; answers of servers only up to the limit.
sub give
{
    my ($process, $end) = @_;
    my $size = length $end->{pending};
    my $counts = $end->{name} eq 'client';
    my $left = defined $process->{limit} ? $process->{limit} - $process->{bytes} : $size;
    $size = $left if $counts && $left < $size;
    my $written = syswrite($end->{socket}, $end->{pending}, $size);
    if (!defined $written)
    {
        return if $! == EAGAIN || $! == EINTR;
        $end->{pending} = '';
        $end->{ended} = 1;
        return;
    }
    substr($end->{pending}, 0, $written) = '';
    $process->{bytes} += $written if $counts;
    if (defined $process->{limit} && $process->{bytes} >= $process->{limit})
    {
        $process->{limit} = undef;
        act($process, $process->{limit_action});
    }
    return;
}

1;
