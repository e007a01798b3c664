# A server that answers nonsense: a filter for RewindTest::Proxy that changes what passes.
#
#   my $proxy = RewindTest::Proxy->new('liar', $source,
#       filter => RewindTest::Liar::filter($seed, outside => $directory, log => $file));
#
# It follows the protocol of both sides, and chooses by the seed which rows of which query it changes, and how: paths
# that lead out of the data directory, columns too few or too many, NULL, sizes below zero or of gigabytes, other pieces
# than were asked for, longer ones, rows twice or not at all, messages that are no messages. `outside` is a directory
# that paths lead to. What it did is appended to the log, a line for each lie.
#
# A lie that the test has chosen: filter => RewindTest::Liar::chosen(sub { my ($sql, $row) = @_; ... }) is given each
# row of each answer (values, undef for NULL) and returns the rows that pass in its place.

package RewindTest::Liar;

use strict;
use warnings;

use RewindTest::Dice;

# A connection begins with messages that have no type.
my %asked_before = (80877103 => 'encryption', 80877104 => 'encryption');

sub filter
{
    my ($seed, %option) = @_;
    my $dice = RewindTest::Dice->new("lie $seed");
    my $plan = plan($dice);
    my (%connection, %seen);

    return sub {
        my ($number, $who, $bytes) = @_;
        my $connection = $connection{$number} //= { client => '', server => '', sql => '', started => 0 };
        if ($who eq 'client')
        {
            $connection->{client} .= $bytes;
            follow_client($connection);
            return $bytes;
        }
        $connection->{server} .= $bytes;
        my $passed = '';
        while (defined(my $message = take_message($connection, 'server')))
        {
            follow_server($connection, $message);
            $passed .= join '', lies($message, $connection, $plan, \%seen, $dice, \%option);
        }
        return $passed;
    };
}

sub chosen
{
    my ($lie) = @_;
    my %connection;

    return sub {
        my ($number, $who, $bytes) = @_;
        my $connection = $connection{$number} //= { client => '', server => '', sql => '', started => 0 };
        $connection->{$who} .= $bytes;
        if ($who eq 'client')
        {
            follow_client($connection);
            return $bytes;
        }
        my $passed = '';
        while (defined(my $message = take_message($connection, 'server')))
        {
            follow_server($connection, $message);
            $passed .= $message =~ /^D/
                ? join '', map { message_of($_) } $lie->($connection->{sql}, row_of($message))
                : $message;
        }
        return $passed;
    };
}

# Which queries are lied about, from which row on, and with which lie: the first of its kind may never come.
sub plan
{
    my ($dice) = @_;
    my $about = $dice->pick(qw(list list list piece piece piece value value value any));
    # Rows of a list are more than others.
    my $rows = { list => 1000, piece => 150, value => 15, any => 60 }->{$about};
    return { about => $about, from => $dice->number($rows), count => $dice->pick(1, 1, 1, 2, 5, 50), told => 0 };
}

# The next whole message, of type and body.
sub take_message
{
    my ($connection, $who) = @_;
    # The server answers a question for encryption with one byte.
    if ($who eq 'server' && !$connection->{started})
    {
        return undef if $connection->{server} eq '';
        if ($connection->{encryption})
        {
            $connection->{encryption}--;
            return substr($connection->{server}, 0, 1, '');
        }
    }
    return undef if length $connection->{$who} < 5;
    my $length = 1 + unpack('x N', $connection->{$who});
    return undef if length $connection->{$who} < $length;
    return substr($connection->{$who}, 0, $length, '');
}

# Remember what was asked.
sub follow_client
{
    my ($connection) = @_;
    while (!$connection->{started} && length $connection->{client} >= 8)
    {
        my ($length, $code) = unpack('N N', $connection->{client});
        return if length $connection->{client} < $length;
        substr($connection->{client}, 0, $length, '');
        if ($asked_before{$code}) { $connection->{encryption}++ }
        else { $connection->{started} = 1 }
    }
    return if !$connection->{started};
    while (defined(my $message = take_message($connection, 'client')))
    {
        $connection->{sql} = (split /\0/, substr($message, 5))[0] // '' if $message =~ /^Q/;
        push @{ $connection->{asked} }, (split /\0/, substr($message, 5))[1] // '' if $message =~ /^P/;
        push @{ $connection->{asked} }, undef if $message =~ /^S/;
    }
    return;
}

# Which statement is answered: several may have been asked before the first answer. Those after one that fails are not
# answered, up to the client's next Sync.
sub follow_server
{
    my ($connection, $message) = @_;
    my $asked = $connection->{asked} //= [];
    $connection->{sql} = shift(@$asked) // '' if $message =~ /^1/;
    return if $message !~ /^Z/;
    while (@$asked) { last if !defined shift @$asked }
    return;
}

sub kind_of
{
    my ($sql) = @_;
    return 'list' if $sql =~ /pg_tablespace_location/;
    return 'piece' if $sql =~ /AS len\b/;
    return 'value';
}

