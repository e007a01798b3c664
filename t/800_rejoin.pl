# --rejoin: one command makes a standby of a server that runs or is stopped, and waits until it follows the source. The
# same command again goes on wherever the one before ended; a server is not stopped where that would be in vain.
# (Invariant 3.)
#
#   source   1 ──┬── 2 ──────────┬──▶       all that it had when the server was started is replayed at the end
#   target       └── 1 ──╳ stop  └── 2 ──▶  rewound, started, streams
# (Rules I50, I51, I57, I60, I65.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Background;
use RewindTest::Session;

my ($source, $target);
# what had been made a standby of the source, on timeline 2, and was promoted then
use constant PROMOTED => '--demote=3';

sub rejoin
{
    my ($cluster, @options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    my $conninfo = $option{conninfo} // $source->conninfo . " application_name=$cluster->{name}";
    return run([ rewind_argv($cluster->data, '--rejoin', '--no-sync', '-B', $cluster->bindir, '--source-server',
        $conninfo, @options) ],
        env => $option{env} // {});
}

sub ends
{
    my ($result, $status, $what, @says) = @_;
    is($result->{signal} || $result->{status}, $status, "$what: exit status $status") or diag($result->{stderr});
    like($result->{stderr}, $_, "$what: it says so") for @says;
    return $result->{status} == $status;
}

# It streams, has all rows of the source, and its data directory holds nothing of ours but the log.
sub follows
{
    my ($cluster, $what, $namesakes) = @_;
    my $name = $namesakes ? 'target' : $cluster->{name};
    $source->sql("INSERT INTO t VALUES ('later')");
    my $expected = 1 + ($namesakes // 0);
    my $streams =
        sub {
            $source->query("SELECT count(*) FROM pg_stat_replication WHERE application_name = '$name' AND state = 'streaming'") };
    # what has lost its standby is counted for a moment
    wait_until("$what: it streams", sub { $streams->() == $expected });
    is($streams->(), $expected, "$what: it streams");
    $cluster->wait_for_replay_of($source);
    my $rows = 'SELECT a FROM t ORDER BY a';
    is($cluster->query($rows), $source->query($rows), "$what: it has the source's rows");
    is(join(' ', grep { !/server\.log$/ } map { m{([^/]+)$} } glob($cluster->path('pg_rewind*'))), '',
        "$what: nothing is left in it");
    return;
}

# A primary that goes on, and the standby that was promoted beside it: both run.
sub pair
{
    my ($version) = @_;
    $target = make_cluster('target', $version)->start;
    $target->sql("CREATE TABLE t AS SELECT 'common' AS a");
    $source = $target->standby('source');
    own_standby() if $version == 15;
    own_standby_of_one_in_recovery();
    $source->promote;
    $source->sql("INSERT INTO t VALUES ('source')");
    $target->sql("INSERT INTO t VALUES ('target')");
    return;
}

# A standby that nobody has promoted: with its primary as a standby there would be no primary.
sub own_standby
{
    my $pid = $target->postmaster_pid;
    ends(rejoin($target, $_), 1, "a source that is not promoted, $_",
        qr/^pg_rewind: error: the source server is a standby on the target's own timeline$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m)
        for '--keep-config', '--compare', '--dry-run';
    is($target->postmaster_pid, $pid, 'a source that is not promoted: its primary is not stopped');
    $target->stop;
    my $stopped = stopped_copy($target, 'unpromoted');
    $target->start;
    ends(rejoin($stopped), 0, 'a source that is not promoted, of a server that is stopped',
        qr/^pg_rewind: warning: the source server is a standby$/m);
    $stopped->discard;
    return;
}

# The same while the primary recovers from a crash, and has no clients for that reason.
sub own_standby_of_one_in_recovery
{
    my $crash_recovery = 4;
    my $state = sub { unpack('x16 V', slurp($target->path('global/pg_control'))) };
    $target->sql("CREATE TABLE w AS SELECT g AS a, repeat('x', 200) AS b FROM generate_series(1, 200000) g");
    $source->wait_for_replay_of($target);
    $target->stop('kill');
    must_run([ "$target->{bindir}/pg_ctl", '-D', $target->data, '-l', "$target->{dir}/log.crash_recovery",
        '-o', "-c unix_socket_directories=$target->{dir}", '-W', 'start' ]);
    my $startup = $target->process_pid('startup');
    wait_until('its recovery has begun', sub { $state->() == $crash_recovery });
    kill 'STOP', $startup;
    is($state->(), $crash_recovery, 'the primary is held in its recovery');
    my $pid = $target->postmaster_pid;
    ends(rejoin($target, '--wait-timeout=5', @$_), 1, "a primary in crash recovery @$_",
        qr/^pg_rewind: error: the source server is a standby on the target's own timeline$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m)
        for [], ['--dry-run'];
    is($target->postmaster_pid, $pid, 'it is not stopped');
    kill 'CONT', $startup;
    $target->restart;
    $target->sql('DROP TABLE w; CHECKPOINT');
    return;
}

# A copy of what is stopped and diverged, which listens where its configuration says.
sub stopped_copy
{
    my ($diverged, $name) = @_;
    my $copy = $diverged->copy($name);
    $copy->configure("unix_socket_directories = '$copy->{dir}'");
    return $copy;
}

# A directory that was copied from under a running server has the postmaster.pid of that one.
sub not_another_server
{
    my ($diverged) = @_;
    my $pid = $target->postmaster_pid;
    my $copy = $diverged->copy('another');
    spew($copy->path('postmaster.pid'), slurp($target->path('postmaster.pid')));
    ends(rejoin($copy, @$_), 1, "the server of another directory, @$_",
        qr/^pg_rewind: error: the server in postmaster\.pid is not the target's$/m) for [], ['-n'];
    is($target->postmaster_pid, $pid, 'the server of another directory is not stopped');
    $copy->discard;
    return;
}

# A password that nobody asks for.
sub with_password
{
    return { conninfo => $source->conninfo . ' application_name=target password=unused' };
}

sub warnings_of_password
{
    my ($result) = @_;
    return scalar(() = $result->{stderr}
        =~ /^pg_rewind: warning: the password of the connection string is written into primary_conninfo$/mg);
}

sub not_stopped_in_vain
{
    my $pid = $target->postmaster_pid;
    my $other = make_cluster('other', $target->version, checksums => $target->version % 2)->start;
    my @cases = (
        [ 'a source that cannot be reached', 1, { conninfo => 'host=/nonexistent' },
        qr/^pg_rewind: error: connection to server/m ],
        [ 'the source is the target', 1, { conninfo => $target->conninfo },
        qr/^pg_rewind: error: the source server is the target's own server$/m ],
        [ 'another system', 1, { conninfo => $other->conninfo },
        qr/^pg_rewind: error: source and target clusters are from different systems$/m ],
    );
    for my $case (@cases)
    {
        my ($what, $status, $option, $says) = @$case;
        my $result = rejoin($target, $option);
        is($result->{status}, $status, "$what: it fails") or diag($result->{stderr});
        like($result->{stderr}, $says, "$what: it says why");
        like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m,
            "$what: and how the target is");
        is($target->postmaster_pid, $pid, "$what: the server was not stopped");
    }
    $other->discard;
    $source->sql(rewinding_role('rewinder'));
    ends(rejoin($target, { conninfo => $source->conninfo =~ s/user=\S+/user=rewinder/r }), 1,
        'a role that may not replicate',
        qr/^pg_rewind: error: role rewinder may not replicate from the source server$/m,
        qr/ALTER ROLE rewinder REPLICATION;$/m);
    is($target->postmaster_pid, $pid, 'a role that may not replicate: the server was not stopped');
    my $result = rejoin($target, '-n', with_password());
    ends($result, 0, 'a dry run', qr/^pg_rewind: would stop the target's server \(PID $pid\): .*pg_ctl/m);
    is($target->postmaster_pid, $pid, 'a dry run does not stop the server');
    is(warnings_of_password($result), 1, 'a dry run warns of the password');
    $result = rejoin($target, '--bindir=/nonexistent');
    ends($result, 1, 'no pg_ctl', qr/^pg_rewind: error: no program "pg_ctl" of version \d+ was found$/m);
    is($target->postmaster_pid, $pid, 'what cannot be started is not stopped');
    return;
}

sub running_primary
{
    my $result = rejoin($target, '--report=json', with_password());
    ends($result, 0, 'a primary that runs', qr/^pg_rewind: stopping the target's server/m,
        qr/^pg_rewind: starting the target's server/m,
        qr/^pg_rewind: the target follows the source: standby "target" is streaming, async, replayed up to/m) or return;
    unlike($result->{stderr}, qr/Start the server/, 'and does not ask for it');
    is(warnings_of_password($result), 1, 'what is looked at before the stop and again by the rewind is warned of once');
    my $report = JSON::PP->new->utf8->decode($result->{stdout});
    my $rejoin = $report->{rejoin};
    is(join(' ', grep { $report->{seconds}{$_} <= 0 } qw(stop identify stage apply start
        follow)), '', 'each step has its time');
    my $sum = 0;
    $sum += $report->{seconds}{$_} for grep { $_ ne 'total' } keys %{ $report->{seconds} };
    cmp_ok(abs($sum - $report->{seconds}{total}), '<', 0.006, 'together they are the total');
    is("@{$rejoin}{qw(stopped started running followed application_name sync_state)}", '1 1 1 1 target async',
        'the report says so as well');
    follows($target, 'a primary that runs');

    my $pid = $target->postmaster_pid;
    my $again = rejoin($target, '--report=json');
    ends($again, 0, 'again', $target->version >= 9.6
        ? qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m : ());
    my $restarted = $target->postmaster_pid == $pid ? 0 : 1;
    is($restarted, $target->version >= 9.6 ? 0
        : 1, 'a standby that follows the source is not restarted, if it can say so: from 9.6 on');
    is(JSON::PP->new->utf8->decode($again->{stdout})->{rejoin}{stopped} + 0, $restarted,
        'and not stopped, says the report');

    $target->stop;
    ends(rejoin($target), 0, 'stopped, without divergence', qr/^pg_rewind: no rewind required$/m,
        qr/^pg_rewind: the target follows the source/m);
    follows($target, 'stopped, without divergence');
    return;
}

# Replication is refused from the start on, until it is allowed: the server runs and cannot follow. (What is refused
# before, is found before.) Returns the option that starts the cluster so.
sub refused_from_the_start
{
    my ($cluster) = @_;
    my $hba = $source->path('pg_hba.conf');
    my $start = "$cluster->{bindir}/pg_ctl -D $cluster->{dir}/data -w start";
    my $ask = program('psql') . " -Xqc IDENTIFY_SYSTEM -d '@{[ $source->conninfo ]} replication=true'";
    my $until_refused = "while $ask >/dev/null 2>&1; do sleep 0.05; done";
    return "--start-command=sed -i '1i local replication all reject' $hba; kill -HUP @{[ $source->postmaster_pid ]}; $until_refused; $start";
}

sub allow_replication
{
    my $hba = $source->path('pg_hba.conf');
    spew($hba, slurp($hba) =~ s/^local replication all reject\n//mgr);
    $source->sql('SELECT pg_reload_conf()');
    return;
}

sub it_takes_longer
{
    # A standby of the same name streams all the time.
    my $copy = stopped_copy(@_, 'slow');
    my $conninfo = $source->conninfo . ' application_name=target';
    my $result = rejoin($copy, '--keep-config', '--rejoin-timeout=8', refused_from_the_start($copy),
        { conninfo => $conninfo });
    ends($result, 2, 'too late', qr/^pg_rewind: error: the target's server does not follow the source yet$/m,
        qr/^pg_rewind: detail: Waited 8 s/m, qr/^pg_rewind: detail: .*FATAL: .*pg_hba.conf/m,
        qr/^pg_rewind: hint: The target is a standby of the source and its server is running.* run the same pg_rewind command again/m);
    my $pid = $copy->postmaster_pid;
    ok($pid, 'too late: the server runs');

    ends(rejoin($copy, '--keep-config', { conninfo => $conninfo }), 1, 'as long as replication is refused',
        qr/^pg_rewind: error: the source does not accept a replication connection/m);
    is($copy->postmaster_pid, $pid, 'as long as replication is refused the server is not stopped');
    allow_replication();
    ends(rejoin($copy, '--keep-config', { conninfo => $conninfo }), 0, 'the same command again',
        qr/^pg_rewind: the target follows the source: standby "target"/m);
    is($copy->postmaster_pid, $pid, 'the same command again goes on waiting') if $copy->version >= 9.6;
    follows($copy, 'the same command again', 1);
    $copy->discard;
    return;
}

sub signal_while_it_waits
{
    my ($diverged, $signal, $expected) = @_;
    my $copy = stopped_copy($diverged, 'signalled');
    my $run = start_rewind($copy, $source, options => [ '--rejoin', '--keep-config', refused_from_the_start($copy),
        $signal eq 'KILL' ? ONCE : () ],
        conninfo => $source->conninfo . ' application_name=signalled');
    wait_until('it waits', sub { slurp($run->{errors}) =~ /waiting until/ });
    kill $signal, $run->{pid};
    my $result = end_of_rewind($run);
    is($result->{status}, $expected, "$signal while it waits: it ends") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: hint: The target is a standby of the source and its server is running/m,
        "$signal: it says how the target is")
        if $signal eq 'TERM';
    ok($copy->is_running, "$signal while it waits: the server goes on");
    allow_replication();
    ends(rejoin($copy, '--keep-config'), 0, "$signal, and the same command again");
    follows($copy, "$signal, and the same command again");
    $copy->discard;
    return;
}

sub killed_on_the_way
{
    my ($diverged) = @_;
    my %at = (
        'before the rewind' => 'create@*/pg_rewind.work/*',
        'amid the rewind' => 'unlink@*/ballast;write@*',
        'before the start' => 'create@*/pg_rewind_server.log',
    );
    for my $when (sort keys %at)
    {
        my $copy = stopped_copy($diverged, 'killed');
        my $result = rejoin($copy, '--keep-config', ONCE,
            { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => "kill:$at{$when}" } });
        is($result->{signal}, 9, "killed $when") or diag($result->{stderr});
        ends(rejoin($copy, '--keep-config'), 0, "killed $when, and the same command again");
        follows($copy, "killed $when");
        $copy->discard;
    }
    return;
}

# Made a standby by hand, the target runs and never streams: its history has diverged.
sub standby_by_hand
{
    my ($diverged) = @_;
    my $copy = stopped_copy($diverged, 'byhand');
    $copy->follow($source)->start;
    my $result = rejoin($copy, '--keep-config', '--rejoin-timeout=2');
    like($result->{stderr}, qr/^pg_rewind: stopping the target's server/m, 'a standby that never streams is stopped')
        or diag($result->{stderr});
    ends(rejoin($copy, '--keep-config'), 0, 'a standby that never streamed');
    follows($copy, 'a standby that never streamed');

    # One that cannot be asked: the source is.
    $copy->stop->configure('hot_standby = off');
    ends(rejoin($copy, '--keep-config'), 0, 'a standby without connections',
        qr/^pg_rewind: the target follows the source: standby "byhand"/m);
    $copy->discard;
    return;
}

# The options of the command line stay those of the server, also when the run that has stopped it was killed.
sub killed_after_the_stop
{
    my $result = rejoin($target, PROMOTED, ONCE,
        { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => 'kill:unlink@*/ballast;write@*' } });
    is($result->{signal}, 9, 'killed after the stop') or diag($result->{stderr});
    ok(!$target->is_running, 'the server is stopped');
    # A role that sees nothing of how the standbys do; nor does it see that on the target.
    $source->sql('ALTER ROLE rewinder REPLICATION');
    my $conninfo = $source->conninfo =~ s/user=\S+/user=rewinder/r . ' application_name=target';
    ends(rejoin($target, { conninfo => $conninfo }), 0, 'killed after the stop, and the same command again',
        qr/^pg_rewind: the target follows the source: standby "target" is streaming, replayed/m);
    follows($target, 'killed after the stop');
    return;
}

# A pipe or a lock that the server kept would never be released: "pg_rewind --rejoin --report-file=/dev/stdout | jq"
# would not end.
sub holds_nothing_of_ours
{
    my ($copy, @commands) = @_;
    $copy->stop;
    my $lock = work_dir() . '/lock';
    my @argv = (rewind_argv($copy->data, '--rejoin', '-N', '--keep-config', '--source-server', $source->conninfo
        . ' application_name=commanded', @commands));
    for my $file ('/dev/stdout', '/dev/fd/3')
    {
        my $report = work_dir() . '/report_of_descriptor';
        must_run([ 'sh', '-c', "exec 9>$lock >$report; exec 3>&1; exec \"\$\@\"", 'sh', @argv, "--report-file=$file",
            '--report=json' ]);
        like(slurp($report), qr/"followed": true/, "a report to $file is written");
        my @held = grep { ($_ // '') eq $lock || ($_ // '') eq $report } map { readlink }
            glob('/proc/' . $copy->postmaster_pid . '/fd/*');
        is("@held", '', "with a report to $file the server has neither that file nor a lock of the caller's open");
        $copy->stop;
    }
    $copy->start;
    return;
}

# Commands of the user's. That to start leaves a server behind which holds the output.
sub commands
{
    my ($diverged) = @_;
    my $copy = stopped_copy($diverged, 'commanded');
    my $marks = $copy->dir . '/marks';
    my @commands = ("--stop-command=echo stop >>$marks; $copy->{bindir}/pg_ctl -D $copy->{dir}/data -m fast -w stop",
        "--start-command=echo start >>$marks; setsid $copy->{bindir}/postgres -D $copy->{dir}/data & until $copy->{bindir}/pg_ctl -D $copy->{dir}/data status; do sleep 0.05; done");
    ends(rejoin($copy, '--keep-config', @commands), 0, 'commands of the user');
    follows($copy, 'commands of the user');
    $copy->promote;
    $copy->sql("INSERT INTO t VALUES ('lost again')");
    open(my $pipe, '-|', rewind_argv($copy->data, '--rejoin', '-N', '--keep-config', PROMOTED, '--source-server',
        $source->conninfo . ' application_name=commanded',
        '--report=json', @commands)) or die;
    my $report = do { local $/ = undef; <$pipe> };    # to its end
    ok(close $pipe, 'commands of the user, of a server that runs: exit status 0');
    like($report, qr/"followed": true/, 'who reads its output sees the end of it');
    follows($copy, 'commands of the user, of a server that runs');
    is(slurp($marks), "start\nstop\nstart\n", 'these were run');
    holds_nothing_of_ours($copy, @commands);
    $copy->promote;
    ends(rejoin($copy, '--keep-config', PROMOTED, '--stop-command=false'), 1, 'a stop that fails',
        qr/^pg_rewind: error: could not stop the target's server$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
    # A session is open, and the stop waits for it.
    my $session = $copy->session;
    $session->sql('SELECT 1');
    my $pg_ctl = "$copy->{bindir}/pg_ctl -D $copy->{dir}/data";
    ends(rejoin($copy, '--keep-config', PROMOTED, '--wait-timeout=1', "--stop-command=$pg_ctl -m smart -W stop"), 1,
        'a stop that takes too long',
        qr/^pg_rewind: error: the target's server did not stop within 1 s$/m,
        qr/^pg_rewind: hint: The target is unchanged, but this command has asked its server to stop, and it is stopping\. Run the same pg_rewind command again\./m);
    $session->end;
    ends(rejoin($copy, '--keep-config', PROMOTED, '--start-command=false'), 2, 'a start that fails',
        qr/^pg_rewind: error: could not start the target's server$/m,
        qr/^pg_rewind: hint: The target is a standby of the source, but its server is not running: /m);
    ends(rejoin($copy, '--keep-config', "--start-command=$pg_ctl -w start && $pg_ctl -m immediate stop"), 2,
        'a server that ends at once',
        qr/^pg_rewind: error: the target's server is not running after it was started$/m);
    my $run = start_rewind($copy, $source, options => [ '--rejoin', '--keep-config', refused_from_the_start($copy) ],
        conninfo => $source->conninfo . ' application_name=commanded');
    wait_until('it waits', sub { slurp($run->{errors}) =~ /waiting until/ });
    $copy->stop('immediate');
    ends(end_of_rewind($run), 2, 'a server that ends soon',
        qr/^pg_rewind: error: the target's server has stopped$/m,
        qr/^pg_rewind: detail: .*received immediate shutdown request/m);
    allow_replication();
    ends(rejoin($copy, '--keep-config', "--start-command=$pg_ctl -w start && $pg_ctl -w promote"), 2,
        'a server that is promoted',
        qr/^pg_rewind: error: the target's server is not a standby$/m,
        qr/^pg_rewind: hint: The target's server is a second primary now: stop it /m);
    ends(rejoin($copy, '--keep-config', PROMOTED), 0, 'and with one that works');
    follows($copy, 'after all of that');
    $copy->discard;
    return;
}

# The server is stopped, and then the rewind fails.
sub stopped_in_vain
{
    my $copy = $target->stop->copy('vain');
    $target->start;
    $copy->start->promote;
    $copy->sql("INSERT INTO t VALUES ('lost'); SELECT pg_switch_wal(); CHECKPOINT");
    my $lost = $copy->path('PG_VERSION');
    my $result = rejoin($copy, PROMOTED, '--stop-command',
        "$copy->{bindir}/pg_ctl -D $copy->{dir}/data -m fast -w stop && mv $lost $lost.away");
    ends($result, 1, 'a rewind that fails',
        qr/^pg_rewind: hint: The target is unchanged, but its server was stopped by this command and is not running\. .*To start the server as it was instead, a primary beside the source: .*pg_ctl/m);
    my ($start) = $result->{stderr} =~ /To start the server as it was.*?: (.*)/;
    rename("$lost.away", $lost) or die;
    is(run([ 'sh', '-c', "$start >/dev/null 2>&1" ])->{status}, 0, 'that command starts it');
    is($copy->query('SELECT pg_is_in_recovery()'), 'f', 'as it was');
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    pair($version);
    $target->stop;
    my $diverged = $target->copy('diverged');
    $target->start;
    not_another_server($diverged) if $version == 15;
    not_stopped_in_vain() if $version == 15;
    running_primary();
    it_takes_longer($diverged);
    return if $version != 15;
    signal_while_it_waits($diverged, TERM => 2);
    signal_while_it_waits($diverged, KILL => 128 + 9);
    killed_on_the_way($diverged);
    standby_by_hand($diverged);
    commands($diverged);
    stopped_in_vain();
    $target->promote;
    $target->sql("INSERT INTO t VALUES ('lost')");
    killed_after_the_stop();
}, only => [ 10, 15, 18 ]);
