#!/usr/bin/perl
# Make BENCHMARKS.md and its chart of what was measured: of each workload the result that was kept, if it was run in full size, else what
# BENCHMARKS.md says of it already.
#
#   compose.pl RESULTS BENCHMARKS.md CHART.svg [--all]    --all: also what was not run in full size
#
# Run by tests/bench.sh.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__);

use Chart;
use Results;
use Table;

my @order = ('typical', 'typical, dry run', 'typical, directory', 'load', 'compare', 'compare, 1 Gbit/s', 'link, 1 Gbit/s',
    'link, 100 Mbit/s', 'latency', 'heavy', 'heavy, after a checkpoint', 'cores', 'production', 'hot', 'behind', 'behind, large', 'files',
    'long', 'big', (map { "scale, $_" } '100 GB', '1 TB', '10 TB', map { "$_ files of one side" } 1000, 5000, 25000));

# The newest version's workloads come first, then those of each older one.
sub place_of
{
    my ($title) = @_;
    my ($name, $version) = $title =~ /^(.*?)(?:, (\d+))?$/;
    my ($place) = grep { $order[$_] eq $name } 0 .. $#order;
    return ($version ? 100 * (100 - $version) : 0) + ($place // 99);
}

my %charted = map { $_ => 1 } 'typical', 'link, 1 Gbit/s', 'heavy';

# { title => { section, demands, summary }}: what a BENCHMARKS.md has of each workload.
sub parts_of
{
    my ($text) = @_;
    my ($head, @sections) = split /^(?=### )/m, $text;
    my %parts;
    for my $section (@sections)
    {
        my ($title) = $section =~ /\A### (.*)\n/;
        $parts{$title}{section} = $section;
    }
    for my $line (split /^/m, $head // '')
    {
        my ($title, @cells) = $line =~ /^\| (\S[^|]*?) \|(.*)\|$/ ? ($1, split /\|/, $2) : next;
        $parts{$title}{ @cells == 4 ? 'demands' : 'summary' } .= $line if $parts{$title};
    }
    return \%parts;
}

# Of a workload's row of the summary what the chart shows.
sub group_of
{
    my ($row, @programs) = @_;
    my (undef, $title, @cells) = split /\s*\|\s*/, $row;
    my @bars = map {
        my ($program, $ready) = ($programs[$_], (split m{ / }, $cells[$_] // '')[1]);
        defined $ready ? [ $program, $ready, "$ready s", $program eq 'pg_rewind' ? 'ours' : 'other' ] : ();
    } 0 .. $#programs;
    return @bars ? [ $title, @bars ] : ();
}

sub spew
{
    my ($path, $text) = @_;
    open(my $file, '>', $path) or die "could not create $path: $!";
    print {$file} $text;
    close($file) or die "could not write $path: $!";
    return;
}

sub slurp { my ($path) = @_; open(my $file, '<', $path) or return ''; local $/ = undef; return scalar <$file> }

my ($directory, $path, $chart_path, $all) = @ARGV;
my $parts = parts_of(slurp($path));
my $results = kept_results($directory);
for my $workload (grep { $all || $_->{full} } values %$results)
{
    $parts->{ $workload->{title} } = { section => table_of($workload), demands => demands_of($workload), summary => summary_of($workload) };
}
my @titles = sort { place_of($a) <=> place_of($b) || $a cmp $b } keys %$parts;
my ($newest) = sort { $b->{date} cmp $a->{date} } values %$results;
die "nothing is in $directory\n" if !$newest;
my ($machine, $version) = @{ $results->{typical} // $newest }{qw(machine version)};
my $join = sub { my ($part) = @_; return join '', map { $parts->{$_}{$part} // '' } @titles };
my $summary = $join->('summary');
my $chart = $chart_path =~ s{.*/(?=docs/)}{}r;

spew($path, <<"END" . $join->('section'));
# Benchmarks

`make bench` measures this: each program in turns, on fresh copies of one target, everything synced before. *Ready* is the time from the
tool's start until the standby is back: its server runs, with `fsync`, it streams, and it has replayed what the source had when the tool
ended. A pgBackRest backup was made just before, which is not counted; rsync runs between `pg_backup_start` and `pg_backup_stop`, and sends
differences, as between two machines. These, and pg_basebackup, make a checkpoint on the source: they come last, after one that is not counted.
pg_basebackup wants an empty directory. What it takes to remove the old one, which all others do, is in a line below *ready* where
it was measured, and there "before all others" is demanded of that line.
Source, target and repository share the machine and its disk; the files were written just before, so most are in memory.
Each original rewinds clusters of its own version, and ours is run beside it on the same; a title without a version is of the newest.
Each workload can be measured by itself: its table has its date and commit, and how busy the machine was with other work.

- Machine: $machine
- Ours: $version

![Seconds until the standby is back, by workload and program]($chart)

Seconds of the tool / seconds until ready / MB received from the source. (Of pgBackRest: from the repository. WAL that is streamed later
is not counted.)

@{[ summary_head() ]}$summary
| workload | what | demanded | reached | |
|---|---|---:|---:|---|
@{[ $join->('demands') ]}
END
# A chart of all would be read by nobody; README.md explains these in a line.
my $small = 'started, streaming, caught up; less is better; each workload has a scale of its own';
my @groups = grep { $charted{ $_->[0] } } map { group_of($_, summary_columns()) } split /\n/, $summary;
spew($chart_path, chart_of('Seconds until the standby is back', $small, @groups)) if @groups;
