# A connection to a server by a Unix socket, as the role postgres, which needs no password: for questions that are asked a hundred times a
# second, for which a psql takes too long.
#
#   my $client = Client->connect($directory) or ...;    # nothing: it takes no connections now
#   my @rows = $client->query('SELECT 1, 2');           # ([ 1, 2 ])

package Client;

use strict;
use warnings;

use IO::Socket::UNIX ();

use constant PROTOCOL => 3 << 16;

sub connect    ## no critic (a method)
{
    my ($class, $directory) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => "$directory/.s.PGSQL.5432") or return;
    my $self = bless { socket => $socket }, $class;
    $self->write_packet('', pack('N', PROTOCOL) . "user\0postgres\0database\0postgres\0\0");
    return $self->answer ? $self : undef;
}

# The rows; undef for a null. Dies with the server's message if there is one.
sub query
{
    my ($self, $sql) = @_;
    $self->write_packet('Q', "$sql\0");
    return @{ $self->answer // die 'the query failed: ' . ($self->{error} // 'the connection is lost') . "\n" };
}

sub write_packet
{
    my ($self, $type, $body) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{socket} } $type, pack('N', 4 + length $body), $body;
    $self->{socket}->flush;
    return;
}

sub read_packet
{
    my ($self) = @_;
    my ($head, $body) = ('', '');
    return if (read($self->{socket}, $head, 5) // 0) != 5;
    my ($type, $size) = unpack 'a N', $head;
    return if $size > 4 && (read($self->{socket}, $body, $size - 4) // 0) != $size - 4;
    return ($type, $body);
}

# All up to where the server waits for the next query; nothing if it reported an error or went away.
sub answer
{
    my ($self) = @_;
    my @rows;
    delete $self->{error};
    while (my ($type, $body) = $self->read_packet)
    {
        return $self->{error} ? undef : \@rows if $type eq 'Z';
        $self->{error} = join '; ', $body =~ /[CM]([^\0]+)\0/g if $type eq 'E';
        push @rows, row($body) if $type eq 'D';
    }
    return;
}

sub row
{
    my ($body) = @_;
    my ($count, @values) = unpack 'n', $body;
    my $offset = 2;
    for (1 .. $count)
    {
        my $size = unpack 'l>', substr $body, $offset, 4;
        push @values, $size < 0 ? undef : substr $body, $offset + 4, $size;
        $offset += 4 + ($size < 0 ? 0 : $size);
    }
    return \@values;
}

1;
