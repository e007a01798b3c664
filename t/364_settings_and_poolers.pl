# Whatever a role, a database or a pooler sets, the run goes on, and nobody else notices it; a pooler that leads to
# another server without a word is found out. (Invariant 6. The source is a server.)
#
#   pg_rewind ── front proxy ── pgbouncer ── back proxy ── source
#                                                 └─ ─ ─ ─ standby
# (Rule C52.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;
use RewindTest::Tree;

my %timeout = (    # since which version
    statement_timeout => 10, lock_timeout => 10, idle_in_transaction_session_timeout => 10, transaction_timeout => 17,
);
my %harmful = (
    default_transaction_isolation => 'serializable', default_transaction_read_only => 'on', client_encoding => 'LATIN1',
    search_path => 'elsewhere', bytea_output => 'escape', standard_conforming_strings => 'off',
    timezone => 'Asia/Kolkata',
    datestyle => 'German', extra_float_digits => '-15', quote_all_identifiers => 'on',
    default_transaction_deferrable => 'on',
);

my %bouncers;    # process ids
END { kill 'KILL', keys %bouncers }

# A pgbouncer before a cluster or proxy; returns { conninfo, pid }.
sub start_pgbouncer
{
    my ($name, $backend, $mode) = @_;
    my $dir = work_dir() . "/$name";
    mkdir $dir or die;
    my ($host) = $backend->conninfo =~ /host=(\S+)/;
    spew("$dir/users", qq("postgres" ""\n"rewinder" ""\n));
    spew("$dir/ini", <<"TEXT");
[databases]
postgres = host=$host port=5432 dbname=postgres pool_size=4
[pgbouncer]
listen_port = 6432
listen_addr =
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
pool_mode = $mode
server_login_retry = 0.2
logfile = $dir/log
pidfile = $dir/pid
TEXT
    must_run([ '/usr/sbin/pgbouncer', '-d', '-q', "$dir/ini" ]);
    wait_until('pgbouncer is there', sub { -e "$dir/.s.PGSQL.6432" && -s "$dir/pid" });
    chomp(my $pid = slurp("$dir/pid"));
    $bouncers{$pid} = 1;
    return { pid => $pid, dir => $dir, conninfo => "host=$dir port=6432 user=rewinder dbname=postgres" };
}

sub stop_pgbouncer
{
    my ($bouncer) = @_;
    kill 'KILL', $bouncer->{pid};    # it holds nothing that would have to be saved
    wait_until('pgbouncer is gone', sub { !kill(0, $bouncer->{pid}) });
    delete $bouncers{ $bouncer->{pid} };
    system('rm', '-rf', $bouncer->{dir});
    return;
}

# A proxy that holds everything back when the server waits for the n-th time for a statement: outside of a transaction
# ('I', as it says itself), so that a pooler may do what it likes, or within one ('T').
sub front_proxy
{
    my ($name, $socket, $nth, $where) = @_;
    my $waits = 0;
    return RewindTest::Proxy->new($name, undef, socket => $socket, filter => sub {
        my (undef, $who, $bytes, $process) = @_;
        RewindTest::Proxy::act($process, 'hang')
            if $who eq 'server' && $bytes =~ /Z\0\0\0\x05$where\z/ && ++$waits == $nth;
        return $bytes;
    });
}

sub timeouts_that_struck { my ($cluster) = @_; return scalar(() = $cluster->log =~ /due to .*timeout$/mg) }

