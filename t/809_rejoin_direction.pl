# --rejoin stops no primary by mistake: not one that was promoted from the source's own timeline, or beside the source
# to a timeline of the same number, and none that clients, standbys or other replication connections use.
# --demote=TIMELINE names the primary that may be stopped nevertheless, and no other one. --check warns, and a dry run
# says what would be lost. (Invariant 1.)
#
#   primary    1 ──────┬──────────▶          the source, by mistake or as is meant
#   promoted           └── 2 ─────────▶      has the new rows, clients, and standbys
# (Rules D2, D3, D8, I52, T16.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Command qw(free_port);
use RewindTest::Held;
use RewindTest::Session;

my ($primary, $promoted);

sub rejoin
{
    my ($target, $source, @options) = @_;
    my $env = ref $options[-1] ? pop @options : {};
    return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--keep-config',
        '--source-server',
        $source->conninfo . " application_name=$target->{name}", @options) ], env => $env);
}

sub ends
{
    my ($what, $result, $status, @says) = @_;
    is($result->{signal} || $result->{status}, $status, "$what: status $status") or diag($result->{stderr});
    like($result->{stderr}, $_, "$what: it says so") for @says;
    return;
}

# Refused with -n as well; the server is the same, and its session goes on.
sub refused
{
    my ($what, $target, $source, @says) = @_;
    my @options = ref $says[-1] eq 'ARRAY' ? @{ pop @says } : ();
    my $pid = $target->postmaster_pid;
    for my $mode ([], ['-n'])
    {
        ends("$what, @$mode", rejoin($target, $source, @options, @$mode), 1, @says,
            qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
        is($target->postmaster_pid, $pid, "$what, @$mode: the server is not stopped");
    }
    return;
}

# As rejoin, held after it has looked at all and before it keeps how the server was started and stops it.
sub held_before_the_stop
{
    my ($target, $source, @options) = @_;
    return hold($target, $source, 'create@*/pg_rewind.work.start.new', '--rejoin', '--no-sync',
        '-B', $target->bindir, '--keep-config', @options);
}

# What has changed since it has looked keeps it from the stop.
sub refused_after_all
{
    my ($what, $target, $source, $change) = @_;
    my $held = held_before_the_stop($target, $source);
    my $session = $change->();
    my $pid = $target->postmaster_pid;
    ends($what, go_on($held), 1,
        qr/^pg_rewind: error: (?:the target is a primary in use|source and target were both )/m,
        qr/^pg_rewind: detail: It has 1 client connection(?: \(psql\))? now\.$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
    is($target->postmaster_pid, $pid, "$what: the server is not stopped");
    ok(!-e $target->path('pg_rewind.work.start'), "$what: nothing is kept for its start");
    $session->end;
    return;
}

sub findings
{
    my ($target, $source) = @_;
    my $result = run([ rewind_argv($target->data, qw(--check -R --report=json --source-server), $source->conninfo) ]);
    return map { $_->{name} => $_ } @{ JSON::PP->new->utf8->decode($result->{stdout})->{findings} };
}

sub follows
{
    my ($what, $target, $source) = @_;
    $source->sql("INSERT INTO t VALUES ('later')");
    $target->wait_for_replay_of($source);
    is($target->query('SELECT a FROM t ORDER BY a'), $source->query('SELECT a FROM t ORDER BY a'),
        "$what: the target has the source's rows");
    return;
}

my $direction =
    qr/^pg_rewind: error: the target was promoted from the source's timeline 1: it left that at [0-9A-F]+\/[0-9A-F]+, and is on timeline 2$/m;

# The issue's case: the promoted server, with its new rows and a client, is named as the target.
sub wrong_way
{
    my $session = $promoted->session;
    my $pid = $session->sql('SELECT pg_backend_pid()');
    my $lost =
        qr/^pg_rewind: the rewind discards 3 committed transactions of the target so far, on timeline 2, from \S+ \S+ \S+ to \S+ \S+ \S+; --save-/m;
    refused('the wrong way', $promoted, $primary, $direction, $lost,
        qr/^pg_rewind: detail: If the target is the new primary|^pg_rewind: detail: A rewind discards all/m,
        qr/^pg_rewind: detail: It has 1 client connection(?: \(psql\))? now\.$/m,
        qr/^pg_rewind: hint: To keep what the target has, rewind the other cluster/m,
        qr/^pg_rewind: hint: To stop this primary and discard what it has written, add --demote=2: the number is its timeline\.$/m);
    refused('the wrong way, by blocks', $promoted, $primary, $direction, $lost, ['--compare']);
    is($session->sql('SELECT pg_backend_pid()'), $pid, 'the client goes on');
    refused('another timeline is named', $promoted, $primary,
        qr/^pg_rewind: error: the target is on timeline 2, not on timeline 1 \(--demote\)$/m, ['--demote=1']);
    my %finding = findings($promoted, $primary);
    is(join(' ', map { $finding{$_}{state} // 'none' } qw(direction in_use)), 'warning warning', '--check warns');
    like($finding{direction}{text}, qr/^the target was promoted from the source's timeline 1: /, 'of the direction');
    like($finding{direction}{remedy}, qr/--rejoin does not stop this primary unless --demote=2 names its timeline\.$/,
        'names the option');
    like($finding{in_use}{text}, qr/has 1 client connection(?: \(psql\))? now\.$/, 'and of the client');
    $session->end;
    refused('the wrong way, without clients', $promoted, $primary, $direction);
    # What ends the run earlier is no advice to go on: --checkpoint would remove WAL of the right source.
    my $warning = $direction =~ s/error/warning/r;
    spew($primary->path('refused'), 'x');
    chmod 0, $primary->path('refused') or die;
    refused('the wrong way, and another error', $promoted, $primary,
        qr/^pg_rewind: error: could not .*"refused".*: Permission denied$/m, qr/$warning/m);
    unlink $primary->path('refused');
    refused('the wrong way, and too many', $promoted, $primary,
        qr/^pg_rewind: error: the rewind would discard more committed transactions/m, qr/$warning/m,
        ['--max-lost-transactions=2']);
    $promoted->stop;
    my $history = $promoted->path('pg_wal/00000002.history');
    rename $history, work_dir() . '/history' or die;
    my $early = run([ rewind_argv($promoted->data, '-n', '--source-server', $primary->conninfo) ]);
    like($early->{stderr}, qr/: warning: the target is on timeline 2.*(?s:.*)^pg_rewind: error: could not open file /m,
        'without --rejoin an error before the losses are known comes after the warning');
    rename work_dir() . '/history', $history or die;
    ends("the wrong way, stopped, @$_", rejoin($promoted, $primary, @$_), 1, $direction,
        qr/^pg_rewind: hint: To discard what this primary has written, add --demote=2: the number is its timeline\.$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is not running\. Remove the cause .* again\.$/m)
        for [];
    $promoted->start;
    return;
}

# The bound is judged before the stop, also where the timeline is named; and again after it.
sub limited
{
    my $too_many =
        qr/^pg_rewind: error: the rewind would discard more committed transactions than --max-lost-transactions=2 allows$/m;
    refused('too many', $promoted, $primary, $too_many,
        qr/^pg_rewind: detail: It would discard 3 committed transactions of the target so far, on timeline 2/m,
        [qw(--demote=2 --max-lost-transactions=2)]);
    my $look =
        qr/^pg_rewind: hint: To look at them, stop the server without a checkpoint, .*pg_ctl stop -m immediate\. Then use --dry-run --report=text without --max-lost-transactions\.$/m;
    like(rejoin($promoted, $primary, qw(-n --demote=2
        --max-lost-transactions=2))->{stderr}, $look, 'it says how they can be looked at: not while the server runs');
    ends('a dry run of few enough', rejoin($promoted, $primary, qw(-n --demote=2 --max-lost-transactions=3
        --report=json)), 0, qr/^pg_rewind: would stop the target's server/m);
    my $result = rejoin($promoted, $primary, qw(-n --demote=2 --report=json));
    is(JSON::PP->new->utf8->decode($result->{stdout})->{discarded}{transactions}, 3,
        'the report of a dry run has the number');

    # The last commit comes with the stop.
    my $stop =
        "psql -XAtqc \"INSERT INTO t VALUES ('last')\" '@{[ $promoted->conninfo ]}' && $promoted->{bindir}/pg_ctl -D $promoted->{dir}/data -m fast -w stop";
    ends('too many after the stop', rejoin($promoted, $primary, qw(--demote=2
        --max-lost-transactions=3), "--stop-command=$stop"), 1,
        qr/^pg_rewind: detail: It would discard 4 committed transactions of the target, on timeline 2/m,
        qr/^pg_rewind: hint: The target is unchanged, but its server was stopped by this command/m);
    ok(!$promoted->is_running, 'the server is stopped');
    $promoted->start;
    return;
}

# Who is right types one word more. Another run, which looked while the server was the primary, does not stop the
# standby.
sub right_way
{
    my $other = held_before_the_stop($promoted, $primary, '--demote=2');
    my $session = $promoted->session;
    ends('the primary is named', rejoin($promoted, $primary, '--demote=2'), 0,
        qr/^pg_rewind: the target follows the source/m);
    $session->end;
    follows('the primary is named', $promoted, $primary);
    ends('the same command again', rejoin($promoted, $primary, '--demote=2'), 0, $promoted->version >= 9.6
        ? qr/follows the source already$/m : ());
    my $pid = $promoted->postmaster_pid;
    ends('another run at the same time', go_on($other), 0,
        qr/^pg_rewind: the target's server has changed since it was examined: examining it again$/m,
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is($promoted->postmaster_pid, $pid, 'another run at the same time does not stop the standby');
    return;
}

# Both standbys of the old primary are promoted, to timelines of one number: only the operator knows which one serves.
sub both_were_promoted
{
    my ($standby) = @_;
    my ($both, $warning) =
        map { qr/^pg_rewind: $_: source and target were both promoted from timeline 1, the first at \S+, and/m }
        qw(error warning);
    for ([ $standby, $promoted ], [ $promoted, $standby ])
    {
        my ($target, $source) = @$_;
        my %finding = findings($target, $source);
        is($finding{direction}{state} // 'none', 'warning', '--check warns if both were promoted');
        refused("$target->{name} and $source->{name} were promoted", $target, $source, $both,
            qr/^pg_rewind: hint: To stop this primary and discard what it has written, add --demote=2: /m);
        ends('it is named', rejoin($target, $source, qw(-n --demote=2)), 0,
            qr/^pg_rewind: would stop the target's server/m);
    }
    $standby->stop;
    my $result = run([ rewind_argv($standby->data, '-n', '--source-server', $promoted->conninfo) ]);
    ends('without --rejoin', $result, 0, qr/$warning/m, qr/ not that of the other\. If the target is the new primary,/);
    $standby->start;
    return;
}

# The old primary, after a failover, with what was forgotten there.
sub in_use
{
    my $session = $primary->session;
    my $hint =
        qr/^pg_rewind: hint: If it still serves, do not rewind it\. If it does not, disconnect them\.\npg_rewind: hint: To stop this primary .* add --demote=1: /m;
    my $used = qr/^pg_rewind: error: the target is a primary in use$/m;
    refused('a client', $primary, $promoted, $used,
        qr/^pg_rewind: detail: It has 1 client connection(?: \(psql\))? now\.$/m, $hint);
    # Clients may come while much else is looked at, so they are asked for last.
    spew($promoted->path('refused'), 'x');
    chmod 0, $promoted->path('refused') or die;
    my $refused = rejoin($primary, $promoted);
    ends('a file that the source may not read', $refused, 1,
        qr/^pg_rewind: error: could not .*"refused".*: Permission denied$/m);
    unlike($refused->{stderr}, $used, 'a client is looked for after that');
    unlink $promoted->path('refused');
    my %finding = findings($primary, $promoted);
    is(join(' ', map { $finding{$_}{state} // 'none' } qw(direction
        in_use)), 'none warning', '--check warns of it alone');
    $session->end;
    wait_until('without a client it does not', sub { my %found = findings($primary, $promoted); $found{in_use}{state}
        eq 'ok' });

    # A standby; up to 9.6 synchronous means that it is named.
    my $standby = $primary->standby('standby');
    $primary->configure("synchronous_standby_names = 'standby'");
    $primary->sql('SELECT pg_reload_conf()');
    wait_until('the standby is synchronous',
        sub { $primary->query("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1 });
    refused('a standby', $primary, $promoted, $used,
        qr/^pg_rewind: detail: It has 1 replication connection, 1 of them synchronous \(standby\) now\.$/m, $hint);
    $primary->configure("synchronous_standby_names = ''");
    $primary->sql('SELECT pg_reload_conf()');
    refused_after_all('a standby that is promoted', $standby, $promoted, sub {
        $standby->promote;
        return $standby->session;
    });
    both_were_promoted($standby);
    $standby->discard;
    refused_after_all('a client that comes', $primary, $promoted, sub { $primary->session });

    return if $primary->version < 11;    # where a rewind needs a superuser, who sees all

    # A role that sees no other role's connections, on a server that lets in no other.
    my $hba = slurp($primary->path('pg_hba.conf'));
    $promoted->sql('ALTER ROLE rewinder REPLICATION');
    $session = $primary->session;
    spew($primary->path('pg_hba.conf'), "local all rewinder trust\n");
    kill 'HUP', $primary->postmaster_pid;
    my $as = sub {
        my @options = @_;
        return run([ rewind_argv($primary->data, '--rejoin', '-n', '-B', $primary->bindir, '--keep-config',
            '--source-server',
            $promoted->conninfo =~ s/user=\S+/user=rewinder/r, @options) ]);
    };
    wait_until('it lets in nobody else', sub { $primary->try_sql('SELECT 1')->{status} });
    ends('a role that sees little', $as->(), 1, $used, qr/1 client connection/m);
    $session->end;
    ends('a role that sees little, and no client', $as->(), 0);
    spew($primary->path('pg_hba.conf'), "local all all reject\n");
    kill 'HUP', $primary->postmaster_pid;
    wait_until('it lets in nobody',
        sub { run([ program('psql'), '-Xqc', 'SELECT 1',
        $primary->conninfo =~ s/user=\S+/user=rewinder/r ])->{status} });
    ends('it lets in nobody', $as->(), 1,
        qr/^pg_rewind: error: it is not known whether clients or standbys use the target, a primary$/m,
        qr/^pg_rewind: hint: To stop this primary .* add --demote=1: /m);
    %finding = findings($primary, $promoted);
    is($finding{in_use}{state}, 'unknown', '--check does not know it either');
    ends('it lets in nobody, and is named', $as->('--demote=1'), 0);
    spew($primary->path('pg_hba.conf'), $hba);
    kill 'HUP', $primary->postmaster_pid;
    wait_until('it lets in us', sub { !$primary->try_sql('SELECT 1')->{status} });
    ends('another account listens', rejoin($primary, $promoted, '-n', { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT_PEER => 1 }), 1,
        qr/^pg_rewind: error: it is not known whether clients or standbys use the target, a primary$/m);
    ends('our account has no name', rejoin($primary, $promoted, '-n', { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT_NAMELESS => 1, PGUSER => 'postgres' }), 1,
        qr/^pg_rewind: error: it is not known whether clients or standbys use the target, a primary$/m);
    another_server_listens();
    without_a_socket();
    return;
}

# The path of the socket leads to another server of the same account, which has no clients.
sub another_server_listens
{
    my $session = $primary->session;
    my ($own, $other) = map { $_->dir . '/.s.PGSQL.5432' } $primary, $promoted;
    rename $own, "$own.own" or die;
    symlink $other, $own or die;
    ends('another server listens', rejoin($primary, $promoted, '-n'), 1,
        qr/^pg_rewind: error: it is not known whether clients or standbys use the target, a primary$/m);
    unlink $own;
    rename "$own.own", $own or die;
    ends('its own listens', rejoin($primary, $promoted, '-n'), 1,
        qr/^pg_rewind: error: the target is a primary in use$/m);
    $session->end;
    return;
}

# At a TCP port any account may listen, say at the server's other address: nobody there gets a password, or is believed.
sub without_a_socket
{
    $primary->stop;
    $primary->start(settings => { unix_socket_directories => '', listen_addresses => '127.0.0.1', port => free_port(),
        log_connections => 'on' });
    ends('it has no Unix socket', rejoin($primary, $promoted, '-n'), 1,
        qr/^pg_rewind: error: it is not known whether clients or standbys use the target, a primary$/m);
    ends('it has none, and is named', rejoin($primary, $promoted, '-n', '--demote=1'), 0);
    unlike($primary->log, qr/connection received/, 'it was not asked');
    $primary->restart;
    return;
}

# Nobody uses it: parallel workers, background workers and our own connection do not count, and who has just left is
# waited for.
sub unused
{
    must_run([ program('psql'), '-Xqc', 'SELECT 1', $primary->conninfo ]);
    ends('nobody uses it', rejoin($primary, $promoted), 0, qr/^pg_rewind: the target follows the source/m);
    follows('nobody uses it', $primary, $promoted);
    return;
}

sub pair
{
    my ($version) = @_;
    $primary = make_cluster('primary', $version)->start;
    $primary->sql(rewinding_role('rewinder') . "CREATE TABLE t AS SELECT 'common' AS a");
    $promoted = $primary->standby('promoted');
    $promoted->promote;
    $promoted->sql("INSERT INTO t VALUES ('new $_')") for 1 .. 3;
    $primary->sql("INSERT INTO t VALUES ('old')");
    return;
}

each_version(sub {
    my ($version) = @_;
    pair($version);
    wrong_way();
    limited();
    right_way();
    $_->discard for $primary, $promoted;
    pair($version);
    in_use();
    unused();
}, only => [ 10, 15, 18 ]);
