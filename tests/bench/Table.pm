# What was measured, for people: a table for each workload, and one of what was demanded.

package Table;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(min);

our @EXPORT = qw(table_of demands_of summary_of summary_head summary_columns bytes_text);

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
    [ ready => 'ready', sub { digits($_[0]) . ' s' } ],
    [ replaced => 'ready, and the old directory removed', sub { digits($_[0]) . ' s' } ],
    [ limit => 'limit: the same bytes in few calls', sub { digits($_[0]) . ' s' } ],
    [ of_limit => 'time, by the limit', sub { digits($_[0]) . ' ×' } ],
    [ cpu => 'user + system time', sub { digits($_[0]) . ' s' } ],
    [ peak => 'peak memory', \&bytes_text ],
    [ received => 'received from the source', \&bytes_text ],
    [ carried => 'carried by the link until ready', \&bytes_text ],
    [ read => 'read by system calls', \&bytes_text ],
    [ written => 'written by system calls', \&bytes_text ],
    [ from_disk => 'read from the disk', \&bytes_text ],
    [ to_disk => 'written to the disk', \&bytes_text ],
    [ occupied => 'most space taken below the target', \&bytes_text ],
    [ syncs => 'calls that wait for the disk', sub { sprintf '%.0f', $_[0] } ],
    [ starting_syncs => 'calls that only start writing', sub { sprintf '%.0f', $_[0] } ],
    [ scan_rate => 'WAL scanned per second, alone', \&bytes_text ],
    [ read_rate => 'WAL read per second, by large reads', \&bytes_text ],
    [ scan_of_read => 'scan, by reading', sub { digits($_[0]) . ' ×' } ],
    [ baseline_tps => 'transactions/s before', sub { sprintf '%.0f', $_[0] } ],
    [ tps => 'transactions/s meanwhile', sub { sprintf '%.0f', $_[0] } ],
    [ lost => 'transactions not done because of it', sub { sprintf '%.0f', $_[0] } ],
    [ latency => '99 % of transactions within', sub { sprintf '%.1f ms', $_[0] * 1000 } ],
    [ round_trips => 'round trips', sub { sprintf '%.0f', $_[0] } ],
    [ statements => 'statements that the source ran', sub { sprintf '%.0f', $_[0] } ],
    [ busy => 'time that they took there', sub { digits($_[0]) . ' s' } ],
    [ source_cpu => 'user + system time of its backends', sub { digits($_[0]) . ' s' } ],
    [ source_read => 'read by its backends', \&bytes_text ],
    [ log_lines => 'lines in its log', sub { sprintf '%.0f', $_[0] } ],
    [ log_bytes => 'size of these lines', \&bytes_text ],
    [ connections => 'connections at once', sub { sprintf '%.0f', $_[0] } ],
    [ backend => 'private memory of one backend, peak', \&bytes_text ],
    [ backends => 'private memory of all of them, peak', \&bytes_text ],
);
my %row = map { $_->[0] => $_ } @rows;

sub ratio_text { my ($by, $to) = @_; return $to > 0 && $by > 0 ? digits($by / $to) . ' ×' : '' }

# A workload's table. Its parts: title, text, date, commit, programs (names; the first is the one that ratios are of), result (of
# Measure::compare), demands.
sub table_of
{
    my ($workload) = @_;
    return $workload->{cells} ? table_of_cells($workload) : table_of_rows($workload);
}

sub head_of
{
    my ($workload) = @_;
    my $load = $workload->{load} ? "; load average of the machine $workload->{load}[0] before, $workload->{load}[1] after" : '';
    return "### $workload->{title}\n\n$workload->{text}\n\n"
        . "Measured $workload->{date}, commit $workload->{commit}, with $workload->{server}$load.\n\n";
}