sub role_may_all
{
    my ($cluster, %setting) = @_;
    $cluster->sql(join '; ', 'ALTER ROLE rewinder RESET ALL', map { "ALTER ROLE rewinder SET $_ = '$setting{$_}'" }
        sort keys %setting);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i;
            CREATE ROLE rewinder LOGIN SUPERUSER; CREATE SCHEMA elsewhere;
            CREATE TABLE \"f\xc3\xa4\" AS SELECT 1 AS a") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    my $standby = $source->standby('standby');
    my $before = tree($target);
    my @timeouts = grep { $timeout{$_} <= $version } keys %timeout;

    subtest('settings of the role', sub {
        my $copy = $target->copy('settings');
        role_may_all($source, %harmful);
        rewinds($copy, $source, user => 'rewinder', options => [ '--no-sync', '-R' ]);
        role_may_all($source);
        unlink $copy->path('standby.signal'), $copy->path('recovery.conf');
        rejoins($copy, $source);
        $copy->discard;
    });

    # They leave a busy machine time to get to the statement that ends them, and the run is held until they have struck
    # another client that began later. (A connection that is lost does no harm as long as pg_rewind can open another.)
    for my $amid ('a statement', 'a transaction')
    {
        subtest("timeouts of the role amid $amid", sub {
            my $copy = $target->copy('timeouts');
            my $front = $amid eq 'a statement'
                ? RewindTest::Proxy->new('front_statement', $source)->after(300_000, 'hang')
                : front_proxy('front_transaction', $source->dir . '/.s.PGSQL.5432', 2, 'T');
            role_may_all($source, map { $_ => '3s' } @timeouts);
            my $before = timeouts_that_struck($source);
            my $run = start_rewind($copy, $front, conninfo => $front->conninfo . ' user=rewinder',
                options => [ '--retry-timeout=0', '--jobs=1' ]);
            $front->wait_for('hang');
            my $struck = run([ program('psql'), '-XAtqc', 'SELECT pg_sleep(60)', '-d', $source->conninfo
                . ' user=rewinder' ]);
            like($struck->{stderr}, qr/statement timeout|transaction timeout/, 'the timeout is there');
            $front->pass;
            my $result = end_of_rewind($run);
            is($result->{status}, 0, 'exit status 0') or diag($result->{stderr});
            is(timeouts_that_struck($source), $before + 1, 'it has struck nobody else') or diag($source->log);
            role_may_all($source);
            rejoins($copy, $source);
            $copy->discard;
        });
    }

    if ($version >= 14)
    {
        subtest('connections are closed while they are idle', sub {
            my $copy = $target->copy('idle');
            my $front = front_proxy('front_idle', $source->dir . '/.s.PGSQL.5432', 4, 'I');
            role_may_all($source, idle_session_timeout => '2s');
            my $run = start_rewind($copy, $front, conninfo => $front->conninfo . ' user=rewinder',
                options => [ '--retry-timeout=0', '--jobs=1' ]);
            $front->wait_for('hang');
            wait_until('the connection is closed',
                sub { $source->log =~ /terminating connection due to idle-session timeout/ });
            $front->pass;
            my $result = end_of_rewind($run);
            is($result->{status}, 0, 'pg_rewind opens another, also if it is not to try again')
                or diag($result->{stderr});
            role_may_all($source);
            $copy->discard;
        });
    }

    for my $mode (qw(session transaction))
    {
        subtest("pgbouncer pools each $mode", sub {
            my $copy = $target->copy("by_$mode");
            role_may_all($source, statement_timeout => '3s');
            my $back = RewindTest::Proxy->new("back_$mode", $source);
            my $bouncer = start_pgbouncer("bouncer_$mode", $back, $mode);
            $back->after(1_000_000, 'hang');
            my $run = start_rewind($copy, $source, conninfo => $bouncer->{conninfo},
                options => [ '--jobs=3', '--retry-timeout=120' ]);
            $back->wait_for('hang');
            $back->restart_server($source);
            my $result = end_of_rewind($run);
            is($result->{status}, 0, 'pg_rewind succeeds, and the server was restarted meanwhile')
                or diag($result->{stderr}, slurp("$bouncer->{dir}/log"));
            my $next = run([ program('psql'), '-XAtq', '-d', $bouncer->{conninfo}, '-c',
                'SHOW default_transaction_read_only', '-c', 'SHOW search_path',
                '-c', 'SHOW statement_timeout' ]);
            is($next->{stdout}, qq(off\n"\$user", public\n3s\n), 'the next client finds the settings of the role');
            role_may_all($source);
            rejoins($copy, $source);
            $copy->discard;
            stop_pgbouncer($bouncer);
        });
    }

    subtest('pgbouncer leads to another server, and no connection is lost', sub {
        my $back = RewindTest::Proxy->new('back', $source);
        my $bouncer = start_pgbouncer('bouncer', $back, 'transaction');
        for my $nth (3, 4)
        {
            my $front = front_proxy("front_$nth", "$bouncer->{dir}/.s.PGSQL.6432", $nth, 'I');
            my $run = start_rewind($target, $front, conninfo => $front->conninfo . ' user=rewinder',
                options => [ '--jobs=1' ]);
            $front->wait_for('hang');
            $back->switch_to($standby);
            $back->cut;
            $front->pass;
            my $result = end_of_rewind($run);
            is($result->{status}, 1, 'exit status 1');
            like($result->{stderr},
                qr/^pg_rewind: detail: It is a standby on timeline 2; earlier it was a primary on timeline 2\.$/m,
                'it says why');
            unlike($result->{stderr}, qr/was lost/, 'no connection was lost');
            is_same_tree(tree($target), $before, 'the target is as it was');
            $back->switch_to($source);
            $back->cut;
        }
        stop_pgbouncer($bouncer);
    });
}, only => [ 10, 18 ]);
