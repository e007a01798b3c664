# extract.pl PG_WAL PREFIX: small samples of a server's WAL.
#
# PREFIX.pages    the first two pages of the first segment in which a record goes from one into the other
# PREFIX.records  one record of each kind: its LSN (u64), then its bytes; and all checkpoints; long ones of transactions only
#
# It reads records as far as their length only and trusts a clean cluster; checking is the tests' work.
use strict;
use warnings;

my ($directory, $prefix) = @ARGV;
my %file_of;    # last 16 digits of a segment's name => file of the highest timeline
for my $file (sort glob("$directory/*"))
{
    $file_of{$1} = $file if $file =~ m{/[0-9A-F]{8}([0-9A-F]{16})$};
}
my @names = sort keys %file_of;
my $segment_size = -s $file_of{ $names[0] };
my $of_xlogid = 2**32 / $segment_size;
my ($number, $content) = (-1, '');
my $pages;
my $old;    # as records of 9.3 and 9.4 are, whose magic numbers these are

sub segment_number { return hex(substr($_[0], 0, 8)) * $of_xlogid + hex(substr($_[0], 8)); }

# Bytes that lie in one page.
sub bytes_at
{
    my ($lsn, $size) = @_;
    my $wanted = int($lsn / $segment_size);

    if ($wanted != $number)
    {
        my $file = $file_of{ sprintf('%08X%08X', $wanted / $of_xlogid, $wanted % $of_xlogid) };
        return undef if !defined $file;
        open(my $handle, '<:raw', $file) or die "$file: $!";
        local $/;
        ($number, $content) = ($wanted, scalar <$handle>);
    }
    return substr($content, $lsn % $segment_size, $size);
}

sub header_size { return $_[0] % $segment_size == 0 ? 40 : 24; }

sub info_and_rmgr { return unpack($old ? 'x12CC' : 'x16CC', $_[0]); }

# The record at *lsn, which is moved behind it; undef at the end of WAL.
sub next_record
{
    my ($lsn) = @_;
    my ($record, $length) = ('', 4);

    $$lsn += header_size($$lsn) if $$lsn % 8192 == 0;
    my $start = $$lsn;
    while (length($record) < $length)
    {
        if ($$lsn % 8192 == 0)
        {
            my $page = bytes_at($$lsn, 20);
            return undef if !defined $page || unpack('Q<', substr($page, 8)) != $$lsn;
            $pages = $$lsn - 8192 if !defined $pages && $$lsn % $segment_size == 8192;
            $$lsn += header_size($$lsn);
        }
        my $here = 8192 - $$lsn % 8192;
        my $left = $length - length($record);
        my $piece = bytes_at($$lsn, $here < $left ? $here : $left);
        return undef if !defined $piece;
        $record .= $piece;
        $$lsn += length($piece);
        if (length($record) == 4)
        {
            $length = unpack('L<', $record);
            return undef if $length < ($old ? 32 : 24);
        }
    }
    my ($info, $rmgr) = info_and_rmgr($record);
    $$lsn += -$$lsn % 8;
    $$lsn += -$$lsn % $segment_size if $rmgr == 0 && ($info & 0xF0) == 0x40;    # a switch
    return ($start, $record);
}

my $lsn = segment_number($names[0]) * $segment_size;
$old = grep { $_ == unpack('S<', bytes_at($lsn, 2)) } 0xD075, 0xD07E;
# The oldest segment left may begin inside a record.
for (;;)
{
    my ($flags, $rest) = unpack('x2Sx12L<', bytes_at($lsn, 20));
    last if !($flags & 1);
    my $room = 8192 - header_size($lsn);
    if ($rest >= $room)
    {
        $lsn += 8192;
        next;
    }
    $lsn += header_size($lsn) + $rest;
    $lsn += -$lsn % 8;
    last;
}
my (%smallest, @checkpoints);
while (my ($start, $record) = next_record(\$lsn))
{
    last if !defined $start;
    my ($info, $rmgr) = info_and_rmgr($record);
    # With an image of block 0, initialising it, or neither.
    my $flags = !$old && length($record) > 26 && ord(substr($record, 24)) == 0 ? ord(substr($record, 25)) & 0x50 : 0;
    my $key = "$rmgr $info $flags";
    # The end of a transaction has many parts: xinfo says which.
    if ($rmgr == 1 && $old)
    {
        # Relations, subtransactions or messages. A compact commit has the number of subtransactions only.
        my ($length, $compact) = (unpack('x8L<', $record), ($info & 0xF0) == 0x60);
        $key .= ' ' . join(',', map { $_ ? 1 : 0 } unpack($compact ? 'x40L<' : 'x40L<5', $record)) if $length >= ($compact ? 12 : 28);
    }
    elsif ($rmgr == 1 && $info & 0x80)
    {
        my $at = 24;
        $at += 3 if ord(substr($record, $at)) == 253;
        $at += ord(substr($record, $at)) == 255 ? 2 : 5;
        $key .= ' ' . unpack('L<', substr($record, $at + 8));
    }
    if ($rmgr == 0 && ($info & 0xF0) <= 0x10)
    {
        push @checkpoints, [$start, $record];
    }
    elsif (!defined $smallest{$key} || length($record) < length($smallest{$key}[1]))
    {
        $smallest{$key} = [$start, $record];
    }
}

open(my $out, '>:raw', "$prefix.records") or die "$prefix.records: $!";
my @kept = sort { $a->[0] <=> $b->[0] } @checkpoints, grep { length($_->[1]) < 3000 || (info_and_rmgr($_->[1]))[1] == 1 } values %smallest;
print $out pack('Q<', $_->[0]), $_->[1] for @kept;
close($out);
open($out, '>:raw', "$prefix.pages") or die "$prefix.pages: $!";
print $out bytes_at($pages, 2 * 8192);
close($out);
