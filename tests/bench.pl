#!/usr/bin/perl
# What a rewind costs, ours and the original's side by side in one run, and other ways to make a standby: in turns, on
# fresh copies of one target, several rounds. Run by `make bench`, through tests/bench.sh, once for each version of the
# servers. Environment:
#
#   VERSION           of the servers; each original rewinds those of its own version
#   BENCH_NEWEST      1: no other version of this run is newer. All workloads are for it, and their titles are without a
#                     version; for others: typical load latency heavy hot behind
#   WORKLOADS         of: typical load compare link latency heavy cores production hot behind files long big scale;
#                     all by default
#   ORIGINAL          another original of this version, measured as well
#   NOTE              a sentence for the tables: what else the machine did, for instance
#   ROUNDS            3
#   SCALE             100, of pgbench
#   TRANSACTIONS      200000, of `heavy`, on each side
#   FILES             100000, of `files`
#   LONG_GB           8, WAL of `long`
#   HOT_GB            20, WAL of `hot`
#   BEHIND_SPARSE_GB  256, sparse files of `behind`; 0: without them
#   BIG_FILES         1000000, of `big`
#   SCALE_FILES       300000, of `scale`
#   TABLES            3000, of `latency`, which has pairs of 2 and 600 as well
#
# Each rewound target is started as a standby, and has to stream and to reach the source; the last one of each kind also
# gets what is written there then. Nothing else is asserted: a benchmark is no test. Each workload leaves its result
# below results/ of the directory TMPDIR; tests/bench/compose.pl makes BENCHMARKS.md of them.

use strict;
use warnings;

use List::Util qw(max min sum);
use Latency;
use Measure;
use Pairs;
use POSIX ();
use Ready;
use Results;
use RewindTest;
use Table;
use Time::HiRes ();
use Watch;
use Ways;

$| = 1;
my %full = (SCALE => 100, TRANSACTIONS => 200_000, FILES => 100_000, LONG_GB => 8, BIG_FILES => 1_000_000, HOT_GB => 20,
    BEHIND_SPARSE_GB => 256, TABLES => 3000, SCALE_FILES => 300_000, ROUNDS => 3);
