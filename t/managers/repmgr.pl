# repmgr: repmgrd promotes a standby when the primary is lost, and `repmgr node rejoin --force-rewind` brings the old
# primary back.

use strict;
use warnings;

use File::Basename qw(dirname);
use POSIX ();
use RewindTest;
use RewindTest::Guide;
use RewindTest::Manager;
use Time::HiRes qw(sleep);

my $nodes = 0;

sub conninfo_of { my ($node) = @_;
    return "host=127.0.0.1 port=$node->{port} user=repmgr dbname=repmgr connect_timeout=2" }

# repmgr makes files in /tmp that are named after the node.
# Short times, so that a failover takes seconds.
sub make_node
{
    my ($name) = @_;
    my $node = RewindTest::Manager->new($name);
    my $conf = $node->{conf} = "$node->{dir}/repmgr.conf";
    spew($conf, join '', "node_id=", ++$nodes, "\n", <<"END");
node_name='$name-$$'
conninfo='@{[ conninfo_of($node) ]}'
data_directory='@{[ $node->data ]}'
pg_bindir='$node->{bindir}'
pg_ctl_options='-l $node->{dir}/postgres.log'
failover=automatic
promote_command='$node->{bindir}/repmgr standby promote -f $conf'
follow_command='$node->{bindir}/repmgr standby follow -f $conf --upstream-node-id=%n'
monitor_interval_secs=1
reconnect_attempts=2
reconnect_interval=1
primary_visibility_consensus=false
standby_follow_timeout=15
node_rejoin_timeout=15
END
    return $node;
}

sub repmgr
{
    my ($node, @command) = @_;
    my $result = $node->run_program([ "$node->{bindir}/repmgr", '-f', $node->{conf}, @command ]);
    append($node->log_path('repmgr'), "@command\n$result->{stdout}$result->{stderr}status: $result->{status}\n");
    return $result;
}

sub repmgr_ok
{
    my ($node, @command) = @_;
    my $result = repmgr($node, @command);
    is($result->{status}, 0, "repmgr @command[0, 1]") or diag($result->{stdout}, $result->{stderr});
    return;
}

sub start_server
{
    my ($node) = @_;
    $node->run_program([ "$node->{bindir}/pg_ctl", '-w', '-D', $node->data, '-l', "$node->{dir}/postgres.log",
        'start' ]);
    return;
}

sub start_repmgrd
{
    my ($node) = @_;
    $node->{repmgrd} = $node->start_program([ "$node->{bindir}/repmgrd", '-f', $node->{conf}, '--daemonize=false',
        '--no-pid-file' ], name => 'repmgrd', writes => 1);
    return;
}

sub make_primary
{
    my $node = make_node('one');
    must_run([ "$node->{bindir}/initdb", '-D', $node->data, '-U', 'postgres', '-A', 'trust', '-N' ],
        env => { LC_ALL => 'C' });
    append($node->path('postgresql.conf'), <<"END");
port = $node->{port}
unix_socket_directories = ''
shared_preload_libraries = 'repmgr'
wal_log_hints = on
wal_keep_size = 1GB
checkpoint_timeout = 1h
fsync = off
END
    start_server($node);
    $node->sql('CREATE ROLE repmgr SUPERUSER LOGIN; CREATE DATABASE repmgr OWNER repmgr');
    $node->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 10000) i");
    repmgr_ok($node, 'primary', 'register');
    start_repmgrd($node);
    return $node;
}

sub make_standby
{
    my ($name, $primary) = @_;
    my $node = make_node($name);
    repmgr_ok($node, 'standby', 'clone', '-h', '127.0.0.1', '-p', $primary->port, '-U', 'repmgr', '-d', 'repmgr',
        '--fast-checkpoint');
    append($node->path('postgresql.conf'), "port = $node->{port}\n");
    start_server($node);
    repmgr_ok($node, 'standby', 'register');
    start_repmgrd($node);
    return $node;
}

my ($one, $two, $three);

sub roles
{
    my @nodes = grep { defined } $one, $two, $three;
    my ($primary) = grep { $_->is_primary } @nodes;
    my @standbys = grep { $_ != $primary } @nodes;
    follows($_, $primary) for @standbys;
    return ($primary, @standbys);
}

sub wait_for_primary
{
    my (@candidates) = @_;
    my $primary;
    wait_until('one of them is promoted, and known as the primary', sub {
        ($primary) = grep { $_->is_primary
            && $_->try_sql("SELECT 1 FROM repmgr.nodes WHERE node_name = '$_->{name}-$$' AND type = 'primary' AND active",
            'repmgr')->{stdout} } @candidates;
    });
    return $primary;
}

