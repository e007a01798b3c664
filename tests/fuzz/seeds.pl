# seeds.pl DATA SERVERS OUT: first inputs for the fuzz targets, from bytes of real servers (tests/data) and their
# sample files.  A corpus is made of them and of what was found, by libFuzzer's -merge=1.
use strict;
use warnings;

my ($data, $servers, $out) = @ARGV;
my @versions = (10 .. 19, 9.3, 9.4, 9.5, 9.6);
my %count;

sub content
{
    my ($file) = @_;

    open(my $handle, '<:raw', $file) or die "$file: $!";
    local $/;
    return scalar <$handle>;
}

sub seed
{
    my ($target, $bytes) = @_;
    my $directory = "$out/$target";

    mkdir $out;
    mkdir $directory;
    open(my $handle, '>:raw', sprintf('%s/seed%03d', $directory, $count{$target}++)) or die "$directory: $!";
    print $handle $bytes;
    close $handle;
}

for my $index (0 .. $#versions)
{
    my $version = $versions[$index];
    my $number = chr($index);
    my $control = content("$data/$version.control");
    my $pages = content("$data/$version.pages");
    my $history = content("$data/$version.history");
    my $records = content("$data/$version.records");
    my @records;

    while (length($records) > 0)
    {
        my $length = unpack('x8 L<', $records);
        push @records, substr($records, 8, $length);
        $records = substr($records, 8 + $length);
    }
    seed('control', $_) for unpack('(a512)*', $control);
    seed('history', $history);
    seed('walpage', $number . chr(1) . substr($pages, 0, 48));
    seed('walpage', $number . chr(0) . substr($pages, 8192, 48));
    seed('walrecord', $number . $_) for grep { length($_) < 600 } @records;
    # Layout of these three: see the targets' comments.
    for my $first (0 .. int($#records / 8))
    {
        my @some = grep { defined($_) && length($_) < 1000 } @records[ $first * 8 .. $first * 8 + 7 ];
        my $bytes = join '', map { pack('C C S< a*', 0, 0, length($_), $_) } @some;
        seed('wal_scan', pack('C5', $index, 2 * $first, 40 * ($first % 7), 5, 0) . $bytes);
    }
    my $label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
        . "CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n"
        . "START TIME: 2026-11-20 12:00:00 UTC\nLABEL: pg_basebackup base backup\n"
        . ($version >= 11 ? "START TIMELINE: 1\n" : '')
        . ($version >= 17 ? "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n" : '');
    my $pid = "12345\n/var/lib/postgresql/$version/main\n1700000000\n5432\n/tmp\nlocalhost\n  5432001     32768\nready   \n";
    my $sample = content("$servers/postgres-$version/native/share/postgresql/postgresql.conf.sample")
        if -f "$servers/postgres-$version/native/share/postgresql/postgresql.conf.sample";

    seed('backup_label', $label);
    seed('recovery_conf', "restore_command = 'cp /archive/%f \"%p\"'\t# $version\nprimary_conninfo = 'host=a'\n");
    seed('recovery_conf', substr($sample, 2000 * $index, 2000)) if defined $sample;
    seed('target_files', join("\xff", "$version\n", $label, $pid,
        "restore_command = 'cp /archive/%f \"%p\"'\n", chr($index) . substr($control, 512, 512)));
}
# The type by its place in the file; as stored, and after a header.
my @types = map { /^type\t(\d+)/ } split /\n/, content("$data/lost_types");
my %place = map { $types[$_] => $_ } 0 .. $#types;
for my $line (split /\n/, content("$data/lost_values"))
{
    my ($type, $hex) = split /\t/, $line;
    my $bytes = pack('H*', $hex);

    seed('lost_values', pack('C C', $place{$type}, 0) . $bytes);
    seed('lost_values', pack('C C', $place{$type}, 1) . substr($bytes, 1)) if ord($bytes) & 1;
    seed('lost_values', pack('C C x18 S< S< C x a*', $place{$type}, 3, 1, 0, 24, $bytes));
}
seed('lost_values', pack('C C', $place{25}, 0) . pack('C C L<4', 1, 18, 30, 10, 77, 16400));
seed('lost_values', pack('C C', $place{25}, 2) . pack('L< H*', 25, '0861626c0f030321'));
my $work = 'pg_rewind.work';
my @entries = (
    [0, 'base/7', ''], [1, 'pg_tblspc/16401', '/space/location'], [2, 'base/5/1006', "$work/f7"],
    [2, 'pg_tblspc/1/PG_15_202209061/5/1', "/space/$work/f8"], [3, 'base/5/1000', '', 0, 0, 81920],
    [4, '', "$work/data", 8192, 0, 8192], [4, '', "pg_tblspc/1/$work/data", 16384, 8192, 8192],
    [2, 'pg_tblspc/1/PG_15_202209061/5/2', "/space/$work.PG_15_202209061/f9"], [7, "/space/$work.PG_15_202209061", ''],
    [5, 'base/5/1003', ''], [6, 'base/6', ''], [7, "/space/$work", ''], [7, $work, '']);
my ($short, $long) = ('', '');

for my $entry (@entries)
{
    my ($kind, $path, $other, @numbers) = (@$entry, 0, 0, 0);
    my $numbers = pack('Q<3', @numbers[ 0 .. 2 ]);

    $short .= pack('C C C', $kind, length $path, length $other) . $path . $other . $numbers;
    $long .= pack('L< C', 29 + length($path) + length($other), $kind) . $numbers
        . pack('S< a* S< a*', length $path, $path, length $other, $other);
}
seed('journal', chr(2) . $long);
seed('journal', chr(3) . $short);
# The smallest whole file, with and without its CRC; of both formats.
seed('journal', chr(1) . 'PGRWJRNL' . pack('L< L< x34 L<3 Q<2', 1, 34 + 3 * 8192 + 12, 0, 0, 0, 0, 0));
seed('journal', chr(1) . 'PGRWJRNL' . pack('L< L< x34 L<4 Q<2', 2, 34 + 3 * 8192 + 16, 0, 0, 0, 0, 0, 0));
seed('places', "W/space/$work.PG_15_202209061\0W/space/$work\0Wpg_tblspc/1/$work\0L/space/location\0");
seed('places', "L/space/location\0W../$work\0L../location\0W/$work\0");
seed('recovery_conf', "include 'a'\nrestore_command 'x''y\\n\\101' \nRESTORE_COMMAND=\"\"\n");
