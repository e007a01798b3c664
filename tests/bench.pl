#!/usr/bin/perl
# What a rewind costs, ours and the original's of version 15 side by side in one run: in turns, on fresh copies of one
# target, several rounds. Run by `make bench`, through tests/bench.sh. Environment:
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
my @workloads = qw(typical compare link heavy production files long big);
my %chosen = map { $_ => 1 } split ' ', $ENV{WORKLOADS} || "@workloads";
my $original_path = '/usr/lib/postgresql/15/bin/pg_rewind';
$ENV{PG_BINDIR_15} //= '/usr/lib/postgresql/15/bin';
$chosen{link} = 0 if !$ENV{BENCH_NETWORK};    # root makes the networks
my @originals = map { { name => name_of_original($_), path => $_, options => [] } }
    $original_path, grep { defined } $ENV{ORIGINAL};
$originals[1]{name} .= ', the other' if @originals > 1 && $originals[0]{name} eq $originals[1]{name};
my $ours = { name => 'pg_rewind', path => $ENV{PG_REWIND}, options => ['--report=json'], ours => 1 };
my @programs = (@originals, $ours);
my $began = time;
my @done;    # workloads that were measured, for the tables

# No vacuum when it likes: one in the wrong moment is a gigabyte of WAL. Where a standby is to follow later, WAL is kept.
my $settings = <<'END';
shared_buffers = 512MB
wal_keep_size = 2GB
max_wal_size = 4GB
checkpoint_timeout = 1h
maintenance_work_mem = 256MB
END

sub name_of_original { my ($path) = @_; return 'original ' . (must_run([ $path, '-V' ]) =~ /(\d+\.\d+)/)[0] }

sub step { printf "%5d s  %s\n", time - $began, join '', @_; return }

# ---------------------------------------------------------------- pairs of clusters

sub pgbench
{
    my ($cluster, @options) = @_;
    push @options, '-n' if !grep { $_ eq '-i' } @options;    # but new tables are vacuumed: no vacuum comes later
    must_run([ program('pgbench'), @options, $cluster->conninfo ]);
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
    my ($source, $target) = map { bytes_text(wal_size($_)) } @{$pair}{qw(source target)};
    return "WAL in pg_wal: source $source, target $target.";
}

