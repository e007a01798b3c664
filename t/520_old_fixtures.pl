# A rewind of 9.3 to 9.6 leaves what the pg_rewind of that time left, byte by byte, but for a list of differences:
# design/overview.md has it. (Invariant 7. No server is needed.)
#
# Real servers of these versions left diverged pairs, and the pg_rewind of that time (9.3, 9.4: the separate program)
# lists of what it made of them: path, size, MD5. PG_REWIND_TEST_FIXTURES says where they lie; README.md there says how
# they were made.
#
#   VERSION/pair*.tar.zst             source/ and target/, both stopped cleanly
#   VERSION/golden*/NAME-KIND.*       .manifest, .log and .backup_label, for KIND of source local and server
#
# A list has no bytes. So each of its files is made again, from the pair, by the rule that the original followed, and
# its MD5 must fit: then its bytes are known, and those that differ from ours need a reason from @allowed.
# (Rules C48, R3.)

use strict;
use warnings;
use lib 't/lib';
use Digest::MD5 'md5_hex';
use File::Basename 'dirname';
use File::Find ();
use RewindTest;

my $fixtures = $ENV{PG_REWIND_TEST_FIXTURES} // '../shared/fixtures';
plan(skip_all => "there are no diverged pairs at $fixtures") if !-r "$fixtures/9.6/pair.tar.zst";

my $waldump = $ENV{WALDUMP} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/waldump';

use constant BLOCK => 8192;
use constant IN_ARCHIVE_RECOVERY => 5;

# pg_control: offsets of the minimum recovery point, which its timeline follows, and of the CRC; which CRC.
my %control_of = (
    '9.3' => [ 128, 228, \&old_crc ],
    '9.4' => [ 128, 240, \&old_crc ],
    '9.5' => [ 136, 256, \&crc32c ],
    '9.6' => [ 136, 256, \&crc32c ],
);

my %used;    # names of allowed differences that were seen, and how often

