# --rejoin starts the server as it was: with the very arguments, whatever characters they have, with its environment,
# its log, umask, limits, control group and score for the kernel's out-of-memory killer; nothing of the caller's is in
# their place, and nothing that it is given is expanded or executed. The test prints the list. It is started so as well
# by a second run after the first one was killed, and from postmaster.opts where it does not run. (Where recovery is
# configured: 10.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──▶ running
# (Rules I58, I62.)

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use RewindTest;
use RewindTest::Privileged;

my ($source, $diverged, $target);

# Where something is executed it leaves a file.
sub odd_arguments
{
    my $marker = "$target->{dir}/executed";
    my @strings = (
        q{cluster_name=node $HOME "x"},
        "log_line_prefix=%m [%p] it's \\ `touch $marker` ",
        q{search_path="$user", public},
        qq{archive_command=cp "%p" "$target->{dir}/a b/%f"},
        "archive_cleanup_command=\$(touch $marker); # 'x' *",
        'application_name=',
        "my.lines=one\ntwo ; touch $marker",
    );
    # Recovery's commands are no settings in these.
    @strings = grep { !/^archive_cleanup/ } @strings if $target->version < 12;
    return ((map { ('-c', $_) } @strings), '--maintenance-work-mem=3MB', '-B', '2048', '-N100', '-Fp', '5432',
        "-k$target->{dir}");
}

my %environment = (
    PATH => $ENV{PATH}, HOME => '/nonexistent', ODD => "a 'b' \"c\" \$d `e`\nf", PGDATESTYLE => 'German',
    PGTZ => 'Asia/Seoul',
    LC_ALL => 'C', EMPTY => '', LD_LIBRARY_PATH => $ENV{LD_LIBRARY_PATH} // '/nonexistent',
);

# The caller's, none of which is the server's.
my %callers = (PGDATESTYLE => 'Postgres', PGPORT => 1, PGCLIENTENCODING => 'LATIN1', PGTZ => 'UTC', OF_CALLER => 1,
    HOME => '/tmp');

# As a service manager does: no shell, no pg_ctl.
sub start_by_hand
{
    my ($log) = @_;
    $target->{log} = $log;
    my $pid = fork() // die "$!";
    if ($pid == 0)
    {
        POSIX::setsid();
        POSIX::_exit(0) if fork();
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', $log) or POSIX::_exit(1);
        open(STDERR, '>&', \*STDOUT);
        POSIX::close($_) for 3 .. 50;
        %ENV = %environment;
        spew('/proc/self/oom_score_adj', 300);
        exec('/bin/sh', '-c', 'ulimit -S -n 333; ulimit -S -c 0; ulimit -S -s 4096; exec "$@"', 'sh',
            "$target->{bindir}/postgres", '-D', $target->data, odd_arguments());
    }
    waitpid($pid, 0);
    wait_until('it takes connections', sub { $target->try_sql('SELECT 1')->{status} == 0 });
    return;
}

# What is compared: name and value.
sub list
{
    my $pid = $target->postmaster_pid;
    my %list;
    my (undef, @arguments) = split /\0/, process_file($pid, 'cmdline'), -1;
    pop @arguments;    # after the last NUL
    $list{program} = readlink "/proc/$pid/exe";
    $list{options} = join '|', normalized(@arguments);
    my %own = map { split /=/, $_, 2 } split /\0/, process_file($pid, 'environ');
    # What pg_ctl and a shell add.
    delete @own{qw(PG_GRANDPARENT_PID PGDATA PGSYSCONFDIR PGLOCALEDIR PWD OLDPWD SHLVL _)};
    $list{environment} = join '|', map { "$_=$own{$_}" } sort keys %own;
    my %limit = map { /^(Max .*?) {2,}(\S+)/ ? ($1 => $2) : () } split /\n/, process_file($pid, 'limits');
    $list{$_} = $limit{$_} for keys %limit;
    $list{umask} = $1 if process_file($pid, 'status') =~ /^Umask:\s*(\d+)/m;
    $list{oom_score_adj} = process_file($pid, 'oom_score_adj');
    $list{cgroup} = process_file($pid, 'cgroup');
    $list{stdout} = readlink "/proc/$pid/fd/1";
    $list{stderr} = readlink "/proc/$pid/fd/2";
    $list{stdin} = readlink "/proc/$pid/fd/0";
    $list{'working directory'} = readlink "/proc/$pid/cwd";
    my $sources = join ', ', map { "'$_'" } 'command line', 'environment variable', 'configuration file';
    my $settings = $target->query(<<"END");
SELECT name || '=' || translate(setting, E'\\n', '~') || ' (' || source || ')' FROM pg_settings
WHERE source IN ($sources) AND name NOT IN ('primary_conninfo', 'application_name', 'client_encoding', 'transaction_read_only') ORDER BY 1
END
    $list{"setting $1"} = $2 while $settings =~ /^(\S+?)=(.*)$/mg;
    return \%list;
}

