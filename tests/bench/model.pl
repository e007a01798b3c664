#!/usr/bin/perl
# What a rewind of 100 GB, 1 TB and 10 TB takes, counted from measured rates of each phase; beside it the original and a base backup.
#
#   model.pl [RESULTS]    the directory where tests/bench.sh keeps results: build/bench by default
#
# Needs the results of scale, heavy, long and latency of one version. Prints Markdown: the rates, how well they foretell the
# sizes of `scale`, and the model, which design/performance.md has.

use strict;
use warnings;

use File::Basename qw(dirname);
use List::Util qw(max min);
use lib dirname(__FILE__);

use Results;
use Table;

use constant {
    FILE_SIZE => 32 * 1024**2,    # of a relation, on average
    LOST_WAL => 4e9,              # of the target since the last common checkpoint: is read
    SOURCE_WAL => 16e9,           # of the source since then: is fetched and replayed
    KEPT_WAL => 64e9,             # all that the source keeps: originals up to 18 copy it
    CHANGED => 2e9,               # blocks that are fetched
    CONNECTIONS => 8,             # of ours: one for each processor
    WINDOW => 4 * 1024**2,        # bytes that one TCP connection has under way at most: Linux's default, tcp_wmem
    BLOCK_BITS => 8192 * 8,       # bytes of relations for each byte of a map of blocks
};

