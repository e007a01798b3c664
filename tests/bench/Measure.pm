# What one run of a program costs, by the library tests/bench/count.c, which stands before the C library of any of them.

package Measure;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use List::Util qw(min);
use RewindTest;
use Time::HiRes ();

our @EXPORT = qw(measured measured_steps median compare);

# Run a program that has to succeed. Returns { wall, cpu, peak, received, read, written, from_disk, to_disk, syncs, starting_syncs }:
# seconds and bytes, to_disk without what was removed before it got there; and what tables need of its report, if there is one, begin, end, round_trips.
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
        from_disk => $count{read_bytes}, to_disk => $count{write_bytes} - $count{cancelled_write_bytes},
        syncs => $count{waiting_syncs}, starting_syncs => $count{starting_syncs},
        begin => $begin, end => $end, $result->{stdout} =~ /"round_trips":\s*(\d+)/ ? (round_trips => 0 + $1) : (),
        report => $result->{stdout} =~ /\A\{/ ? report_of($result->{stdout}) : undef,
    };
}

sub report_of
{
    my ($text) = @_;
    my $report = decode_json($text);
    return { map { $_ => $report->{$_} } grep { exists $report->{$_} } qw(seconds bytes replay recovery_start) };
}

# The same for what several programs do, some of which are several processes: without what only that library can count.
# What the steps return is added.
sub measured_steps
{
    my ($steps) = @_;
    must_run([ 'sync' ]);
    my @before = (counts_of_children());
    my $begin = Time::HiRes::time();
    my $more = $steps->();
    my $end = Time::HiRes::time();
    my @cost = map { $_ - shift @before } counts_of_children();
    return {
        %$more, wall => $end - $begin, begin => $begin, end => $end, cpu => $cost[0],
        read => $cost[1], written => $cost[2], from_disk => $cost[3], to_disk => $cost[4] - $cost[5],
    };
}

# Of this process and all its children that have ended: processor time, bytes read and written by calls, from and to the disk.
sub counts_of_children
{
    my (undef, undef, $user, $system) = times;
    my %io = slurp('/proc/self/io') =~ /^(\w+): (\d+)$/mg;
    return ($user + $system, @io{qw(rchar wchar read_bytes write_bytes cancelled_write_bytes)});
}

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Run each program several times, in turns: rounds (a program may have fewer of its own); programs; run => sub (program, is it the last
# time), returning what measured() does.
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
            my $rounds = min($option{rounds}, $program->{rounds} // $option{rounds});
            next if $round > $rounds;
            my $run = $option{run}->($program, $round == $rounds);
            push @{ $runs{ $program->{name} } }, $run;
            printf "    %-26s %8.2f s %8.2f s cpu%s\n", $program->{name}, @$run{qw(wall cpu)},
                defined $run->{ready} ? sprintf(', ready after %.2f s', $run->{ready}) : '';
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
