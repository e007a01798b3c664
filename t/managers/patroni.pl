# Patroni fails over, and its pg_rewind is this program: after each scenario the old primary follows the new one without
# a base backup and without a restart of Patroni.
#
# The settings are those of docs/patroni.md; remove_data_directory_on_rewind_failure is on, so whatever ends in a
# failure costs the directory, which shows as a base backup. One pair of nodes goes through all scenarios, its roles
# changing, until one fails.

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP qw(decode_json);
use RewindTest;
use RewindTest::Guide;
use RewindTest::Manager;
use Time::HiRes ();

# Steps of a run, as in RewindTest::Held: before anything is changed, and before the first byte that is changed after
# all removals.
my $before = 'link@*/postmaster.pid';
my $amid = 'unlink@*/ballast;write@*';

my $etcd_port;
my %options;    # of the cluster that runs
my @nodes;

# ---------------------------------------------------------------- the cluster

sub configuration
{
    my ($node, %option) = @_;
    my $dir = $node->dir;
    my $remove = $option{keep_directory} ? 'false' : 'true';
    # Only the first node reads the archive: the other one would replay what is to be lost.
    my $restore = $option{archive} && !@nodes ? "restore_command: cp $option{archive}/%f %p" : '';
    my $archive = $option{archive} ? "archive_mode: 'on'\n        archive_command: cp %p $option{archive}/%f" : '';
    return <<"END";
scope: tested
name: $node->{name}
restapi:
  listen: 127.0.0.1:$node->{rest_port}
  connect_address: 127.0.0.1:$node->{rest_port}
etcd3:
  host: 127.0.0.1:$etcd_port
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 104857600
    master_start_timeout: 0
    postgresql:
      use_pg_rewind: true
      use_slots: @{[ $option{no_slots} ? 'false' : 'true' ]}
      parameters:
        wal_keep_size: 16MB
        min_wal_size: 2MB
        max_wal_size: 2MB
        wal_level: replica
        checkpoint_timeout: 1h
        checkpoint_completion_target: 0
        autovacuum: 'off'
        fsync: 'off'
        shared_buffers: 16MB
        wal_retrieve_retry_interval: 200ms
        $archive
  initdb:
    - data-checksums
    - encoding: UTF8
    - locale: C
    - wal-segsize: '1'
    - no-sync
  pg_hba:
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
    - local all all trust
postgresql:
  listen: 127.0.0.1:$node->{port}
  connect_address: 127.0.0.1:$node->{port}
  data_dir: $node->{data}
  basebackup:
    - checkpoint: fast
  bin_dir: $node->{bindir}
  pgpass: $dir/pgpass
  remove_data_directory_on_rewind_failure: $remove
  authentication:
    superuser: { username: postgres }
    replication: { username: replicator }
    rewind: { username: rewinder }
  parameters:
    unix_socket_directories: $dir
    logging_collector: 'off'
    $restore
END
}

sub start_etcd
{
    my $etcd = RewindTest::Manager->new('etcd');
    my $peer = free_port();
    $etcd_port = $etcd->port;
    $etcd->start_program([ 'etcd', '--data-dir', $etcd->data, '--listen-client-urls', "http://127.0.0.1:$etcd_port",
        '--advertise-client-urls',
        "http://127.0.0.1:$etcd_port", '--listen-peer-urls', "http://127.0.0.1:$peer", '--initial-advertise-peer-urls',
        "http://127.0.0.1:$peer",
        '--initial-cluster', "default=http://127.0.0.1:$peer", '--heartbeat-interval', 50, '--election-timeout', 500 ],
            env => { ETCDCTL_API => 3 });
    return $etcd;
}

sub start_patroni
{
    my ($node) = @_;
    $node->{patroni} = $node->start_program([ 'patroni', "$node->{dir}/patroni.yml" ],
        env => { PYTHONUNBUFFERED => 1 });
    return;
}

sub restart_patroni
{
    my ($node) = @_;
    kill 'TERM', $node->{patroni};
    waitpid($node->{patroni}, 0);
    start_patroni($node);
    return;
}

sub make_node
{
    my ($name, %option) = @_;
    my $node = RewindTest::Manager->new($name);
    $node->{rest_port} = free_port();
    $node->{rewind_options} = $option{rewind_options};
    spew("$node->{dir}/patroni.yml", configuration($node, %option));
    start_patroni($node);
    return $node;
}