# What passes in the place of a message.
sub lies
{
    my ($message, $connection, $plan, $seen, $dice, $option) = @_;
    my $kind = kind_of($connection->{sql});
    return $message if $plan->{about} ne $kind && $plan->{about} ne 'any';
    # A query whose columns are changed: all of its rows are, and what tells of them.
    if ($message =~ /^T/)
    {
        $connection->{columns} = 0;
        return $message if $plan->{told} || $plan->{from} > 5 || !$dice->chance(30);
        $connection->{columns} = $dice->pick(-1, 1);
        $plan->{told}++;
        say_lie($option, "$kind: columns $connection->{columns}");
        return change_description($message, $connection->{columns});
    }
    return $message if $message !~ /^D/;
    my $row = row_of($message);
    if ($connection->{columns})
    {
        $connection->{columns} < 0 ? pop @$row : push @$row, $row->[-1];
        return message_of($row);
    }
    return $message if $seen->{ $plan->{about} }++ < $plan->{from} || $plan->{told} >= $plan->{count};
    $plan->{told}++;
    return lie($kind, $row, $message, $dice, $option);
}

sub row_of
{
    my ($message) = @_;
    my $columns = unpack('x5 n', $message);
    my $position = 7;
    my @row;

    for (1 .. $columns)
    {
        my $length = unpack('N', substr($message, $position, 4));
        $position += 4;
        push @row, $length == 0xFFFFFFFF ? undef : substr($message, $position, $length);
        $position += $length if $length != 0xFFFFFFFF;
    }
    return \@row;
}

sub message_of
{
    my ($row) = @_;
    my $body = pack('n', scalar @$row) . join '', map { defined $_ ? pack('N a*', length $_, $_)
        : pack('N', 0xFFFFFFFF) } @$row;
    return 'D' . pack('N', 4 + length $body) . $body;
}

# RowDescription with one column more or less.
sub change_description
{
    my ($message, $change) = @_;
    my $count = unpack('x5 n', $message);
    my $rest = substr($message, 7);
    my @columns = $rest =~ /([^\0]*\0.{18})/gs;

    $change < 0 ? pop @columns : push @columns, $columns[-1];
    my $body = pack('n', scalar @columns) . join '', @columns;
    return 'T' . pack('N', 4 + length $body) . $body;
}