# A server that has much to replay may take longer than pg_ctl waits.
sub start_patiently
{
    my ($cluster) = @_;
    $cluster->try_start;
    wait_until(sub { "$cluster->{name} starts; its log:\n" . $cluster->log },
        sub { $cluster->try_sql('SELECT 1')->{status} == 0 || !$cluster->is_running });
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
#   title, text, demands, rounds   of the table
#   programs   all by default
#   conninfo   of a source that is reached in another way
#   kind       'server' (default), 'directory': the source is stopped; 'dry run': nothing changes, so no copies are needed
#   fresh      each run has a copy of the source as well, which is stopped
#   around     sub (run => sub, program, source): does what is to happen around a run, and returns what was measured
sub workload
{
    my ($pair, %option) = @_;
    my ($source, $target) = @{$pair}{qw(source target)};
    my $kind = $option{kind} // 'server';
    my @programs_here = @{ $option{programs} // \@programs };

    step($option{title});
    my $result = compare(programs => \@programs_here, rounds => $option{rounds} // $size{ROUNDS}, run => sub {
        my ($program, $last) = @_;
        my $from = $option{fresh} ? $source->copy('source')->start : $source;
        my @source = $kind eq 'directory'
            ? ('--source-pgdata', $from->data)
            : ('--source-server', $option{conninfo} // $from->conninfo);
        return measured($program, @source, '-n', '-D', $target->data) if $kind eq 'dry run';
        # A base backup begins with an empty directory, and a checkpoint that it does not have to wait for.
        my $copy = $program->{base_backup} ? (ref $target)->allocate('copy', $target->version, $target->bindir) : $target->copy('copy');
        my @recovery = $kind eq 'server' ? ('-R') : ();
        @source = ('-d', $option{conninfo} // $from->conninfo) if $program->{base_backup};
        my $run = sub { measured($program, @source, @recovery, '-D', $copy->data) };
        my $measured = $option{around} ? $option{around}->($run, $program, $from) : $run->();
        if ($last)
        {
            $from->start if $kind eq 'directory';
            $copy->follow($from) if !@recovery;
            check_standby($copy, $from);
            $from->stop if $kind eq 'directory';
        }
        $copy->discard;
        $from->discard if $option{fresh};
        return $measured;
    });
    my $rounds = @{ $result->{pg_rewind}{all} };
    my $done = {
        %option, result => $result, programs => [ map { $_->{name} } @programs_here ],
        text => "$option{text} " . ($rounds == 1 ? 'One round.' : "Median of $rounds rounds."),
        phases => [qw(identify scan plan stage apply)],
    };
    push @done, $done;
    print table_of($done);
    return $done;
}

# What the issue of this benchmark demands.
sub at_least_faster { my ($times) = @_; return { quantity => 'wall', text => "≥ $times ×", times => $times } }
sub at_most_received { my ($part) = @_; return { quantity => 'received', text => "≤ 1/$part", times => $part } }
my $little_memory = { quantity => 'peak', text => '≤ 64 MB', most => 64 * 1024**2 };
my $by_socket = 'Source: a server, by a Unix socket.';

# ---------------------------------------------------------------- typical, link

sub typical_pair
{
    my $target = new_cluster('typical');
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    # A row of each page, so that all pages are in the WAL once more, and old WAL in pg_wal.
    $target->sql('CHECKPOINT; UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 60 = 0; CHECKPOINT');
    my $little = sub { pgbench($_[0], '-c', 4, '-t', 250) };
    return part($target, together => $little, source => $little, target => $little);
}

sub run_typical
{
    my ($pair) = @_;
    my $what = "pgbench scale $size{SCALE}; 1,000 transactions after the last common checkpoint, 1,000 on each side after the divergence.";
    workload($pair, title => 'typical', text => "$what " . wal_text($pair) . " $by_socket",
        demands => [ at_least_faster(6), at_most_received(20), $little_memory ]);
    workload($pair, title => 'typical, dry run', kind => 'dry run', text => 'The same pair, with `-n`.',
        demands => [ at_least_faster(5), $little_memory ]);
    $pair->{source}->stop;
    workload($pair, title => 'typical, directory', kind => 'directory',
        text => 'The same pair. Source: a directory, its server stopped cleanly.', demands => [ at_least_faster(3), $little_memory ]);
    $pair->{source}->start;
    return;
}

# All blocks, instead of the target's WAL: beside what else there is where WAL does not suffice.
sub run_compare
{
    my ($pair, %option) = @_;
    my $base_backup = { name => 'pg_basebackup', path => "$ENV{PG_BINDIR_15}/pg_basebackup", options => [qw(-X fetch -c fast)], base_backup => 1 };
    my $comparing = { %$ours, options => [ @{ $ours->{options} }, '--compare' ] };
    workload($pair, title => 'compare', programs => [ $base_backup, $comparing ], demands => [$little_memory],
        text => "The pair of `typical`, with `--compare`; beside it pg_basebackup into an empty directory, with `-X fetch`. Ratios are pg_basebackup's number by ours. $by_socket",
        %option);
    return;
}

# ---------------------------------------------------------------- heavy

sub heavy_pair
{
    my $target = new_cluster('heavy');
    pgbench($target, '-i', '-q', '-s', $size{SCALE});
    $target->sql('CHECKPOINT');
    my $much = sub { pgbench($_[0], '-M', 'prepared', '-c', 8, '-j', 2, '-t', $size{TRANSACTIONS} / 8) };
    return part($target, source => $much, target => $much);
}

sub run_heavy
{
    my ($pair) = @_;
    workload($pair, title => 'heavy',
        text => "pgbench scale $size{SCALE}; $size{TRANSACTIONS} transactions on each side after the divergence. " . wal_text($pair) . " $by_socket",
        demands => [ at_least_faster(2), at_most_received(2), $little_memory ]);
    return;
}

# ---------------------------------------------------------------- link

# Have a shell of the other network run a command; see tests/bench.sh.
sub in_network
{
    my ($command) = @_;
    my $done = work_dir() . '/done';
    unlink $done;
    append($ENV{BENCH_NETWORK}, "$command >$done.out 2>&1; echo \$? >$done.new; mv $done.new $done\n");
    wait_until('the other network answers', sub { -e $done });
    die "failed: $command\n" . slurp("$done.out") if slurp($done) != 0;
    return;
}

sub run_link
{
    my ($pair) = @_;
    my $source = $pair->{source};
    my @devices = split ' ', $ENV{BENCH_DEVICES};
    $source->stop;
    my $settings_there = "-c listen_addresses=198.18.0.2,198.18.1.2 -c unix_socket_directories=$source->{dir}";
    in_network("$source->{bindir}/pg_ctl -w -D " . $source->data . " -l $source->{dir}/log.network -o '$settings_there' start");
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
        workload($pair, title => "link, $rate", conninfo => $conninfo,
            $number ? (rounds => 1) : (),
            text => "The pair of typical. Source: a server, by TCP between two networks; a token bucket filter lets $rate pass.",
            demands => [ at_least_faster(10), $little_memory ],
            around => $around) if $chosen{link};
        run_compare($pair, title => "compare, $rate", conninfo => $conninfo, around => $around,
            text => "The same by TCP between two networks; a token bucket filter lets $rate pass.") if $chosen{compare} && !$number;
    }
    return;
}

# ---------------------------------------------------------------- production

# Private memory of the backends of a server but those given, looked at a hundred times a second in a process of its own. Returns a
# function that ends it, and returns { connections, backend, backends }: the most at one time, and bytes.
sub watch_backends
{
    my ($server, %but) = @_;
    my $path = work_dir() . '/backends';
    my $postmaster = $server->postmaster_pid;
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        my ($ended, %most) = (0, connections => 0, backend => 0, backends => 0);
        local $SIG{TERM} = sub { $ended = 1 };
        while (!$ended)
        {
            my @bytes;
            for my $backend (grep { !$but{$_} } split ' ', slurp("/proc/$postmaster/task/$postmaster/children"))
            {
                next if (eval { slurp("/proc/$backend/cmdline") } // '') !~ /^postgres: postgres postgres /;
                push @bytes, $1 * 1024 if (eval { slurp("/proc/$backend/status") } // '') =~ /^RssAnon:\s+(\d+)/m;
            }
            %most = (connections => max($most{connections}, scalar @bytes), backend => max($most{backend}, @bytes),
                backends => max($most{backends}, sum(0, @bytes)));
            Time::HiRes::sleep(0.01);
        }
        spew($path, join ' ', %most);
        POSIX::_exit(0);
    }
    return sub { kill 'TERM', $pid; waitpid($pid, 0); return { split ' ', slurp($path) } };
}

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
        exec program('pgbench'), '-n', '-c', 4, '-T', 3600, '-l', "--log-prefix=$log", $source->conninfo or POSIX::_exit(127);
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
        lost => max(0, ($tps_before - $tps) * ($end - $begin)), latency => (sort { $a <=> $b } @latencies)[ $#latencies * 0.99 ] // 0 };
}

sub run_production
{
    my ($pair) = @_;
    my $rate = '64M';
    $pair->{source}->stop;
    my $limited = { %$ours, name => "pg_rewind --max-rate=$rate", options => [ @{ $ours->{options} }, "--max-rate=$rate" ] };
    my @limited = must_run([ $ours->{path}, '--help' ]) =~ /--max-rate/ ? ($limited) : ();
    workload($pair, title => 'production', programs => [ @programs, @limited ], rounds => 1,
        text => 'Copies of the pair of heavy, and pgbench with 4 clients on the source meanwhile. Source, target and pgbench share the processors; '
            . 'the source has `fsync = off`, since the disk that the target writes to would not be its own. Before: 8 s.',
        demands => [ { quantity => 'backend', text => '≤ 32 MB', most => 32 * 1024**2 } ],
        fresh => 1, around => sub { my ($run, undef, $from) = @_; return in_production($from, $run) });
    return;
}

# ---------------------------------------------------------------- files

sub run_files
{
    my $target = new_cluster('files', "max_locks_per_transaction = 1024\n");
    my $tables = int($size{FILES} / 4);
    $target->sql("DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
        EXECUTE format('CREATE TABLE t%s (a int PRIMARY KEY, b text)', i);
        EXECUTE format('INSERT INTO t%s VALUES (1, ''common'')', i);
        IF i % 500 = 0 THEN COMMIT; END IF;
        END LOOP; END \$\$; CHECKPOINT");
    my $tiny = sub { $_[0]->sql(join '', map { "INSERT INTO t$_ VALUES (2, '$_[0]{name}');" } 1 .. 10) };
    my $pair = part($target, source => $tiny, target => $tiny);
    my $files = must_run([ 'find', $target->path('base'), '-type', 'f', '-name', '[0-9]*' ]) =~ tr/\n// + 1;
    workload($pair, title => 'files', rounds => min(2, $size{ROUNDS}), text => "$files relation files on the target: $tables tables with a primary key and a TOAST table, "
        . 'a row in each; a row more in ten of them on each side after the divergence. ' . wal_text($pair) . " $by_socket",
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

# How fast WAL is scanned when nothing else is done, in bytes a second, with two threads: the median of three, after one that brings the
# files into memory.
sub scan_rate
{
    my ($cluster) = @_;
    my @rates = sort { $a <=> $b } (must_run([ $ENV{BENCH_SCAN}, $cluster->data, 2, 4 ]) =~ m{^([\d.]+) GB/s}mg)[ 1 .. 3 ];
    return $rates[1] * 1e9;
}

sub run_long
{
    my $target = new_cluster('long', "max_wal_size = 64GB\nwal_keep_size = 64GB\n");
    pgbench($target, '-i', '-q', '-s', 1, '-F', 45);
    my $pair = part($target, source => sub { pgbench($_[0], '-t', 100) }, target => \&write_long);
    my $scan_rate = scan_rate($pair->{target});
    workload($pair, title => 'long', rounds => min(2, $size{ROUNDS}), text => 'Updates of a table of 100,000 rows on the target after the divergence, '
        . "$size{LONG_GB} GB of WAL without a checkpoint; 100 transactions of pgbench on the source. " . wal_text($pair) . " $by_socket",
        demands => [ at_least_faster(3), { quantity => 'scan_rate', text => '≥ 4 GB/s', least => 4e9 }, $little_memory ],
        around => sub {
            my ($run, $program) = @_;
            my $measured = $run->();
            return $program->{ours} ? { %$measured, scan_rate => $scan_rate } : $measured;
        });
    discard($pair);
    return;
}

# ---------------------------------------------------------------- big

# Files of 1 MiB without a block on the disk, named as relations are, in the databases given.
sub make_sparse
{
    my ($cluster, @directories) = @_;
    my $each = int($size{BIG_FILES} / @directories);
    for my $directory (map { $cluster->path("base/$_") } @directories)
    {
        for my $number (1_000_000 .. 1_000_000 + $each - 1)
        {
            open(my $file, '>', "$directory/$number") or die "could not create $directory/$number: $!";
            truncate($file, 1024**2) or die "could not extend $directory/$number: $!";
            close $file;
        }
    }
    return;
}

sub run_big
{
    my $target = new_cluster('big');
    $target->sql("CREATE DATABASE d$_") for 1 .. 10;
    my @directories = split /\n/, $target->query("SELECT oid FROM pg_database WHERE datname LIKE 'd%'");
    my $little = sub { $_[0]->sql("CREATE TABLE t AS SELECT '$_[0]{name}'") };
    my $pair = part($target, source => $little, target => $little);
    step('makes sparse files');
    make_sparse($_, @directories) for values %$pair;
    workload($pair, title => 'big', kind => 'dry run', rounds => min(2, $size{ROUNDS}),
        text => "$size{BIG_FILES} relation files of 1 MiB, sparse, in ten databases, on both sides; `-n`. $by_socket",
        demands => [ { quantity => 'peak', text => '≤ 1 GiB', most => 1024**3 } ]);
    discard($pair);
    return;
}

# ---------------------------------------------------------------- all

sub discard { my ($pair) = @_; $_->discard for values %$pair; return }

if ($chosen{typical} || $chosen{compare} || $chosen{link})
{
    step('builds the pair for typical, compare, link');
    my $pair = typical_pair();
    run_typical($pair) if $chosen{typical};
    run_compare($pair) if $chosen{compare};
    run_link($pair) if $ENV{BENCH_NETWORK} && ($chosen{link} || $chosen{compare});
    discard($pair);
}
if ($chosen{heavy} || $chosen{production})
{
    step('builds the pair for heavy, production');
    my $pair = heavy_pair();
    run_heavy($pair) if $chosen{heavy};
    run_production($pair) if $chosen{production};
    discard($pair);
}
for my $alone ([ files => \&run_files ], [ long => \&run_long ], [ big => \&run_big ])
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
    my $reflinks = run([ 'cp', '--reflink=always', $ENV{PG_REWIND}, work_dir() . '/reflink' ])->{status} == 0 ? 'with' : 'without';
    return "$cpu, $cores cores, " . bytes_text($memory) . " of memory; Linux $kernel; $file_system, $reflinks reflinks";
}

sub version_of { my ($path) = @_; return (split /\n/, must_run([ $path, '-V' ]))[0] =~ s/ \(Debian.*//r }

my $date = POSIX::strftime('%Y-%m-%d', gmtime);
my $minutes = int((time - $began) / 60 + 0.5);
my $version = version_of($ours->{path}) . ($ENV{BENCH_COMMIT} ? ", commit $ENV{BENCH_COMMIT}" : '');
my ($server, $machine) = (version_of("$ENV{PG_BINDIR_15}/postgres"), machine());
my $text = <<"END" . join('', map { demands_of($_) } @done) . "\n" . join('', map { table_of($_) } @done);
# Benchmarks

`make bench` has measured this, $date, in $minutes minutes: each program in turns, on fresh copies of one target, everything synced before.
Ratios are the original's number by ours. Source and target share the machine and its disk; the files were written just before, so most are
in memory. Each kind of run was checked: the rewound target starts, streams and reaches the source.

- Machine: $machine
- Servers: $server, with data checksums
- Ours: $version

| workload | what | demanded | reached | |
|---|---|---:|---:|---|
END
my $complete = !grep { !$chosen{$_} } @workloads;
$complete &&= !grep { $size{$_} != $full{$_} } keys %full;
spew("$ENV{TMPDIR}/" . ($complete ? 'BENCHMARKS.md' : 'part.md'), $text);
print $text;
step('ends');