# Without the data directory, a letter an argument.
sub normalized
{
    my (@arguments) = @_;
    my @options;
    while (@arguments)
    {
        my $argument = shift @arguments;
        if ($argument =~ /^--/) { push @options, $argument; next }
        my $letters = substr($argument, 1);
        while ($letters =~ s/^(.)//s)
        {
            my $letter = $1;
            if ($letter =~ /[BcDdhkNpSt]/)
            {
                my $value = $letters ne '' ? $letters : shift @arguments;
                push @options, "-$letter $value" if $letter ne 'D';
                last;
            }
            push @options, "-$letter";
        }
    }
    return @options;
}

sub is_as_it_was
{
    my ($what, $before, @left_out) = @_;
    my $now = list();
    my %left_out = map { $_ => 1 } @left_out;
    my %names = map { $_ => 1 } keys %$before, keys %$now;
    for my $name (sort grep { !$left_out{$_} } keys %names)
    {
        my $value = $before->{$name} // '(none)';
        is($now->{$name}, $before->{$name}, "$what: $name is " . substr($value =~ s/\s+/ /gr, 0, 100));
    }
    ok(!-e "$target->{dir}/executed", "$what: nothing of it was executed");
    return;
}

# Words before a command, with which it has one processor, or its memory from several nodes in turn. None where that is
# not possible.
sub one_cpu
{
    my ($first, $more) = process_file('self', 'status') =~ /^Cpus_allowed_list:\s*(\d+)(\S*)/m;
    return $more eq '' ? [] : [ qw(taskset -c), $first ];
}

sub interleaved
{
    my @call = ($^X, '-e', 'my $mask = pack("Q", 1); syscall(238, 3, $mask, 64) == 0 or die; exec @ARGV', '--');
    return (POSIX::uname())[4] eq 'x86_64' && run([ @call, 'true' ])->{status} == 0 ? \@call : [];
}

sub idle
{
    my @call = qw(ionice -c 3);
    return run(['ionice'])->{stdout} !~ /idle/ && run([ @call, 'ionice' ])->{stdout} =~ /idle/ ? \@call : [];
}

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return run([ rewind_argv($target->data, qw(--rejoin --keep-config --no-sync
        --rejoin-timeout=60), '--source-server', $source->conninfo . ' application_name=list', @options) ],
        env => { %callers, %option });
}

sub succeeds
{
    my ($result, $what) = @_;
    is($result->{signal} || $result->{status}, 0, "$what: exit status 0")
        or diag($result->{stderr}, -e $target->{log} ? slurp($target->{log})
        : '', map { slurp($_) } glob($target->path('pg_rewind_server.log')));
    like($result->{stderr}, qr/^pg_rewind: the target follows the source: standby "list"/m, "$what: it follows");
    return;
}

