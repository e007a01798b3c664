# One statement on a connection of its own, answered as `psql -XAtq` does: a line for each row, columns parted by "|".

package RewindTest::Query;

use strict;
use warnings;

use DBD::Pg ':async';
use DBI;
use RewindTest::Command;
use Time::HiRes ();

# Not for more than one statement, those with a backslash, COPY that reads or writes the terminal; nor for names with
# quotes in a connection string, which the driver rewrites.
sub is_simple
{
    my ($conninfo, $script) = @_;
    return $conninfo !~ /['"]/ && $script !~ /;\s*\S/ && $script !~ /\\|\bCOPY\b/i && $script =~ /\S/;
}

# Returns { status, signal, stdout, stderr }, or nothing where the result has a column that psql alone shows as the
# server does.
sub answer
{
    my ($conninfo, $statement) = @_;
    my @attributes = (PrintError => 0, PrintWarn => 0, pg_enable_utf8 => 0, pg_expand_array => 0, pg_bool_tf => 1,
        pg_server_prepare => 0);
    my $began = Time::HiRes::time();
    my $connection = DBI->connect("dbi:Pg:$conninfo connect_timeout=" . PATIENCE_SECONDS, '', '', {@attributes})
        // return result(2, '', "$DBI::errstr\n");
    my $query = $connection->prepare($statement, { pg_direct => 1, pg_async => PG_ASYNC });
    my $answered = $query->execute && wait_for_answer($connection) && defined $connection->pg_result;
    my $result = $answered ? printed($query) : result(3, '', ($connection->errstr // "gave up waiting for: $statement")
        . "\n");
    $query->finish;
    $connection->disconnect;
    RewindTest::Command::trace($began, "query $statement");
    return $result;
}

sub wait_for_answer
{
    my ($connection) = @_;
    my $deadline = Time::HiRes::time() + PATIENCE_SECONDS;
    while (!$connection->pg_ready)
    {
        return 0 if Time::HiRes::time() > $deadline;
        vec(my $sockets = '', $connection->{pg_socket}, 1) = 1;
        select($sockets, undef, undef, 1);
    }
    return 1;
}

# The driver makes numbers of floats: their text would differ.
sub printed
{
    my ($query) = @_;
    my @types = $query->{NUM_OF_FIELDS} ? @{ $query->{pg_type} } : return result(0, '', '');
    return if grep { /^float/ } @types;
    my $lines = '';
    for my $row (@{ $query->fetchall_arrayref })
    {
        $lines .= join('|', map { my $value = $row->[$_] // ''; $types[$_] eq 'bytea' ? '\\x' . unpack('H*', $value)
            : $value } 0 .. $#types) . "\n";
    }
    return result(0, $lines, '');
}

sub result
{
    my ($status, $stdout, $stderr) = @_;
    return { status => $status, signal => 0, stdout => $stdout, stderr => $stderr };
}

1;
