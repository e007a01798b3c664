# One PostgreSQL cluster of any version from 9.3 on: its data directory, its server, its clients.
#
#   my $primary = RewindTest::Cluster->new('primary', 15);
#   $primary->start;
#   $primary->sql('CREATE TABLE t AS SELECT 1 AS a');
#   my $standby = $primary->standby('standby');
#   $standby->wait_for_replay_of($primary);
#
# Directories:  DIR/data  DIR/log.N (of the N-th start)  DIR/tablespace/NAME  DIR/.s.PGSQL.5432
#
# Nothing of a cluster that pg_rewind might copy to another names the cluster: socket directory and log are
# given on the command line.  No server listens on TCP, so no port is ever in use.

package RewindTest::Cluster;

use strict;
use warnings;

use Fcntl ':flock';
use RewindTest::Command;
use RewindTest::Query;
use RewindTest::Session;
use Time::HiRes ();

my @clusters;    # all that exist, to be stopped at the end
my $kept_count = 0;

# Where the server programs of a version lie: see server_bindir in tests/environment.sh.
sub bindir_of_version
{
    my ($version) = @_;
    my $servers = $ENV{PG_REWIND_SERVERS} // '/var/cache/pg_rewind/servers';
    my $bindir = $ENV{ 'PG_BINDIR_' . $version =~ tr/./_/r } // (-e "$servers/$version" ? "$servers/$version/bin"
        : "$servers/node_modules/postgres-$version/native/bin");
    die "there is no server of version $version at $bindir\n" if !-x "$bindir/postgres";
    return $bindir;
}

# Make a cluster, not started.
#
# Options, each a fact fixed by initdb but the last:
#   checksums       data checksums; without them wal_log_hints is on. Default: even versions have them, and 9.3, which
#                   has no wal_log_hints.
#   wal_segment_mb  size of a WAL segment; 11 and later.  Default 1 (copies of clusters are small then).
#   settings        text appended to postgresql.conf
sub new
{
    my ($class, $name, $version, %option) = @_;
    my %initdb = (
        checksums => $option{checksums} // (substr($version, -1) % 2 == 0 || $version == 9.3 ? 1 : 0),
        wal_segment_mb => $version < 11 ? 16 : $option{wal_segment_mb} // 1,
    );
    my $self = $class->allocate($name, $version, bindir_of_version($version));
    must_run([ 'cp', '-a', template($version, $self->{bindir}, %initdb), $self->data ]);
    $self->configure($option{settings}) if defined $option{settings};
    return $self;
}

sub allocate
{
    my ($class, $name, $version, $bindir) = @_;
    my $dir = work_dir() . "/$name";
    die "there is a cluster $name already\n" if -e $dir;
    mkdir $dir or die "could not create $dir: $!";
    mkdir "$dir/tablespace" or die "could not create $dir/tablespace: $!";
    my $self = bless { name => $name, version => $version, dir => $dir, bindir => $bindir, starts => 0 }, $class;
    push @clusters, $self;
    return $self;
}

# All that exist.
sub all { return @clusters }

