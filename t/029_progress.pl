# Progress: every line names its phase, a phase's total never changes, what is done never goes back, and a
# phase that did all it had to ends at 100%. As text the original's line, which is followed by the phase; as JSON an
# object a line.
#
#   source  1 ──┬── 2 ──▶   is read slowly
#   target      └──▶        was killed: how much WAL it has is not in pg_control

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my @slowly = qw(--max-rate=8M --no-sync);
my @measured = ('scan target WAL', 'fetch WAL', 'scan source WAL', 'stage WAL', 'compare files', 'fetch',
    'stage new WAL', 'check WAL', 'apply');

# The lines of progress as [ phase, done, total, percent ], in order.
sub text_lines
{
    my ($stderr) = @_;
    return map { /^ *(\d+)\/(\d+) kB \((\d+)%\) (?:copied|scanned|compared|applied|read) \(([A-Za-z ]+)\)$/
        ? [ $4, $1, $2, $3 ] : () }
        split /\n/, $stderr;
}

sub is_good
{
    my ($name, @lines) = @_;
    my ($last, @wrong) = ([ '', 0, 0, 100 ]);
    for my $line (@lines)
    {
        my ($phase, $done, $total, $percent) = @$line;
        my $begins = $phase ne $last->[0] || $last->[3] == 100;
        push @wrong, "a phase without its end: @$last" if $begins && $last->[3] != 100;
        push @wrong, "@$last, then @$line" if !$begins && ($done < $last->[1] || $total != $last->[2]);
        push @wrong, "more than all: @$line" if $done > $total || ($percent == 100 && $done != $total);
        $last = $line;
    }
    push @wrong, "no end: @$last" if $last->[3] != 100;
    my %ended;
    $ended{ $_->[0] }++ for grep { $_->[3] == 100 } @lines;
    is(join(', ', map { "$_ $ended{$_}" } grep { $ended{$_} > 1 } sort keys %ended), '',
        "$name: each phase reaches 100% once");
    is("@wrong", '', "$name: totals stay, nothing goes back, 100% is the end");
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 40000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0") },
        target => sub {
            $_[0]->sql("UPDATE t SET v = 'target'; CHECKPOINT");
            $_[0]->sql("CREATE TABLE u AS SELECT * FROM t");
            $_[0]->stop('immediate');
        });

    my $copy = $target->copy('json');
    my $result = rewind($copy, $source, options => [ @slowly, '--progress=json' ]);
    is($result->{status}, 0, 'the rewind with JSON succeeds') or diag($result->{stderr});
    my (@lines, %seconds, $finished);
    for my $line (grep { /^\{/ } split /\n/, $result->{stderr})
    {
        my $progress = JSON::PP->new->decode($line);
        is(join(' ', sort keys %$progress), 'bytes_per_second done_bytes finished phase seconds total_bytes',
            'the keys') if !%seconds;
        push @lines, [ @$progress{qw(phase done_bytes total_bytes)}, $progress->{finished} ? 100 : 99 ]
            if defined $progress->{total_bytes};
        push @{ $seconds{ $progress->{phase} } }, $progress->{seconds};
        $finished = $progress->{finished};
        # A rate is rounded to bytes, a time to milliseconds.
        cmp_ok(abs($progress->{done_bytes} - $progress->{bytes_per_second} * $progress->{seconds}), '<=', 8192
            + $progress->{bytes_per_second} / 1000,
            "the rate of $progress->{phase}") if !$progress->{finished} && $progress->{seconds} > 0.5;
    }
    is_good('JSON', @lines);
    ok($finished, 'the last line is the end of a phase');
    is(join(', ', grep { !$seconds{$_} } @measured, qw(identify list sync)), '', 'each phase is named');
    my $longest = (sort { $a <=> $b } map { scalar @$_ } values %seconds)[-1];
    cmp_ok($longest, '>=', 3, 'a phase has its begin, its end, and a line a second');
    unlike($result->{stderr}, qr/^pg_rewind: reading source file list$|kB \(/m, 'the text is not there as well');
    $copy->discard;

    $result = rewind($target, $source, options => [ @slowly, '-P' ]);
    is($result->{status}, 0, 'the rewind with text succeeds') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: reading source file list$/m, 'the messages of -P are the original\'s');
    @lines = text_lines($result->{stderr});
    is(scalar @lines, scalar(() = $result->{stderr} =~ / kB \(/g), 'each line names its phase');
    is_good('text', @lines);
    my %named = map { $_->[0] => 1 } @lines;
    is(join(', ', grep { !$named{$_} } @measured), '', 'each phase that has a total has lines');
    cmp_ok(scalar @lines, '>', scalar keys %named, 'a line a second');
    like($result->{stderr}, qr/^ *\d+\/\d+ kB \(\d+%\) copied/m, 'a line begins as the original\'s');
    rejoins($target, $source, quick => 1);
}, only => [18]);
