#!/usr/bin/perl
# What a rewind costs, ours and the original's of version 15 side by side in one run: in turns, on fresh copies of one target, several
# rounds. Run by `make bench`, through tests/bench.sh. Environment:
#
#   WORKLOADS      of: typical heavy files long link big production; all by default
#   ORIGINAL       another original of version 15, measured as well
#   ROUNDS         3
#   SCALE          100, of pgbench
#   TRANSACTIONS   200000, of `heavy`, on each side
#   FILES          100000, of `files`
#   LONG_GB        8, WAL of `long`
#   BIG_FILES      1000000, of `big`
#
# Of each kind of run the last one's result is started as a standby, which has to stream and to reach the source. Nothing
# else is asserted: a benchmark is no test.

use strict;
use warnings;

use List::Util qw(max min sum);
use POSIX ();
use RewindTest;
use Table;
use Measure;
use Time::HiRes ();

$| = 1;
my %full = (SCALE => 100, TRANSACTIONS => 200_000, FILES => 100_000, LONG_GB => 8, BIG_FILES => 1_000_000, ROUNDS => 3);
my %size = map { $_ => $ENV{$_} || $full{$_} } keys %full;
my @workloads = qw(typical link heavy production files long big);
my %chosen = map { $_ => 1 } split ' ', $ENV{WORKLOADS} || "@workloads";
my $original_path = '/usr/lib/postgresql/15/bin/pg_rewind';
$ENV{PG_BINDIR_15} //= '/usr/lib/postgresql/15/bin';
my @originals = map { { name => name_of_original($_), path => $_, options => [] } } $original_path, grep { defined } $ENV{ORIGINAL};
$originals[1]{name} .= ', the other' if @originals > 1 && $originals[0]{name} eq $originals[1]{name};
my $ours = { name => 'pg_rewind', path => $ENV{PG_REWIND}, options => ['--report=json'], ours => 1 };
my @programs = (@originals, $ours);
my $began = time;
my @done;    # workloads that were measured, for the tables

my $settings = <<'END';
shared_buffers = 512MB
max_wal_size = 4GB
checkpoint_timeout = 1h
autovacuum = on
maintenance_work_mem = 256MB
END

sub name_of_original { my ($path) = @_; return 'original ' . (must_run([ $path, '-V' ]) =~ /(\d+\.\d+)/)[0] }

sub step { printf "%5d s  %s\n", time - $began, join '', @_; return }

# ---------------------------------------------------------------- pairs of clusters

sub pgbench
{
    my ($cluster, @options) = @_;
    must_run([ program('pgbench'), '-n', @options, $cluster->conninfo ], seconds => 3600);
    return;
}

