# What was measured, for people: a table for each workload, and one of what was demanded.

package Table;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(table_of demands_of bytes_text);

# Units of 1000, three digits.
sub bytes_text
{
    my ($bytes) = @_;
    my @units = qw(B kB MB GB TB);
    while ($bytes >= 999.5 && @units > 1)
    {
        $bytes /= 1000;
        shift @units;
    }
    return $units[0] eq 'B' ? "$bytes B" : digits($bytes) . " $units[0]";
}

sub digits { my ($number) = @_; return sprintf($number >= 100 ? '%.0f' : $number >= 10 ? '%.1f' : '%.2f', $number) }

# Quantity, what it is called, how it is written.
my @rows = (
    [ wall => 'time', sub { digits($_[0]) . ' s' } ],
    [ cpu => 'user + system time', sub { digits($_[0]) . ' s' } ],
    [ peak => 'peak memory', \&bytes_text ],
    [ received => 'received from the source', \&bytes_text ],
    [ carried => 'carried by the link', \&bytes_text ],
    [ read => 'read by system calls', \&bytes_text ],
    [ written => 'written by system calls', \&bytes_text ],
    [ from_disk => 'read from the disk', \&bytes_text ],
    [ to_disk => 'written to the disk', \&bytes_text ],
    [ syncs => 'calls that wait for the disk', sub { sprintf '%.0f', $_[0] } ],
    [ starting_syncs => 'calls that only start writing', sub { sprintf '%.0f', $_[0] } ],
    [ scan_rate => 'WAL scanned per second, alone', \&bytes_text ],
    [ baseline_tps => 'transactions/s before', sub { sprintf '%.0f', $_[0] } ],
    [ tps => 'transactions/s meanwhile', sub { sprintf '%.0f', $_[0] } ],
    [ lost => 'transactions not done because of it', sub { sprintf '%.0f', $_[0] } ],
    [ latency => '99 % of transactions within', sub { sprintf '%.1f ms', $_[0] * 1000 } ],
    [ connections => 'connections at once', sub { sprintf '%.0f', $_[0] } ],
    [ backend => 'private memory of one backend, peak', \&bytes_text ],
    [ backends => 'private memory of all of them, peak', \&bytes_text ],
);
my %row = map { $_->[0] => $_ } @rows;

sub ratio_text { my ($by, $to) = @_; return $to > 0 && $by > 0 ? digits($by / $to) . ' ×' : '' }

# A workload's table. Its parts: title, text, programs (names; the first is the original that ratios are of), result (of Measure::compare),
# demands.
sub table_of
{
    my ($workload) = @_;
    my @names = @{ $workload->{programs} };
    my $result = $workload->{result};
    my $text = "### $workload->{title}\n\n$workload->{text}\n\n| | " . join(' | ', @names, 'ratio', 'demanded') . " |\n|---|"
        . '---:|' x (@names + 2) . "\n";
    for my $row (@rows)
    {
        my ($quantity, $label, $write) = @$row;
        my @values = map { $result->{$_}{$quantity} } @names;
        next if !grep { defined } @values;
        my ($by, $to) = ($values[0], $result->{pg_rewind}{$quantity});
        my $ratio = defined $by && defined $to && $quantity !~ /tps$/ ? ratio_text($by, $to) : '';
        $text .= "| $label | " . join(' | ', map { defined ? $write->($_) : '' } @values) . " | $ratio | "
            . join(', ', map { $_->{text} } grep { $_->{quantity} eq $quantity } @{ $workload->{demands} }) . " |\n";
    }
    $text .= "\nEach run, in seconds: " . join('; ', map { my $name = $_; "$name "
        . join(', ', map { digits($_->{wall}) } @{ $result->{$name}{all} }) } @names) . ".\n";
    my $report = $result->{pg_rewind}{typical}{report};
    $text .= 'pg_rewind received ' . join(', ', map { bytes_text($report->{bytes}{fetched_by_kind}{$_}) . ' ' . s/_/ /gr }
        grep { $report->{bytes}{fetched_by_kind}{$_} > 0 } sort keys %{ $report->{bytes}{fetched_by_kind} })
        . '; rebuilt by recovery: ' . bytes_text($report->{bytes}{rebuilt}) . ".\n" if $report && $report->{bytes}{fetched};
    $text .= 'pg_rewind by phase, in seconds: '
        . join(', ', map { "$_ $report->{seconds}{$_}" } grep { $_ ne 'total' } @{ $workload->{phases} }) . ".\n" if $report;
    return "$text\n";
}

# Rows of the table of what was demanded: workload, demand, what was reached, whether that suffices.
# A demand: { quantity, text, times => how many times less than the original } or { quantity, text, most => } or least.
sub demands_of
{
    my ($workload) = @_;
    my $result = $workload->{result};
    my ($original, $ours) = @{$result}{ $workload->{programs}[0], 'pg_rewind' };
    my $text = '';
    for my $demand (@{ $workload->{demands} })
    {
        my ($quantity, $write) = ($demand->{quantity}, $row{ $demand->{quantity} }[2]);
        my ($label, $reached, $good) = ($row{$quantity}[1]);
        my $value = $ours->{$quantity};
        if (defined $demand->{times})
        {
            my $times = $value > 0 ? $original->{$quantity} / $value : 9e9;
            ($reached, $good) = (digits($times) . ' ×', $times >= $demand->{times});
        }
        elsif (defined $demand->{least})
        {
            ($reached, $good) = ($write->($value), $value >= $demand->{least});
        }
        else
        {
            ($reached, $good) = ($write->($value), $value <= $demand->{most});
        }
        $text .= "| $workload->{title} | $label | $demand->{text} | $reached | " . ($good ? 'yes' : '**no**') . " |\n";
    }
    return $text;
}

1;
