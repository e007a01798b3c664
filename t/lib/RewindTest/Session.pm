# A psql that stays connected: for open transactions, temporary tables and work in the background.
#
#   my $session = $cluster->session;
#   $session->sql('BEGIN; INSERT INTO t VALUES (1)');
#   $session->send('SELECT pg_sleep(100)');    # does not wait
#   $session->end;

package RewindTest::Session;

use strict;
use warnings;

use IPC::Open2;
use RewindTest::Command;

my $commands_sent = 0;

sub new
{
    my ($class, $psql, $conninfo, $in_its_words) = @_;
    my $pid = open2(my $output, my $input, 'stdbuf', '-oL', $psql, '-XAtqn', '-d', $conninfo);
    my $self = bless { pid => $pid, input => $input, output => $output, in_its_words => $in_its_words }, $class;
    $self->sql('SELECT 1');
    return $self;
}

# Run statements and return what they print.
sub sql
{
    my ($self, $sql) = @_;
    my $end = 'end of command ' . ++$commands_sent;
    $self->send($sql, "\\echo $end");
    my $printed = '';
    local $SIG{ALRM} = sub { die "gave up waiting for: $sql\n" };
    alarm PATIENCE_SECONDS;
    while (defined(my $line = readline $self->{output}))
    {
        last if $line eq "$end\n";
        $printed .= $line;
    }
    alarm 0;
    $printed =~ s/\n\z//;
    return $printed;
}

# Hand statements over and return at once.
sub send
{
    my ($self, $sql, @backslash_commands) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{input} } map { "$_\n" } $self->{in_its_words}->($sql) . ';', @backslash_commands;
    $self->{input}->flush;
    return;
}

# Disconnect. The statement that is running goes on until the server notices: see wait_for_clients of a cluster.
sub end
{
    my ($self) = @_;
    return if !$self->{pid};
    kill 'TERM', $self->{pid};
    close $self->{input};
    close $self->{output};
    waitpid($self->{pid}, 0);
    $self->{pid} = 0;
    return;
}

sub DESTROY { my ($self) = @_; local $?; $self->end; return }

1;