# Of `latency`: a row for each line, number of tables, and kind of connection.
sub table_of_cells
{
    my ($workload) = @_;
    my @names = @{ $workload->{programs} };
    my $text = head_of($workload) . '| round trip | tables | connection | ' . join(' | ', @names, 'ratio', 'round trips of pg_rewind')
        . " |\n|---:|---:|---|" . '---:|' x (@names + 2) . "\n";
    for my $cell (@{ $workload->{cells} })
    {
        my %seconds = %{ $cell->{seconds} };
        $text .= "| $cell->{milliseconds} ms | $cell->{tables} | $cell->{connection} | " . join(' | ', map { digits($seconds{$_}) . ' s' } @names)
            . ' | ' . ($names[0] ne 'pg_rewind' ? ratio_text($seconds{ $names[0] }, $seconds{pg_rewind}) : '') . ' | ' . ($cell->{round_trips} // '') . " |\n";
    }
    return "$text\n";
}

# What is demanded of them: in none slower than the original; over a line of 80 ms at most half of its time.
sub demands_of_cells
{
    my ($workload) = @_;
    my ($original) = @{ $workload->{programs} };
    return '' if $original eq 'pg_rewind';
    my $row = sub {
        my ($what, $demanded, $least, @cells) = @_;
        return '' if !@cells;
        my $reached = min(map { $_->{seconds}{$original} / $_->{seconds}{pg_rewind} } @cells);
        return "| $workload->{title} | $what | $demanded | " . digits($reached) . ' × | ' . ($reached >= $least ? 'yes' : '**no**') . " |\n";
    };
    my @cells = @{ $workload->{cells} };
    return $row->('time, where it is least better', '≥ 1 ×', 1, @cells)
        . $row->('time at 80 ms, where it is least better', '≥ 2 ×', 2, grep { $_->{milliseconds} == 80 } @cells);
}

sub table_of_rows
{
    my ($workload) = @_;
    my @names = @{ $workload->{programs} };
    my $result = $workload->{result};
    my $text = head_of($workload) . '| | ' . join(' | ', @names, 'ratio', 'demanded') . " |\n|---|"
        . '---:|' x (@names + 2) . "\n";
    for my $row (@rows)
    {
        my ($quantity, $label, $write) = @$row;
        my @values = map { $result->{$_}{$quantity} } @names;
        next if !grep { defined } @values;
        my ($by, $to) = ($values[0], $result->{pg_rewind}{$quantity});
        my $ratio = $names[0] ne 'pg_rewind' && defined $by && defined $to && $quantity !~ /tps$/ ? ratio_text($by, $to) : '';
        $text .= "| $label | " . join(' | ', map { defined ? $write->($_) : '' } @values) . " | $ratio | "
            . join(', ', map { $_->{text} } grep { $_->{quantity} eq $quantity } @{ $workload->{demands} }) . " |\n";
    }
    $text .= "\nEach run, in seconds: " . each_run($workload, 'wall') . ".\n";
    $text .= 'Each time until it was ready: ' . each_run($workload, 'ready') . ".\n" if defined $result->{pg_rewind}{ready};
    $text .= 'Replayed at least, of WAL: ' . join(', ', map { "$_ " . bytes_text($result->{$_}{typical}{report}{replay}{bytes}) }
        grep { $result->{$_}{typical}{report}{replay} } @names) . ".\n" if $result->{pg_rewind}{typical}{report}{replay};
    my $report = $result->{pg_rewind}{typical}{report};
    $text .= 'pg_rewind received ' . join(', ', map { bytes_text($report->{bytes}{fetched_by_kind}{$_}) . ' ' . s/_/ /gr }
        grep { $report->{bytes}{fetched_by_kind}{$_} > 0 } sort keys %{ $report->{bytes}{fetched_by_kind} })
        . '; rebuilt by recovery: ' . bytes_text($report->{bytes}{rebuilt}) . ".\n" if $report && $report->{bytes}{fetched};
    for my $name (grep { $result->{$_}{typical}{report}{seconds} } @names)
    {
        my $seconds = $result->{$name}{typical}{report}{seconds};
        $text .= "$name by phase, in seconds: " . join(', ', map { "$_ $seconds->{$_}" } qw(identify scan plan stage apply)) . ".\n";
    }
    return "$text\n";
}

sub each_run
{
    my ($workload, $quantity) = @_;
    my $runs = sub { my ($name) = @_; return join ', ', map { digits($_->{$quantity}) } @{ $workload->{result}{$name}{all} } };
    return join('; ', map { "$_ " . $runs->($_) } @{ $workload->{programs} });
}

# Rows of the table of what was demanded: workload, demand, what was reached, whether that suffices.
# A demand is { quantity, text } and one of: times => how many times less than `of`; most, least; sooner => 1: less than all but ours.
sub demands_of
{
    my ($workload) = @_;
    return demands_of_cells($workload) if $workload->{cells};
    my $result = $workload->{result};
    my $text = '';
    for my $demand (@{ $workload->{demands} })
    {
        my ($quantity, $label, $write) = @{ $row{ $demand->{quantity} } };
        my $value = $result->{pg_rewind}{$quantity};
        my $others = $demand->{sooner} ? min(map { $result->{$_}{$quantity} } grep { !/^pg_rewind/ } @{ $workload->{programs} })
            : defined $demand->{times} ? $result->{ $demand->{of} }{$quantity} : undef;
        my $times = $demand->{times} // 1;
        my ($reached, $good) = defined $others ? ($value > 0 ? digits($others / $value) . ' ×' : '', $others >= $times * $value)
            : ($write->($value), defined $demand->{least} ? $value >= $demand->{least} : $value <= $demand->{most});
        $text .= "| $workload->{title} | $label | $demand->{text} | $reached | " . ($good ? 'yes' : '**no**') . " |\n";
    }
    return $text;
}

# The table of all workloads: of each kind of program time, ready, and megabytes received. Where there is ours alone, it has no row.
my @columns = ([ 'pg_rewind' => qr/^pg_rewind$/ ], [ 'the original' => qr/^original [\w.]+$/ ],
    map { [ $_ => qr/^\Q$_\E$/ ] } qw(pg_basebackup pgBackRest rsync));

sub summary_columns { return map { $_->[0] } @columns }

sub summary_head
{
    return '| | ' . join(' | ', summary_columns()) . " |\n|---|" . '---:|' x @columns . "\n";
}

sub summary_of
{
    my ($workload) = @_;
    return '' if $workload->{cells};
    my $result = $workload->{result};
    return '' if !defined $result->{pg_rewind}{ready} || !grep({ !/^pg_rewind/ } @{ $workload->{programs} });
    my @cells = map {
        my $pattern = $_->[1];
        my ($name) = grep { $_ =~ $pattern } @{ $workload->{programs} };
        my $values = defined $name ? $result->{$name} : undef;
        $values ? join(' / ', digits($values->{wall}), digits($values->{ready}), digits($values->{received} / 1e6)) : '';
    } @columns;
    return "| $workload->{title} | " . join(' | ', @cells) . " |\n";
}

1;