# The machine of the primary is lost, with commits that nobody else has; returns the node that repmgrd promotes.
sub crash
{
    my ($old, @standbys) = @_;
    my @receivers;
    wait_until('the standbys receive',
        sub { @receivers = map { split /\n/, $_->query('SELECT pid FROM pg_stat_wal_receiver') } @standbys; @receivers
        == @standbys });
    stop_in_system_call(@receivers);
    $old->sql("INSERT INTO t SELECT i, 'lost' FROM generate_series(1, 3000) i;
        CREATE TABLE lost AS SELECT * FROM t; SELECT pg_switch_wal(); CHECKPOINT; UPDATE t SET v = 'lost too'");
    $old->kill_all;
    # What waits in the socket is not read by one that is to end.
    kill 'TERM', @receivers;
    kill 'CONT', @receivers;
    my $new = wait_for_primary(@standbys);
    $new->sql("INSERT INTO t SELECT i, 'new' FROM generate_series(1, 1000) i");
    unlink glob "$old->{dir}/calls/fault.*";
    $old->{calls_before} = [ $old->calls ];
    return $new;
}

# The command; more options of pg_rewind can follow its path.
sub rejoin_command
{
    my ($old, $new, @more) = @_;
    return ('node', 'rejoin', '-d', conninfo_of($new), '--force-rewind='
        . join(' ', "$old->{bindir}/pg_rewind", '--keep-config', @more));
}

sub rejoin { my ($old, $new, @more) = @_; return repmgr($old, rejoin_command($old, $new, @more)) }

# In the background, for a call that is held up.
sub rejoin_later
{
    my ($old, $new) = @_;
    return $old->start_program([ "$old->{bindir}/repmgr", '-f', $old->{conf}, rejoin_command($old, $new) ],
        name => 'rejoin');
}

# The commands of the guide, as its reader would run them.
sub follow_guide
{
    my ($old, $new) = @_;
    my %text = map { $_->{kind} => $_->{text} } blocks_of(slurp(dirname($ENV{PG_REWIND}) . '/docs/repmgr.md'));
    is(join(', ', sort keys %text), 'sh, sh adapt, text', 'the blocks of the guide');
    my $result = $old->run_program([ 'sh', '-euc', "exec 2>&1\n$text{sh}" ],
        env => { CONF => $old->{conf}, PG_REWIND => "$old->{bindir}/pg_rewind", NEW => conninfo_of($new) });
    ok(shows($result->{stdout}, $text{text}), 'it prints what the guide shows') or diag($result->{stdout});
    return $result;
}

sub status_of { my ($pid) = @_; waitpid($pid, 0); return $? >> 8 }

sub new_calls { my ($node) = @_; my @calls = $node->calls; my @new = splice @calls, scalar @{ $node->{calls_before} };
    return @new }
sub shown { my ($node) = @_; return join ', ', map { "$_->{program} " . ($_->{status} // 'has not ended') }
    new_calls($node) }

sub rejoined
{
    my ($old, $new, $result) = @_;
    is($result->{status}, 0, 'repmgr node rejoin') or diag($result->{stdout}, $result->{stderr}) if ref $result;
    is($result, 0, 'repmgr node rejoin') or diag($old->log('rejoin')) if !ref $result;
    follows($old, $new);
    is($old->query("SELECT count(*) FROM t WHERE v LIKE 'lost%'"), '0', 'what was lost is lost');
    note(shown($old));
    start_repmgrd($old);
    return;
}

sub lose_wal
{
    my ($node) = @_;
    my $archive = "$node->{dir}/archive";
    mkdir $archive;
    my ($last) = must_run([ program('pg_controldata'), $node->data ], env => { LC_ALL => 'C' })
        =~ /REDO WAL file:\s+(\w+)/;
    my @old = grep { m{/([0-9A-F]{24})$} && substr($1, 8) lt substr($last, 8) } glob $node->path('pg_wal/*');
    cmp_ok(scalar @old, '>', 0, 'some segments are older');
    must_run([ 'mv', @old, $archive ]);
    return $archive;
}

my $amid = 'rename@*/postmaster.pid;unlink@*';

my @scenarios = (
    [ 'the primary crashes with commits that were not replicated' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        rejoined($old, $new, follow_guide($old, $new));
        is(shown($old), 'pg_rewind 0', 'pg_rewind was called once');
    } ],

    [ 'more is lost than the limit allows' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        my ($limit) = slurp(dirname($ENV{PG_REWIND}) . '/docs/repmgr.md')
            =~ /^ *PG_REWIND_OPTIONS='(--max-lost-transactions=\d+)'$/m;
        $old->{rewind_options} = '--max-lost-transactions=1';
        my $result = rejoin($old, $new);
        is($result->{status}, 24, 'repmgr node rejoin fails');
        like($result->{stderr},
            qr/the rewind would discard more committed transactions than --max-lost-transactions=1 allows.*It would discard \d+ committed transactions of the target/s,
            'and says how many are lost') or diag($result->{stderr});
        ok(!$old->answers, 'nothing is started');
        $old->{rewind_options} = $limit // die 'the guide has no limit';
        rejoined($old, $new, rejoin($old, $new));
        is(shown($old), 'pg_rewind 1, pg_rewind 0', "with the guide's limit it is rewound");
        delete $old->{rewind_options};
    } ],

    [ 'the last process of the crashed server is still there when pg_rewind is called' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        start_server($old);
        my ($postmaster) = slurp($old->path('postmaster.pid')) =~ /^(\d+)/;
        my $checkpointer = $old->checkpointer_pid;
        stop_in_system_call($checkpointer);
        kill 'KILL', $postmaster;
        my $pid = rejoin_later($old, $new);
        wait_until('pg_rewind is called', sub { new_calls($old) });
        sleep 2;
        kill 'CONT', $checkpointer;
        my $status = status_of($pid);
        is($status, 0, 'the first call waits');
        rejoined($old, $new, $status == 0 ? 0 : rejoin($old, $new));
    } ],

    [ 'a server that is still stopping is not touched' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        start_server($old);
        my ($postmaster) = slurp($old->path('postmaster.pid')) =~ /^(\d+)/;
        my $checkpointer = $old->checkpointer_pid;
        stop_in_system_call($checkpointer);
        kill 'INT', $postmaster;
        # repmgr's own look at the server: it does not wait.
        my $result = rejoin($old, $new);
        is($result->{status}, 24, 'repmgr node rejoin refuses');
        is(shown($old), '', 'and pg_rewind was not called');
        kill 'CONT', $checkpointer;
        wait_until('the server is gone', sub { !-e $old->path('postmaster.pid') });
        rejoined($old, $new, rejoin($old, $new));
    } ],

    [ 'pg_rewind is killed before its changes' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        $old->interrupt('kill:10');
        rejoined($old, $new, rejoin($old, $new));
        is(shown($old), 'pg_rewind 0', 'pg_rewind was called once');
    } ],

    [ 'pg_rewind is killed amid its changes' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        $old->interrupt("kill:$amid");
        rejoined($old, $new, rejoin($old, $new));
        is(shown($old), 'pg_rewind 0', 'pg_rewind was called once');
    } ],

    [ 'pg_rewind is killed as a whole, amid its changes' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        $old->interrupt("stop:$amid");
        my $first = rejoin_later($old, $new);
        my $number = 1 + grep { $_->{program} eq 'pg_rewind' } @{ $old->{calls_before} };
        my $pid = $old->wait_for_stop($number);
        kill 'KILL', $pid, ($old->calls('pg_rewind'))[ $number - 1 ]{pid};
        is(status_of($first), 24, 'repmgr node rejoin fails');
        ok(!$old->answers, 'no server starts');
        rejoined($old, $new, rejoin($old, $new));
    } ],

    [ 'the node stops amid the changes' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        $old->interrupt("stop:$amid");
        rejoin_later($old, $new);
        $old->wait_for_stop(1 + grep { $_->{program} eq 'pg_rewind' } @{ $old->{calls_before} });
        $old->kill_all;
        start_server($old);
        ok(!$old->answers, 'no server starts');
        like($old->log, qr/pg_rewind was interrupted here: run the same pg_rewind command again/,
            'and its log says what to do');
        rejoined($old, $new, rejoin($old, $new));
    } ],

    [ 'a second call while the first works' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        $old->interrupt("stop:$amid");
        my $first = rejoin_later($old, $new);
        my $pid = $old->wait_for_stop(1 + grep { $_->{program} eq 'pg_rewind' } @{ $old->{calls_before} });
        my $second = rejoin_later($old, $new);
        wait_until('pg_rewind is called', sub { new_calls($old) == 2 });
        sleep 2;
        kill 'CONT', $pid;
        # Both calls end well; but the server that the first repmgr starts may meet the second pg_rewind, and both
        # repmgr use one directory in /tmp.
        my @statuses = map { status_of($_) } $first, $second;
        note("repmgr node rejoin ended with @statuses; ", shown($old));
        like(shown($old), qr/^pg_rewind 0, pg_rewind [01]$/, 'both calls have ended');
        like(slurp((new_calls($old))[1]{stderr}), qr/waiting for another pg_rewind/, 'the second waited for the first');
        rejoined($old, $new, (grep { $_ == 0 } @statuses) ? 0 : rejoin($old, $new));
    } ],

    [ 'WAL of the old primary is recycled, and in an archive' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        my $archive = lose_wal($old);
        my $result = rejoin($old, $new);
        is($result->{status}, 24, 'repmgr node rejoin fails');
        like($result->{stderr}, qr/could not open file ".*--wal-archive/s, 'and says what is missing')
            or diag($result->{stderr});
        # It is in the archive.
        rejoined($old, $new, rejoin($old, $new, "--wal-archive=$archive"));
    } ],

    [ 'WAL of the old primary is recycled, and in no archive' => sub {
        my ($old, $new) = roles();
        crash($old, $new);
        lose_wal($old);
        rejoined($old, $new, rejoin($old, $new, '--compare'));
    } ],

    [ 'the new primary has made no checkpoint yet' => sub {
        my ($old, $new) = roles();
        my $checkpointer = $new->checkpointer_pid;
        stop_in_system_call($checkpointer);
        crash($old, $new);
        rejoined($old, $new, rejoin($old, $new));
        kill 'CONT', $checkpointer;
    } ],

    [ 'a switchover' => sub {
        my ($old, $new) = roles();
        # The other machine is this one; what is started there is not the new primary's.
        spew("$new->{bindir}/ssh",
            "#!/bin/sh\nwhile [ \"\$1\" != 127.0.0.1 ]; do shift; done\nshift\nunset PG_REWIND_TEST_NODE\nexec sh -c \"\$*\"\n");
        chmod 0755, "$new->{bindir}/ssh";
        $old->{calls_before} = [ $old->calls ];
        repmgr_ok($new, 'standby', 'switchover', '--force-rewind', "--remote-config-file=$old->{conf}");
        follows($old, $new);
        # The old primary had sent all before it stopped: repmgr sees that, and does not call pg_rewind.
        is(shown($old), '', 'pg_rewind was not called');
    } ],

    [ 'the new primary of three dies amid the rewind' => sub {
        my ($primary) = roles();
        $three = make_standby('three', $primary);
        my ($old, @standbys) = roles();
        my $new = crash($old, @standbys);
        my ($other) = grep { $_ != $new } @standbys;
        follows($other, $new);
        # Its daemon may end as it goes over to the new primary, when it comes to the dead one once more.
        wait_until('its daemon watches it', sub {
            start_repmgrd($other) if !defined readlink "/proc/$other->{repmgrd}/exe";
            $other->try_sql("SELECT 1 FROM repmgr.nodes WHERE node_name = '$new->{name}-$$' AND node_id = repmgr.get_upstream_node_id()
                AND repmgr.get_upstream_last_seen() BETWEEN 0 AND 1", 'repmgr')->{stdout};
        });
        $old->interrupt("stop:$amid");
        my $first = rejoin_later($old, $new);
        my $pid = $old->wait_for_stop(1 + grep { $_->{program} eq 'pg_rewind' } @{ $old->{calls_before} });
        $new->kill_all;
        $new->{calls_before} = [ $new->calls ];
        kill 'CONT', $pid;
        wait_for_primary($other);
        note('repmgr node rejoin ended with ' . status_of($first));
        is(shown($old), 'pg_rewind 0', 'pg_rewind ends without its source');
        # repmgr has made it a standby of the dead one.
        $old->run_program([ "$old->{bindir}/pg_ctl", '-D', $old->data, '-m', 'fast', 'stop' ]);
        rejoined($old, $other, rejoin($old, $other));
        rejoined($new, $other, rejoin($new, $other));
    } ],
);

$one = make_primary();
$two = make_standby('two', $one);
my $only = $ENV{PG_REWIND_TEST_ONLY} // '.';
for my $scenario (@scenarios)
{
    my ($name, $test) = @$scenario;
    next if $name !~ $only;
    # The next one begins where this one ends.
    last if !subtest($name, sub { eval { $test->(); 1 } or fail("the scenario came to its end: $@") });
}
done_testing();