# What may differ: a name, the paths, why, and what must be true for it. Each condition is given the file's path and its
# content as the original left it and as we did (undef: not there), and the pair.
my @allowed = (
    [ 'rebuilt', qr{^(base/\d+|global)/\d+(\.\d+)?$},
    'recovery writes these blocks whole, whatever they hold: not fetched',
        sub { my ($path, $theirs, $ours, $pair) = @_; return defined $theirs && defined $ours
        && are_rebuilt($path, $theirs, $ours, $pair) } ],
    [ 'hash index', qr{^base/\d+/\d+(\.\d+)?$},
        'WAL does not tell of it: it is the source\'s, where the original leaves blocks of the target',
        sub { my ($path, $theirs, $ours, $pair) = @_; return same($ours, content($pair, 'source', $path))
        && is_hash_index($pair, $path) } ],
    [ 'unlogged', qr{/\d+(\.\d+)?$},
        'the server makes the main fork of an unlogged relation anew from its initialization fork: not copied, not removed',
        sub { my ($path, $theirs, $ours, $pair) = @_; return -e "$pair->{dir}/rewound/" . ($path =~ s/\.\d+$//r)
        . '_init' && same($ours, content($pair, 'target', $path)) } ],
    [ 'control', qr{^global/pg_control$},
        'minimum recovery point: the end of the source\'s last record, where the original has its beginning; '
            . 'a server that finds no backup_label waits for the end of a backup that began one byte after the start '
            . 'of recovery, as none does',
        sub { my ($path, undef, $ours, $pair) = @_; return $ours
            eq control_as_rewound($pair, $pair->{end}, start_of_label($pair)) } ],
    [ 'label', qr{^backup_label$},
        'it says when it was made; with a copied database before it recovery starts late, at the last checkpoint',
        sub { my (undef, $theirs, $ours, $pair) = @_; return same_labels($theirs, $ours, $pair) } ],
    [ 'prepared', qr{^pg_twophase/[0-9A-F]{8}$}, 'replay makes it anew: not copied',
        sub { my ($path, undef, $ours, $pair) = @_; return !defined $ours
        && $pair->{prepared}{ hex($path =~ s{.*/}{}r) } } ],
    [ 'last segment', qr{^pg_xlog/[0-9A-F]{24}$},
        'behind the end of the source\'s WAL there are zeros, not what a recycled segment held',
        sub { my ($path, $theirs, $ours, $pair) = @_; return is_cut_at_end($path, $theirs, $ours, $pair) } ],
    [ 'common segment', qr{^pg_xlog/00000001[0-9A-F]{16}$},
        'the target alone still has it, and it is common history: not removed',
        sub { my ($path, $theirs, $ours, $pair) = @_; return !defined $theirs
        && same($ours, content($pair, 'target', $path)) && $path lt segment_of($pair->{divergence}) } ],
    [ 'archived', qr{^pg_xlog/archive_status/[0-9A-F]{24}\.done$}, 'a whole segment that was copied counts as archived',
        sub { my ($path, $theirs, $ours, $pair) = @_; return !defined $theirs && $ours eq ''
        && was_copied_whole($pair, $path =~ s{.*/(.*)\.done}{$1}r) } ],
    [ 'foreign markers', qr{^pg_xlog/archive_status/}, 'the source\'s markers are about its own archiving: not copied',
        sub { my ($path, undef, $ours) = @_; return !defined $ours } ],
    [ 'caches', qr{/pg_internal\.init$}, 'the server makes it anew: not copied',
        sub { my ($path, undef, $ours) = @_; return !defined $ours } ],
    [ 'version of a database', qr{^base/\d+/PG_VERSION$},
        'of a database that the source made it is copied like all its files; the original leaves it to replay',
        sub { my ($path, $theirs, $ours, $pair) = @_; return !defined $theirs
        && same($ours, content($pair, 'source', $path)) && !defined content($pair, 'target', $path) } ],
    [ 'options of a start', qr{^postmaster\.opts$}, 'it is of a start between the pair and the rewind by the original',
        sub { my (undef, undef, $ours) = @_; return !defined $ours } ],
);

sub same { my ($a, $b) = @_; return defined $a && defined $b && $a eq $b }

sub content
{
    my ($pair, $side, $path) = @_;
    my $file = "$pair->{dir}/$side/$path";
    return -f $file ? slurp($file) : undef;
}

sub lsn { my ($high, $low) = $_[0] =~ m{^([0-9A-F]+)/([0-9A-F]+)$} or die "no LSN: $_[0]";
    return hex($high) << 32 | hex $low }

# "RELATION" as waldump prints it, of the main fork's file.
sub relation_of
{
    my ($path) = @_;
    my ($directory, $number) = $path =~ m{^(base/\d+|global)/(\d+)(?:\.\d+)?$} or return;
    return ($directory eq 'global' ? '1664/0' : '1663/' . substr($directory, 5)) . "/$number";
}

# WAL as our reader sees it: (LSN, xid, resource manager, info, list of [ "RELATION BLOCK", is restored ] of main
# forks). t/521 compares it with what that time's pg_xlogdump sees.
sub records
{
    my ($pair, $side, $timeline) = @_;
    my @names = sort map { m{/[0-9A-F]{8}([0-9A-F]{16})$} } glob("$pair->{dir}/$side/pg_xlog/*");
    my $result = run([ $waldump, "$pair->{dir}/$side", map { sprintf('%08X', $timeline) . $_ } @names[0, -1] ]);
    die "waldump: $result->{stderr}" if $result->{status};
    my @records;
    for my $line (split /\n/, $result->{stdout})
    {
        my ($lsn, $xid, $rmgr, $info) = $line =~ m{^(\S+) prev \S+ len \d+ tx (\d+) rmgr (\S+) info (\w\w)}
            or die "not a record: $line";
        my @blocks;
        push @blocks, [ "$1 $2", $3 =~ / FPW(?!-)| INIT/ ? 1 : 0 ]
            while $line =~ m{blk \d+ (\d+/\d+/\d+) 0 (\d+)((?: FPW-check| FPW| INIT)*)}g;
        push @records, [ lsn($lsn), $xid, $rmgr, hex $info, @blocks ];
    }
    my ($end) = $result->{stderr} =~ m{^end of WAL at (\S+):}m or die "no end of WAL: $result->{stderr}";
    return (lsn($end), @records);
}

# Learns of a pair what the rules ask for.
sub look_at
{
    my ($pair) = @_;
    my ($log) = slurp("$pair->{golden}.log");
    ($pair->{divergence}) = map { lsn($_) } $log =~ m{diverged at WAL position (\S+) on timeline 1};
    ($pair->{checkpoint}) = map { lsn($_) } $log =~ m{common checkpoint at (\S+) on timeline 1};
    $pair->{label} = slurp("$pair->{golden}.backup_label");
    ($pair->{redo}) = map { lsn($_) } $pair->{label} =~ m{^START WAL LOCATION: (\S+)}m;

    # Which blocks the original copies: those that the target's WAL names from the checkpoint on.
    my (undef, @targets) = records($pair, 'target', 1);
    for my $record (grep { $_->[0] >= $pair->{checkpoint} } @targets)
    {
        my ($lsn, $xid, $rmgr, $info, @blocks) = @$record;
        $pair->{named}{ $_->[0] } = 1 for @blocks;
        # The separate program overlooks images for hint bits (XLOG_HINT), and that a new root is written into the meta
        # page as well.
        next if $pair->{version} < 9.5 && $rmgr eq 'XLOG' && $info == 0xA0;
        @blocks = grep { $_->[0] !~ / 0$/ } @blocks if $pair->{version} < 9.5 && $rmgr eq 'Btree' && $info == 0xA0;
        $pair->{copied}{ $_->[0] } = 1 for @blocks;
    }
    ($pair->{end}, my @sources) = records($pair, 'source', 2);
    $pair->{records} = \@sources;
    $pair->{spgist} = { map { map { $_->[0] =~ s/ .*//r => 1 } @$_[ 4 .. $#$_ ] }
        grep { $_->[2] eq 'SPGist' } @sources };
    $pair->{copies_database} = grep { $_->[2] eq 'Database' && ($_->[3] & 0xF0) == 0 } @sources;
    $pair->{source_checkpoint} = unpack('x32 Q<', content($pair, 'source', 'global/pg_control'));
    $pair->{last_segment} = (sort map { m{/([0-9A-F]{24})$} } glob("$pair->{dir}/source/pg_xlog/*"))[-1];
    return;
}

# Where recovery of ours starts, and what it does.
sub look_at_recovery
{
    my ($pair) = @_;
    my ($start) = map { lsn($_) } slurp("$pair->{dir}/rewound/backup_label") =~ m{^START WAL LOCATION: (\S+)}m;
    $pair->{start} = $start;
    for my $record (@{ $pair->{records} })
    {
        my ($lsn, $xid, $rmgr, $info, @blocks) = @$record;
        next if $lsn < $pair->{redo};
        if ($lsn < $start)
        {
            $pair->{before_start}{ $_->[0] } = 1 for @blocks;
            next;
        }
        $pair->{first}{ $_->[0] } //= $_->[1] for @blocks;
        $pair->{last}{ $_->[0] } = $record for @blocks;
        $pair->{prepared}{$xid} = 1 if $rmgr eq 'Transaction' && $info == 0x10;
    }
    return;
}

sub are_rebuilt
{
    my ($path, $theirs, $ours, $pair) = @_;
    my $relation = relation_of($path);
    my ($segment) = $path =~ /\.(\d+)$/;
    my ($source, $target) = map { content($pair, $_, $path) } qw(source target);
    return 0 if length $theirs != length $ours;
    for my $block (0 .. length($ours) / BLOCK - 1)
    {
        my $name = "$relation " . ($block + ($segment // 0) * 131072);
        my ($original, $found) = map { substr($_, $block * BLOCK, BLOCK) } $theirs, $ours;
        next if $original eq $found;
        # What the original overlooked: the source's.
        if ($pair->{named}{$name} && !$pair->{copied}{$name} && $found eq substr($source, $block * BLOCK, BLOCK))
        {
            $pair->{seen}{'blocks more'}++;
            next;
        }
        # A late start finds the source's block where the original has the target's and replays.
        if ($pair->{before_start}{$name} && $found eq substr($source, $block * BLOCK, BLOCK))
        {
            $pair->{seen}{'late start'}++;
            next;
        }
        # The first page of such an index is written without WAL, and what it says must not be of other pages than ours.
        if ($block == 0 && $pair->{spgist}{$relation} && $found eq substr($source, 0, BLOCK))
        {
            $pair->{seen}{'spgist'}++;
            next;
        }
        my $before = defined $target && length $target > $block * BLOCK ? substr($target, $block * BLOCK, BLOCK)
            : "\0" x BLOCK;
        # To 9.3.2 replay reads blocks of an index that no record names: nothing is left to it.
        return 0 if $pair->{version} == 9.3 || $found ne $before || !$pair->{first}{$name}
            || !is_made_by_images($pair, $name, substr($source, $block * BLOCK, BLOCK));
        $pair->{seen}{'blocks rebuilt'}++;
    }
    return 1;
}

# Where the last record of a block has its image, that is the source's page, but for hints, and what a page says of
# where it was written. (Where it has none, replay makes the page: t/522.)
sub is_made_by_images
{
    my ($pair, $name, $page) = @_;
    my $image = image_of($pair, $name, $pair->{last}{$name}[0]) // return 1;
    my ($lower, $upper) = unpack('x12 S<2', $image);
    substr($_, $lower, $upper - $lower) = '' for $upper > $lower ? ($image, $page) : ();    # free, and not in the image
    substr($_, 20, 4) = '', substr($_, 0, 12) = '' for $image, $page;    # LSN, checksum, flags; the oldest xid to prune
    my $differ = $image ^ $page;
    return diag("$name: " . unpack('H*', $differ =~ s/\0+/\0/gr)) && 0 if $differ =~ /[^\0-\x0F]/
        || ($differ & $image) =~ /[^\0]/;
    $pair->{seen}{'pages from images'}++;
    return 1;
}

# Bytes of the source's WAL from a record's start on.
sub wal_at
{
    my ($pair, $lsn, $size) = @_;
    my $bytes = '';
    while (length $bytes < $size)
    {
        my $file = sprintf("%s/source/pg_xlog/%%08X%08X%08X", $pair->{dir}, $lsn >> 32, ($lsn & 0xFFFFFFFF) >> 24);
        $pair->{wal}{$file} //= slurp((grep { -e } sprintf($file, 2), sprintf($file, 1))[0]);
        my $at = $lsn & 0xFFFFFF;
        my $header = $at == 0 ? 40 : $at % 8192 == 0 ? 24 : 0;
        my $here = 8192 - ($at + $header) % 8192;
        $here = $size - length $bytes if $here > $size - length $bytes;
        $bytes .= substr($pair->{wal}{$file}, $at + $header, $here);
        $lsn += $header + $here;
    }
    return $bytes;
}

# The image that a record has of a block, or undef.
sub image_of
{
    my ($pair, $name, $lsn) = @_;
    my $record = wal_at($pair, $lsn, unpack('L<', wal_at($pair, $lsn, 4)));
    my @images = $pair->{version} < 9.5 ? old_images($record) : images($record);
    return (map { $_->[1] } grep { $_->[0] eq $name } @images)[0];
}

sub page_of { my ($bytes, $hole) = @_; my $page = $bytes; substr($page, $hole, 0) = "\0" x (BLOCK - length $bytes);
    return $page }

# XLogRecord and BkpBlock of 9.3 and 9.4, access/xlog_internal.h.
sub old_images
{
    my ($record) = @_;
    my ($size, $info, $rmgr) = unpack('x8 L< C C', $record);
    # Images for hints, and such records of an image, have it as their data.
    my $at = $rmgr == 0 && ($info & 0xF0) >= 0xA0 ? 32 : 32 + $size;
    my @images;
    while ($at + 24 <= length $record)
    {
        my ($space, $database, $relation, $fork, $block, $hole, $hole_size) = unpack("x$at L<5 S<2", $record);
        push @images, [ "$space/$database/$relation $block", page_of(substr($record, $at + 24, BLOCK - $hole_size),
            $hole) ] if $fork == 0;
        $at += 24 + BLOCK - $hole_size;
    }
    return @images;
}

# The headers of 9.5 and 9.6, access/xlogrecord.h.
sub images
{
    my ($record) = @_;
    my ($at, $announced, $relation, @parts) = (24, 0);
    while ($at + $announced < length $record)
    {
        my $id = ord substr($record, $at, 1);
        if ($id == 255 || $id == 254) { my $size = $id == 255 ? 1 : 4; $announced += unpack($id == 255 ? 'C'
            : 'L<', substr($record, $at + 1, $size)); $at += 1 + $size; last }
        if ($id == 253) { $at += 3; next }
        my ($flags, $size) = unpack('C S<', substr($record, $at + 1, 3));
        my ($image, $hole) = (0, 0);
        $at += 4;
        if ($flags & 0x10)
        {
            ($image, $hole, my $how) = unpack('S< S< C', substr($record, $at, 5));
            die 'a compressed image' if $how & 2;
            $at += 5;
        }
        if (!($flags & 0x80)) { $relation = join '/', unpack('L<3', substr($record, $at, 12)); $at += 12 }
        push @parts, [ "$relation " . unpack('L<', substr($record, $at, 4)), $flags, $size, $image, $hole ];
        $at += 4;
        $announced += $image + $size;
    }
    my @images;
    for my $part (@parts)
    {
        my ($name, $flags, $size, $image, $hole) = @$part;
        push @images, [ $name, page_of(substr($record, $at, $image), $hole) ] if $image && !($flags & 0x0F);
        $at += $image + $size;
    }
    return @images;
}

sub segment_of { my ($lsn) = @_; return sprintf('pg_xlog/%08X%08X%08X', 1, $lsn >> 32, ($lsn & 0xFFFFFFFF) >> 24) }

# By HASH_MAGIC in its first page, access/hash.h.
sub is_hash_index { my ($pair, $path) = @_; return unpack('x24 L<', content($pair, 'source', $path =~ s/\.\d+$//r))
    == 0x6440640 }

sub was_copied_whole { my ($pair, $segment) = @_; return -e "$pair->{dir}/source/pg_xlog/$segment"
    && $segment ne $pair->{last_segment} }

sub is_cut_at_end
{
    my ($path, $theirs, $ours, $pair) = @_;
    my $kept = $pair->{end} % length $ours;
    return $path eq "pg_xlog/$pair->{last_segment}" && length $ours == length $theirs
        && substr($ours, 0, $kept) eq substr($theirs, 0, $kept) && substr($ours, $kept) !~ /[^\0]/;
}

# Line by line.
sub same_labels
{
    my ($theirs, $ours, $pair) = @_;
    my @theirs = split /\n/, $theirs;
    my @ours = split /\n/, $ours;
    my $late = $pair->{start} != $pair->{redo};
    return 0 if @theirs != @ours || $late && !$pair->{copies_database} || $late
        && $pair->{start} != $pair->{source_checkpoint};
    my $time = qr/^START TIME: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+$/;
    my $lsn = sprintf('%X/%X', $pair->{start} >> 32, $pair->{start} & 0xFFFFFFFF);
    for my $i (0 .. $#ours)
    {
        next if $ours[$i] eq $theirs[$i] || $ours[$i] =~ $time && $theirs[$i] =~ $time;
        next if $late && $ours[$i] eq "START WAL LOCATION: $lsn (file $pair->{last_segment})"
            && $theirs[$i] =~ /^START WAL LOCATION: /;
        next if $late && $ours[$i] eq "CHECKPOINT LOCATION: $lsn" && $theirs[$i] =~ /^CHECKPOINT LOCATION: /;
        return 0;
    }
    return 1;
}

# The CRC of 9.5 and later: reflected.
sub crc32c
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    for my $byte (unpack 'C*', $bytes)
    {
        $crc ^= $byte;
        $crc = $crc & 1 ? $crc >> 1 ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
    }
    return $crc ^ 0xFFFFFFFF;
}

# That of 9.3 and 9.4: the table of the reflected CRC-32, used as if it were not.
sub old_crc
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    for my $byte (unpack 'C*', $bytes)
    {
        my $entry = ($crc >> 24 ^ $byte) & 0xFF;
        $entry = $entry & 1 ? $entry >> 1 ^ 0xEDB88320 : $entry >> 1 for 1 .. 8;
        $crc = $entry ^ $crc << 8 & 0xFFFFFFFF;
    }
    return $crc ^ 0xFFFFFFFF;
}

sub start_of_label { my ($pair) = @_;
    return lsn(content($pair, 'rewound', 'backup_label') =~ m{^START WAL LOCATION: (\S+)}m) }

# The source's pg_control with the fields that a rewind sets.
sub control_as_rewound
{
    my ($pair, $end, $backup_start) = @_;
    my ($end_offset, $crc_offset, $crc) = @{ $control_of{ $pair->{version} } };
    my $bytes = content($pair, 'source', 'global/pg_control');
    substr($bytes, 16, 4) = pack('L<', IN_ARCHIVE_RECOVERY);
    substr($bytes, $end_offset, 12) = pack('Q< L<', $end, 2);
    substr($bytes, $end_offset + 16, 17) = pack('Q< Q< C', $backup_start + 1, 0, 1) if defined $backup_start;
    substr($bytes, $crc_offset, 4) = pack('L<', $crc->(substr($bytes, 0, $crc_offset)));
    return $bytes;
}

# A file as the original makes it: the target's relation files with the blocks that its WAL names, and those behind
# their end, from the source; all others whole.
sub as_original
{
    my ($pair, $path) = @_;
    my ($source, $target) = map { content($pair, $_, $path) } qw(source target);
    my $relation = relation_of($path);
    return control_as_rewound($pair, $pair->{source_checkpoint}) if $path eq 'global/pg_control';
    return $pair->{label} if $path eq 'backup_label';
    return $source if !defined $relation || !defined $target || !defined $source;
    my ($segment) = $path =~ /\.(\d+)$/;
    for my $block (0 .. length($source) / BLOCK - 1)
    {
        next if $block * BLOCK >= length $target
            || $pair->{copied}{ "$relation " . ($block + ($segment // 0) * 131072) };
        substr($source, $block * BLOCK, BLOCK) = substr($target, $block * BLOCK, BLOCK);
    }
    return $source;
}

sub manifest
{
    my ($file) = @_;
    return { map { my ($path, $size, $md5) = split /\t/; $path => "$size $md5" } split /\n/, slurp($file) };
}

sub files
{
    my ($directory) = @_;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, substr($_, length "$directory/") if -f $_ } },
        $directory);
    return @found;
}

sub describe { my ($content) = @_; return defined $content ? length($content) . ' ' . md5_hex($content) : 'nothing' }

sub is_as_listed
{
    my ($pair) = @_;
    my $expected = manifest("$pair->{golden}.manifest");
    my ($same, @wrong) = (0);
    for my $path (sort keys %{ { %$expected, map { $_ => 1 } files("$pair->{dir}/rewound") } })
    {
        my $theirs = $expected->{$path} ? as_original($pair, $path) : undef;
        my $ours = content($pair, 'rewound', $path);
        if ($expected->{$path} && describe($theirs) ne $expected->{$path} && $path ne 'postmaster.opts')
        {
            push @wrong, "$path: the rule of the original gives " . describe($theirs) . ", it left $expected->{$path}";
            next;
        }
        $same++, next if !defined $theirs && !defined $ours && $path ne 'postmaster.opts' || same($theirs, $ours);
        my ($reason) = grep { $path =~ $_->[1] && $_->[3]->($path, $theirs, $ours, $pair) } @allowed;
        if ($reason) { $pair->{seen}{ $reason->[0] }++ }
        else { push @wrong, "$path: " . describe($ours) . '; the original: ' . describe($theirs) }
    }
    is(join("\n", @wrong), '', 'each file is what the original left, but for differences with a reason');
    $used{$_} += $pair->{seen}{$_} for keys %{ $pair->{seen} };
    note("$same files are the same; " . join(', ', map { "$_: $pair->{seen}{$_}" } sort keys %{ $pair->{seen} }));
    return;
}

# Where the source was a running server, its original left the same but for what the start of that server changed.
sub is_same_from_server
{
    my ($pair) = @_;
    my ($local, $server) = map { manifest($pair->{golden} =~ s/-local$/-$_/r . '.manifest') } qw(local server);
    my @differ = grep { ($local->{$_} // '') ne ($server->{$_} // '') } sort keys %{ { %$local, %$server } };
    my @wrong =
        grep {
            !m{^(backup_label|(?:.*/)?pg_internal\.init|global/pg_control|pg_stat/\w+\.stat|pg_xlog/$pair->{last_segment})$} } @differ;
    is("@wrong", '', 'from a server the original left the same, but for what a start changes');
    return;
}

# The same positions in the words of now.
sub is_same_log
{
    my ($pair, $stderr) = @_;
    my @expected = map { lsn($_) } slurp("$pair->{golden}.log")
        =~ m{(?:diverged at WAL position|common checkpoint at) (\S+) on timeline 1\b}g;
    my @found = map { lsn($_) } $stderr =~ m{(?:diverged at WAL location|common checkpoint at) (\S+) on timeline 1\b}g;
    is("@found", "@expected", 'the histories part where the original saw it, and the common checkpoint is the same');
    return;
}

sub rewind_pair
{
    my ($version, $name) = @_;
    my $dir = work_dir() . "/$version-$name";
    my ($golden) = glob("$fixtures/$version/golden" . ($name =~ s/^pair//r) . '/*-local.manifest');
    my $pair = { version => $version, dir => $dir, golden => $golden =~ s/\.manifest$//r, seen => {} };

    mkdir $dir or die "$dir: $!";
    must_run([ 'sh', '-c', 'zstd -q -d --long=27 <"$0" | tar -x -C "$1"', "$fixtures/$version/$name.tar.zst", $dir ]);
    must_run([ 'cp', '-r', "$dir/target", "$dir/rewound" ]);
    look_at($pair);
    my $result = run([ rewind_argv("$dir/rewound", "--source-pgdata=$dir/source", '--no-sync') ]);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    if ($result->{status} == 0)
    {
        look_at_recovery($pair);
        is_same_log($pair, $result->{stderr});
        is_as_listed($pair);
        is_same_from_server($pair);
    }
    must_run([ 'rm', '-rf', $dir ]);
    return;
}

# They ask for other ways to go than the original's.
delete $ENV{PG_REWIND_TEST_OPTIONS};

for my $version (sort keys %control_of)
{
    for my $name (qw(pair-tiny pair))
    {
        subtest("$version, $name", sub { rewind_pair($version, $name) });
    }
}
is(join(', ', grep { !$used{$_} } (map { $_->[0] } @allowed), 'blocks rebuilt', 'blocks more', 'late start', 'spgist'),
    '',
    'each difference allowed was seen');
done_testing();