my %size = map { $_ => length($ENV{$_} // '') ? $ENV{$_} : $full{$_} } keys %full;
my $version = $ENV{VERSION} || 15;
my $newest = $ENV{BENCH_NEWEST} // 1;
my @workloads = $newest ? qw(typical load compare link latency heavy cores production hot behind files long big
    scale)
    : qw(typical load latency heavy hot behind);
my %chosen = map { $_ => 1 } split ' ', $ENV{WORKLOADS} || "@workloads";
delete @chosen{ grep { my $name = $_; !grep { $_ eq $name } @workloads } keys %chosen };
$chosen{link} = 0 if !$ENV{BENCH_NETWORK};      # root makes the networks
$chosen{latency} = 0 if !$ENV{BENCH_LINES};
$ENV{PG_BINDIR_15} //= '/usr/lib/postgresql/15/bin';
my $bindir = RewindTest::Cluster::bindir_of_version($version);
my @originals = map { rewinding(name_of_original($_), $_) } grep { -x } "$bindir/pg_rewind", $ENV{ORIGINAL} || ();
$originals[1]{name} .= ', the other' if @originals > 1 && $originals[0]{name} eq $originals[1]{name};
my $ours = ours();
my @programs = (@originals, $ours);
my @base_backup = map { pg_basebackup($_) } grep { -x } "$bindir/pg_basebackup";
# Debian's pgBackRest knows no servers that are newer than it.
my @peers = (@base_backup, rsync(), $version <= 15 ? pgbackrest() : ());
my $began = time;
my @later;    # what is measured when nobody needs the source any more
# where there are others, and something is changed
my $sooner = { quantity => 'replaced', text => 'before all others', sooner => 1 };

# Without the list of lost transactions, 200,000 of them in `heavy`: nobody asked for it, and no other program writes
# one.
sub ours
{
    my (@options) = @_;
    my @report = ('--report=json', '--report-transactions=none');
    return { %{ rewinding(join(' ', 'pg_rewind', @options), $ENV{PG_REWIND}, @report, @options) }, ours => 1 };
}

sub name_of_original { my ($path) = @_; return 'original ' . (must_run([ $path, '-V' ]) =~ /\) (\S+)/)[0] }

sub step { printf "%5d s  %s\n", time - $began, join '', @_; return }

# ---------------------------------------------------------------- one kind of run

# Make standbys of fresh copies of a pair's target by each program. Options:
#   title, text, demands, rounds   of the table
#   sizes      those of %size that it depends on
#   programs   all by default
#   conninfo   of a source that is reached in another way
#   kind       'server' (default), 'directory': the source is stopped; 'dry run': nothing changes, so no copies are
#              needed
#   fresh      each run has a copy of the source as well, which is stopped
#   limit      what no program can be faster than is measured as well
#   apart      one more workload, of the peers and the program of this name: { ours, title, text, demands }
#   again      sub: starts the source where conninfo reaches it, for what is measured later
#   watch      sub (source, copy): begins to watch, as the functions of Watch do, while the tool runs
#   around     sub (run => sub, program, source): does what is to happen around a run, and returns what was measured
sub workload
{
    my ($pair, %option) = @_;
    my @programs_here = @{ $option{programs} // \@programs };
    my @undisturbed = grep { !$_->{disturbs} } @programs_here;
    my @disturbing = grep { $_->{disturbs} } @programs_here;

    $option{title} = title_of($option{title});
    step($option{title});
    $option{load_before} = load_average();
    my %comparison = (rounds => $option{rounds} // $size{ROUNDS}, run => sub { return one_run($pair, \%option, @_) });
    my $result = compare(%comparison, programs => \@undisturbed);
    my $finish = sub {
        step("$option{title}, others") if @disturbing;
        $option{again}->() if @disturbing && $option{again};
        $pair->{source}->sql('CHECKPOINT') if @disturbing;    # which costs none of them more than another
        $_->{prepare}->($pair->{source}) for grep { $_->{prepare} } @disturbing;
        my $others = compare(%comparison, programs => \@disturbing);
        $_->{finish}->() for grep { $_->{finish} } @disturbing;
        my $all = { %$result, %$others };
        keep(\%option, $all, map { $_->{name} } @programs_here);
        keep_apart(\%option, $all, map { $_->{name} } @programs_here) if $option{apart};
    };
    if (@disturbing) { push @later, $finish } else { $finish->() }
    return;
}

sub title_of { my ($title) = @_; return $newest ? $title : "$title, $version" }

# What was measured, in a file and in print.
sub keep
{
    my ($option, $result, @names) = @_;
    my $rounds = @{ $result->{pg_rewind}{all} };
    my @fewer = grep { @{ $result->{$_}{all} } < $rounds } @names;
    my @sizes = @{ $option->{sizes} };
    keep_done({
        result => $result, programs => \@names, title => $option->{title},
        demands => [ grep { is_possible($_, $result) } $sooner, @{ $option->{demands} } ],
        text => "$option->{text} " . ($rounds == 1 ? 'One round' : "Median of $rounds rounds")
            . (@fewer ? '; one of ' . join(', ', @fewer) : '') . '.',
    }, $option);
    return;
}

# The same of a result that has its title, its text, and what its table needs. Of the option: sizes, load_before.
sub keep_done
{
    my ($done, $option) = @_;
    my @sizes = @{ $option->{sizes} };
    my %facts = (
        date => POSIX::strftime('%Y-%m-%d', gmtime), commit => $ENV{BENCH_COMMIT}, machine => machine(),
        load => [ $option->{load_before}, load_average() ], server => version_of("$bindir/postgres"),
        version => version_of($ours->{path}),
        sizes => { map { $_ => $size{$_} } @sizes }, full => !grep({ $size{$_} != $full{$_} } @sizes) ? 1 : 0,
    );
    $done->{text} .= " $ENV{NOTE}" if length($ENV{NOTE} // '');
    $done = { %$done, %facts };
    keep_result("$ENV{TMPDIR}/results", $done);
    print table_of($done);
    return;
}

sub load_average { return (split ' ', slurp('/proc/loadavg'))[0] }

# The same beside the peers alone, of ours as it was run among them: a workload of its own.
sub keep_apart
{
    my ($option, $result, @names) = @_;
    my %apart = (%$option, %{ $option->{apart} });
    $apart{title} = title_of($apart{title});
    my @peers_here = grep { !/^(?:pg_rewind|original)/ } @names;
    keep(\%apart, { map({ $_ => $result->{$_} } @peers_here), pg_rewind => $result->{ $apart{ours} } }, @peers_here,
        'pg_rewind');
    return;
}

# Is there what a demand speaks of?
sub is_possible
{
    my ($demand, $result) = @_;
    return 0 if !defined $result->{pg_rewind}{ $demand->{quantity} };
    return 0 if defined $demand->{of} && !$result->{ $demand->{of} };
    return !$demand->{sooner} || grep({ !/^pg_rewind/ } keys %$result) > 0;
}

sub one_run
{
    my ($pair, $option, $program, $last) = @_;
    my $target = $pair->{target};
    my $from = $option->{fresh} ? $pair->{source}->copy('source')->start : $pair->{source};
    my $conninfo = $option->{conninfo} // $from->conninfo;
    my $kind = $option->{kind} // 'server';

    return measured($program, '--source-server', $conninfo, '-n', '-D', $target->data) if $kind eq 'dry run';
    my $removal = $program->{from_nothing} ? seconds_to_remove($target) : 0;
    my $copy = $program->{from_nothing} ? (ref $target)->allocate('copy', $target->version, $target->bindir)
        : $target->copy('copy');
    my $run = sub {
        my $watch = $option->{watch} ? $option->{watch}->($from, $copy) : sub { return {} };
        my $measured = $program->{run}->({
            program => $program, source => $from, copy => $copy, conninfo => $conninfo, directory => $kind
                eq 'directory',
        });
        my $watched = $watch->();
        $from->start if $kind eq 'directory';    # which takes nobody's time
        my $ready = $measured->{wall} + seconds_until_ready($copy, source_end($from));
        return { %$measured, %$watched, ready => $ready, replaced => $ready + $removal };
    };
    my $measured = $option->{around} ? $option->{around}->($run, $program, $from) : $run->();
    check_standby($copy, $from) if $last;
    $copy->stop('immediate');
    $from->stop if $kind eq 'directory';
    $measured = { %$measured, limit_of($measured, $copy->dir) } if $option->{limit} && $program == $ours;
    $copy->discard;
    $from->discard if $option->{fresh};
    return $measured;
}

# What whoever makes a standby from nothing does before: the directory has to be empty.
sub seconds_to_remove
{
    my ($target) = @_;
    my $copy = $target->copy('copy');
    must_run([ 'sync' ]);
    my $begin = Time::HiRes::time();
    must_run([ 'rm', '-rf', $copy->data ]);
    my $seconds = Time::HiRes::time() - $begin;
    $copy->discard;
    return $seconds;
}

# What no program can be faster than that receives as much.
sub limit_of
{
    my ($measured, $directory) = @_;
    my %fetched = %{ $measured->{report}{bytes}{fetched_by_kind} };
    my $data = sum(map { $fetched{$_} } grep { $_ ne 'wal' } keys %fetched);
    # WAL that is read once, and what is said around the bytes
    my $dropped = max(0, $measured->{received} - $data - $fetched{wal});
    mkdir "$directory/limit";
    my $seconds = must_run([ $ENV{BENCH_LIMIT}, "$directory/limit", $data, $fetched{wal}, $dropped,
        $fetched{relations} ]);
    return (limit => $seconds, of_limit => $measured->{wall} / $seconds);
}

# What is demanded. Factors are those of originals that copy all WAL of the source: from 19 on none may be worse.
sub factor { my ($times) = @_; return $version > 18 ? 1 : $times }
sub at_least_faster { my $times = factor(@_); return { quantity => 'wall', text => "≥ $times ×", times => $times,
    of_original() } }
sub at_most_received { my $part = factor(@_); return { quantity => 'received', text => "≤ 1/$part", times => $part,
    of_original() } }
sub at_most_limit { my ($times) = @_; return { quantity => 'of_limit', text => "≤ $times", most => $times } }
sub of_original { return (of => @originals ? $originals[0]{name} : 'original') }
my $little_memory = { quantity => 'peak', text => '≤ 64 MB', most => 64 * 1024**2 };
my $by_socket = 'Source: a server, by a Unix socket.';

# ---------------------------------------------------------------- typical, link

sub typical_pair
{
    my $target = new_cluster('typical', $version);
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    # A row of each page, so that all pages are in the WAL once more, and old WAL in pg_wal.
    $target->sql('CHECKPOINT; UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 60 = 0; CHECKPOINT');
    my $little = sub { pgbench($_[0], '-c', 4, '-t', 250) };
    return part($target, together => $little, source => $little, target => $little);
}

sub run_typical
{
    my ($pair) = @_;
    my $what =
        "pgbench scale $size{SCALE}; 1,000 transactions after the last common checkpoint, 1,000 on each side after the divergence.";
    workload($pair, title => 'typical', text => "$what " . wal_text($pair) . " $by_socket", sizes => [qw(SCALE)],
        programs => [ @originals, @peers, $ours ], limit => 1,
        demands => [ at_least_faster(6), at_most_received(20), at_most_limit(2), $little_memory ]);
    return if !$newest;
    workload($pair, title => 'typical, dry run', sizes => [qw(SCALE)], kind => 'dry run',
        text => 'The same pair, with `-n`.',
        demands => [ at_least_faster(5), $little_memory ]);
    $pair->{source}->stop;
    workload($pair, title => 'typical, directory', sizes => [qw(SCALE)], kind => 'directory',
        text => 'The same pair. Source: a directory, its server stopped cleanly.',
        demands => [ at_least_faster(3), $little_memory ]);
    $pair->{source}->start;
    return;
}

# What the source has to do: it logs each statement meanwhile.
sub run_load
{
    my ($pair) = @_;
    my $source = $pair->{source};
    my %loud = (log_statement => 'all', log_min_duration_statement => 0, autovacuum => 'off');
    $source->stop->start(settings => \%loud);
    workload($pair, title => 'load', sizes => [qw(SCALE)], programs => [ @originals, @base_backup, $ours ], demands => [],
        text => 'The pair of typical, whose source has `log_statement = all` and `log_min_duration_statement = 0`. '
            . $by_socket,
        watch => sub { return watch_load($_[0]) });
    return;
}

sub comparing { return { %{ ours('--compare') }, name => 'pg_rewind' } }

# All blocks, instead of the target's WAL: beside what else there is where WAL does not suffice.
sub run_compare
{
    my ($pair, %option) = @_;
    workload($pair, title => 'compare', programs => [ @base_backup, comparing() ], demands => [$little_memory],
        sizes => [qw(SCALE)],
        text => 'The pair of `typical`, with `--compare`; beside it pg_basebackup into an empty directory, with `-X fetch`. '
            . "Ratios are pg_basebackup's number by ours. $by_socket",
        %option);
    return;
}

# ---------------------------------------------------------------- heavy

sub heavy_pair
{
    my $target = new_cluster('heavy', $version);
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    $target->sql('CHECKPOINT');
    my $much = sub { pgbench($_[0], '-M', 'prepared', '-c', 8, '-j', 2, '-t', $size{TRANSACTIONS} / 8) };
    return part($target, source => $much, target => $much);
}

sub run_heavy
{
    my ($pair) = @_;
    my $after = 'pg_rewind after a checkpoint';
    workload($pair, title => 'heavy', sizes => [qw(SCALE TRANSACTIONS)], limit => 1,
        programs => [ @originals, @peers, ours('--early-start'), ours('--late-start'), $ours,
        { %$ours, name => $after, disturbs => 1 } ],
        apart => { ours => $after, title => 'heavy, after a checkpoint', demands => [$little_memory],
            text => "The pair of heavy, when the source has made a checkpoint, as `--checkpoint` asks for and as the peers do anyway. $by_socket" },
        text => "pgbench scale $size{SCALE}; $size{TRANSACTIONS} transactions on each side after the divergence. "
            . wal_text($pair) . " $by_socket",
        demands => [ at_least_faster(2), at_most_received(2), at_most_limit(1.3), $little_memory ]);
    return;
}

# What more threads are good for.
sub run_cores
{
    my ($pair) = @_;
    workload($pair, title => 'cores', sizes => [qw(SCALE TRANSACTIONS)], rounds => 1,
        programs => [ (map { ours("--jobs=$_") } 1, 2, 4, 8), $ours ],
        text => 'The pair of heavy, by so many threads and connections; by itself the program takes as many as there are processors.');
    return;
}

# ---------------------------------------------------------------- link

sub run_link
{
    my ($pair) = @_;
    my $source = $pair->{source};
    my @devices = split ' ', $ENV{BENCH_DEVICES};
    my $start = sub {
        $source->stop;
        start_in_network($source, '198.18.0.2,198.18.1.2');
    };
    $start->();
    for my $link ([ 0, '1 Gbit/s' ], [ 1, '100 Mbit/s' ])
    {
        my ($number, $rate) = @$link;
        my $carried = sub { slurp("/sys/class/net/$devices[$number]/statistics/rx_bytes") };
        my $around = sub {
            my ($run) = @_;
            my $before = $carried->();
            my $measured = $run->();
            return { %$measured, carried => $carried->() - $before };
        };
        my $conninfo = "host=198.18.$number.2 port=5432 user=postgres dbname=postgres";
        workload($pair, title => "link, $rate", conninfo => $conninfo, sizes => [qw(SCALE)],
            $number ? (rounds => 1) : (),
            text => "The pair of typical. Source: a server, by TCP between two networks; a token bucket filter lets $rate pass.",
            demands => [ at_least_faster(10), $little_memory ],
            around => $around) if $chosen{link};
        run_compare($pair, title => "compare, $rate", conninfo => $conninfo, around => $around,
            again => $start, text => "The same by TCP between two networks; a token bucket filter lets $rate pass.")
            if $chosen{compare} && !$number;
    }
    return;
}

# ---------------------------------------------------------------- latency

sub run_latency
{
    my $load_before = load_average();
    my %lines = map { split /=/ } split ' ', $ENV{BENCH_LINES};
    my $cells = latency_cells(version => $version, programs => [ @originals, $ours ], rounds => $size{ROUNDS},
        lines => \%lines, tables => [ grep({ $_ < $size{TABLES} } 2, 600), $size{TABLES} ], step => \&step);
    keep_done({
        title => title_of('latency'), cells => $cells, programs => [ (map { $_->{name} } @originals), 'pg_rewind' ],
        text => 'Tables with a primary key and a row each. After the divergence the target has written a row to all of them, '
            . 'the source to every tenth; it keeps 64 MB of WAL. Source: a server at the other end of a line that delays each '
            . "packet. Seconds of the tool, " . ($size{ROUNDS} == 1 ? "one round." : "medians of $size{ROUNDS} rounds."),
    }, { sizes => [qw(TABLES)], load_before => $load_before });
    return;
}

# ---------------------------------------------------------------- production

# Let pgbench write to the source while something runs; adds what that costs the source.
sub in_production
{
    my ($source, $run) = @_;
    my $warm = 4;
    my $before = 8;
    my $log = work_dir() . '/transactions';
    $source->sql('CHECKPOINT');
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        open(STDERR, '>', "$log.err") or POSIX::_exit(126);
        open(STDOUT, '>', '/dev/null') or POSIX::_exit(126);
        exec program('pgbench'), '-n', '-c', 4, '-T', 3600, '-l', "--log-prefix=$log", $source->conninfo
            or POSIX::_exit(127);
    }
    sleep $warm + $before;
    my @clients = split /\n/, $source->query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'");
    my $watch = watch_backends($source, map { $_ => 1 } @clients);
    my $measured = eval { $run->() };
    my $error = $@;
    my $memory = $watch->();
    # It writes its log to the end then.
    $source->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'");
    waitpid($pid, 0);
    die $error if !$measured;
    my ($begin, $end) = @{$measured}{qw(begin end)};
    my ($tps_before, @latencies) = (0);
    open(my $lines, '<', "$log.$pid") or die "could not open $log.$pid: $!";
    while (my $line = <$lines>)
    {
        my (undef, undef, $latency, undef, $seconds, $microseconds) = split ' ', $line;
        my $when = $seconds + $microseconds / 1e6;
        $tps_before += 1 / $before if $when >= $begin - $before && $when < $begin;
        push @latencies, $latency / 1e6 if $when >= $begin && $when < $end;
    }
    close $lines;
    unlink "$log.$pid";
    my $tps = @latencies / ($end - $begin);
    return { %$measured, %$memory, baseline_tps => $tps_before, tps => $tps,
        lost => max(0, ($tps_before - $tps) * ($end - $begin)),
        latency => (sort { $a <=> $b } @latencies)[ $#latencies * 0.99 ] // 0 };
}

sub run_production
{
    my ($pair) = @_;
    my $rate = '64M';
    $pair->{source}->stop;
    my $limited = ours("--max-rate=$rate");
    workload($pair, title => 'production', programs => [ @programs, $limited ], rounds => 1, sizes => [qw(SCALE
        TRANSACTIONS)],
        text => 'Copies of the pair of heavy, and pgbench with 4 clients on the source meanwhile. Source, target and pgbench share the '
            . 'processors; the source has `fsync = off`, since the disk that the target writes to would not be its own. Before: 8 s.',
        demands => [ { quantity => 'backend', text => '≤ 32 MB', most => 32 * 1024**2 } ],
        fresh => 1, around => sub { my ($run, undef, $from) = @_; return in_production($from, $run) });
    return;
}

# ---------------------------------------------------------------- files

sub run_files
{
    my $target = new_cluster('files', $version, "max_locks_per_transaction = 1024\n");
    my $tables = int($size{FILES} / 4);
    $target->sql("DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
        EXECUTE format('CREATE TABLE t%s (a int PRIMARY KEY, b text)', i);
        EXECUTE format('INSERT INTO t%s VALUES (1, ''common'')', i);
        IF i % 500 = 0 THEN COMMIT; END IF;
        END LOOP; END \$\$; CHECKPOINT");
    my $tiny = sub { $_[0]->sql(join '', map { "INSERT INTO t$_ VALUES (2, '$_[0]{name}');" } 1 .. 10) };
    my $pair = part($target, source => $tiny, target => $tiny);
    my $files = must_run([ 'find', $target->path('base'), '-type', 'f', '-name', '[0-9]*' ]) =~ tr/\n// + 1;
    workload($pair, title => 'files', rounds => min(2, $size{ROUNDS}), sizes => ['FILES'],
        text => "$files relation files on the target: $tables tables with a primary key and a TOAST table, a row in each; "
        . 'a row more in ten of them on each side after the divergence. ' . wal_text($pair) . " $by_socket",
        demands => [ at_least_faster(4), $little_memory ]);
    discard($pair);
    return;
}

# ---------------------------------------------------------------- long

# Half of the small table's rows are updated in each transaction, within their pages.
sub write_long
{
    my ($target) = @_;
    my $script = work_dir() . '/update';
    spew($script, "UPDATE pgbench_accounts SET abalance = abalance + 1, filler = md5(abalance::text)\n"
        . "WHERE aid > :client_id * 50000 AND aid <= (:client_id + 1) * 50000;\n");
    my $begin = $target->lsn;
    while ($target->query("SELECT '" . $target->lsn . "'::pg_lsn - '$begin'") < $size{LONG_GB} * 1e9)
    {
        pgbench($target, '-c', 2, '-j', 2, '-t', 15, '-f', $script);
    }
    return;
}

# How fast WAL is scanned and how fast it is read, each by two threads, when nothing else is done, in bytes a second:
# the median of three, after one that brings the files into memory.
sub scan_rates
{
    my ($cluster) = @_;
    my @scanned = must_run([ $ENV{BENCH_SCAN}, $cluster->data, 2, 4 ]) =~ m{^([\d.]+) GB/s}mg;
    my @read = map { my ($seconds, $bytes) = /([\d.]+) s, (\d+)/; $bytes / $seconds }
        split /\n/, must_run([ $ENV{BENCH_LIMIT}, '--read', $cluster->path('pg_wal'), 2, 4 ]);
    my ($scan, $read) = (1e9 * median(@scanned[ 1 .. 3 ]), median(@read[ 1 .. 3 ]));
    return (scan_rate => $scan, read_rate => $read, scan_of_read => $read / $scan);
}

sub run_long
{
    my $target = new_cluster('long', $version, "max_wal_size = 64GB\nwal_keep_size = 64GB\n");
    pgbench($target, '-i', '-q', '-s', 1, '-F', 45);
    my $pair = part($target, source => sub { pgbench($_[0], '-t', 100) }, target => \&write_long);
    my %rates = scan_rates($pair->{target});
    workload($pair, title => 'long', rounds => min(2, $size{ROUNDS}), sizes => ['LONG_GB'],
        text => 'Updates of a table of 100,000 rows on the target after the divergence, '
        . "$size{LONG_GB} GB of WAL without a checkpoint; 100 transactions of pgbench on the source. " . wal_text($pair)
            . " $by_socket",
        demands => [ at_least_faster(3), { quantity => 'scan_rate', text => '≥ 4 GB/s', least => 4e9 },
            { quantity => 'scan_of_read', text => '≤ 1.2', most => 1.2 }, $little_memory ],
        around => sub {
            my ($run, $program) = @_;
            my $measured = $run->();
            return $program->{ours} ? { %$measured, %rates } : $measured;
        });
    discard($pair);
    return;
}

# ---------------------------------------------------------------- hot

# Rows of a table, updated within their pages by two clients, each of which has half of them.
sub write_hot
{
    my ($source, $bytes, $transactions) = @_;
    my $script = work_dir() . '/update';
    spew($script,
        "\\set part random(0, 9)\nUPDATE pgbench_accounts SET abalance = abalance + 1, filler = md5(abalance::text)\n"
        . "WHERE aid > (:client_id * 10 + :part) * 50000 AND aid <= (:client_id * 10 + :part + 1) * 50000;\n");
    my $begin = $source->lsn;
    while ($source->query("SELECT '" . $source->lsn . "'::pg_lsn - '$begin'") < $bytes)
    {
        pgbench($source, '-c', 2, '-j', 2, '-t', $transactions, '-f', $script);
    }
    return;
}

sub run_hot
{
    my $target = new_cluster('hot', $version, "max_wal_size = 1GB\nwal_keep_size = 100GB\n");
    my $bytes = $size{HOT_GB} * 1e9;
    pgbench($target, '-i', '-q', '-s', 10, '-F', 45);
    my $pair = part($target, target => sub { pgbench($_[0], '-t', 100) }, source => sub {
        my ($source) = @_;
        write_hot($source, $bytes * 0.99, 10);
        $source->sql('CHECKPOINT');
        write_hot($source, $bytes * 0.01, 1);
    });
    my $early = ours('--early-start');
    workload($pair, title => 'hot', rounds => min(2, $size{ROUNDS}), sizes => ['HOT_GB'],
        watch => sub { return watch_space($_[1]->dir) },
        programs => [ (map { { %$_, rounds => 1 } } @originals, @base_backup), $early, ours('--late-start'), $ours ],
        text => "$size{HOT_GB} GB of WAL of the source since the divergence, all of it still there, over tables of 300 MB, with "
            . 'checkpoints as `max_wal_size = 1GB` makes them; the last one is at 99 %. 100 transactions of pgbench on the target. '
            . wal_text($pair) . " $by_socket",
        demands => [ { quantity => 'to_disk', text => '≤ 1/10 of --early-start', times => 10, of => $early->{name} },
            { quantity => 'ready', text => '≤ 1/5 of --early-start', times => 5, of => $early->{name} },
            $little_memory ]);
    discard($pair);
    return;
}

# ---------------------------------------------------------------- behind

# A primary, and its standby, stopped, which needs WAL that the primary has removed. Nothing diverged.
sub behind_pair
{
    my $source = new_cluster('behind', $version, "wal_keep_size = 0\nmax_wal_size = 256MB\n");
    pgbench($source, '-i', '-q', '-s', $size{SCALE});
    my $target = $source->standby('standby')->stop;
    my $needed = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $source->sql('UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 6100 = 0');    # 61 rows a page
    $source->sql('SELECT pg_switch_wal(); CHECKPOINT') for 1 .. 3;
    die "the source still has $needed\n" if -e $source->path("pg_wal/$needed");
    $source->sql("ALTER SYSTEM SET wal_keep_size = '4GB'; SELECT pg_reload_conf()");    # from now on
    return { source => $source, target => $target };
}

sub run_behind
{
    my $pair = behind_pair();
    my $text =
        "The standby was stopped while one page in a hundred of pgbench's accounts changed on its primary, which has removed "
        . 'the WAL of that. ';
    workload($pair, title => 'behind', programs => [ @peers, comparing() ], sizes => [qw(SCALE)],
        demands => [$little_memory],
        text => "${text}pgbench scale $size{SCALE}; ours with `--compare`. $by_socket");
    if ($size{BEHIND_SPARSE_GB} > 0)
    {
        measure_others($pair);    # what is sparse, they would write
        my ($database) = $pair->{source}->query("SELECT oid FROM pg_database WHERE datname = 'postgres'");
        make_sparse($_, $size{BEHIND_SPARSE_GB}, 1024**3, 1, $database) for values %$pair;
        workload($pair, title => 'behind, large', programs => [ comparing() ], rounds => 1, sizes => [qw(SCALE
            BEHIND_SPARSE_GB)],
            demands => [$little_memory],
            text => "The same pair, and $size{BEHIND_SPARSE_GB} relation files of 1 GiB on both sides, "
                . 'sparse: they are read and compared like others, but no disk has them.');
    }
    discard($pair);
    return;
}

# ---------------------------------------------------------------- big

# So many files without a block on the disk, named as relations are, in the databases given. Each inode has so many of
# the names: ten million files would take all inodes of a disk.
sub make_sparse
{
    my ($cluster, $count, $bytes, $names, @databases) = @_;
    my $each = int($count / @databases);
    my ($made, $last) = (0);
    for my $directory (map { $cluster->path("base/$_") } @databases)
    {
        for my $number (1_000_000 .. 1_000_000 + $each - 1)
        {
            my $path = "$directory/$number";
            if ($made++ % $names)
            {
                link($last, $path) or die "could not link $path: $!";
                next;
            }
            $last = $path;
            open(my $file, '>', $path) or die "could not create $path: $!";
            truncate($file, $bytes) or die "could not extend $path: $!";
            close $file;
        }
    }
    return;
}

sub run_big
{
    my $target = new_cluster('big', $version);
    $target->sql("CREATE DATABASE d$_") for 1 .. 10;
    my @directories = split /\n/, $target->query("SELECT oid FROM pg_database WHERE datname LIKE 'd%'");
    my $little = sub { $_[0]->sql("CREATE TABLE t AS SELECT '$_[0]{name}'") };
    my $pair = part($target, source => $little, target => $little);
    step('makes sparse files');
    make_sparse($_, $size{BIG_FILES}, 1024**2, 10_000, @directories) for values %$pair;
    workload($pair, title => 'big', kind => 'dry run', sizes => ['BIG_FILES'], rounds => min(2, $size{ROUNDS}),
        text => "$size{BIG_FILES} relation files of 1 MiB, sparse, in ten databases, on both sides; `-n`. $by_socket",
        demands => [ { quantity => 'peak', text => '≤ 1 GiB', most => 1024**3 } ]);
    discard($pair);
    return;
}

# ---------------------------------------------------------------- scale

# Files of one block, named as relations of the database with this oid.
sub make_small_files
{
    my ($cluster, $first, $count, $database) = @_;
    my $directory = $cluster->path("base/$database");
    spew("$directory/$_", "\0" x 8192) for $first .. $first + $count - 1;
    return;
}

# What tests/bench/model.pl counts with: three sizes of a cluster that no disk here could hold, and little changed.
# Then files that only the source has, and as many that only the target has.
sub run_scale
{
    my $target = new_cluster('scale', $version);
    pgbench($target, '-i', '-q', '-s', 10);
    $target->sql("CREATE DATABASE d$_") for 1 .. 6;
    my $oids = $target->query("SELECT string_agg(oid::text, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^d\\d'");
    my @oids = split ' ', $oids;
    my $little = sub { pgbench($_[0], '-c', 4, '-t', 250) };
    my $pair = part($target, source => $little, target => $little);
    my $what = 'pgbench scale 10; 1,000 transactions on each side after the divergence; beside it';
    my ($files, $made) = (int($size{SCALE_FILES} / 100), 0);
    for my $name ('100 GB', '1 TB', '10 TB')
    {
        my $database = shift @oids;
        make_sparse($_, $files - $made, 32 * 1024**2, 100, $database) for values %$pair;
        $made = $files;
        $files *= 10;
        workload($pair, title => "scale, $name", sizes => ['SCALE_FILES'], rounds => min(2, $size{ROUNDS}),
            text => "$what $made relation files of 32 MiB on both sides, sparse. $by_socket", demands => []);
    }
    ($files, $made) = (int($size{SCALE_FILES} / 300), 0);
    for (1 .. 3)
    {
        my $database = shift @oids;
        make_small_files($pair->{source}, 2_000_000, $files - $made, $database);
        make_small_files($pair->{target}, 3_000_000, $files - $made, $database);
        $made = $files;
        $files *= 5;
        workload($pair, title => "scale, $made files of one side", sizes => ['SCALE_FILES'], rounds => 1,
            text => "The last pair of scale, and $made files of a block that the source alone has, and as many that the "
                . "target alone has. $by_socket",
            demands => []);
    }
    discard($pair);
    return;
}

# ---------------------------------------------------------------- all

# When all workloads of a pair have been measured by programs that leave its source as it is, the others come.
sub measure_others
{
    my ($pair) = @_;
    $pair->{source}->start if @later && !$pair->{source}->is_running;
    (shift @later)->() while @later;
    return;
}

sub discard
{
    my ($pair) = @_;
    measure_others($pair);
    $_->discard for values %$pair;
    return;
}

if (grep { $chosen{$_} } qw(typical load compare link))
{
    step('builds the pair for typical, load, compare, link');
    my $pair = typical_pair();
    run_typical($pair) if $chosen{typical};
    run_compare($pair) if $chosen{compare};
    run_link($pair) if $ENV{BENCH_NETWORK} && ($chosen{link} || $chosen{compare});
    run_load($pair) if $chosen{load};    # the last, because the source logs more from then on
    discard($pair);
}
if ($chosen{heavy} || $chosen{cores} || $chosen{production})
{
    step('builds the pair for heavy, cores, production');
    my $pair = heavy_pair();
    run_heavy($pair) if $chosen{heavy};
    run_cores($pair) if $chosen{cores};
    run_production($pair) if $chosen{production};
    discard($pair);
}
run_latency() if $chosen{latency};
for my $alone ([ hot => \&run_hot ], [ behind => \&run_behind ], [ files => \&run_files ], [ long => \&run_long ],
    [ big => \&run_big ], [ scale => \&run_scale ])
{
    my ($name, $run) = @$alone;
    next if !$chosen{$name};
    step("builds the pair for $name");
    $run->();
}

# ---------------------------------------------------------------- what is written

sub first_line { my ($path, $pattern) = @_; return -r $path && slurp($path) =~ $pattern ? $1 : 'unknown' }

sub machine
{
    my $cpu = first_line('/proc/cpuinfo', qr/^model name\s*: (.*)$/m);
    my $cores = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my $memory = first_line('/proc/meminfo', qr/^MemTotal:\s*(\d+)/) * 1024;
    my $kernel = (POSIX::uname())[2] =~ s/^(\d+\.\d+\.\d+).*/$1/r;
    my $file_system = must_run([ 'findmnt', '-n', '-o', 'FSTYPE', '-T', work_dir() ]);
    my $reflinks = run([ 'cp', '--reflink=always', $ENV{PG_REWIND}, work_dir() . '/reflink' ])->{status} == 0 ? 'with'
        : 'without';
    return "$cpu, $cores cores, " . bytes_text($memory) . " of memory; Linux $kernel; $file_system, $reflinks reflinks";
}

sub version_of { my ($path) = @_; return (split /\n/, must_run([ $path, '-V' ]))[0] =~ s/ \(Debian.*//r }