# A new cluster of so many nodes, the first is the primary.
sub make_nodes
{
    my ($number, %option) = @_;
    RewindTest::Manager::discard_nodes();
    @nodes = ();
    my $etcd = start_etcd();
    push @nodes, make_node('a', %option);
    wait_until(sub { "Patroni bootstraps:\n" . $nodes[0]->log('patroni') }, sub { $nodes[0]->is_primary });
    wait_until('the role for rewinds is there',
        sub { $nodes[0]->try_sql("SELECT 1 FROM pg_roles WHERE rolname = 'rewinder'")->{stdout} eq "1\n" });
    $nodes[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i; CREATE EXTENSION amcheck");
    push @nodes, make_node($_, %option) for ('b' .. 'z')[ 0 .. $number - 2 ];
    wait_for_standbys($nodes[0]);
    return;
}

# Patroni knows the others only some time after they stream, and fails over to none before. It shows a new one as
# running before it streams as well: what the primary's shutdown writes would not reach that one.
sub wait_for_standbys
{
    my ($primary) = @_;
    wait_until(sub { join '', map { $_->log('patroni') } @nodes }, sub {
        my $answer = HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$primary->{rest_port}/cluster");
        my $members = eval { decode_json($answer->{content})->{members} } // [];
        return @nodes == grep { $_->{role} eq 'leader' || $_->{state} =~ /^(running|streaming)$/
            && $_->{lag} eq '0' } @$members;
    });
    wait_until('all standbys stream and have replayed all', sub {
        $primary->query("SELECT count(*) FROM pg_stat_replication
            WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_flush_lsn()") == $#nodes });
    return;
}

# The pair, or the three, that there is, or a new one: the primary first.
sub nodes
{
    my ($number, %option) = @_;
    my $key = join ' ', $number, %option;
    if (($options{key} // '') ne $key || $options{broken})
    {
        make_nodes($number, %option);
        %options = (key => $key);
    }
    $options{broken} = 1;    # until the scenario has come to its end
    my ($primary) = grep { $_->is_primary } @nodes;
    # What the scenario before has left must not count as this one's rows.
    $primary->sql("DROP TABLE IF EXISTS lost; UPDATE t SET v = 'common'");
    wait_for_standbys($primary);
    $_->{seen} = scalar(my @calls = $_->calls('pg_rewind')) for @nodes;
    $_->{backups} = scalar(my @backups = $_->calls('pg_basebackup')) for @nodes;
    return ($primary, grep { $_ != $primary } @nodes);
}

# How the calls since the scenario began have ended.
sub statuses
{
    my ($node) = @_;
    my @calls = $node->calls('pg_rewind');
    return join ' ', map { $_->{status} // 'none' } @calls[ $node->{seen} .. $#calls ];
}

# ---------------------------------------------------------------- what happens

# The primary commits what no standby receives.
sub lose_commits
{
    my ($primary, $more) = @_;
    my @senders = split /\n/, $primary->query('SELECT pid FROM pg_stat_replication');
    stop_in_system_call(@senders);
    $primary->sql("UPDATE t SET v = 'lost' WHERE i % 3 = 0; CREATE TABLE lost AS TABLE t; " . ($more // ''));
    return;
}

sub crash { my ($primary) = @_; lose_commits($primary); $primary->kill_server; return }

sub is_promoted
{
    my ($node) = @_;
    wait_until(sub { "$node->{name} is promoted:\n" . join '',
        map { "==== $_->{name}\n" . $_->log('patroni') } @nodes }, sub { $node->is_primary });
    $node->sql("UPDATE t SET v = 'after' WHERE i % 7 = 0");
    return;
}

sub seen { my ($node) = @_; return join "\n", 'calls: ' . $node->shown_calls,
    (split /\n/, $node->log('patroni'))[ -80 .. -1 ], '' }

# Wait until Patroni has logged that.
sub wait_until_logged
{
    my ($node, $pattern) = @_;
    wait_until(sub { "Patroni logs $pattern; " . seen($node) }, sub { $node->log('patroni') =~ $pattern });
    return;
}

# Test that the old primary follows the new one, that nothing of what was lost is there, and what it took.
sub ends_healthy
{
    my ($old, $new, %option) = @_;
    follows($old, $new) or return diag(seen($old));
    my $lost = $option{lost} // 'lost';
    is($new->query("SELECT count(*) FROM t WHERE v = '$lost'")
        . $new->query("SELECT count(*) FROM pg_class WHERE relname = '$lost'"), '00', 'what was lost is nowhere');
    no_base_backup($old, $old->{backups});
    like(statuses($old), qr/^$option{statuses}$/, 'the calls of pg_rewind ended as they should')
        if defined $option{statuses};
    is($old->faults_left, 0, 'each interruption came');
    $options{broken} = 0;
    return;
}

sub scenario
{
    my ($name, $test) = @_;
    my $only = $ENV{PG_REWIND_TEST_ONLY} // '';
    return if $name !~ /$only/;
    subtest($name, sub {
        my $began = Time::HiRes::time();
        eval { $test->(); 1 } or fail("the scenario came to its end: $@");
        note(sprintf 'calls %s; %.0f seconds',
            join(', ', map { "$_->{name}: " . statuses($_) } grep { defined $_->{seen} } @nodes),
            Time::HiRes::time() - $began);
    });
    return;
}

scenario('the primary crashes with commits that were not replicated', sub {
    my ($old, $new) = nodes(2);
    crash($old);
    is_promoted($new);
    ends_healthy($old, $new, statuses => '0');
});

scenario('the primary crashes with commits under way, and the lost rows are saved', sub {
    my ($old, $new) = nodes(2);
    make_table_of_clients($old);
    my @clients = start_clients($old);
    wait_until('the clients are at work', sub { $old->query('SELECT min(number) FROM progress') > 50 });
    stop_in_system_call(split /\n/, $old->query('SELECT pid FROM pg_stat_replication'));
    my $number = $old->query('SELECT min(number) FROM progress');
    wait_until('commits that are not replicated', sub { $old->query('SELECT min(number) FROM progress') > $number
        + 50 });
    $old->kill_server;
    is_promoted($new);
    ends_healthy($old, $new, statuses => '0');
    clients_are_saved($old, $new, @clients);
});

scenario('pg_rewind is killed before its changes', sub {
    my ($old, $new) = nodes(2);
    $old->interrupt("kill:$before");
    crash($old);
    is_promoted($new);
    ends_healthy($old, $new, statuses => '0');
});

scenario('pg_rewind is killed amid its changes', sub {
    my ($old, $new) = nodes(2);
    $old->interrupt("kill:$amid");
    crash($old);
    is_promoted($new);
    ends_healthy($old, $new, statuses => '0');
});

scenario('the node loses its power before the changes, amid them, and again', sub {
    my ($old, $new) = nodes(2);
    $old->interrupt("stop:$_") for $before, $amid, 'rename@*/global/pg_control';
    crash($old);
    is_promoted($new);
    for my $number (1 .. 3)
    {
        $old->wait_for_stop($old->{seen} + $number);
        $old->kill_all;
        start_patroni($old);
    }
    ends_healthy($old, $new, statuses => 'none none none 0');
});

# Debian's patroni.service has KillMode=process: when Patroni dies its pg_rewind lives on, and the next Patroni calls
# another.
scenario('Patroni is killed and started again while its pg_rewind works', sub {
    my ($old, $new) = nodes(2);
    $old->interrupt("stop:$amid");
    crash($old);
    is_promoted($new);
    my $first = $old->wait_for_stop($old->{seen} + 1);
    kill 'KILL', $old->{patroni};
    start_patroni($old);
    wait_until('the second call', sub { my @calls = $old->calls('pg_rewind'); @calls > $old->{seen} + 1 });
    sleep 2;
    kill 'CONT', $first;
    # (How the first one ended nobody may be left to note.)
    ends_healthy($old, $new, statuses => '(?:0|none) 0');
});

# Patroni ends crash recovery itself before it calls pg_rewind, and that does not begin while a process of the crashed
# server lives.
scenario('the postmaster is killed and a backend lives on for some seconds', sub {
    my ($old, $new) = nodes(2);
    my $session = $old->session;
    my $backend = $session->sql('SELECT pg_backend_pid()');
    lose_commits($old);
    stop_in_system_call($backend);
    my @senders = split /\n/, $old->query('SELECT pid FROM pg_stat_replication');
    kill 'KILL', $old->postmaster_pid, @senders;
    is_promoted($new);
    my $refused = 'pre-existing shared memory block';
    wait_until_logged($old, qr/Crash recovery finished with code=1.*$refused/s);
    is(statuses($old), '', 'Patroni does not call pg_rewind yet');
    kill 'CONT', $backend;
    $session->end;
    ends_healthy($old, $new, statuses => '0');
});

scenario('Patroni freezes, and its primary goes on beside the new one', sub {
    my ($old, $new) = nodes(2);
    # It is stopped between two of its looks: within one it has read etcd's keys already.
    my $looks = sub { my $count = () = $old->log('patroni') =~ /no action/g; return $count };
    my $seen = $looks->();
    wait_until('Patroni has just looked', sub { $looks->() > $seen });
    kill 'STOP', $old->{patroni};
    is_promoted($new);
    $old->sql("UPDATE t SET v = 'lost' WHERE i % 3 = 0; CREATE TABLE lost AS TABLE t");
    sleep 3;    # so it does when it wakes up just after it has lost the lock
    my $before = length $old->log('patroni');
    kill 'CONT', $old->{patroni};
    my $decision;
    wait_until(sub { 'Patroni decides: ' . seen($old) }, sub {
        ($decision) = substr($old->log('patroni'), $before) =~ /(no action|[Dd]emoting self)/ });
    # Patroni 3.0 that wakes up decides by a copy of the keys that another thread of it brings up to date. Where that
    # thread comes second, it writes its name over the new leader's, and the new primary is demoted and rewound.
    my $keeps_lock = $decision eq 'no action';
    note('Patroni took the lock back') if $keeps_lock;
    ends_healthy($keeps_lock ? ($new, $old) : ($old, $new), statuses => '0', lost => $keeps_lock ? 'after' : 'lost');
});

scenario('the new primary has not made its checkpoint', sub {
    my ($old, $new) = nodes(2);
    my $checkpointer = $new->query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    stop_in_system_call($checkpointer);
    crash($old);
    is_promoted($new);
    my $waiting = qr/Waiting for checkpoint on $new->{name} before rewind/;
    my $before = () = $old->log('patroni') =~ /$waiting/g;
    wait_until('Patroni waits for the checkpoint', sub { my $now = () = $old->log('patroni') =~ /$waiting/g;
        $now > $before });
    is(statuses($old), '', 'Patroni waits for the checkpoint before it calls pg_rewind');
    kill 'CONT', $checkpointer;
    ends_healthy($old, $new, statuses => '0');
});

scenario('switchover', sub {
    my ($old, $new) = nodes(2);
    my $result = $old->run_program([ 'patronictl', '-c', "$old->{dir}/patroni.yml", 'switchover', '--force', '--leader',
        $old->name, '--candidate', $new->name ]);
    is($result->{status}, 0, 'patronictl succeeds') or diag($result->{stdout}, $result->{stderr});
    is_promoted($new);
    ends_healthy($old, $new, statuses => '');
});

my $recycled = "CREATE TABLE filler (a int);\n" . "INSERT INTO filler VALUES (1); SELECT pg_switch_wal();\n" x 30
    . "CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT;\n";

sub recycle
{
    my ($old) = @_;
    my $segment = $old->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    lose_commits($old, $recycled);
    ok(!-e $old->path("pg_wal/$segment"), 'the WAL of the divergence is recycled');
    $old->kill_server;
    return;
}

scenario('the WAL of the divergence is recycled, and an archive has it', sub {
    my $archive = work_dir() . '/archive';
    mkdir $archive;
    my ($old, $new) = nodes(2, no_slots => 1, archive => $archive);
    recycle($old);
    is_promoted($new);
    ends_healthy($old, $new, statuses => '0');
    ok((grep { $_ eq '--restore-target-wal' } @{ ($old->calls('pg_rewind'))[-1]{arguments} }),
        'Patroni passes --restore-target-wal');
});

# What nobody has cannot be read: Patroni makes a base backup, as it was told to.
scenario('the WAL of the divergence is recycled, and nobody has it', sub {
    my ($old, $new) = nodes(2, no_slots => 1);
    recycle($old);
    is_promoted($new);
    follows($old, $new) or return diag($old->log('patroni'));
    is(statuses($old), '1', 'pg_rewind fails');
    is(scalar(my @calls = $old->calls('pg_basebackup')), $old->{backups} + 1, 'Patroni makes a base backup');
    $options{broken} = 0;
});

# Where more is lost than the limit allows, the directory stays, and a person decides.
scenario('more is lost than the limit allows', sub {
    my ($old, $new) = nodes(2, keep_directory => 1, rewind_options => '--max-lost-transactions=1');
    my ($limit) = slurp(dirname($ENV{PG_REWIND}) . '/docs/patroni.md')
        =~ /^ *Environment="PG_REWIND_OPTIONS=(--max-lost-transactions=\d+)/m;
    crash($old);
    is_promoted($new);
    wait_until_logged($old,
        qr/the rewind would discard more committed transactions than --max-lost-transactions=1 allows.*Failed to rewind/s);
    is(statuses($old), '1', 'the exit status is 1');
    like($old->log('patroni'), qr/It would discard 2 committed transactions of the target, on timeline \d+, from/,
        'the log has what was found');
    $old->{rewind_options} = $limit // die 'the guide has no limit';
    restart_patroni($old);
    ends_healthy($old, $new, statuses => '1 0');
    $options{broken} = 1;    # the other node has the small limit
});

# What stays unfinished is not finished by Patroni: it starts the server again and again, which says what to do, until
# it is started again itself.
scenario('pg_rewind is killed amid its changes more often than it runs itself again', sub {
    my ($old, $new) = nodes(2, keep_directory => 1);
    $old->interrupt("each-time:kill:$amid");
    crash($old);
    is_promoted($new);
    wait_until_logged($old, qr/run the same pg_rewind command again to finish.*failed to start postgres/s);
    is(statuses($old), '2', 'the exit status is 2');
    my $list = $old->run_program([ 'patronictl', '-c', "$old->{dir}/patroni.yml", 'list' ])->{stdout};
    like($list, qr/^\| $old->{name} .*(starting|start failed|stopped|crashed)/m,
        'patronictl shows that the server does not run') and note($list);
    restart_patroni($old);
    ends_healthy($old, $new, statuses => '2 0');
});

scenario('the commands of docs/patroni.md help where nobody has the WAL', sub {
    my ($old, $new) = nodes(2, no_slots => 1, keep_directory => 1);
    recycle($old);
    is_promoted($new);
    wait_until_logged($old, qr/pg_rewind exit code=1.*failed to start postgres/s);
    restart_patroni($old);
    wait_until('it calls pg_rewind again', sub { statuses($old) eq '1 1' });
    my %settings = map { s/\Q$old->{bindir}\E/\$BIN/r => 1 } split /\n/, slurp("$old->{dir}/patroni.yml");
    my %variable = (SERVER => RewindTest::Manager::PROGRAMS, PG_REWIND => $ENV{PG_REWIND}, BIN => "$old->{dir}/links",
        CONFIG => "$old->{dir}/patroni.yml",
        OLD => $old->data, NEW => "host=127.0.0.1 port=$new->{port} user=rewinder dbname=postgres");
    my $output = '';
    for my $block (blocks_of(slurp(dirname($ENV{PG_REWIND}) . '/docs/patroni.md')))
    {
        my ($kind, $text) = @{$block}{qw(kind text)};
        if ($kind eq 'sh adapt') { is(join(' ', grep { !defined $variable{$_} } $text =~ /^(\w+)=/mg), '',
            'each variable has a value') }
        elsif ($kind eq 'yaml') { is(join("\n", grep { !$settings{$_} } split /\n/, $text), '',
            'the settings are those of the nodes') }
        elsif ($kind eq 'sh')
        {
            my $result = $old->run_program([ 'sh', '-euc', "exec 2>&1\n$text" ], env => \%variable);
            $output = $result->{stdout};
            is($result->{status}, 0, (split /\n/, $text)[0]) or diag($output);
        }
        elsif ($kind eq 'text') { ok(shows($output, $text), 'it prints what the page shows')
            or diag("$output\nis not\n$text") }
        else { fail("a block that nobody runs: $kind") }
    }
    ends_healthy($old, $new, statuses => '1 1');
});

scenario('the new primary dies amid the changes, and the third node takes over', sub {
    my ($old, @others) = nodes(3);
    $old->interrupt("stop:$amid");
    crash($old);
    wait_until('one of the others is promoted', sub { grep { $_->is_primary } @others });
    my ($new, $third) = sort { $b->is_primary <=> $a->is_primary } @others;
    is_promoted($new);
    my $stopped = $old->wait_for_stop($old->{seen} + 1);
    $third->wait_for_replay_of($new);
    lose_commits($new);
    $new->kill_all;
    is_promoted($third);
    kill 'CONT', $stopped;
    ends_healthy($old, $third);
    start_patroni($new);
    ends_healthy($new, $third, statuses => '0');
});

done_testing();
