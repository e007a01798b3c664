#!/usr/bin/perl
# Histories thrown by dice, rewound and compared: run by tests/chaos.sh, see there.
#
#   --runs=N           how many; the seeds are SEED, SEED + 1, ...
#   --seed=SEED        the first seed; by default one that was not there before
#   --versions="A B"   server versions, taken in turn; not optional
#   --jobs=N           how many at a time; default 2
#   --set NAME=VALUE   fix a choice of t/lib/RewindTest/Chaos.pm, kind for example
#   --keep=DIR         where the clusters of failed runs go; default: below the current directory
#   --one              run the seed in this process: what the others are started with

use strict;
use warnings;

use Getopt::Long;
use POSIX ':sys_wait_h';
use RewindTest;
use RewindTest::Chaos;
use Time::HiRes qw(time sleep);

use constant RUN_SECONDS_MAX => 300;

my %option = (runs => 20, seed => time % 1_000_000 * 1000, jobs => 2, keep => 'failed', versions => undef);
my %fixed;
GetOptions(\%option, 'runs=i', 'seed=i', 'jobs=i', 'keep=s', 'versions=s', 'one',
    'set=s%' => sub { $fixed{ $_[1] } = $_[2] })
    && defined $option{versions} or exit 1;
$option{seed} = int $option{seed};
my @versions = split ' ', $option{versions};

sub keep_dir { my ($seed) = @_; return "$option{keep}/$seed" }
sub log_path { my ($seed) = @_; return "$option{keep}/$seed.log" }
sub choice_of { my ($seed) = @_; return choose($seed, version => $versions[ $seed % @versions ], %fixed) }

# ---------------------------------------------------------------- one run

sub run_one
{
    my $choice = choice_of($option{seed});
    note(describe($choice));
    my @ends = eval { play($choice) };
    ok(scalar @ends, 'it came to its end') or diag($@);
    print '# end: ', join('; then ', @ends), "\n";
    my $passed = Test::More->builder->is_passing;
    save_clusters(keep_dir($option{seed})) if !$passed;
    done_testing();
    exit($passed ? 0 : 1);
}

# ---------------------------------------------------------------- many runs

my %running;    # pid => { seed, begin }
my %tally;      # version, kind => { rewound, refused, failed }
my %ends;
my ($seconds, $failed, $done) = (0, 0, 0);

sub start_run
{
    my ($seed) = @_;
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        open(STDOUT, '>', log_path($seed)) or die "could not create " . log_path($seed) . ": $!";
        open(STDERR, '>&', \*STDOUT);
        exec $^X, (map { "-I$_" } grep { !ref } @INC[ 0 .. 0 ]), $0, '--one', "--seed=$seed", "--keep=$option{keep}",
            "--versions=$option{versions}", map { ('--set', "$_=$fixed{$_}") } sort keys %fixed;
    }
    $running{$pid} = { seed => $seed, begin => time };
    return;
}

sub count_ends
{
    my ($choice, @ends) = @_;
    for my $round (0 .. $#ends)
    {
        my $end = $ends[$round];
        my $kind = $end =~ /refused \(|^no history/ ? 'refused' : 'rewound';
        $tally{ $choice->{version} }{ $choice->{rounds}[$round]{kind} }{$kind}++;
        $ends{$end}++;
    }
    return;
}

sub note_end
{
    my ($pid, $status) = @_;
    my $run = delete $running{$pid} // return;
    my $seed = $run->{seed};
    my $elapsed = time - $run->{begin};
    my $choice = choice_of($seed);
    my $log = slurp(log_path($seed));
    my @ends = split /; then /, ($log =~ /^# end: (.*)/m)[0] // 'nothing';
    append("$option{keep}/results", join("\t", $seed, $choice->{version}, $status == 0 ? 'ok'
        : 'FAILED', sprintf('%.1f', $elapsed),
        join('; then ', @ends)) . "\n");
    $seconds += $elapsed;
    $done++;
    if ($status == 0)
    {
        count_ends($choice, @ends);
        unlink log_path($seed);
        return;
    }
    $failed++;
    $tally{ $choice->{version} }{ $choice->{rounds}[$#ends]{kind} }{failed}++;
    my @lines = grep { /^not ok|^#\s+(Failed|got|expected|pg_rewind:|source|target|gave up)|killed after/ } split /\n/,
        $log;
    splice @lines, 12 if @lines > 12;
    printf "FAILED after %.0f s: %s\n%s\n    see %s\n", $elapsed, describe($choice),
        join("\n", map { '    ' . substr($_, 0, 300) } @lines), log_path($seed);
    return;
}

sub end_those_that_hang
{
    for my $pid (keys %running)
    {
        kill 'TERM', $pid if time - $running{$pid}{begin} > RUN_SECONDS_MAX;
    }
    return;
}

sub print_tally
{
    my @kinds = qw(server standby cascade directory standby_directory);
    print "\nversion", (map { sprintf '%20s', $_ } @kinds), "    rewound / refused / failed\n";
    for my $version (sort { $a <=> $b } keys %tally)
    {
        printf '%7s', $version;
        printf '%20s', join(' / ', map { $_ // 0 } @{ $tally{$version}{$_} // {} }{qw(rewound refused
            failed)}) for @kinds;
        print "\n";
    }
    print "$ends{$_}: $_\n" for sort { $ends{$b} <=> $ends{$a} || $a cmp $b } keys %ends;
    printf "%d runs, %d failed, %.1f s each\n", $done, $failed, $done ? $seconds / $done : 0;
    return;
}

sub run_many
{
    mkdir $option{keep};
    $| = 1;
    print "seeds from $option{seed} on\n";
    my $next = $option{seed};
    while ($next < $option{seed} + $option{runs} || %running)
    {
        while ($next < $option{seed} + $option{runs} && keys %running < $option{jobs})
        {
            start_run($next++);
        }
        my $pid = waitpid(-1, WNOHANG);
        note_end($pid, $?) if $pid > 0;
        end_those_that_hang();
        sleep 0.05 if $pid <= 0;
        print "$done runs, $failed failed\n" if $pid > 0 && $done % 20 == 0;
    }
    print_tally();
    exit($failed ? 1 : 0);
}

$option{one} ? run_one() : run_many();