my $results = kept_results($ARGV[0] // dirname(__FILE__) . '/../../build/bench');
my @sizes = ([ '100 GB', 1e11 ], [ '1 TB', 1e12 ], [ '10 TB', 1e13 ]);

sub workload { my ($title) = @_; return $results->{$title} // die "there is no result of \"$title\"\n" }

sub original_of { my ($workload) = @_; return (grep { /^original/ } @{ $workload->{programs} })[0] }

# Of the runs of a program the quickest, which other work on the machine has disturbed least.
sub quickest
{
    my ($title, $program) = @_;
    my $workload = workload($title);
    my $name = $program eq 'original' ? original_of($workload) : $program;
    return (sort { $a->{wall} <=> $b->{wall} } @{ $workload->{result}{$name}{all} })[0];
}

sub files_of { my ($title) = @_; return workload($title)->{text} =~ /(\d+) relation files/ ? $1 : die }

# Seconds and bytes of memory for each file, and what is there without any.
sub growth_of
{
    my ($program, $quantity) = @_;
    my ($small, $large) = map { quickest("scale, $_", $program)->{$quantity} } '100 GB', '10 TB';
    my ($few, $many) = map { files_of("scale, $_") } '100 GB', '10 TB';
    my $each = max(0, ($large - $small) / ($many - $few));
    return { each => $each, fixed => $small - $each * $few };
}

# Round trips that a program waits for, one after the other.
sub trips_of
{
    my ($program) = @_;
    my $latency = workload('latency');
    my $name = $program eq 'original' ? original_of($latency) : $program;
    my %seconds = map { $_->{milliseconds} => min(@{ $_->{all}{$name} }) }
        grep { $_->{tables} == 2 && $_->{connection} eq 'plain' } @{ $latency->{cells} };
    return ($seconds{200} - $seconds{0}) / 0.2;
}

# Rates of a program, in bytes a second but those of files and trips.
sub rates_of
{
    my ($program) = @_;
    my ($heavy, $long) = map { quickest($_, $program) } 'heavy', 'long';
    my ($time, $memory) = map { growth_of($program, $_) } 'wall', 'peak';
    my %rate = (file => $time->{each}, fixed => $time->{fixed}, file_memory => $memory->{each},
        memory => $memory->{fixed}, trips => trips_of($program));
    my ($wal) = workload('long')->{text} =~ /target ([\d.]+) GB/;
    if ($program eq 'original')
    {
        $rate{scan} = $wal * 1e9 / ($long->{wall} - $time->{fixed});
        $rate{fetch} = $heavy->{received} / ($heavy->{wall} - $time->{fixed});
        return \%rate;
    }
    my ($seconds, $fetched) = ($heavy->{report}{seconds}, $heavy->{report}{bytes}{fetched});
    $rate{scan} = $wal * 1e9 / $long->{report}{seconds}{scan};
    $rate{fetch} = $heavy->{received} / ($seconds->{scan} + $seconds->{stage});
    $rate{apply} = $fetched / $seconds->{apply};
    return \%rate;
}

# Seconds of a program for a cluster: size and the file size in bytes, link in bytes a second, round_trip in seconds; and what is fetched.
sub seconds_of
{
    my ($rate, %case) = @_;
    my $window = $case{round_trip} > 0 ? ($case{connections} // 1) * WINDOW / $case{round_trip} : 9**9**9;
    my $fetch = min($case{link}, $rate->{fetch}, $window);
    return $rate->{fixed} + $case{files} * $rate->{file} + $rate->{trips} * $case{round_trip} + $case{lost} / $rate->{scan}
        + $case{fetched} / $fetch + ($rate->{apply} ? $case{fetched} / $rate->{apply} : 0);
}

sub seconds_text { my ($seconds) = @_; return $seconds >= 5400 ? sprintf('%.1f h', $seconds / 3600) : $seconds >= 100
    ? sprintf('%.0f s', $seconds) : sprintf('%.1f s', $seconds) }

my %rate = map { $_ => rates_of($_) } qw(pg_rewind original);
my $backup = quickest('heavy', 'pg_basebackup');
$rate{backup} = { fixed => 0, file => 0, trips => 8, scan => 1, fetch => $backup->{received} / $backup->{wall} };
my $compare = $results->{compare} ? quickest('compare', 'pg_rewind') : undef;
my $digests = $compare ? $compare->{received} && 1.62e9 / $compare->{report}{seconds}{plan} : undef;

print "| measured | pg_rewind | ", original_of(workload('heavy')), " |\n|---|---:|---:|\n";
my $per_second = sub { return defined $_[0] ? bytes_text($_[0]) . '/s' : '' };
for my $row ([ 'a rewind of nearly nothing', 'fixed', sub { sprintf '%.2f s', $_[0] } ],
    [ 'for each file', 'file', sub { sprintf '%.1f µs', $_[0] * 1e6 } ],
    [ 'memory', 'memory', \&bytes_text ], [ 'memory for each file', 'file_memory', sub { sprintf '%.0f B', $_[0] } ],
    [ 'round trips waited for', 'trips', sub { sprintf '%.0f', $_[0] } ], [ "target's WAL read", 'scan', $per_second ],
    [ 'fetched', 'fetch', $per_second ], [ 'put into its place', 'apply', $per_second ])
{
    my ($name, $key, $text) = @$row;
    print "| $name | ", join(' | ', map { defined $rate{$_}{$key} ? $text->($rate{$_}{$key}) : '' } qw(pg_rewind original)), " |\n";
}
print "\npg_basebackup: ", bytes_text($rate{backup}{fetch}), "/s.", $digests ? ' Blocks compared: ' . bytes_text($digests) . "/s.\n" : "\n";

print "\n| `scale` | files | pg_rewind counted | measured | the original counted | measured |\n|---|---:|---:|---:|---:|---:|\n";
for my $size (@sizes)
{
    my $files = files_of("scale, $size->[0]");
    print "| $size->[0] | $files | ", join(' | ', map {
        my $program = $_;
        my $counted = $rate{$program}{fixed} + $files * $rate{$program}{file};
        my $memory = $rate{$program}{memory} + $files * $rate{$program}{file_memory};
        my $run = quickest("scale, $size->[0]", $program);
        (seconds_text($counted) . ', ' . bytes_text($memory), seconds_text($run->{wall}) . ', ' . bytes_text($run->{peak}));
    } qw(pg_rewind original)), " |\n";
}

print "\n| data | link | round trip | pg_rewind | original 19 | original 18 | base backup | memory of pg_rewind | of the original |\n",
    '|---|---|---:|---:|---:|---:|---:|---:|---:|', "\n";
for my $size (@sizes)
{
    my ($name, $bytes) = @$size;
    my $files = $bytes / FILE_SIZE;
    my $maps = $bytes / BLOCK_BITS;
    for my $link ([ '1 Gbit/s', 1.25e8 * 0.94 ], [ '10 Gbit/s', 1.25e9 * 0.94 ])    # what TCP leaves
    {
        for my $milliseconds (0, 20, 80)
        {
            my %case = (files => $files, link => $link->[1], round_trip => $milliseconds / 1000, lost => LOST_WAL);
            my $fetched = SOURCE_WAL + CHANGED;
            print "| $name | $link->[0] | $milliseconds ms | ", join(' | ', map { seconds_text($_) }
                seconds_of($rate{pg_rewind}, %case, fetched => $fetched, connections => CONNECTIONS),
                seconds_of($rate{original}, %case, fetched => $fetched),
                seconds_of($rate{original}, %case, fetched => KEPT_WAL + CHANGED),
                seconds_of($rate{backup}, %case, lost => 0, fetched => $bytes)),
                ' | ', join(' | ', map { bytes_text($rate{$_}{memory} + $files * $rate{$_}{file_memory} + 2 * $maps) } qw(pg_rewind original)), " |\n";
        }
    }
}
