# WAL written by an encoder of the test's own, of any size of pages: what a server of such a build would leave.
#
#   my $wal = RewindTest::WrittenWal->new(magic => 0xD118, page => 65536, segment => 1048576, block => 16384, system =>
#   1, version => 15);
#   my $lsn = $wal->record(0, 0xB0, images => [ [ 16384, 3, $page ] ]);
#   $wal->save("$data/pg_wal");
#
# Relations are those of database 5 in the default tablespace. Facts: access/xlogrecord.h, access/xlog_internal.h.

package RewindTest::WrittenWal;

use strict;
use warnings;

use RewindTest::Command;
use RewindTest::ControlFile ();

use constant { TABLESPACE => 1663, DATABASE => 5 };

# It begins with segment 1, on timeline 1.
sub new
{
    my ($class, %shape) = @_;
    return bless { %shape, bytes => '', last => 0, timeline => 1, timeline_of => {} }, $class;
}

# The same WAL up to here, which goes on by itself: on another timeline, if one is given.
sub continued
{
    my ($self, $timeline) = @_;
    my $other = bless { %$self, timeline_of => { %{ $self->{timeline_of} } } }, ref $self;
    if (defined $timeline)
    {
        $other->{timeline} = $timeline;
        $other->{timeline_of}{ $self->segment } = $timeline;
    }
    return $other;
}

sub position { my ($self) = @_; return $self->{segment} + length $self->{bytes} }

# The number of the segment that the position lies in.
sub segment { my ($self) = @_; return int($self->position / $self->{segment}) }

# Where the next record will start.
sub next_lsn
{
    my ($self) = @_;
    my $position = $self->position;
    return $position % $self->{page} ? $position : $position + ($position % $self->{segment} ? 24 : 40);
}

sub begin_page
{
    my ($self, $flags, $remaining) = @_;
    my $position = $self->position;
    my $is_first = $position % $self->{segment} == 0;
    $self->{timeline_of}{ $self->segment } = $self->{timeline} if $is_first;
    $self->{bytes} .= pack('S< S< L< Q< L< x4', $self->{magic}, $flags | ($remaining ? 1 : 0) | ($is_first ? 2 : 0),
        $self->{timeline}, $position, $remaining);
    $self->{bytes} .= pack('Q< L< L<', $self->{system}, $self->{segment}, $self->{page}) if $is_first;
    return;
}

# Put bytes, of which `written` reach the disk; the record's pages begin as they must.
sub put
{
    my ($self, $bytes, $written) = @_;
    for (my $done = 0; $done < $written;)
    {
        $self->begin_page(0, $done ? length($bytes) - $done : 0) if $self->position % $self->{page} == 0;
        my $room = $self->{page} - $self->position % $self->{page};
        my $size = $written - $done < $room ? $written - $done : $room;
        $self->{bytes} .= substr($bytes, $done, $size);
        $done += $size;
    }
    $self->{bytes} .= "\0" x (-length($self->{bytes}) % 8);
    return;
}

# An image of a page without its hole: that lies between pd_lower and pd_upper.
sub image
{
    my ($self, $relation, $block, $page, $fork) = @_;
    my ($lower, $upper) = unpack('x12 S< S<', $page);
    my $hole = $upper - $lower;
    my $apply = $self->{version} < 15 ? 4 : 2;
    my $bytes = substr($page, 0, $lower) . substr($page, $upper);
    return (pack('C S< S< S< C L<4', 0x10 | $fork, 0, length $bytes, $hole ? $lower : 0, $apply | ($hole ? 1 : 0),
        TABLESPACE, DATABASE, $relation, $block), $bytes);
}

