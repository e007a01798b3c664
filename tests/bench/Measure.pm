# What one run of a program costs, by the library tests/bench/count.c, which stands before the C library of any of them.

package Measure;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use RewindTest;
use Time::HiRes ();

our @EXPORT = qw(measured median compare);

# Run a program that has to succeed. Returns { wall, cpu, peak, received, read, written, from_disk, to_disk, syncs, starting_syncs }: seconds and
# bytes; and report, if it was asked for one, stderr, begin and end.
sub measured
{
    my ($program, @arguments) = @_;
    my $counts = work_dir() . '/counts';

    unlink $counts;
    must_run([ 'sync' ]);
    my $begin = Time::HiRes::time();
    my $result = run([ $program->{path}, @{ $program->{options} }, @arguments ],
        env => { LD_PRELOAD => $ENV{BENCH_COUNTER}, PG_REWIND_COUNTS => $counts }, seconds => 3600);
    my $end = Time::HiRes::time();
    die "$program->{name} failed:\n$result->{stderr}" if $result->{status} != 0 || $result->{signal} != 0;
    my %count = map { /^(\w+) (\d+)$/ } split /\n/, slurp($counts);
    return {
        wall => $end - $begin, cpu => ($count{user_us} + $count{system_us}) / 1e6, peak => $count{peak_kb} * 1024,
        received => $count{received}, read => $count{rchar}, written => $count{wchar},
        from_disk => $count{read_bytes}, to_disk => $count{write_bytes},
        syncs => $count{waiting_syncs}, starting_syncs => $count{starting_syncs},
        begin => $begin, end => $end, stderr => $result->{stderr},
        report => $result->{stdout} =~ /\A\{/ ? decode_json($result->{stdout}) : undef,
    };
}

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Run each program several times, in turns: rounds; programs; run => sub (program, is it the last time), returning what measured() does.
# Returns { program's name => { quantity => median }}, with all => [ each run ] and typical => the run of the median time.
sub compare
{
    my (%option) = @_;
    my @programs = @{ $option{programs} };
    my %runs;

    for my $round (1 .. $option{rounds})
    {
        for my $program ($round % 2 ? @programs : reverse @programs)
        {
            my $run = $option{run}->($program, $round == $option{rounds});
            push @{ $runs{ $program->{name} } }, $run;
            printf "    %-16s %8.2f s %8.2f s cpu\n", $program->{name}, $run->{wall}, $run->{cpu};
        }
    }
    my %result;
    for my $name (keys %runs)
    {
        my @all = @{ $runs{$name} };
        my @numbers = grep { !ref $all[0]{$_} && defined $all[0]{$_} && $all[0]{$_} =~ /^[\d.]+(e[-+]?\d+)?$/ } keys %{ $all[0] };
        $result{$name} = { map { my $quantity = $_; $quantity => median(map { $_->{$quantity} } @all) } @numbers };
        $result{$name}{all} = \@all;
        $result{$name}{typical} = (sort { $a->{wall} <=> $b->{wall} } @all)[ $#all / 2 ];
    }
    return \%result;
}

1;
