# Pgpool-II with the scripts and commands of docs/pgpool.md. Each ends with the node as a standby of the new primary,
# equal in all tables, without a base backup.
#
# ssh is a script that runs the command as a process of the node, which has an address of its own on the loopback
# device. Where a command by hand is needed, that is Pgpool-II's own doing, and a comment says why.

use strict;
use warnings;
use lib 't/lib';
use Digest::MD5 qw(md5_hex);
use File::Basename qw(dirname);
use RewindTest;
use RewindTest::Manager;

# The page's blocks, by name.
my %script;
my $page = slurp(dirname($ENV{PG_REWIND}) . '/docs/pgpool.md');
$script{$1} = $2 while $page =~ /^```\w+ ([^\n]*)\n(.*?)^```$/msg;

# ---------------------------------------------------------------- nodes

sub write_script { my ($path, $text) = @_; spew($path, $text); chmod 0755, $path; return }

# A primary and its standbys, running.
sub make_nodes
{
    my ($count) = @_;
    my @nodes;
    for my $number (0 .. $count - 1)
    {
        push @nodes, my $node = RewindTest::Manager->new("node$number");
        $node->{host} = '127.0.0.' . (11 + $number);
        write_script("$node->{bindir}/rejoin", $script{rejoin});
        if ($number == 0) { initialize($node) }
        else { must_run([ '/usr/lib/postgresql/15/bin/pg_basebackup', '-d', $nodes[0]->conninfo, '-D', $node->data,
            '-R', '-c', 'fast' ]) }
        spew($node->path('own.conf'), "port = @{[ $node->port ]}\nlisten_addresses = '127.0.0.1,$node->{host}'\n");
        is(start_server($node)->{status}, 0, "$node->{name} starts") or die;
        next if $number > 0;
        $node->sql($1, 'template1') if $page =~ /^```sql\n(.*?)^```$/ms;
        $node->sql('CREATE TABLE t AS SELECT 1 AS i');
    }
    return @nodes;
}

sub initialize
{
    my ($node) = @_;
    must_run([ "$node->{bindir}/initdb", '-D', $node->data, '-U', 'postgres', '-A', 'trust', '-N', '-k',
        '--wal-segsize=1', '--no-locale' ]);
    append($node->path('postgresql.conf'), <<END);
fsync = off
shared_buffers = 16MB
autovacuum = off
wal_keep_size = 64MB
min_wal_size = 2MB
archive_mode = on
archive_command = 'true'
wal_retrieve_retry_interval = 200ms
unix_socket_directories = ''
include 'own.conf'
END
    append($node->path('pg_hba.conf'), "host all,replication all 127.0.0.0/8 trust\n");
    write_script($node->path($_), $script{$_}) for qw(recovery_1st_stage pgpool_remote_start);
    return;
}

# Where the script rejoin of docs/pgpool.md puts it, too.
sub server_log_path { my ($node) = @_; return $node->data . '.log' }

sub start_server { my ($node) = @_;
    return $node->run_program([ "$node->{bindir}/pg_ctl", '-D', $node->data, '-w', '-l', server_log_path($node),
    'start' ]) }

# ---------------------------------------------------------------- Pgpool-II

sub start_pool
{
    my (@nodes) = @_;
    my $pool = RewindTest::Manager->new('pool');
    my $dir = $pool->dir;
    $pool->{env} = { PATH => "$pool->{bindir}:/usr/sbin:/usr/bin:/bin", PCP_PORT => free_port(),
        PCPPASSFILE => "$dir/.pcppass" };
    $nodes[$_]{number} = $_ for 0 .. $#nodes;
    write_ssh($pool, @nodes);
    write_script("$pool->{bindir}/$_", $script{$_}) for qw(failover.sh follow_primary.sh);
    spew("$dir/pool_passwd", '');
    spew("$dir/pcp.conf", 'pgpool:' . md5_hex('secret') . "\n");
    spew("$dir/.pcppass", "*:*:pgpool:secret\n");
    chmod 0600, "$dir/.pcppass";
    spew("$dir/pgpool.conf", configuration($pool, @nodes));
    $pool->start_program([ '/usr/sbin/pgpool', '-n', '-f', "$dir/pgpool.conf", '-F', "$dir/pcp.conf" ],
        env => $pool->{env});
    wait_until(sub { "pgpool starts:\n" . $pool->log('pgpool') }, sub { $pool->answers });
    return $pool;
}