# A record as it stands in WAL. Options: xid; data => main data; images => [ [ relation, block, page, fork ] ];
# changes => [ [ relation, block ] ] have no image.
sub encode
{
    my ($self, $rmgr, $info, %option) = @_;
    my ($headers, $contents, $id) = ('', '', 0);
    for my $image (@{ $option{images} // [] })
    {
        my ($relation, $block, $page, $fork) = @$image;
        my ($header, $bytes) = $self->image($relation, $block, $page, $fork // 0);
        $headers .= chr($id++) . $header;
        $contents .= $bytes;
    }
    $headers .= pack('C C S< L<4', $id++, 0, 0, TABLESPACE, DATABASE, @$_) for @{ $option{changes} // [] };
    my $data = $option{data} // '';
    $headers .= length $data > 255 ? pack('C L<', 254, length $data) : pack('C C', 255, length $data) if $data ne '';
    my $body = "$headers$contents$data";
    my $header = pack('L< L< Q< C C x2', 24 + length $body, $option{xid} // 0, $self->{last}, $info, $rmgr);
    return $header . pack('L<', RewindTest::ControlFile::crc32c("$body$header")) . $body;
}

# Returns where it starts.
sub record
{
    my ($self, $rmgr, $info, %option) = @_;
    my $lsn = $self->next_lsn;
    my $bytes = $self->encode($rmgr, $info, %option);
    $self->put($bytes, length $bytes);
    $self->{last} = $lsn;
    return $lsn;
}

# A message for logical decoding, of so many bytes with its head (26): it changes nothing.
sub message { my ($size) = @_; return pack('L< C x3 Q< Q< Z2', DATABASE, 0, 2, $size - 26, 'w')
    . "\xA5" x ($size - 26) }

sub filler { my ($self, $size) = @_; return $self->record(21, 0, data => message($size)) }

# An insertion into a heap.
sub change { my ($self, $xid, @changes) = @_; return $self->record(10, 0, xid => $xid, changes => \@changes,
    data => pack('S< C', 1, 0)) }

sub full_page_image { my ($self, @image) = @_; return $self->record(0, 0xB0, images => [ \@image ]) }

sub create { my ($self, $relation) = @_;
    return $self->record(2, 0x10, data => pack('L<3 L<', TABLESPACE, DATABASE, $relation, 0)) }

# Cut to so many blocks: as VACUUM does.
sub truncate { my ($self, $relation, $blocks) = @_;
    return $self->record(2, 0x21, data => pack('L< L<3 l<', $blocks, TABLESPACE, DATABASE, $relation, 7)) }

sub commit { my ($self, $xid, $time) = @_; return $self->record(1, 0, xid => $xid, data => pack('q<', $time)) }

# pg_switch_wal: what is left of the segment is zeros.
sub switch
{
    my ($self) = @_;
    my $lsn = $self->record(0, 0x40);
    while ($self->position % $self->{segment})
    {
        $self->begin_page(0, 0) if $self->position % $self->{page} == 0;
        $self->{bytes} .= "\0" x ($self->{page} - $self->position % $self->{page});
    }
    return $lsn;
}

# A record of which the server wrote some pages only before it crashed; its WAL goes on with the next page, and says so.
sub abandon
{
    my ($self, $size, $written) = @_;
    my $lsn = $self->next_lsn;
    my $bytes = $self->encode(21, 0, data => message($size));
    $self->put($bytes, $written);
    $self->{bytes} .= "\0" x (-length($self->{bytes}) % $self->{page});
    $self->begin_page(8, 0);
    $self->record(0, 0xD0, data => pack('Q< q<', $lsn, 0));
    return $lsn;
}

# Write the segments into a directory, the last one filled up with zeros; returns their names.
sub save
{
    my ($self, $directory) = @_;
    my @names;
    for (my $number = 1; ($number - 1) * $self->{segment} < length $self->{bytes}; $number++)
    {
        my $bytes = substr($self->{bytes}, ($number - 1) * $self->{segment}, $self->{segment});
        my $per_id = 2**32 / $self->{segment};
        push @names, sprintf('%08X%08X%08X', $self->{timeline_of}{$number}, $number / $per_id, $number % $per_id);
        spew("$directory/$names[-1]", $bytes . "\0" x ($self->{segment} - length $bytes));
    }
    return @names;
}

1;
