# A bit that has flipped in the target's WAL is noticed, and said with its place; or it does not matter, and the result
# is the same. Never is it silently taken for the end of WAL. (Invariant 9. The reader is the same for all versions.)
#
#   source        ┌──── 2 ──────▶          ┬ divergence   ● last common checkpoint   * a flipped bit
#   target   1 ─●─┴──*─|──*──|─*─|*─▶      | segments of WAL
#
# The one end that nobody can tell from damage is in the last segment of a server that was killed: WAL is written, and
# lost in a power cut, in any order within a segment. There the end may come early, as it does for the server's own
# recovery. Where a later segment goes on, or pg_control of a server that was stopped knows of a later record, it may
# not.
#
# PG_REWIND_TEST_FLIPS=1000 flips more bits (PG_REWIND_TEST_POINTS=all as many), of targets of all versions from 11 on;
# PG_REWIND_TEST_SEED chooses others.
# (Rules C29, C50.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Dice;
use File::Basename qw(dirname);

use constant PAGE => 8192;
use constant SEGMENT => 1024 * 1024;

my $all = ($ENV{PG_REWIND_TEST_POINTS} // '') eq 'all';
my $flips = $ENV{PG_REWIND_TEST_FLIPS} // ($all ? 1000 : 40);
my $waldump = $ENV{WALDUMP} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/waldump';

sub number_of { my ($high, $low) = split m{/}, $_[0]; return hex($high) * 2**32 + hex($low) }
sub lsn_of { return sprintf '%X/%X', $_[0] >> 32, $_[0] & 0xFFFFFFFF }

# What a run says and plans, without what differs from run to run.
sub look
{
    my ($target, $source) = @_;
    my $result = rewind($target, $source, kind => 'directory', options => [ '--dry-run', '--report=json', '--debug' ]);
    my ($end) = $result->{stdout} =~ /"target_end": *"([^"]+)"/;
    my ($divergence) = $result->{stderr} =~ /servers diverged at WAL location (\S+)/;
    my ($checkpoint) = $result->{stderr} =~ /last common checkpoint at (\S+)/;
    my $plan = join "\n", grep { /\((?:NONE|COPY|COPY_TAIL|TRUNCATE|CREATE|REMOVE)\)$|^pg_rewind:   block/ } split /\n/,
        $result->{stderr};
    my @errors = grep { /error:|detail:/ } split /\n/, $result->{stderr};
    return {
        status => $result->{status}, signal => $result->{signal}, end => $end && number_of($end), plan => $plan,
        divergence => $divergence && number_of($divergence), checkpoint => $checkpoint && number_of($checkpoint),
        errors => "@errors",
    };
}

# [ LSN, size ] of the records of a target's timeline 1.
sub records
{
    my ($target) = @_;
    my @segments = sort grep { /^00000001[0-9A-F]{16}$/ } map { s{.*/}{}r } glob($target->path('pg_wal/*'));
    my $result = run([ $waldump, $target->data, @segments[0, -1] ]);
    return map { my ($lsn, $size) = m{^(\S+) prev \S+ len (\d+)}; [ number_of($lsn), $size ] } split /\n/,
        $result->{stdout};
}

# A byte of the WAL from here to there, and the bit.
sub choose
{
    my ($dice, $from, $end, @records) = @_;
    my $lsn = $from + $dice->number($end - $from);
    my $way = $dice->number(10);

    if ($way < 2) { $lsn = int($lsn / PAGE) * PAGE + $dice->number(24) }
    elsif ($way == 2) { $lsn = int($lsn / SEGMENT) * SEGMENT + $dice->number(40) }
    elsif ($way < 7)
    {
        my $record = $dice->pick(@records);
        $lsn = $record->[0] + $dice->number(24);
    }
    elsif ($way == 7)
    {
        # What goes on in the next page.
        my @crossing = grep { int($_->[0] / PAGE) != int(($_->[0] + $_->[1]) / PAGE) } @records;
        $lsn = $dice->pick(@crossing)->[0] + $dice->number(16) if @crossing;
    }
    $lsn = $from if $lsn < $from;
    return ($lsn, 1 << $dice->number(8));
}

sub flip
{
    my ($target, $lsn, $bit) = @_;
    my $path = $target->path(sprintf 'pg_wal/00000001%08X%08X', $lsn >> 32, ($lsn & 0xFFFFFFFF) / SEGMENT);
    open(my $file, '+<:raw', $path) or die "could not open $path: $!";
    sysseek($file, $lsn % SEGMENT, 0);
    sysread($file, my $byte, 1) == 1 or die "could not read $path";
    sysseek($file, $lsn % SEGMENT, 0);
    syswrite($file, chr(ord($byte) ^ $bit));
    close $file;
    return;
}