sub fresh
{
    my ($name) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    # A file would win over the environment.
    spew($target->path('postgresql.conf'), slurp($target->path('postgresql.conf')) =~ s/^datestyle = .*$//mr);
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });

    fresh('running');
    mkdir "$target->{dir}/a b";
    start_by_hand("$target->{dir}/a b/the \$log's");
    my $before = list();
    is($before->{'Max open files'}, 333, 'it has a limit of its own');
    is($before->{oom_score_adj}, "300\n", 'and a score');
    like($before->{'setting DateStyle'}, qr/^German.*environment variable/, 'and settings of its environment');
    # What we may not set is told before the stop.
    my ($memory, $cpu) = (interleaved(), one_cpu());
    my $idle = idle();
    my $lacks = join ', ', 'open files', 'oom_score_adj', @$cpu ? 'its CPU affinity' : (),
        @$memory ? 'the NUMA policy default' : (), 'the nice value ' . getpriority(0, 0),
        @$idle ? 'its I/O priority' : ();
    my $less = run([ '/bin/sh', '-c', 'echo 500 >/proc/self/oom_score_adj; ulimit -n 200; exec "$@"', 'sh', @$memory,
        @$cpu, qw(nice -n 3), @$idle,
        rewind_argv($target->data, qw(--rejoin -n --keep-config), '--source-server', $source->conninfo) ]);
    is($less->{status}, 0, 'a dry run with less') or diag($less->{stderr});
    like($less->{stderr},
        qr/^pg_rewind: warning: if this command starts the target's server, it will not have what it has now: the limit of $lacks$/m,
        'says what the server would lack');
    my $result = rejoin();
    unlike($result->{stderr}, qr/will not have what it has now|systemd stops/, 'where it has all, nothing is said');
    succeeds($result, 'a server that runs');
    is_as_it_was('a server that runs', $before);
    like(slurp($target->{log}), qr/starting backup recovery|redo starts|entering standby mode/, 'its log goes on');
    is(-s $target->path('pg_rewind_server.log') ? slurp($target->path('pg_rewind_server.log')) =~ /LOG:/
        : '', '', 'and is nowhere else');

    # As a timer's service would start it.
    fresh('service');
    my $groups = "$target->{dir}/cgroups";
    my %in = (LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT_CGROUPS => $groups);
    mkdir $groups;
    spew("$groups/self", "0::/system.slice/nightly.service\n");
    like(rejoin('-n', '-B', $target->bindir, \%in)->{stderr},
        qr/^pg_rewind: warning: the target's server will belong to "nightly\.service", .* systemd stops /m,
        'a server that a service would start');
    unlike(rejoin('-n', '--start-command=true', \%in)->{stderr}, qr/nightly/, 'not by another command');
    # systemctl would stop both servers, if both are of one unit.
    $target->start;
    my $stops = qr/^pg_rewind: would stop the target's server \(PID \d+\): /m;
    spew("$groups/" . $target->postmaster_pid, "0::/system.slice/postgresql.service\n");
    like(rejoin('-n', \%in)->{stderr}, qr/${stops}systemctl /, 'a unit of one server');
    spew("$groups/" . $source->postmaster_pid, "0::/system.slice/postgresql.service\n");
    like(rejoin('-n', \%in)->{stderr}, qr/$stops\S*pg_ctl\b/, 'a unit of two servers');
    $target->stop;

    # Killed amid the rewind, which removes postmaster.opts.
    fresh('killed');
    start_by_hand("$target->{dir}/own.log");
    $before = list();
    $result = rejoin(ONCE, { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT => 'kill:unlink@*/ballast;write@*' });
    is($result->{signal}, 9, 'killed on the way') or diag($result->{stderr});
    ok(!$target->is_running, 'the server is stopped');
    is((stat $target->path('pg_rewind.work.start'))[2] & 0777, 0600, 'what is kept only the owner can read');
    succeeds(rejoin(), 'killed on the way, and again');
    is_as_it_was('killed on the way, and again', $before);
    ok(!-e $target->path('pg_rewind.work.start'), 'nothing of it is left');

    # As far as postmaster.opts knows.
    fresh('stopped');
    start_by_hand("$target->{dir}/own.log");
    $before = list();
    my $group = is_privileged() && privileged('move-to-group', $target->postmaster_pid);
    like(rejoin('-n')->{stderr}, qr{^pg_rewind: warning: .* now: the control group /pg_rewind_test\.\d+$}m,
        'a control group of one controller') if $group eq 'one';
    $target->stop;
    succeeds(rejoin(), 'a server that is stopped');
    is_as_it_was('a server that is stopped', $before, 'environment', 'stdout', 'stderr', 'oom_score_adj',
        'setting DateStyle', 'setting TimeZone', grep { /^Max |^setting lc_|^setting max_stack/ } keys %$before);
    undef $target;
}, only => [ 10, 11, 15, 18, 19 ]);