# initdb takes a second or more: it is run once for each version and set of options, and its result copied.
# So all clusters of a test have one system identifier. They lack template0, a third of the files: copying these is much
# of what tests cost.
sub template
{
    my ($version, $bindir, %initdb) = @_;
    my $dir = ($ENV{TMPDIR} // work_dir()) . '/templates';
    my $template = "$dir/$version-$initdb{checksums}-$initdb{wal_segment_mb}-" . ($bindir =~ /node_modules/ ? 'npm'
        : 'other');

    mkdir $dir;
    open(my $lock, '>', "$template.lock") or die "could not create $template.lock: $!";
    flock($lock, LOCK_EX) or die "could not lock $template.lock: $!";
    return $template if -d $template;

    my $new = "$template.new";
    my @options = ('-A', 'trust', '-U', 'postgres', '--no-locale', '-E', 'UTF8', '-N', '-D', $new);
    push @options, '-k' if $initdb{checksums};
    push @options, '--no-data-checksums' if !$initdb{checksums} && $version >= 18;
    push @options, "--wal-segsize=$initdb{wal_segment_mb}" if $version >= 11;
    must_run([ "$bindir/initdb", @options ]);
    append("$new/postgresql.conf", settings_for_tests($version, %initdb));
    # those lines are comments there
    append("$new/pg_hba.conf", "local replication all trust\nhost replication all 127.0.0.1/32 trust\n")
        if $version < 10;
    for my $database ($version < 10 ? () : qw(template1 postgres))
    {
        must_run([ "$bindir/postgres", '--single', '-D', $new, $database ],
            stdin => "CREATE EXTENSION amcheck;\n");
    }
    must_run([ "$bindir/postgres", '--single', '-D', $new, 'postgres' ],
        stdin => "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'\nDROP DATABASE template0\n");
    must_run([ "$bindir/postgres", '--single', '-D', $new, $_ ], stdin => functions_of_94()) for $version >= 9.4 ? ()
        : qw(template1 postgres);
    must_run([ 'fallocate', '--dig-holes', $_ ]) for $initdb{wal_segment_mb} < 1024 ? ()
        : glob("$new/{pg_wal,pg_xlog}/0*");
    rename($new, $template) or die "could not rename $new: $!";
    return $template;
}

# A statement a line.
sub functions_of_94
{
    return <<'END';
CREATE FUNCTION lo_put(oid, bigint, bytea) RETURNS void LANGUAGE plpgsql AS 'DECLARE fd int := lo_open($1, 131072); BEGIN PERFORM lo_lseek64(fd, $2, 0), lowrite(fd, $3), lo_close(fd); END'
CREATE FUNCTION lo_from_bytea(oid, bytea) RETURNS oid LANGUAGE plpgsql AS 'BEGIN PERFORM lo_create($1); PERFORM lo_put($1, 0, $2); RETURN $1; END'
END
}

sub settings_for_tests
{
    my ($version, %initdb) = @_;
    my $segments_kept = $initdb{wal_segment_mb} < 32 ? 128 / $initdb{wal_segment_mb} : 4;
    my $wal_min_mb = 2 * $initdb{wal_segment_mb};
    my @settings = (
        $version >= 13 ? 'wal_keep_size = ' . $segments_kept * $initdb{wal_segment_mb} . 'MB'
        : "wal_keep_segments = $segments_kept",
        $version >= 9.6 ? 'wal_level = replica' : 'wal_level = hot_standby',
        # A server that is killed leaves its shared memory behind; this is removed with its directory.
        $version >= 9.4 ? 'dynamic_shared_memory_type = ' . ($version >= 12 ? 'mmap' : 'none') : (),
        $version >= 9.4 ? 'wal_log_hints = ' . ($initdb{checksums} ? 'off' : 'on') : (),
        $version >= 9.5 ? ("min_wal_size = ${wal_min_mb}MB", 'wal_retrieve_retry_interval = 100ms') : (),
        $version >= 9.4 && $version < 10 ? 'max_replication_slots = 10' : (),    # the default of those that follow
    );
    return join("\n", @settings) . <<"END";

listen_addresses = ''
fsync = off
autovacuum = off
shared_buffers = 16MB
max_wal_senders = 8
max_prepared_transactions = 8
hot_standby = on
log_checkpoints = on
checkpoint_timeout = 1h
log_line_prefix = '%m [%p] '
END
}

sub name    { return $_[0]{name} }
sub version { return $_[0]{version} }
sub bindir  { return $_[0]{bindir} }
sub dir     { return $_[0]{dir} }
sub data    { return "$_[0]{dir}/data" }

# A path inside the data directory, by the name that it has from 10 on.
sub path
{
    my ($self, $path) = @_;
    if ($self->{version} < 10)
    {
        $path =~ s/^pg_wal\b/pg_xlog/;
        $path =~ s/^pg_xact\b/pg_clog/;
    }
    return $self->data . "/$path";
}

# Add a file of holes, which is fetched whole: so much that a run wants all its connections, also where a busy machine
# took a second to make the first.
sub have_much_to_fetch
{
    my ($self) = @_;
    my $path = $self->path('much_to_fetch');
    open(my $file, '>', $path) or die "could not create $path: $!";
    truncate($file, 300 * 1024 * 1024) or die "could not extend $path: $!";
    return $self;
}

# Of the configuration files the one that is read last.
sub last_settings { my ($self) = @_; return $self->path($self->{version} < 9.4 ? 'postgresql.conf'
    : 'postgresql.auto.conf') }

# Append to postgresql.conf.
sub configure { my ($self, $settings) = @_; append($self->path('postgresql.conf'), $self->in_its_words("$settings\n"));
    return }

# A server that pg_rewind starts with this configuration, or a copy of it, and no options listens in its own cluster's
# directory, not in /tmp, where other tests' servers may be.
sub listen_apart { my ($self) = @_; $self->configure("unix_socket_directories = '..'"); return }

# An empty directory for a tablespace of this cluster; copies of the cluster get one of their own.
sub tablespace_location
{
    my ($self, $name) = @_;
    my $location = "$self->{dir}/tablespace/$name";
    mkdir $location or die "could not create $location: $!";
    return $location;
}

# Where a tablespace may lie that each copy of a cluster is to have at a place of its own: inside the data directory.
# Servers before 10 cannot; there it must be made before the copy.
sub location_in_place { my ($self, $name) = @_; return $self->{version} < 10 ? $self->tablespace_location($name) : '' }

# How others connect.
sub conninfo
{
    my ($self, $database) = @_;
    $database //= 'postgres';
    return "host=$self->{dir} port=5432 user=postgres dbname=$database";
}

# ---------------------------------------------------------------- the server

# Option settings => { name => value }: on the command line, for this start only.
sub start
{
    my ($self, %option) = @_;
    my $result = $self->try_start(%option);
    die "could not start $self->{name}:\n$result->{stdout}$result->{stderr}" . $self->log if $result->{status} != 0;
    return $self;
}

# The same, but a failure is a result: that of pg_ctl.
sub try_start
{
    my ($self, %option) = @_;
    my %settings = (unix_socket_directories => $self->{dir}, %{ $option{settings} // {} });
    my $arguments = join ' ', map { "-c $_=$settings{$_}" } sort keys %settings;
    $self->{starts}++;
    my $result = run([
        "$self->{bindir}/pg_ctl", '-D', $self->data, '-l', $self->log_path, $self->{version} < 10 ? '-W'
        : '-w', '-t', PATIENCE_SECONDS,
        '-o', $arguments, 'start'
    ]);
    $result->{status} ||= $self->takes_connections(($settings{hot_standby} // '') eq 'off') ? 0 : 1
        if $self->{version} < 10;
    return $result;
}

# The pg_ctl of these versions waits for no more than a postmaster, and looks once a second. One that takes none in
# recovery is only to run.
sub takes_connections
{
    my ($self, $in_vain) = @_;
    my ($began, $ran, $answers) = (Time::HiRes::time(), 0, 0);
    eval {
        wait_until("$self->{name} takes connections", sub {
            my $runs = $self->is_running;
            return 1 if !$runs && ($ran || Time::HiRes::time() > $began + 15);
            $ran ||= $runs;
            return $answers = $runs && ($in_vain || $self->try_sql('SELECT 1')->{status} == 0);
        });
    };
    return $answers;
}

sub log_path { my ($self) = @_; return "$self->{dir}/log.$self->{starts}" }

# The server's log since its last start.
sub log { my ($self) = @_; return -e $self->log_path ? slurp($self->log_path) : '' }

# Modes as in pg_ctl; 'kill' is what a power cut is to a server: kill -9 of all its processes.
sub stop
{
    my ($self, $mode) = @_;
    $mode //= 'fast';
    return $self if !$self->is_running;
    if ($mode eq 'kill')
    {
        $self->kill_all_processes;
        return $self;
    }
    my $pid = $self->postmaster_pid;
    must_run([ "$self->{bindir}/pg_ctl", '-D', $self->data, '-m', $mode, $self->{version} < 10 ? '-W'
        : '-w', '-t', PATIENCE_SECONDS, 'stop' ]);
    $self->wait_for_end_of($pid);
    return $self;
}

# As restart; what the function does is done when the server was told to stop, and may not have stopped yet.
sub restart_amid
{
    my ($self, $amid) = @_;
    my $pid = $self->postmaster_pid;
    must_run([ "$self->{bindir}/pg_ctl", '-D', $self->data, '-m', 'fast', '-W', 'stop' ]);
    wait_until("$self->{name} begins to stop", sub { $self->log =~ /received fast shutdown request/ });
    $amid->();
    $self->wait_for_end_of($pid);
    return $self->start;
}

# What a service manager and an administrator do with a server that has crashed: one starts it, the other stops it
# before its recovery ends. The postmaster heeds the signal as soon as it has made the process that recovers.
sub stop_amid_crash_recovery
{
    my ($self) = @_;
    my $pid = 0;
    must_run([ "$self->{bindir}/pg_ctl", '-D', $self->data, '-l', "$self->{dir}/log.crash_recovery",
        '-o', "-c unix_socket_directories=$self->{dir}", '-W', 'start' ]);
    wait_until("the postmaster of $self->{name} runs", sub {
        for (1 .. 1000) { last if $pid = $self->postmaster_pid }
        return $pid;
    });
    kill 'INT', $pid;
    $self->wait_for_end_of($pid);
    return $self;
}

# pg_ctl returns when postmaster.pid is removed. The postmaster exits a moment later and uses the file system of the
# data directory until then. (A process that has exited, but whose parent has not waited for it, has no cwd.)
sub wait_for_end_of
{
    my ($self, $pid) = @_;
    wait_until(sub { "$self->{name} stops; its log:\n" . $self->log }, sub { !defined readlink "/proc/$pid/cwd" });
    return;
}

sub restart { my ($self) = @_; $self->stop; return $self->start }

sub postmaster_pid
{
    my ($self) = @_;
    # which a server removes as it stops
    my ($pid) = (eval { slurp($self->path('postmaster.pid')) } // '') =~ /\A(\d+)/;
    return $pid && (readlink("/proc/$pid/cwd") // '') eq $self->data ? $pid : 0;
}

# Of a running server.
sub checkpointer_pid { my ($self) = @_; return $self->process_pid('checkpointer') }

# The background writer, which writes records on its own every 15 seconds.
sub background_writer_pid { my ($self) = @_; return $self->process_pid($self->{version} < 11 ? 'writer'
    : 'background writer') }

# The WAL writer, which flushes what no commit has.
sub wal_writer_pid { my ($self) = @_; return $self->process_pid($self->{version} < 11 ? 'wal writer' : 'walwriter') }

# Of a running server, by the begin of what it calls that process. A new one is called like its parent at first.
sub process_pid
{
    my ($self, $name) = @_;
    my $pid;
    wait_until("$self->{name} has a $name", sub {
        my $postmaster = $self->postmaster_pid;
        ($pid) = grep { process_file($_, 'cmdline') =~ /^postgres: (?:[^:]+: )?$name/
            && process_file($_, 'stat') =~ /\) \S $postmaster / }
            map { m{(\d+)$} } glob('/proc/[0-9]*');
        return defined $pid;
    });
    return $pid;
}

# After a promotion, where many buffers are to be written: its checkpoint ends when the checkpointer goes on, and no
# sooner. (Earlier a promotion of 19 would wait for that process.)
sub hold_first_checkpoint
{
    my ($self) = @_;
    wait_until('the first checkpoint has begun', sub { $self->log =~ /checkpoint starting: force/ });
    stop_in_system_call($self->checkpointer_pid);
    return $self;
}

sub is_running { my ($self) = @_; return $self->postmaster_pid != 0 }

sub kill_all_processes
{
    my ($self) = @_;
    my $postmaster = $self->postmaster_pid;
    kill 'STOP', $postmaster;    # it starts no more of them
    my @children = grep { process_file($_, 'stat') =~ /\) \S $postmaster / } map { m{(\d+)$} } glob('/proc/[0-9]*');
    # None of the others may see that it is gone: a session would end with an abort, which empties a new table's file,
    # and of which no WAL is written any more.
    kill 'KILL', @children, $postmaster;
    wait_until("the processes of $self->{name} are gone", sub { !grep { -e "/proc/$_" } $postmaster, @children });
    return;
}

sub promote
{
    my ($self) = @_;
    must_run([ "$self->{bindir}/pg_ctl", '-D', $self->data, '-w', '-t', PATIENCE_SECONDS, 'promote' ]);
    # From 10 on pg_ctl waits until pg_control says so; a server that took no connections in recovery (hot_standby =
    # off) takes them a moment later.
    wait_until("$self->{name} leaves recovery", sub { my $answer = $self->try_sql('SELECT pg_is_in_recovery()');
        $answer->{status} == 0 && $answer->{stdout} eq "f\n" });
    return $self;
}

# Make a standby a primary by hand, running or stopped: its timeline stays what it was.
sub open_without_promotion
{
    my ($self) = @_;
    $self->stop;
    my $signal = $self->path($self->{version} < 12 ? 'recovery.conf' : 'standby.signal');
    unlink $signal or die "could not remove $signal: $!";
    return $self->start;
}

# Make a primary go through a standby's recovery without a primary of its own: the next timeline.
sub switch_timeline
{
    my ($self) = @_;
    my $nowhere = bless { %$self, dir => '/nonexistent' }, ref $self;
    $self->stop;
    return $self->follow($nowhere)->start->promote;
}

# ---------------------------------------------------------------- clients

# Tests call functions, columns and the like by the names of 10 and later: what they are called in servers before.
my %former_name = (
    pg_switch_wal => 'pg_switch_xlog',
    pg_current_wal_lsn => 'pg_current_xlog_location',
    pg_current_wal_insert_lsn => 'pg_current_xlog_insert_location',
    pg_current_wal_flush_lsn => 'pg_current_xlog_location',
    pg_last_wal_replay_lsn => 'pg_last_xlog_replay_location',
    pg_last_wal_receive_lsn => 'pg_last_xlog_receive_location',
    pg_walfile_name => 'pg_xlogfile_name',
    pg_wal_lsn_diff => 'pg_xlog_location_diff',
    pg_is_wal_replay_paused => 'pg_is_xlog_replay_paused',
    pg_wal_replay_pause => 'pg_xlog_replay_pause',
    pg_wal_replay_resume => 'pg_xlog_replay_resume',
    replay_lsn => 'replay_location',
    flush_lsn => 'flush_location',
    write_lsn => 'write_location',
    sent_lsn => 'sent_location',
);
my $renamed = join '|', keys %former_name;

sub in_its_words
{
    my ($self, $sql) = @_;
    my $version = $self->{version};
    return $sql if $version >= 10;
    $sql =~ s/\b($renamed)\b/$former_name{$1}/g;
    $sql =~ s/wal_level = '?replica\b'?/wal_level = hot_standby/g if $version < 9.6;
    # Settings that a server does not know, in a file.
    my $unknown = join '|', 'allow_in_place_tablespaces', $version < 9.5 ? qw(wal_compression track_commit_timestamp
        wal_retrieve_retry_interval) : (),
        $version < 9.4 ? qw(wal_log_hints max_replication_slots) : ();
    $sql =~ s/^(?:$unknown) = .*$//mg;
    $sql =~ s/^max_wal_size = .*$/checkpoint_segments = 200/mg if $version < 9.5;
    $sql =~ s/(pg_start_backup\('\w+', true), true\)/$1)/g if $version < 9.6;
    $sql =~ s/(pg_create_physical_replication_slot\('\w+'(?:::pg_catalog\.name)?), true\)/$1)/g if $version < 9.6;
    $sql =~ s/\bSELECT (?:pg_catalog\.)?pg_create_physical_replication_slot\('\w+'(?:::pg_catalog\.name)?\)/SELECT 1 WHERE false/g
        if $version < 9.4;
    $sql =~ s/\bALTER SYSTEM SET (\w+) (?:=|TO) (.+?) *(?=;|$)/$self->configure("$1 = $2"); 'SELECT 1 WHERE false'/emg
        if $version < 9.4;
    $sql =~ s/\bALTER SYSTEM RESET (\w+)/spew($self->path('postgresql.conf'), slurp($self->path('postgresql.conf')) =~ s{^$1 = .*\n}{}mgr); 'SELECT 1 WHERE false'/eg
        if $version < 9.4;
    # A constant in a table has no type there.
    $sql =~ s/(SELECT (?:\w+, )?'[\w ]*')(?= AS )/$1::text/g;
    # These functions came with 9.6: what tests ask of them stands in pg_control.
    my $after_checkpoint = $version < 9.5 ? 120 : 128;
    my $number = sub { my ($offset, $size) = @_; return join ' + ',
        map { "(get_byte(c, $offset + $_)::bigint << 8 * $_)" } 0 .. $size - 1 };
    $sql =~ s/pg_control_checkpoint\(\)/(SELECT @{[ $number->(56, 4) ]} AS timeline_id FROM pg_read_binary_file('global\/pg_control') c) control_checkpoint/g
        if $version < 9.6;
    $sql =~ s/pg_control_system\(\)/(SELECT @{[ $number->(0, 8) ]} AS system_identifier FROM pg_read_binary_file('global\/pg_control') c) control_system/g
        if $version < 9.6;
    $sql =~ s/pg_control_recovery\(\)/(SELECT @{[ $number->($after_checkpoint + 16, 4) ]} AS min_recovery_end_timeline FROM pg_read_binary_file('global\/pg_control') c) control_recovery/g
        if $version < 9.6;
    return $sql;
}

sub psql
{
    my ($self, $sql, $database) = @_;
    return [ program('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $self->conninfo($database), '-f', '-' ];
}

# Run a script; dies at its first error.  Returns what it printed, without the last newline.
sub sql
{
    my ($self, $sql, $database) = @_;
    my $result = $self->try_sql($sql, $database);
    die "failed ($result->{status}) on $self->{name}: $sql\n$result->{stdout}$result->{stderr}"
        if $result->{status} != 0 || $result->{signal} != 0;
    return $result->{stdout} =~ s/\n\z//r;
}

# The same for a query, by its other name.
sub query { my ($self, @arguments) = @_; return $self->sql(@arguments) }

# The same, but an error is a result: { status, signal, stdout, stderr }. A statement alone needs no psql, whose start
# costs more than most queries.
sub try_sql
{
    my ($self, $sql, $database) = @_;
    my $script = $self->in_its_words($sql);
    my $conninfo = $self->conninfo($database);
    return RewindTest::Query::is_simple($conninfo, $script) && RewindTest::Query::answer($conninfo, $script)
        || run($self->psql($sql, $database), stdin => "$script\n");
}

# A psql that stays connected; see RewindTest::Session.
sub session
{
    my ($self, $database) = @_;
    return RewindTest::Session->new(program('psql'), $self->conninfo($database), sub { $self->in_its_words(@_) });
}

# Names of the databases that can be connected to.
sub databases
{
    my ($self) = @_;
    # One of which a crash left half is called invalid, and nobody can connect to it.
    return split /\n/,
        $self->query('SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY datname');
}

# ---------------------------------------------------------------- copies and standbys

# A copy of a cluster that is not running, with tablespaces at places of its own.
sub copy
{
    my ($self, $name) = @_;
    die "$self->{name} is running\n" if $self->is_running;
    my $copy = (ref $self)->allocate($name, $self->{version}, $self->{bindir});
    must_run([ 'cp', '-a', $self->data, $copy->data ]);
    must_run([ 'cp', '-a', "$self->{dir}/tablespace", $copy->dir ]);
    for my $link (grep { -l } glob($copy->path('pg_tblspc/*')))
    {
        my $location = readlink $link;
        next if $location !~ s{^\Q$self->{dir}\E/}{$copy->{dir}/};
        unlink $link;
        symlink($location, $link) or die "could not create $link: $!";
    }
    return $copy;
}

# Make a running cluster a primary with one standby, and start that: the primary stops for a moment. The standby
# streams.
sub standby
{
    my ($self, $name) = @_;
    $self->stop;
    my $standby = $self->copy($name);
    $self->start;
    $standby->follow($self)->start;
    $standby->wait_for_stream_from($self);
    $standby->wait_for_replay_of($self);
    return $standby;
}

# Configure as a standby of another cluster, by hand: what -R does.
sub follow
{
    my ($self, $primary) = @_;
    my $conninfo = $primary->conninfo . " application_name=$self->{name}";
    if ($self->{version} < 12)
    {
        spew($self->path('recovery.conf'),
            "standby_mode = 'on'\nprimary_conninfo = '$conninfo'\nrecovery_target_timeline = 'latest'\n");
        return $self;
    }
    my $path = $self->path('postgresql.auto.conf');
    my $settings = -e $path ? slurp($path) : '';
    $settings =~ s/^primary_conninfo.*\n//mg;
    spew($path, $settings . "primary_conninfo = '$conninfo'\n");
    spew($self->path('standby.signal'), '');
    return $self;
}

# Where a cluster's own WAL or its replay stands.
sub lsn
{
    my ($self) = @_;
    return $self->query(
        'SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END');
}

# Wait until all that the other cluster has now is replayed here. A server writes whole pages of WAL by itself; a record
# that begins in the last of them, and is no commit, may be cut there for 15 seconds. A commit flushes it, and is waited
# for as well.
sub wait_for_replay_of
{
    my ($self, $other) = @_;
    my $lsn = $other->lsn;
    my $asked = 0;
    wait_until(
        sub { "$self->{name} replays $lsn of $other->{name}; its log:\n" . $self->log },
        sub {
            return 1 if $self->query("SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '$lsn') >= 0, false)")
                eq 't';
            return 0 if ++$asked != 10;
            $other->try_sql($self->{version} < 9.6 ? 'SELECT txid_current()'
                : "SELECT pg_logical_emit_message(true, 'flush', '')");
            $lsn = $other->lsn;
            return 0;
        });
    return;
}

# Wait until it streams from the other cluster, as follow has told it. What it replays before may come from its own
# pg_wal. The standby is asked if it can tell: the primary would change pages of catalogs by hints.
sub wait_for_stream_from
{
    my ($self, $other) = @_;
    my ($asked, $query) = $self->{version} >= 9.6
        ? ($self, q{SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'})
        : ($other,
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '$self->{name}' AND state = 'streaming'");
    wait_until(sub { "$self->{name} streams from $other->{name}; its log:\n" . $self->log },
        sub { $asked->query($query) ne '0' });
    return;
}

# Wait until only so many others are connected: what a client has begun goes on after its end, and its process ends
# later. So does the one that asks.
sub wait_for_clients
{
    my ($self, $count) = @_;
    my $clients = $self->{version} >= 10 ? "backend_type = 'client backend'"
        : 'pid NOT IN (SELECT pid FROM pg_stat_replication)';
    my ($session, $own);
    wait_until("$self->{name} takes one more client", sub {
        $session = $self->session;
        return ($own = $session->sql('SELECT pg_backend_pid()')) ne '';
    });
    wait_until("$self->{name} has $count clients",
        sub { $session->sql("SELECT count(*) FROM pg_stat_activity WHERE $clients AND pid <> $own") eq $count });
    $session->end;
    wait_until("$self->{name} has ended process $own", sub { !-e "/proc/$own" });
    return;
}

# Of a running primary, by a reload. The checkpointer writes a record of it when it has noticed; meanwhile nothing else
# is written: the first look at a catalog may set hints, and the background writer has a record of its own.
sub set_full_page_writes
{
    my ($self, $value) = @_;
    my $writer = $self->background_writer_pid;
    my ($lsn, $before) = ('', '');
    my $look = sub { $before = $lsn; $lsn = $self->query('SELECT pg_current_wal_insert_lsn()') };
    $self->sql("ALTER SYSTEM SET full_page_writes = $value");
    stop_in_system_call($writer);
    wait_until('nothing is written', sub { $look->() eq $before });
    $self->sql('SELECT pg_reload_conf()');
    wait_until("the checkpointer writes down that full_page_writes is $value", sub { $look->() ne $before });
    kill 'CONT', $writer;
    return;
}

# Stop the server and remove all files.
sub discard
{
    my ($self) = @_;
    $self->stop('immediate');
    $self->keep if defined log_directory();
    system('rm', '-rf', $self->{dir});
    @clusters = grep { $_ != $self } @clusters;
    return;
}

# Leave the whole cluster to be looked at if that is wanted, or its logs if a test has failed.
sub keep
{
    my ($self) = @_;
    my $failed = !Test::More->builder->is_passing;
    return if !$failed && !$ENV{PG_REWIND_TEST_KEEP};
    my $kept = sprintf '%s/%02d.%s-%s', log_directory(), ++$kept_count, $self->{version}, $self->{name};
    if ($ENV{PG_REWIND_TEST_KEEP}) { rename($self->{dir}, $kept) }
    else                           { mkdir $kept; system('cp', '-a', $_, $kept) for glob("$self->{dir}/log.*") }
    return;
}

# Stop all servers, leaving their files for somebody to look at.
sub stop_all { $_->stop('immediate') for reverse @clusters; return }

sub discard_all
{
    for my $cluster (reverse my @all = @clusters)
    {
        $cluster->discard;
    }
    return;
}

# Whatever ends a test, its servers end as well.
my $owner_pid = $$;
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

sub END
{
    return if $$ != $owner_pid;
    my $status = $?;
    eval { discard_all() };
    $? = $status;
}

1;