# What has to come of a bit flipped at lsn; returns what has, or '' when it is wrong.
sub judge
{
    my ($found, $expected, $lsn, $killed, @records) = @_;

    return '' if $found->{signal} != 0;
    if ($found->{status} == 1)
    {
        # Said is the record that the bit belongs to, or its page or segment if these cannot be read at all.
        my ($record) = grep { $_->[0] <= $lsn } reverse @records;
        my $first = int($lsn / SEGMENT) * SEGMENT;
        my ($before) = grep { $_->[0] < $first } reverse @records;
        for my $said ($found->{errors} =~ m{\b([0-9A-F]+/[0-9A-F]+)\b}g)
        {
            my $number = number_of($said);
            return 'noticed' if $number >= ($record ? $record->[0] : $first) && $number <= $lsn + PAGE;
            return 'noticed' if $lsn % PAGE < 40 && $number >= ($before ? $before->[0] : $first) && $number <= $lsn
                + PAGE;
        }
        return '';
    }
    return '' if $found->{status} != 0;
    return 'harmless' if $found->{end} == $expected->{end} && $found->{plan} eq $expected->{plan}
        && $found->{divergence} == $expected->{divergence};
    # Common WAL that can be read but is not the source's: more is rewound than need be.
    return 'earlier divergence' if $lsn < $expected->{divergence} && $found->{divergence} <= $lsn
        && $found->{end} == $expected->{end};
    # The end comes early where nothing shows that it is early.
    return 'end' if $killed && $found->{end} <= $lsn && int($lsn / SEGMENT) == int(($expected->{end} - 1) / SEGMENT);
    return '';
}

sub try_flips
{
    my ($target, $source, $killed, $seed) = @_;
    my $expected = look($target, $source);
    is($expected->{status}, 0, 'the target as it is can be rewound') or do { diag($expected->{errors}); return };
    my @records = grep { $_->[0] >= $expected->{checkpoint} } records($target);
    cmp_ok(int($expected->{end} / SEGMENT) - int($expected->{divergence} / SEGMENT), '>=', 3,
        'there are some segments');
    my $dice = RewindTest::Dice->new("flip $seed");
    my (%came, @wrong);

    for my $number (1 .. $flips)
    {
        # One of five in the common WAL, the others behind the divergence.
        my $from = $number % 5 == 0 ? $expected->{checkpoint} : $expected->{divergence};
        my ($lsn, $bit) = choose($dice, $from, $expected->{end}, grep { $_->[0] >= $from } @records);
        flip($target, $lsn, $bit);
        my $found = look($target, $source);
        flip($target, $lsn, $bit);
        my $judgement = judge($found, $expected, $lsn, $killed, @records);
        $came{ $judgement || 'wrong' }++;
        push @wrong,
            sprintf("flip %d: bit %d at %s: exit status %d, end %s (%s without), divergence %s (%s without): %s",
            $number, $bit, lsn_of($lsn),
            $found->{status}, lsn_of($found->{end} // 0), lsn_of($expected->{end}), lsn_of($found->{divergence} // 0),
            lsn_of($expected->{divergence}), $found->{errors}) if !$judgement;
    }
    is(join("\n", @wrong), '', "$flips flipped bits are noticed, or do not matter");
    note(join ', ', map { "$_: $came{$_}" } sort keys %came);
    cmp_ok($came{noticed} // 0, '>', $flips / 2, 'most are noticed');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)') },
        together => sub { $_[0]->sql(q{INSERT INTO t SELECT i, 'common' FROM generate_series(1, 3000) i}) },
        source => sub { $_[0]->sql(q{INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100) i}) },
        target => sub {
            my ($target) = @_;
            $target->sql(q{INSERT INTO t SELECT i, repeat('target', i % 300) FROM generate_series(1, 3000) i});
            $target->sql('UPDATE t SET a = a + 1');
            $target->sql('SELECT pg_switch_wal(); CREATE TABLE s AS SELECT i FROM generate_series(1, 3000) i');
        },
        stop => 'kill');
    $source->stop;
    my $seed = test_seed();
    my $killed = $target->copy('killed');
    subtest('a target that was killed', sub { try_flips($killed, $source, 1, "$version killed $seed") });
    $target->start->stop;
    subtest('a target that was stopped', sub { try_flips($target, $source, 0, "$version stopped $seed") });
}, $all || $ENV{PG_REWIND_TEST_FLIPS} ? (from => 11) : (only => [ 11, 18 ]));
