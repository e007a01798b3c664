# Change a cluster's pg_control, so that its checksum is right.

package RewindTest::ControlFile;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;

our @EXPORT = qw(patch_control patch_segment_size replace);

my @crc_table = map {
    my $value = $_;
    $value = $value & 1 ? ($value >> 1) ^ 0x82F63B78 : $value >> 1 for 1 .. 8;
    $value;
} 0 .. 255;

sub crc32c
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    $crc = $crc_table[ ($crc ^ $_) & 0xFF ] ^ ($crc >> 8) for unpack 'C*', $bytes;
    return $crc ^ 0xFFFFFFFF;
}

# A file of a copy that may share it with others: what is changed is made anew.
sub replace
{
    my ($path, $content) = @_;
    unlink $path;
    spew($path, $content);
    return;
}

# Replace bytes at an offset of pg_control, and make its CRC right again: it lies where it is right before.
sub patch_control
{
    my ($cluster, $offset, $bytes) = @_;
    my $path = $cluster->path('global/pg_control');
    my $content = slurp($path);
    my ($crc_offset) = grep { unpack('L<', substr($content, $_, 4)) == crc32c(substr($content, 0, $_)) }
        map { 4 * $_ } 40 .. 120;
    die "no CRC found in $path" if !defined $crc_offset;
    substr($content, $offset, length $bytes) = $bytes;
    substr($content, $crc_offset, 4) = pack('L<', crc32c(substr($content, 0, $crc_offset)));
    replace($path, $content);
    return;
}

# As pg_resetwal --wal-segsize leaves it: the same system, of which WAL is cut otherwise.
sub patch_segment_size
{
    my ($cluster, $size) = @_;
    # Of blocks, in blocks of relation segments, from 19 on pages of an SLRU's segment, of WAL's blocks.
    my ($blocks, $relation_segments, $wal_blocks) = map { pack('L<', $_) } 8192, 131072, 8192;
    slurp($cluster->path('global/pg_control')) =~ /\Q$blocks$relation_segments\E(?:\x20\0\0\0)?\Q$wal_blocks\E/ or die "no sizes found\n";
    patch_control($cluster, $+[0], pack('L<', $size));
    return;
}

1;
