# --rejoin, called again: with each of its options the same command succeeds a second time, and leaves the server alone;
# and a third time, after the server was stopped. So it does after it was killed at each of its waits. (Invariant 3. 15
# stands for all.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ── again ── stop ── again ──▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;

my ($source, $diverged, $target);

sub conninfo { return $source->conninfo . ' application_name=again' }

sub rejoin
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--source-server',
        conninfo(), @options) ]);
}

sub succeeds
{
    my ($what, @options) = @_;
    my $result = rejoin(@options);
    is($result->{signal} || $result->{status}, 0, $what) or diag($result->{stderr});
    return $result->{stderr};
}

# The target again, before anything was done.
sub fresh
{
    $target->discard if $target;
    drop_slot();
    $target = $diverged->copy('again');
    # It listens where the options of its last start say: they are not the source's after a rewind.
    my $options = $target->path('postmaster.opts');
    spew($options, slurp($options) =~ s/\Q$diverged->{dir}\E/$target->{dir}/gr);
    return;
}

sub wait_for_release
{
    wait_until('no slot is used', sub { $source->query('SELECT count(*) FROM pg_replication_slots WHERE active')
        == 0 });
    return;
}

sub drop_slot
{
    wait_for_release();
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
    return;
}

sub is_standby
{
    my ($what) = @_;
    $target->wait_for_replay_of($source);
    is($target->query('SELECT string_agg(a, $$ $$ ORDER BY a) FROM t'), 'common source',
        "$what: the target has the source's rows");
    return;
}

# Where the target listens is no setting of the source's.
sub pg_ctl
{
    my ($what) = @_;
    return "$target->{bindir}/pg_ctl -D $target->{dir}/data -l $target->{dir}/log -o '-c unix_socket_directories=$target->{dir}' -w $what";
}

# Options that are no path of their own; [options], or code that gives them once the target is there.
sub rows
{
    my $place = sub { my $path = $target->dir . '/' . shift; return $path };
    my $archive = $source->dir . '/archive';
    return (
        (map { [ split ' ' ] } '-R', '--keep-config', '--slot=s --create-slot', '--compare', '--late-start',
        '--early-start', '--checkpoint', '--late-start --checkpoint',
            '--report=json', '--report=text --report-transactions=none', '--max-rate=100M', '--jobs=1', '--jobs=7',
            '-P', '--progress=json', '--debug',
            '--retries=0', '--retry-timeout=0', '--rejoin-timeout=100', '--wait-timeout=100', '--keep=some_*',
            '--sync-method=syncfs', '--no-ensure-shutdown', '-T /nowhere=/elsewhere'),
        [ "--wal-archive=$archive" ], ["--restore-command=cp $archive/%f %p"],
        sub { '--slot=s' }, sub { '--report-file=' . $place->('report') }, sub { '--report=json', '--report-file='
        . $place->('report') },
        sub { '--save-diverged-wal=' . $place->('saved') }, sub { '--config-file=' . $target->path('postgresql.conf') },
        sub { '--start-command=' . pg_ctl('start'), '--stop-command=' . pg_ctl('stop') },
        sub { $target->configure("restore_command = 'cp $archive/%f %p'"); '-c' },
        sub { $target->configure("restore_command = 'cp $archive/%f %p'"); '-c', '--keep-config' },
    );
}

sub each_option
{
    for my $row (rows())
    {
        fresh();
        my @options = ref $row eq 'CODE' ? $row->() : @$row;
        my $what = "@options" =~ s/\Q$target->{dir}\E|\Q$source->{dir}\E/.../gr;
        $source->sql(q{SELECT pg_create_physical_replication_slot('s')}) if $what eq '--slot=s';
        like(succeeds("$what: rejoins", @options), qr/^pg_rewind: (servers diverged|comparing)|Done!/m,
            "$what: it is a rewind");
        is_standby($what);
        my $pid = $target->postmaster_pid;
        my $said = succeeds("$what: again", @options);
        like($said, qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m,
            "$what: nothing is to be done");
        my $told = $said =~ /^pg_rewind: hint: This run compared no block, since it did not stop the server\./m;
        is($told ? 1 : 0, $what eq '--compare' ? 1 : 0,
            "$what: --compare is not taken to have compared");
        is($target->postmaster_pid, $pid, "$what: the server is the same");
        $target->stop;
        succeeds("$what: again, after a stop", @options);
        is_standby("$what, after a stop");
    }
    return;
}

# A dry run changes nothing, however often, also of a server that runs.
sub dry_run
{
    fresh();
    succeeds('a dry run', '--dry-run') for 1, 2;
    ok(!$target->is_running, 'a dry run starts nothing');
    $target->start;
    my $pid = $target->postmaster_pid;
    succeeds('a dry run of a server that runs', '--dry-run') for 1, 2;
    is($target->postmaster_pid, $pid, 'a dry run stops nothing');
    succeeds('after dry runs');
    is_standby('after dry runs');
    succeeds('a dry run of a standby that follows', '--dry-run') for 1, 2;
    return;
}

# ---- killed at its waits ----