sub lie
{
    my ($kind, $row, $message, $dice, $option) = @_;
    my $said = join ' ', map { !defined $_ ? 'NULL' : length $_ > 40 ? length($_) . ' bytes' : s/[^ -~]/./gr } @$row;

    # What any row may come to.
    my $common = $dice->number(16);
    if ($common < 6)
    {
        my $column = $dice->number(scalar @$row);
        my ($what, @messages) =
              $common == 0 ? ('twice', $message, $message)
            : $common == 1 ? ('not at all')
            : $common == 2
                ? ("column $column NULL", message_of([ map { $_ == $column ? undef : $row->[$_] } 0 .. $#$row ]))
            : $common == 3 ? ('a column more than announced', message_of([ @$row, 'x' ]))
            : $common == 4 ? ('a column less than announced', message_of([ @$row[ 1 .. $#$row ] ]))
            :                (broken_message($message, $dice));
        say_lie($option, "$kind ($said): $what");
        return @messages;
    }
    my ($what, @rows) = $kind eq 'list' ? lie_in_list($row, $dice, $option)
        : $kind eq 'piece' ? lie_in_piece($row, $dice, $option)
        : lie_in_value($row, $dice);
    say_lie($option, "$kind ($said): $what");
    return map { message_of($_) } @rows;
}

# Lengths that do not fit, and of gigabytes.
sub broken_message
{
    my ($message, $dice) = @_;
    my $size = $dice->pick(0, 3, 4, 0x7FFFFFFF, 0xC0000000, 0xFFFFFFFE);
    if ($dice->chance(50))
    {
        substr($message, 7, 4) = pack('N', $size);
        return ("first column of $size bytes", $message);
    }
    if ($dice->chance(50))
    {
        substr($message, 1, 4) = pack('N', $size);
        return ("message of $size bytes", $message);
    }
    return ('type of message ' . chr($size % 128), chr($size % 128) . substr($message, 1));
}

sub paths_out
{
    my ($option) = @_;
    my $outside = $option->{outside};
    my ($name) = $outside =~ m{([^/]+)$};
    return ("../../$name/evil", "$outside/evil", "base/../../../$name/evil", "../../$name",
        "./base/../../../$name/kept",
        '/etc/passwd', "pg_tblspc/../../../$name/evil", "base/../../../$name/kept");
}

sub lie_in_list
{
    my ($row, $dice, $option) = @_;
    my ($path, $size, $is_directory, $location) = @$row;
    my $what = $dice->number(9);

    if ($what < 3)
    {
        my $new = $dice->pick(paths_out($option), '', '.', '..', "$path/", "base//1", 'x' x 5000, 'x/' x 30 . 'x',
            "$path/below",
            'pg_rewind.work/journal', 'pg_rewind.work', 'postmaster.pid', 'backup_label', 'global',
            'pg_wal/archive_status/x/y');
        return ("path " . substr($new, 0, 80), [ $new, $size, $is_directory, $location ]);
    }
    if ($what < 5)
    {
        my $new = $dice->pick(-1, 3221225472, '9223372036854775807', '18446744073709551615', '99999999999999999999', '',
            'abc', '0', '1',
            '1152921504606846976', '1e9');
        return ("size $new", [ $path, $new, $is_directory, $location ]);
    }
    if ($what == 5)
    {
        my $new = $is_directory eq 't' ? 'f' : 't';
        return ("is directory $new", [ $path, $size, $new, $location ]);
    }
    if ($what == 6)
    {
        my $new = $dice->pick($option->{outside}, '/', '/etc', 'relative', '', "$option->{outside}/evil/deep");
        return ("tablespace at $new", [ $path, $size, $dice->pick('t', 'f'), $new ]);
    }
    # Several rows that lead out together: a link and what is below it, as far as the target has one itself (link_out).
    my @below = (
        [ [ 'base/liar', 4096, 't', $option->{outside} ], [ 'base/liar/evil', 8, 'f', undef ] ],
        [ [ 'pg_tblspc/liar', 4096, 't', $option->{outside} ], [ 'pg_tblspc/liar/evil', 8, 'f', undef ] ],
        [ [ 'link_out/evil', 8, 'f', undef ] ],
        [ [ 'link_out', 4096, 't', undef ], [ 'link_out/evil', 8, 'f', undef ] ],
        [ [ 'link_out', 4096, 't', undef ], [ 'link_out/kept', 8, 'f', undef ] ],
        [ [ 'nowhere/evil', 8, 'f', undef ] ],
        [ [ 'PG_VERSION/evil', 8, 'f', undef ] ],
        [ [ 'pg_tblspc/99999', 4096, 't', $option->{outside} ], [ 'pg_tblspc/99999/evil', 8, 'f', undef ] ],
        [ [ 'pg_tblspc/99999', 4096, 't', $option->{outside} ], [ 'pg_tblspc/99999/../evil', 8, 'f', undef ] ],
    );
    my $chosen = $dice->pick(@below);
    return ('and ' . join(', ', map { $_->[0] } @$chosen), $row, @$chosen);
}

sub lie_in_piece
{
    my ($row, $dice, $option) = @_;
    my ($path, $begin, $bytes, @zeros) = @$row;    # a digest has no number of zeros
    my $what = $dice->number(@zeros ? 10 : 9);

    return ('path', [ $dice->pick(paths_out($option), '', "$path.1", $path x 100), $begin, $bytes, @zeros ])
        if $what < 2;
    return ('offset', [ $path, $dice->pick(pack('q>', -1), pack('q>', 3 << 30), pack('q>', 8192), pack('N', 0), '',
        "\0" x 16), $bytes, @zeros ])
        if $what < 4;
    return ('longer', [ $path, $begin, ($bytes // '') . 'x' x $dice->pick(1, 8192, 1 << 20, 3 << 20), @zeros ])
        if $what < 6;
    return ('shorter', [ $path, $begin, substr($bytes // 'x', 0, -1), @zeros ]) if $what == 6;
    return ('empty', [ $path, $begin, '', @zeros ]) if $what == 7;
    return ('zeros', [ $path, $begin, '', $dice->pick(map { pack('q>', $_) } -1, 1, 8192, 3 << 30) ]) if $what == 9;
    my $new = $bytes // '';
    substr($new, $dice->number(length $new), 1) = 'x' if length $new;
    return ('one byte', [ $path, $begin, $new, @zeros ]);
}

sub lie_in_value
{
    my ($row, $dice) = @_;
    my ($column, @others) = ($dice->number(scalar @$row), @$row);
    my $value = $row->[$column] // '';
    my $new;

    if (length $value == 8192)    # pg_control
    {
        $new = $value;
        substr($new, $dice->number(300), 1) = chr $dice->number(256);
        $new = $dice->pick($new, $new, substr($value, 0, 100), $value x 2, $value x 500, "\0" x 8192);
        $others[$column] = $new;
        return ('pg_control of ' . length($new) . ' bytes', \@others);
    }
    $new = $dice->pick('', 'abc', '-1', 't', 'f', 'standby', 'primary', '0/0', '0/1', 'FFFFFFFF/FFFFFFFF',
        '7FFFFFFF/FFFFFFFF FFFFFFFF',
        '1000/0 00000001', '7FFFFFFF/FFFFFFFF 00000002', '00000003 FFFFFFFF', 'off', '99999999999999999999',
        'x' x 1_000_000, "1\t0/0\tx\n",
        "1\tFFFFFFFF/FFFFFFFF\tx\n", "1\t7FFFFFFF/FFFFFFFF\tx\n", "2\t0/1\tx\n");
    $others[$column] = $new;
    return ('value ' . substr($new, 0, 40), \@others);
}

sub say_lie
{
    my ($option, $text) = @_;
    return if !$option->{log};
    open(my $log, '>>', $option->{log}) or die "could not open $option->{log}: $!";
    print $log "$text\n";
    close $log;
    return;
}

1;
