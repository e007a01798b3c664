# Change a cluster's pg_control, so that its checksum is right.

package RewindTest::ControlFile;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;

our @EXPORT = qw(patch_control patch_segment_size replace find_crc);

sub crc_table
{
    my ($polynomial) = @_;
    return map { my $crc = $_; $crc = $crc & 1 ? ($crc >> 1) ^ $polynomial : $crc >> 1 for 1 .. 8; $crc } 0 .. 255;
}

my @crc32c_table = crc_table(0x82F63B78);
my @former_table = crc_table(0xEDB88320);

sub crc32c
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    $crc = $crc32c_table[ ($crc ^ $_) & 0xFF ] ^ ($crc >> 8) for unpack 'C*', $bytes;
    return $crc ^ 0xFFFFFFFF;
}

# That of 9.3 and 9.4: the table is made for the other direction.
sub former_crc
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    $crc = $former_table[ ($crc >> 24) ^ $_ ] ^ ($crc << 8 & 0xFFFFFFFF) for unpack 'C*', $bytes;
    return $crc ^ 0xFFFFFFFF;
}

# Where a pg_control of any version has its checksum, behind all fields, and the function that made it; nothing if there
# is none that is right.
my $known_offset;
sub find_crc
{
    my ($control) = @_;
    for my $offset ($known_offset // (), map { 4 * $_ } 50 .. 80)
    {
        my $bytes = substr($control, 0, $offset);
        my ($function) = grep { unpack('V', substr($control, $offset, 4)) == $_->($bytes) } \&crc32c, \&former_crc;
        return ($known_offset = $offset, $function) if $function;
    }
    return;
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
    my ($crc_offset, $crc) = find_crc($content);
    die "no CRC found in $path" if !defined $crc_offset;
    substr($content, $offset, length $bytes) = $bytes;
    substr($content, $crc_offset, 4) = pack('L<', $crc->(substr($content, 0, $crc_offset)));
    replace($path, $content);
    return;
}

# As pg_resetwal --wal-segsize leaves it: the same system, of which WAL is cut otherwise.
sub patch_segment_size
{
    my ($cluster, $size) = @_;
    # Of blocks, in blocks of relation segments, from 19 on pages of an SLRU's segment, of WAL's blocks.
    my ($blocks, $relation_segments, $wal_blocks) = map { pack('L<', $_) } 8192, 131072, 8192;
    slurp($cluster->path('global/pg_control')) =~ /\Q$blocks$relation_segments\E(?:\x20\0\0\0)?\Q$wal_blocks\E/
        or die "no sizes found\n";
    patch_control($cluster, $+[0], pack('L<', $size));
    return;
}

1;