# A node that goes down takes the command with it: 255, as from the real one.
sub write_ssh
{
    my ($pool, @nodes) = @_;
    my ($dir, $mark) = ($pool->dir, RewindTest::Manager::MARK);
    write_script("$pool->{bindir}/ssh", <<"END");
#!/bin/sh
while [ "\${1#*@}" = "\$1" ]; do shift; done
node=\$(readlink "$dir/hosts/\${1#*@}")
shift
(cd "\$node" && exec env -i LC_ALL=C HOME="\$node" PATH="\$node/bin:/usr/bin:/bin" PGHOME="\$node" PG_REWIND="\$node/bin/pg_rewind" $mark="\$node" sh -c "\$*")
status=\$?
[ \$status -lt 128 ] || status=255
exit \$status
END
    mkdir "$dir/hosts" or die;
    for my $node (@nodes)
    {
        symlink($node->dir, "$dir/hosts/$node->{host}") or die;
        symlink("$pool->{bindir}/ssh", "$node->{bindir}/ssh") or die;
    }
    return;
}

sub configuration
{
    my ($pool, @nodes) = @_;
    my $dir = $pool->dir;
    my $backends = join '', map { my $n = $_->{number}; <<"END" } @nodes;
backend_hostname$n = '$_->{host}'
backend_port$n = @{[ $_->port ]}
backend_data_directory$n = '@{[ $_->data ]}'
END
    my $commands = $script{'pgpool.conf'} =~ s{/etc/pgpool2}{$pool->{bindir}}gr;
    return <<"END";
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = @{[ $pool->port ]}
pcp_listen_addresses = '127.0.0.1'
pcp_port = $pool->{env}{PCP_PORT}
socket_dir = '$dir'
pcp_socket_dir = '$dir'
wd_ipc_socket_dir = '$dir'
pid_file_name = '$dir/pgpool.pid'
logdir = '$dir'
pool_passwd = 'pool_passwd'
num_init_children = 4
max_pool = 1
memqcache_total_size = 1MB
load_balance_mode = off
sr_check_period = 1
sr_check_user = 'postgres'
health_check_period = 1
health_check_timeout = 3
health_check_user = 'postgres'
health_check_max_retries = 1
health_check_retry_delay = 1
search_primary_node_timeout = 20
recovery_timeout = 30
$backends$commands
END
}

# ---------------------------------------------------------------- what happens

my $before = 'rename@*/backup_label';            # the commit
my $amid = 'unlink@*/ballast;write@*';           # the first byte that is changed

# The primary and the other nodes.
sub roles
{
    my (@nodes) = @_;
    my ($primary) = grep { $_->is_primary } @nodes;
    die "there is no primary" if !$primary;
    return ($primary, grep { $_ != $primary } @nodes);
}

sub processes_of
{
    my ($node, $name) = @_;
    return grep { process_file($_, 'cmdline') =~ /^postgres: \Q$name/ }
        RewindTest::Manager::children_of($node->postmaster_pid);
}