# A running cluster. Others connect to it by a network only in the workload `link`.
sub new_cluster
{
    my ($name, $more) = @_;
    my $cluster = make_cluster($name, 15, checksums => 1, wal_segment_mb => 16, settings => $settings . ($more // ''));
    append($cluster->path('pg_hba.conf'), "host all,replication all 198.18.0.0/15 trust\n");
    return $cluster->start;
}

# Let a running cluster have a standby, which becomes a primary as well: the source. The cluster itself is stopped: the target.
#   together, source, target   subs as in RewindTest::split_brain
sub part
{
    my ($target, %option) = @_;
    my $source = $target->standby("$target->{name}-source");
    $option{together}->($target) if $option{together};
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $option{source}->($source) if $option{source};
    $option{target}->($target) if $option{target};
    $target->stop;
    return { source => $source, target => $target };
}

# Bytes in a pg_wal, files that wait for their use included.
sub wal_size { my ($cluster) = @_; return sum(0, map { -s } grep { m{/[0-9A-F]{24}\z} } glob($cluster->path('pg_wal/*'))) }

sub wal_text
{
    my ($pair) = @_;
    return 'WAL in pg_wal: source ' . bytes_text(wal_size($pair->{source})) . ', target ' . bytes_text(wal_size($pair->{target})) . '.';
}

# A server that has much to replay may take longer than pg_ctl waits.
sub start_patiently
{
    my ($cluster) = @_;
    $cluster->try_start;
    wait_until(sub { "$cluster->{name} starts; its log:\n" . $cluster->log }, sub { $cluster->try_sql('SELECT 1')->{status} == 0 || !$cluster->is_running });
    return;
}

# A rewound target starts, streams and reaches the source.
sub check_standby
{
    my ($standby, $source) = @_;
    start_patiently($standby);
    $source->sql('CREATE TABLE IF NOT EXISTS written_after_rewind (a int); INSERT INTO written_after_rewind VALUES (1)');
    $standby->wait_for_replay_of($source);
    my $state = $standby->query('SELECT status FROM pg_stat_wal_receiver');
    die "$standby->{name} does not stream but \"$state\":\n" . $standby->log if $state ne 'streaming';
    $standby->stop('immediate');
    return;
}

# ---------------------------------------------------------------- one kind of run

# Rewind fresh copies of a pair's target by each program. Options:
#   title, text, notes, demands, rounds   of the table
#   programs   all by default
#   conninfo   of a source that is reached in another way
#   kind       'server' (default), 'directory': the source is stopped; 'dry run': nothing changes, so no copies are needed
#   around     sub (run => sub, program): what happens around a run, and what it adds to the quantities measured
sub workload
{
    my ($pair, %option) = @_;
    my ($source, $target) = @{$pair}{qw(source target)};
    my $kind = $option{kind} // 'server';
    my @source = $kind eq 'directory' ? ('--source-pgdata', $source->data) : ('--source-server', $option{conninfo} // $source->conninfo);
    my @programs_here = @{ $option{programs} // \@programs };

    step($option{title});
    my $result = compare(programs => \@programs_here, rounds => $option{rounds} // $size{ROUNDS}, run => sub {
        my ($program, $last) = @_;
        return measured($program, @source, '-n', '-D', $target->data) if $kind eq 'dry run';
        my $copy = $target->copy('copy');
        my @recovery = $kind eq 'server' ? ('-R') : ();
        my $run = sub { measured($program, @source, @recovery, '-D', $copy->data) };
        my $measured = $option{around} ? $option{around}->($run, $program) : $run->();
        if ($last)
        {
            $source->start if $kind eq 'directory';
            $copy->follow($source) if !@recovery;
            check_standby($copy, $source);
            $source->stop if $kind eq 'directory';
        }
        $copy->discard;
        return $measured;
    });
    my $done = {
        %option, result => $result, programs => [ map { $_->{name} } @programs_here ],
        text => $option{text} . ' ' . (@{ $result->{pg_rewind}{all} } == 1 ? 'One round.' : "Median of @{[ scalar @{ $result->{pg_rewind}{all} } ]} rounds."),
        phases => [qw(identify scan plan stage apply)],
    };
    push @done, $done;
    print table_of($done);
    return $done;
}

my $little_memory = { quantity => 'peak', text => '≤ 64 MB', most => 64 * 1024**2 };

# ---------------------------------------------------------------- typical, link

sub typical_pair
{
    my $target = new_cluster('typical', "wal_keep_size = 2GB\n");
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    # A row of each page, so that all pages are in the WAL once more, and old WAL in pg_wal.
    $target->sql('CHECKPOINT; UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 60 = 0; CHECKPOINT');
    my $little = sub { pgbench($_[0], '-c', 4, '-t', 250) };
    return part($target, together => $little, source => $little, target => $little);
}

sub run_typical
{
    my ($pair) = @_;
    my $what = "pgbench scale $size{SCALE}; 1,000 transactions after the last common checkpoint, 1,000 on each side after the divergence. " . wal_text($pair);
    workload($pair, title => 'typical', text => "$what Source: a server, by a Unix socket.", demands => [
        { quantity => 'wall', text => '≥ 6 ×', times => 6 }, { quantity => 'received', text => '≤ 1/20', times => 20 }, $little_memory ]);
    workload($pair, title => 'typical, dry run', kind => 'dry run', text => 'The same pair, with `-n`.', demands => [
        { quantity => 'wall', text => '≥ 5 ×', times => 5 }, $little_memory ]);
    $pair->{source}->stop;
    workload($pair, title => 'typical, directory', kind => 'directory', text => 'The same pair. Source: a directory, its server stopped cleanly.', demands => [
        { quantity => 'wall', text => '≥ 3 ×', times => 3 }, $little_memory ]);
    $pair->{source}->start;
    return;
}

# ---------------------------------------------------------------- heavy

sub heavy_pair
{
    my $target = new_cluster('heavy', "wal_keep_size = 0\n");
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    $target->sql('CHECKPOINT');
    $target->configure('wal_keep_size = 32GB');    # from the next start on, which is the standby's
    my $much = sub { pgbench($_[0], '-c', 4, '-j', 2, '-t', $size{TRANSACTIONS} / 4) };
    return part($target, source => $much, target => $much);
}

sub run_heavy
{
    my ($pair) = @_;
    workload($pair, title => 'heavy', text => "pgbench scale $size{SCALE}; $size{TRANSACTIONS} transactions on each side after the divergence. "
        . wal_text($pair) . ' Source: a server, by a Unix socket.', demands => [
        { quantity => 'wall', text => '≥ 2 ×', times => 2 }, { quantity => 'received', text => '≤ 1/2', times => 2 }, $little_memory ]);
    return;
}

# ---------------------------------------------------------------- all

sub discard { my ($pair) = @_; $_->discard for values %$pair; return }

if ($chosen{typical} || $chosen{link})
{
    step('builds the pair for typical, link');
    my $pair = typical_pair();
    run_typical($pair) if $chosen{typical};
    discard($pair);
}
if ($chosen{heavy} || $chosen{production})
{
    step('builds the pair for heavy, production');
    my $pair = heavy_pair();
    run_heavy($pair) if $chosen{heavy};
    discard($pair);
}

# ---------------------------------------------------------------- what is written

sub first_line { my ($path, $pattern) = @_; return -r $path && slurp($path) =~ /$pattern/m ? $1 : 'unknown' }

sub machine
{
    my $cpu = first_line('/proc/cpuinfo', qr/^model name\s*: (.*)$/);
    my $cores = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my $memory = first_line('/proc/meminfo', qr/^MemTotal:\s*(\d+)/) * 1024;
    my $kernel = (POSIX::uname())[2] =~ s/^(\d+\.\d+\.\d+).*/$1/r;
    my $file_system = must_run([ 'stat', '-f', '-c', '%T', work_dir() ]);
    my $reflinks = run([ 'cp', '--reflink=always', $ENV{PG_REWIND}, work_dir() . '/reflink' ])->{status} == 0 ? 'with' : 'without';
    return "$cpu, $cores cores, " . bytes_text($memory) . " of memory; Linux $kernel; $file_system, $reflinks reflinks";
}

my $text = "# Benchmarks\n\n`make bench` has measured this, " . POSIX::strftime('%Y-%m-%d', gmtime) . ', in ' . int((time - $began) / 60 + 0.5) . " minutes: each program in turns, on fresh copies of one
target, everything synced before. Ratios are the original's number by ours. Servers: " . (must_run([ "$ENV{PG_BINDIR_15}/postgres", '-V' ]) =~ /(\d+\.\d+)/)[0]
    . ', with data checksums; ours: ' . (split /\n/, must_run([ $ours->{path}, '-V' ]))[0] . ($ENV{BENCH_COMMIT} ? ", commit $ENV{BENCH_COMMIT}" : '') . '. Machine: ' . machine() . ".\n\n"
    . "Source and target share the machine and its disk; all files are in its cache. Each kind of run was checked: the rewound target starts, streams and\nreaches the source.\n\n"
    . "| workload | what | demanded | reached | |\n|---|---|---:|---:|---|\n" . join('', map { demands_of($_) } @done) . "\n"
    . join('', map { table_of($_) } @done);
my $complete = !grep { !$chosen{$_} } @workloads;
$complete &&= !grep { $size{$_} != $full{$_} } keys %full;
spew("$ENV{TMPDIR}/" . ($complete ? 'BENCHMARKS.md' : 'part.md'), $text);
print $text;
step('ends');
