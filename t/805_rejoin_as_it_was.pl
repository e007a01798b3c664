# --rejoin starts the server as it was, however that was: with options whose data directory is in PGDATA or relative,
# with a directory of the configuration, by the programs that ran; and it finds the standby by the name, socket and
# database that this one has, whatever the environment says of the source. (Where recovery is configured: 10.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ──▶   in each case anew
# (Rules I50, I57, I59, I60, I63, I73, T3.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Outcome;
use RewindTest::Session;

my ($source, $diverged, $target);

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    my @bindir = $option{no_bindir} ? () : ('-B', $target->bindir);
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync
        --rejoin-timeout=60), @bindir, '--source-server', $option{conninfo} // $source->conninfo, @options) ],
        env => $option{env} // {});
}

my $follows = qr/^pg_rewind: the target follows the source: standby /m;

# A server that follows is left alone by the same command.
sub rejoins_and_stays
{
    my ($what, @options) = @_;
    ends(rejoin(@options), 0, $what, $follows);
    my $pid = $target->postmaster_pid;
    ends(rejoin(@options), 0, "$what, and again",
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    return;
}

sub fresh { my ($name) = @_; $target->discard if $target; $target = $diverged->copy($name); $target->{starts} = 1;
    return $target }

sub own_options { return "-c unix_socket_directories=$target->{dir} -c work_mem=7MB" }

# Its pg_ctl, called where it leaves no path of the data directory.
sub start_by_shell
{
    my ($before) = @_;
    must_run([ 'sh', '-c', "cd $target->{dir} && $before -w -l $target->{dir}/log.1 -o '@{[ own_options() ]}' start" ]);
    unlike(slurp($target->path('postmaster.opts')), qr/"-D" "\//, 'postmaster.opts names no absolute data directory');
    return;
}

sub named_on_the_command_line
{
    fresh('named')->start(settings => { cluster_name => 'node1' });
    rejoins_and_stays('a cluster_name of the command line', '--keep-config');
    # With blanks and quotes; with bytes that the source does not show; longer than what it shows.
    my %name = (blanks => "it's\\ me", bytes => "m\xc3\xbcnchen", length => 'n' x 70);
    for my $what (sort keys %name)
    {
        fresh($what)->start;
        my $conninfo = $source->conninfo . ' application_name=' . $name{$what} =~ s/'/\\'/r;
        rejoins_and_stays("a name with $what", '--keep-config', '--slot=named', '--create-slot',
            { conninfo => $conninfo });
    }
    return;
}

sub started_without_directory
{
    my %by = (pgdata => sub { "PGDATA=@{[ $target->data ]} $target->{bindir}/pg_ctl" },
        relative => sub { "$target->{bindir}/pg_ctl -D data" });
    for my $name (sort keys %by)
    {
        fresh($name);
        start_by_shell($by{$name}->());
        rejoins_and_stays("started by $name", '--keep-config');
        is($target->query('SHOW work_mem'), '7MB', "started by $name: with the options that it had");
    }
    # Killed amid the rewind, which removes postmaster.opts.
    fresh('killed');
    start_by_shell($by{pgdata}->());
    my $result = rejoin('--keep-config', ONCE,
        { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => 'kill:unlink@*/ballast;write@*' } });
    is($result->{signal}, 9, 'killed on the way') or diag($result->{stderr});
    ends(rejoin('--keep-config'), 0, 'killed on the way, and again', $follows);
    is($target->query('SHOW work_mem'), '7MB', 'killed on the way, and again: with the options that it had');
    # A stopped server's may be those of another directory, of which this is a copy.
    fresh('stopped');
    start_by_shell($by{pgdata}->());
    $target->stop;
    $target->configure("unix_socket_directories = '$target->{dir}'");
    ends(rejoin('--keep-config'), 0, 'stopped, started by pgdata', $follows,
        qr/^pg_rewind: warning: the options of the last start in ".*postmaster\.opts" are not used, since it names no absolute data directory: .*work_mem=7MB/m);
    return;
}

# The configuration lies in a directory of its own, which -D or PGDATA names; the files beside it are the server's, not
# those of the data directory.
sub configuration_elsewhere
{
    fresh('elsewhere');
    my $elsewhere = "$target->{dir}/conf";
    mkdir $elsewhere;
    rename($target->path($_), "$elsewhere/$_") or die for qw(postgresql.conf pg_hba.conf pg_ident.conf);
    append("$elsewhere/postgresql.conf", "data_directory = '@{[ $target->data ]}'\nwork_mem = 9MB\n");
    my $is_own = sub {
        my ($what) = @_;
        is($target->query("SELECT current_setting('work_mem') || current_setting('hba_file')"),
            "9MB$elsewhere/pg_hba.conf", "a configuration elsewhere, $what: it is the server's");
    };
    # While it is stopped, nothing tells where that is.
    ends(rejoin(), 1, 'a configuration elsewhere, of a server that is stopped',
        qr/^pg_rewind: error: the configuration of the target's server was not found$/m,
        qr/^pg_rewind: hint: The data directory has no postgresql\.conf: name the server's main configuration file with --config-file\.$/m);
    my $socket = "-c unix_socket_directories=$target->{dir}";
    my $start = sub { must_run([ 'sh', '-c', "cd $target->{dir} && $_[0] -w -l log.1 -o '$socket' start" ]) };
    $start->("$target->{bindir}/pg_ctl -D $elsewhere");
    rejoins_and_stays('a configuration elsewhere');
    $is_own->('by -D');
    $target->stop;
    spew($target->path('postmaster.opts'),
        join(' ', "$target->{bindir}/postgres", map { "\"$_\"" } '-D', $elsewhere, split(' ', $socket)) . "\n");
    ends(rejoin(), 0, 'a configuration elsewhere, of a server that is stopped and has left its options', $follows);
    $is_own->('by -D of the options');
    $target->stop;
    $start->("PGDATA=conf $target->{bindir}/pg_ctl");
    # It follows, but without the slot: so it is stopped and started.
    ends(rejoin('--slot=elsewhere', '--create-slot'), 0, 'a configuration elsewhere, by a relative PGDATA', $follows,
        qr/^pg_rewind: starting the target's server/m);
    $is_own->('by a relative PGDATA');
    return;
}

# As a program does that changes its directory before it starts the server: PWD is missing, or leads elsewhere. The
# server's session is that of a process that has exited: in the session of a container's process 1, which may run the
# tests, it would count as started by that process.
sub start_by_program
{
    my ($pwd, @options) = @_;
    my $call = 'my ($directory, $pwd, @call) = @ARGV; chdir $directory or die; delete $ENV{PWD};
        $ENV{PWD} = $pwd if $pwd; exit if fork; setsid; exit if fork; open STDIN, "<", "/dev/null";
        open STDOUT, ">>", "log.1"; open STDERR, ">&", STDOUT; exec @call';
    must_run([ $^X, '-MPOSIX=setsid', '-e', $call, $target->{dir}, $pwd, "$target->{bindir}/postgres", @options, '-c',
        "unix_socket_directories=$target->{dir}" ]);
    wait_until('it takes connections', sub { $target->try_sql('SELECT 1')->{status} == 0 });
    return;
}

# Where a relative -D leads only the server knows. The data directory still has initdb's files.
sub relative_without_working_directory
{
    my $shown = "SELECT current_setting('work_mem') || current_setting('hba_file')";
    my $fresh = sub {
        my ($name) = @_;
        my $conf = fresh($name)->{dir} . '/conf';
        mkdir $conf;
        must_run([ 'cp', (map { $target->path($_) } qw(postgresql.conf pg_hba.conf pg_ident.conf)), $conf ]);
        append("$conf/postgresql.conf", "data_directory = '@{[ $target->data ]}'\nwork_mem = 9MB\n");
        return $conf;
    };
    my $is_unknown = qr/^pg_rewind: error: it is not known with which configuration the target's server was started$/m;
    for my $pwd ('', '/usr')
    {
        my $conf = $fresh->("program$pwd" =~ s{/}{_}gr);
        start_by_program($pwd, '-D', 'conf');
        my $killed = rejoin('--keep-config', ONCE,
            { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => 'kill:unlink@*/ballast;write@*' } });
        is($killed->{signal}, 9, "a relative -D, PWD '$pwd': killed on the way") or diag($killed->{stderr});
        ends(rejoin('--keep-config'), 0, "a relative -D, PWD '$pwd', and again", $follows);
        is($target->query($shown), "9MB$conf/pg_hba.conf", "a relative -D, PWD '$pwd': its configuration");
    }
    # The data directory itself, with a main configuration file elsewhere as well.
    $fresh->('itself');
    start_by_program('', '-D', 'data');
    rejoins_and_stays('a relative -D of the data directory', '--keep-config');
    is($target->query('SHOW hba_file'), $target->path('pg_hba.conf'), '-D of the data directory: as it was');
    my $own = $fresh->('file') =~ s/conf$/own.conf/r;
    spew($own, slurp($target->path('postgresql.conf')) . "work_mem = 9MB\n");
    start_by_program('', '-D', 'data', '-c', "config_file=$own");
    ends(rejoin('--keep-config'), 0, 'a relative -D and a main configuration file', $follows);
    is($target->query($shown), '9MB' . $target->path('pg_hba.conf'), 'and a main configuration file: as it was');

    # It does not answer.
    my $conf = $fresh->('silent');
    start_by_program('', '-D', 'conf');
    my $hba = slurp("$conf/pg_hba.conf");
    spew("$conf/pg_hba.conf", "local all,replication all reject\n");
    kill 'HUP', $target->postmaster_pid;
    wait_until('it refuses', sub { $target->try_sql('SELECT 1')->{status} != 0 });
    my $pid = $target->postmaster_pid;
    my @silent = ('--keep-config', '--demote=1');
    ends(rejoin(@silent, @$_), 1, "a relative -D, and no answer @$_", $is_unknown,
        qr/^pg_rewind: hint: Name its main configuration file with --config-file, or .* --start-command\.$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m) for [], ['-n'];
    is($target->postmaster_pid, $pid, 'a relative -D, and no answer: the server goes on');
    # What is named does not say whose configuration it is.
    spew("$target->{dir}/own.conf", slurp($target->path('postgresql.conf')));
    ends(rejoin(@silent, "--config-file=$target->{dir}/own.conf"), 1, 'and a file of another directory', $is_unknown);
    ends(rejoin(@silent, '-n', '--start-command=false'), 0, 'and --start-command');
    spew("$conf/pg_hba.conf", $hba);
    ends(rejoin(@silent, "--config-file=$conf/postgresql.conf"), 0, 'and --config-file', $follows);
    is($target->query($shown), "9MB$conf/pg_hba.conf", "and --config-file: with what lies beside it");
    return;
}

# The server's start wrote postmaster.opts before it failed. The same command again starts it as it was before the first
# one.
sub failed_after_its_options
{
    fresh('after_options');
    must_run([ 'sh', '-c',
        "PG_MARK=mine $target->{bindir}/pg_ctl -D @{[ $target->data ]} -w -l $target->{dir}/log.1 -o '@{[ own_options() ]}' start" ]);
    my $hba = slurp($target->path('pg_hba.conf'));
    spew($target->path('pg_hba.conf'), "nonsense\n");
    # As a rule the rewind takes more than a second between what is kept and the start.
    mkdir "$target->{dir}/late";
    spew("$target->{dir}/late/pg_ctl",
        "#!/bin/sh\ncase \"\$*\" in *' start') sleep 1.1 ;; esac\nexec $target->{bindir}/pg_ctl \"\$@\"\n");
    chmod 0755, "$target->{dir}/late/pg_ctl";
    ends(rejoin('--keep-config', '-B', "$target->{dir}/late", { no_bindir => 1 }), 2,
        'a start that fails after its options are written',
        qr/^pg_rewind: error: could not start the target's server$/m);
    spew($target->path('pg_hba.conf'), $hba);
    ends(rejoin('--keep-config'), 0, 'and again', $follows);
    like(slurp("/proc/@{[ $target->postmaster_pid ]}/environ"), qr/(?:^|\0)PG_MARK=mine\0/,
        'and again: it has the environment that it had');
    return;
}

# A rewind without --rejoin was killed on the way, and there is no space to keep how the server was started: the rewind,
# which removes postmaster.opts, is finished all the same, and that is kept then, although this run fails afterwards.
sub kept_after_the_interrupted_rewind
{
    fresh('kept_later');
    $target->start(settings => { work_mem => '7MB' });
    $target->stop;
    end_by_kill(hold($target, $source, 'apply', '--keep-config'));
    my $result = rejoin('--keep-config', '--slot=missing', ONCE, { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT => 'fail:create@*/pg_rewind.work.start.new:ENOSPC' } });
    ends($result, 2, 'no space to keep it', qr/^pg_rewind: the interrupted rewind is finished$/m,
        qr/^pg_rewind: error: the source has no replication slot "missing"/m);
    ends(rejoin('--keep-config'), 0, 'no space to keep it, and again', $follows);
    is($target->query('SHOW work_mem'), '7MB', 'no space to keep it, and again: with the options that it had');
    return;
}

# A copy of the directory has the file that was kept for the start of another server.
sub copied_while_stopped
{
    fresh('original')->start(settings => { work_mem => '7MB' });
    my $killed = rejoin('--keep-config', ONCE,
        { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => 'kill:create@*/pg_rewind.work/*' } });
    is($killed->{signal}, 9, 'killed after the stop') or diag($killed->{stderr});
    ok(-e $target->path('pg_rewind.work.start'), 'killed after the stop: the start is kept');
    my $copy = "$target->{dir}/copy";
    must_run([ 'cp', '-a', $target->data, $copy ]);
    my $result = run([ rewind_argv($copy, qw(--rejoin --dry-run --keep-config
        -B), $target->bindir, '--source-server', $source->conninfo) ]);
    like($result->{stderr}, qr/^pg_rewind: would start the target's server: /m, 'of a copy it says how that is started')
        or diag($result->{stderr});
    unlike($result->{stderr}, qr/\Q@{[ $target->data ]}\E\b/, 'of a copy: nothing of the other server');
    return;
}

# An option that is added to the second run has an effect, though that run starts the server as the first one would
# have.
sub option_of_second_run
{
    fresh('second')->start;
    my $other = "$target->{dir}/other.conf";
    spew($other, slurp($target->path('postgresql.conf')) . "work_mem = 9MB\n");
    append($target->path('postgresql.conf'), "shared_buffers = 'none'\n");
    ends(rejoin('--keep-config'), 2, 'a server that cannot start',
        qr/^pg_rewind: error: could not start the target's server$/m);
    ends(rejoin('--keep-config', "--config-file=$other"), 0, 'and with another configuration', $follows);
    is($target->query('SHOW work_mem'), '9MB', 'and with another configuration: it is the server\'s');
    return;
}

# Of several builds of a version the one that ran.
sub other_programs
{
    fresh('programs')->start;
    my $other = "$target->{dir}/bin";
    mkdir $other;
    spew("$other/pg_ctl", "#!/bin/sh\nif [ \"\$1\" = -V ]; then exec $target->{bindir}/pg_ctl -V; fi\nexit 1\n");
    chmod 0755, "$other/pg_ctl";
    ends(rejoin('--keep-config', { no_bindir => 1, env => { PATH => "$other:$ENV{PATH}" } }), 0,
        'another pg_ctl of this version in PATH', $follows,
        qr{^pg_rewind: starting the target's server: (?!\Q$other\E)}m);
    return;
}

# By a role that sees nothing, so that the target itself must be asked.
sub socket_in_data_directory
{
    fresh('socket')->configure("unix_socket_directories = '.'");
    must_run([ "$target->{bindir}/pg_ctl", '-D', $target->data, '-w', '-l', "$target->{dir}/log.1", 'start' ]);
    rejoins_and_stays('a socket directory that is relative', '--keep-config',
        { conninfo => $source->conninfo =~ s/user=\S+/user=rewinder/r });
    return;
}

# The address of the source in the environment is not the target's.
sub address_in_environment
{
    my $port = 20000 + $$ % 10000;
    $source->configure("listen_addresses = '127.0.0.1'\nport = $port");
    $source->restart;
    fresh('address')->configure("port = $port\nunix_socket_directories = '$target->{dir}'");
    rejoins_and_stays('an address in the environment', '--keep-config',
        { conninfo => "port=$port user=postgres dbname=postgres", env => { PGHOSTADDR => '127.0.0.1' } });
    return;
}

# A container's, whose process 1 is the server or ends with it: so would the container, and the command. That of pg_ctl
# ends alone.
sub process_1
{
    my @container = qw(unshare -c -pf --mount-proc);
    return if run([ @container, 'true' ])->{status} != 0;
    my $runs = qr/^pg_rewind: hint: The target is unchanged, and its server is running\.\nstatus 1$/m;
    my $refused = sub { qr/^pg_rewind: error: the target's server $_[0] process 1 of its container\n(?:.*\n)*$runs/m };
    fresh('container')->configure("unix_socket_directories = '$target->{dir}'");
    my $rejoin = join ' ', map { "'$_'" } rewind_argv('data', qw(--rejoin --keep-config
        -B), $target->bindir, '--source-server', $source->conninfo);
    my $server = "$target->{bindir}/postgres -D data >log.1 2>&1";
    my $pg_ctl = "$target->{bindir}/pg_ctl -D data -l log.1";
    for my $row ([ "exec $server", $refused->('is') ], [ "$server; exit", $refused->('was started by') ],
        [ "$pg_ctl -w start; wait", qr/^pg_rewind: the target follows the source: (?:.*\n)*status 0$/m ])
    {
        my ($start, $says) = @$row;
        my $script =
            "{ until $pg_ctl status >status; do sleep 0.05; done; $rejoin; echo status \$? >&2; $pg_ctl -W stop; } 2>said & $start";
        run([ @container, 'sh', '-c', "cd $target->{dir} && { $script; }" ]);
        my $said = slurp("$target->{dir}/said");
        like($said, $says, "the server of a container, by $start") or diag($said, slurp("$target->{dir}/log.1"));
    }
    return;
}

sub slow_stop
{
    fresh('slow')->start;
    my $session = $target->session;
    my ($backend) = $session->sql('SELECT pg_backend_pid()') =~ /(\d+)/;
    stop_in_system_call($backend);
    ends(rejoin('--keep-config', '--demote=1', '--wait-timeout=1'), 1, 'a stop that takes too long',
        qr/^pg_rewind: error: the target's server did not stop within 1 s$/m,
        qr/^pg_rewind: hint: Use --wait-timeout to wait longer\.$/m,
        qr/it is stopping\. Run the same pg_rewind command again\./);
    ends(rejoin('--keep-config', '--wait-timeout=1'), 1, 'a stop that takes too long, again',
        qr/^pg_rewind: detail: A server \(PID \d+\) in ".*" is still stopping\.$/m);
    kill 'CONT', $backend;
    ends(rejoin('--keep-config'), 0, 'a stop that took long', $follows);
    $session->end;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub {
            $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT");
            $_[0]->sql(rewinding_role('rewinder') . 'ALTER ROLE rewinder REPLICATION') if $version >= 11;
        },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    named_on_the_command_line();
    started_without_directory();
    configuration_elsewhere();
    relative_without_working_directory();
    option_of_second_run();
    failed_after_its_options();
    kept_after_the_interrupted_rewind();
    copied_while_stopped();
    other_programs();
    socket_in_data_directory() if $version >= 11;
    process_1();
    slow_stop();
    address_in_environment();
    undef $target;
}, only => [ 10, 15, 18 ]);