# The primary crashes, with commits that no standby has received.
sub crash
{
    my ($primary, $sql) = @_;
    stop_in_system_call(processes_of($primary, 'walsender'));
    $primary->sql($sql // "INSERT INTO t SELECT generate_series(1, 1000); CREATE TABLE lost AS SELECT 1 AS a");
    $primary->kill_server;
    return;
}

# A command of the page.
sub by_hand
{
    my ($pool, $what, $node) = @_;
    my $result = $pool->run_program([ 'sh', '-euc', $script{$what} ],
        env => { $pool->{env}->%*, NODE => $node->{number} });
    return like("$result->{stdout}$result->{stderr}", qr/Command Successful/, "by hand: $what $node->{name}");
}

sub status_of
{
    my ($pool, $node) = @_;
    my ($line) = grep { /^@{[ $node->{number} ]}\|/ } split /\n/, $pool->try_sql('show pool_nodes')->{stdout};
    return (split /\|/, $line // '')[3] // '';
}

# Until it is so: Pgpool-II has promoted the standby, and uses the other node again.
sub rejoins_by_itself
{
    my ($pool, $node, $primary) = @_;
    wait_until("$primary->{name} is promoted", sub { $primary->is_primary });
    return is_well($pool, $node, $primary);
}

sub is_well
{
    my ($pool, $node, $primary) = @_;
    my $attached = eval { wait_until("Pgpool-II uses $node->{name}", sub { status_of($pool, $node) eq 'up' }); 1 };
    ok($attached, "Pgpool-II uses $node->{name} again")
        or return diag($@, $node->shown_calls, "\n", $pool->log('pgpool'), slurp(server_log_path($node)));
    follows($node, $primary);
    no_base_backup($node);
    return;
}

sub timeline_of { my ($node) = @_; return $node->query('SELECT timeline_id FROM pg_control_checkpoint()') }

sub last_status { my ($node) = @_; my @calls = $node->calls('pg_rewind'); return @calls ? $calls[-1]{status} // 'none'
    : 'no call' }

my $only = $ENV{PG_REWIND_TEST_ONLY} // '.';

sub scenario
{
    my ($name, $test) = @_;
    return if $name !~ /$only/;
    subtest($name, sub { eval { $test->(); 1 } or fail("it came to its end: $@") });
    return;
}

my @nodes = make_nodes(2);
my $pool = start_pool(@nodes);

scenario('the primary crashes with commits that were not replicated', sub {
    my ($primary, $standby) = roles(@nodes);
    crash($primary);
    rejoins_by_itself($pool, $primary, $standby);
    is(last_status($primary), 0, 'by one call');
});

scenario('pg_rewind is killed before its changes and amid them', sub {
    my ($primary, $standby) = roles(@nodes);
    # The first call in each of its attempts; the second one once.
    $primary->interrupt("each-time:kill:$before");
    $primary->interrupt("kill:$amid");
    crash($primary);
    rejoins_by_itself($pool, $primary, $standby);
    is($primary->faults_left, 0, 'it was killed twice');
    is(last_status($primary), 0, 'the last call ended well');
    note($primary->shown_calls);
});

scenario('the primary stops slowly', sub {
    my ($primary, $standby) = roles(@nodes);
    my $calls = $primary->calls('pg_rewind');
    stop_in_system_call(my @slow = processes_of($primary, 'checkpointer'));
    $primary->sql("INSERT INTO t SELECT generate_series(1, 1000)");
    must_run([ "$primary->{bindir}/pg_ctl", '-D', $primary->data, '-m', 'fast', '--no-wait', 'stop' ]);
    wait_until("$standby->{name} is promoted", sub { $standby->is_primary });
    sleep 3;
    is(scalar($primary->calls('pg_rewind')), $calls, 'the script waits for the stop');
    kill 'CONT', @slow;
    rejoins_by_itself($pool, $primary, $standby);
    is(last_status($primary), 0, 'the call ended well');
});

scenario('a switchover while the primary is written to', sub {
    my ($primary, $standby) = roles(@nodes);
    stop_in_system_call(my @senders = processes_of($primary, 'walsender'));
    $primary->sql('CREATE TABLE late AS SELECT 1 AS a');
    must_run([ '/usr/sbin/pcp_promote_node', '-s', '-w', '-h', 'localhost', '-p', $pool->{env}{PCP_PORT}, '-U',
        'pgpool', '-n', $standby->{number} ], env => $pool->{env});
    wait_until("$standby->{name} is promoted", sub { $standby->is_primary });
    kill 'CONT', @senders;
    rejoins_by_itself($pool, $primary, $standby);
    is($primary->query("SELECT to_regclass('late')"), '', 'what the new primary had not received is gone');
    is(last_status($primary), 0, 'the call ended well');
});

scenario('the node stops amid the changes', sub {
    my ($primary, $standby) = roles(@nodes);
    my $calls = $primary->calls('pg_rewind');
    $primary->interrupt("stop:$amid");
    crash($primary);
    $primary->wait_for_stop($calls + 1);
    $primary->kill_all;
    wait_until("$standby->{name} is promoted", sub { $standby->is_primary });

    # It comes up again, and with it the server, as far as its machine starts it.
    is(start_server($primary)->{status}, 1, 'no server starts on the half rewound directory');
    like(slurp(server_log_path($primary)), qr/run the same pg_rewind command again/, 'its log says what to do');
    # Pgpool-II's own doing: follow_primary_command is run once; a node that was away then is brought back by
    # pcp_recovery_node.
    by_hand($pool, recover => $primary);
    is_well($pool, $primary, $standby);
    is(last_status($primary), 0, 'the call ended well');
});

# The primary removes the WAL of the last checkpoint that is common, and that of the divergence.
sub crash_without_wal
{
    my ($primary) = @_;
    $primary->sql("ALTER SYSTEM SET wal_keep_size = 0; SELECT pg_reload_conf()");
    crash($primary, join ' ', "INSERT INTO t SELECT generate_series(1, 1000);",
        map { "INSERT INTO t VALUES ($_); SELECT pg_switch_wal();\nCHECKPOINT;" } 1 .. 5);
    return;
}

scenario('WAL is recycled, and there is no archive', sub {
    my ($primary, $standby) = roles(@nodes);
    my $calls = $primary->calls('pg_rewind');
    crash_without_wal($primary);
    wait_until('pg_rewind has ended', sub { my $call = ($primary->calls('pg_rewind'))[$calls]; $call
        && defined $call->{status} });
    my $call = ($primary->calls('pg_rewind'))[$calls];
    is($call->{status}, 1, 'pg_rewind fails');
    like(slurp($call->{stderr}),
        qr/^pg_rewind: error: could not open file .*\n(?:.*\n)*pg_rewind: hint: .*--compare needs none of them/m,
        'and names the way out');
    # --compare makes the primary read all its tables: somebody must ask for it.
    by_hand($pool, recover => $primary);
    is_well($pool, $primary, $standby);
    like(join(' ', @{ ($primary->calls('pg_rewind'))[-1]{arguments} }), qr/--compare/, 'by --compare');
});

scenario('WAL is recycled, and there is an archive', sub {
    my ($primary, $standby) = roles(@nodes);
    my $archive = "$primary->{dir}/archive";
    mkdir $archive or die;
    append($primary->path('own.conf'),
        "archive_command = 'cp %p $archive/%f'\nrestore_command = 'cp $archive/%f %p'\n");
    $primary->sql('SELECT pg_reload_conf()');
    crash_without_wal($primary);
    rejoins_by_itself($pool, $primary, $standby);
    is(last_status($primary), 0, 'by one call');
    like(join(' ', @{ ($primary->calls('pg_rewind'))[-1]{arguments} }), qr/ -c$/,
        'with the restore_command of the node');
});

scenario('a second call while the first is amid its changes', sub {
    my ($primary, $standby) = roles(@nodes);
    my $calls = $primary->calls('pg_rewind');
    $primary->interrupt("stop:$amid");
    crash($primary);
    my $held = $primary->wait_for_stop($calls + 1);
    $pool->start_program([ "$pool->{bindir}/ssh", "postgres\@$primary->{host}", "$primary->{bindir}/pg_rewind", '-D',
        $primary->data, '-R', '--keep-config',
        "--source-server=postgresql://postgres\@$standby->{host}:" . $standby->port . '/postgres' ], name => 'second');
    wait_until('the second call runs', sub { $primary->calls('pg_rewind') > $calls + 1 });
    sleep 1;
    kill 'CONT', $held;
    wait_until('both calls have ended', sub {
        2 == grep { defined $_->{status} } ($primary->calls('pg_rewind'))[ $calls, $calls + 1 ] });
    # Whoever made the second call does what the first one's script cannot while the second one works in the directory.
    by_hand($pool, attach => $primary) if start_server($primary)->{status} == 0;
    rejoins_by_itself($pool, $primary, $standby);
    note($primary->shown_calls, "\n", $pool->log('second'));
    is(($primary->calls('pg_rewind'))[$calls]{status}, 0, 'the first call ended well');
});

scenario('a source that was promoted just now, and has made no checkpoint', sub {
    my ($primary, $standby) = roles(@nodes);
    stop_in_system_call(my @held = processes_of($standby, 'checkpointer'));
    my $timeline = timeline_of($standby);
    crash($primary);
    rejoins_by_itself($pool, $primary, $standby);
    is(timeline_of($standby), $timeline, 'its last checkpoint is of the timeline before');
    is(last_status($primary), 0, 'the call ended well');
    kill 'CONT', @held;
});

RewindTest::Manager::discard_nodes();
@nodes = make_nodes(3);
# The primary has the highest number, so that the other standby follows before it.
$pool = start_pool(reverse @nodes);

scenario('three nodes, and the new primary crashes amid the rewind', sub {
    my ($old, $other, $new) = @nodes;
    $old->interrupt("stop:$amid");
    crash($old);
    my $held = $old->wait_for_stop(1);
    is_well($pool, $other, $new);
    crash($new);
    # Pgpool-II's own doing: as long as it runs follow_primary_command it takes the dead server for the primary,
    # promotes the next one, and then has all follow the dead one. The script refuses that; somebody has to tell
    # Pgpool-II which one is the primary.
    wait_until("$other->{name} is promoted", sub { $other->is_primary });
    kill 'CONT', $held;
    wait_until('the rewind ends', sub { last_status($old) eq '0' });
    pass('the rewind ends without its source');
    wait_until('Pgpool-II has called the script for each',
        sub { 4 <= (() = $pool->log('pgpool') =~ /execute command: \S*follow_primary/g) });
    sleep 2;
    ok($other->is_primary, "$other->{name} is the primary still");
    by_hand($pool, attach => $other);
    wait_until("Pgpool-II knows $other->{name}", sub { status_of($pool, $other) eq 'up' });
    for my $node ($old, $new)
    {
        by_hand($pool, detach => $node) if status_of($pool, $node) ne 'down';
        by_hand($pool, recover => $node);
        is_well($pool, $node, $other);
    }
});

note($_->{name} . ': ' . $_->shown_calls) for @nodes;
done_testing();