# Kill it when it has said that, or when a file is there, and repeat the command.
sub killed_while
{
    my ($what, $waits, $afterwards, @options) = @_;
    my $run = start_rewind($target, $source, options => [ '--rejoin', '-B', $target->bindir, ONCE, @options ],
        conninfo => conninfo());
    wait_until(sub { "$what; it has said:\n" . slurp($run->{errors}) }, sub { has_ended($run)
        || (ref $waits ? slurp($run->{errors}) =~ $waits : -e $waits) });
    kill 'KILL', $run->{pid} if !has_ended($run);
    isnt(end_of_rewind($run)->{status}, 0, "killed while it $what");    # or it has just given up
    $afterwards->();
    succeeds("killed while it $what, and again", @options);
    is_standby("killed while it $what");
    return;
}

# A command that waits for a file before it does its work, and has noted that it was started.
sub command_that_waits
{
    my ($name) = @_;
    my ($begun, $go) = map { $target->dir . "/$name.$_" } qw(begun go);
    my $command = "touch $begun; while ! [ -e $go ]; do sleep 0.05; done; " . pg_ctl($name);
    return ($begun, sub { spew($go, '') }, "--$name-command=$command");
}

sub killed_while_stopping
{
    fresh();
    $target->start;
    my ($begun, $go, $command) = command_that_waits('stop');
    killed_while('waits for the stop command', $begun, $go, $command);

    fresh();
    $target->start;
    my $session = $target->session;
    $session->sql('SELECT 1');
    my $smart = "$target->{bindir}/pg_ctl -D $target->{dir}/data -m smart -W stop && touch $target->{dir}/asked";
    killed_while('waits for the end of a smart stop', "$target->{dir}/asked", sub { $session->end }, '--demote=1',
        "--stop-command=$smart");
    return;
}

sub killed_while_starting
{
    fresh();
    my ($begun, $go, $command) = command_that_waits('start');
    # The command goes on: whoever is first starts the server.
    killed_while('waits for the start command', $begun,
        sub { $go->(); wait_until('the server is there', sub { $target->takes_connections }) }, $command);
    return;
}

# The source does not answer.
sub killed_while_asking
{
    fresh();
    my $postmaster = $source->postmaster_pid;
    stop_in_system_call($postmaster);
    my $run = start_rewind($target, $source, options => [ '--rejoin', '-B', $target->bindir, ONCE ],
        conninfo => conninfo());
    kill 'KILL', $run->{pid};
    is(end_of_rewind($run)->{signal}, 9, 'killed while it waits for the source');
    kill 'CONT', $postmaster;
    succeeds('killed while it waits for the source, and again');
    is_standby('killed while it waits for the source');
    return;
}

# A server that was a standby already, and does not stream, is watched before it is stopped.
sub killed_while_watching
{
    fresh();
    $target->follow($source)->start;    # its history has diverged
    killed_while('watches a standby',
        qr/waiting for the target's server \(PID \d+\), a standby that does not stream yet/, sub { }, '--keep-config');
    return;
}

sub killed_while_following
{
    fresh();
    my $hba = $source->path('pg_hba.conf');
    my $before = slurp($hba);
    my $start = pg_ctl('start');
    my $reload = 'kill -HUP ' . $source->postmaster_pid;
    # As long as the file says so, a standby is refused: when the server starts it finds that.
    my $replicates = "$target->{bindir}/psql -XAtc IDENTIFY_SYSTEM -d '" . $source->conninfo
        . " replication=true' >/dev/null 2>&1";
    my $refuse = "sed -i '1i local replication all reject' $hba; $reload; while $replicates; do sleep 0.05; done; ";
    killed_while('waits for the standby to follow', qr/waiting until the target has replayed/,
        sub { spew($hba, $before); $source->sql('SELECT pg_reload_conf()') },
        '--keep-config', '--start-command='
        . "if [ -e $target->{dir}/refused ]; then $start; else touch $target->{dir}/refused; $refuse $start; fi");
    return;
}

sub killed_while_waiting_for_slot
{
    fresh();
    succeeds('with a slot', '--slot=s', '--create-slot');
    my $sender = $source->query(q{SELECT active_pid FROM pg_replication_slots WHERE slot_name = 's'});
    stop_in_system_call($sender);
    $target->stop('immediate');
    killed_while('waits for the slot', qr/is in use; waiting up to 5 s for its release/,
        sub { kill 'CONT', $sender; wait_for_release() },
        '--slot=s', '--create-slot');
    return;
}

each_version(sub {
    my ($version) = @_;
    $diverged = make_cluster('target', $version)->start;
    $diverged->sql("CREATE TABLE t AS SELECT 'common'::text AS a");
    $source = $diverged->standby('source');
    $source->configure("archive_mode = on\narchive_command = 'cp %p $source->{dir}/archive/%f'");
    mkdir "$source->{dir}/archive" or die;
    $source->restart->promote->sql("INSERT INTO t VALUES ('source'); CHECKPOINT");
    $diverged->sql("INSERT INTO t VALUES ('target')");
    $diverged->stop;
    each_option();
    dry_run();
    killed_while_stopping();
    killed_while_starting();
    killed_while_asking();
    killed_while_watching();
    killed_while_following();
    killed_while_waiting_for_slot();
}, only => [15]);
