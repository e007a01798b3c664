# A network that swallows everything, without a reset, ends the run in time, and so does a signal meanwhile. (The bounds
# tell it from a run that waits as long as by default, not a fast machine from a slow one.) (Invariant 1. The same on
# all versions; the source is a server.)
#
#   connecting    no answer at all, no answer to the first byte
#   a query       no answer; the kernel of the other side still confirms what arrives, so keepalives do not notice
# (Rules C52, I45, O17.)

use strict;
use warnings;
use Cwd qw(abs_path);
use lib 't/lib';
use IO::Socket::INET;
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;
use RewindTest::Tree;
use Time::HiRes ();

my ($target, $before);

# Test that it ends with status 1 within so many seconds since then, and nothing has happened.
sub ends_within
{
    my ($run, $since, $seconds, $message) = @_;
    my $result = end_of_rewind($run);
    my $took = Time::HiRes::time() - $since;
    is($result->{status}, 1, 'exit status 1') or diag($result->{stderr});
    cmp_ok($took, '<', $seconds, "it ends within $seconds seconds") or diag($result->{stderr});
    like($result->{stderr}, $message, 'it says why');
    like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\./m, 'and that the target is unchanged');
    is_same_tree(tree($target), $before, 'the target is as it was');
    return;
}

# A port where nobody ever accepts: the queue of those who wait is full, and the kernel drops what comes.
sub deaf_port
{
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "could not listen: $!";
    my @waiting;
    for (1 .. 8)
    {
        my $client = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0) // die;
        socket($client, Socket::PF_INET, Socket::SOCK_STREAM, 0) or die;
        $client->blocking(0);
        connect($client, Socket::pack_sockaddr_in($listener->sockport, Socket::inet_aton('127.0.0.1')));
        push @waiting, $client;
    }
    return ($listener, @waiting);
}

# A pg_rewind for which the name two-addresses.example has the addresses 127.0.0.1 and 127.0.0.2; undef where an
# ordinary user can make no namespaces. The program runs under the user's own number again: it refuses to run as root.
sub program_with_name
{
    my $work = work_dir();
    my ($program, $hosts, $user, $group) = ("$work/pg_rewind_with_name", "$work/hosts", $<, $( + 0);
    spew($hosts, join '', map { "$_ two-addresses.example\n" } '127.0.0.1', '127.0.0.2');
    my $apart = "unshare --user --map-root-user --mount sh -c 'mount --bind $hosts /etc/hosts && exec "
        . qq{unshare --user --map-user=$user --map-group=$group "\$@"' sh};
    spew($program, "#!/bin/sh\nexec $apart " . abs_path($ENV{PG_REWIND} // 'build/pg_rewind') . qq{ "\$@"\n});
    chmod 0755, $program;
    return run([ 'sh', '-c', "$apart getent hosts two-addresses.example" ])->{status} == 0 ? $program : undef;
}

each_version(sub {
    my ($version) = @_;
    (my $source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    $before = tree($target);
    my ($deaf, @waiting) = deaf_port();
    my $nowhere = 'host=127.0.0.1 port=' . $deaf->sockport . ' user=postgres dbname=postgres';
    my $proxy = RewindTest::Proxy->new('proxy', $source, tcp => 1);

    {
        my $copy = $target->copy('undisturbed');
        rewinds($copy, $proxy, options => ['--no-sync']);
        $copy->discard;
    }
    my $bytes = $proxy->status->{bytes};

    subtest('nobody answers when it connects', sub {
        my $run = start_rewind($target, $proxy, conninfo => $nowhere, options => ['--retry-timeout=4']);
        ends_within($run, $run->{began}, 45, qr/timeout expired|timed out/);
        $run = start_rewind($target, $proxy, conninfo => "$nowhere connect_timeout=3",
            options => ['--retry-timeout=60']);
        ends_within($run, $run->{began}, 45, qr/timeout expired|timed out/);
    });
    subtest('a second host answers', sub {
        my $copy = $target->copy('second_host');
        my $both = 'host=127.0.0.1,127.0.0.1 user=postgres dbname=postgres port=' . join ',', $deaf->sockport,
            $proxy->{port};
        my $result = end_of_rewind(start_rewind($copy, $proxy, conninfo => $both,
            options => ['--retry-timeout=10', '--jobs=1', '-R' ]));
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        my $written = slurp($copy->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'));
        like($written, qr/primary_conninfo.*127\.0\.0\.1,127\.0\.0\.1/, 'both hosts are written for the standby');
        unlike($written, qr/timeout|keepalives/, 'the timeouts of pg_rewind are not');
        $copy->discard;
    });
    subtest('a login takes long', sub {
        my $copy = $target->copy('login');
        my $standby = $source->standby('standby');
        for my $server ($standby, $source)
        {
            $server->sql('ALTER SYSTEM SET pre_auth_delay = 8');
            $server->sql('SELECT pg_reload_conf()');
        }
        my @options = ('-n', '--jobs=1', '--retry-timeout=28');    # a host has 7 s to accept
        my $run = start_rewind($copy, $source, options => [ONCE]);
        wait_until('it connects', sub { grep { (readlink($_) // '') =~ /^socket:/ } glob("/proc/$run->{pid}/fd/*") });
        kill 'TERM', $run->{pid};
        my $since = Time::HiRes::time();
        is(end_of_rewind($run)->{status}, 1, 'a signal ends it meanwhile');
        cmp_ok(Time::HiRes::time() - $since, '<', 7, 'and at once');
        my $result = end_of_rewind(start_rewind($copy, $proxy, options => [ @options, '-R' ]));
        is($result->{status}, 0, 'pg_rewind waits for it') or diag($result->{stderr});
        unlike($result->{stderr}, qr/replication connection/, 'also when it tries how the standby will connect');
        # Over TCP, where libpq is seen to wait until the next host accepts; at a socket it does not.
        my %first = $standby->conninfo =~ /\b(host|port)=(\S+)/g;
        my $both = "host=$first{host},127.0.0.1 port=$first{port},$proxy->{port} user=postgres dbname=postgres";
        $result = end_of_rewind(start_rewind($copy, $source,
            conninfo => "$both target_session_attrs=read-write", options => \@options));
        is($result->{status}, 0, 'and for the next host if this is not the primary') or diag($result->{stderr});
        $standby->discard;
        $result = end_of_rewind(start_rewind($copy, $source, conninfo => $source->conninfo . ' connect_timeout=4',
            options => ['-n']));
        is($result->{status}, 1, 'but no longer than a connect_timeout of the user') or diag($result->{stderr});
        my $at_socket = RewindTest::Proxy->new('at_socket', $source)->after(int($bytes / 2), 'cut');
        $result = end_of_rewind(start_rewind($copy, $at_socket, options => [ '--jobs=1', '--retry-timeout=14' ]));
        is($result->{status}, 0, 'a login at a socket has all that is left of the retry timeout')
            or diag($result->{stderr});
        like($result->{stderr}, qr/connection to the source server was lost/, 'after a lost connection');
        $at_socket->end;
        spew($source->path('postgresql.auto.conf'), '');
        kill 'HUP', (split /\n/, slurp($source->path('postmaster.pid')))[0];
        wait_until('logins are quick again', sub {
            my $began = Time::HiRes::time();
            $source->query('SELECT 1');
            Time::HiRes::time() - $began < 7;
        });
        $copy->discard;
    });
    subtest('the first of two addresses hangs', sub {
        my $second = RewindTest::Proxy->new('second', $source, tcp => "127.0.0.2:$proxy->{port}");
        my $rest = "port=$proxy->{port} user=postgres dbname=postgres";
        my $program = program_with_name();
        my %ways = ('two hosts' => { conninfo => "host=127.0.0.1,127.0.0.2 $rest" });
        $ways{'a name'} = { conninfo => "host=two-addresses.example $rest", program => $program } if $program;
        my %copy = map { $_ => $target->copy(tr/ /_/r) } keys %ways;
        $proxy->after(int($bytes / 2), 'hang');
        my %run = map { $_ => start_rewind($copy{$_}, $proxy, %{ $ways{$_} }, options => ['--retry-timeout=28']) }
            keys %ways;
        for my $way (sort keys %run)
        {
            my $result = end_of_rewind($run{$way});
            is($result->{status}, 0, "$way: the connection that is lost is made by the second one")
                or diag($result->{stderr});
            like($result->{stderr}, qr/no answer within 14 s/, "$way: the first one was asked");
            $copy{$way}->discard;
        }
        $proxy->pass;
        $second->end;
      SKIP: { skip('no namespace can be made here, so no name has two addresses', 1) if !$program }
    });
    subtest('a further connection is given up', sub {
        my $copy = $target->copy('further');
        my $one = RewindTest::Proxy->new('one', $source,
            filter => sub { my ($number, $end, $chunk) = @_; return $number == 1 ? $chunk : '' });
        # Worth a second connection, even where the first one took a second, on a busy machine. Zeros are not sent.
        spew($source->path('large'), 'x' x 5e7);
        truncate($source->path('large'), 3e8) or die;
        my $result = end_of_rewind(start_rewind($copy, $one, conninfo => $one->conninfo . ' connect_timeout=20',
            options => [ '--jobs=2', '--retry-timeout=4', '--debug' ]));
        unlink $source->path('large');
        is($result->{status}, 0, 'pg_rewind does without it') or diag($result->{stderr});
        # Once while WAL is read, where that is worth it on a quick machine, and once while files are copied.
        my @given_up = $result->{stderr} =~ /continuing with fewer connections .*: no answer/g;
        cmp_ok(scalar @given_up, '>', 0, 'after some time');
        is($one->status->{made}, 1 + @given_up, 'no other connection is made to learn why');
        $one->end;
        $copy->discard;
    });
    subtest('a signal comes while it connects', sub {
        my $run = start_rewind($target, $proxy, conninfo => $nowhere, options => [ONCE]);
        wait_until('it connects', sub { grep { (readlink($_) // '') =~ /^socket:/ } glob("/proc/$run->{pid}/fd/*") });
        my $since = Time::HiRes::time();
        kill 'TERM', $run->{pid};
        ends_within($run, $since, 25, qr/^pg_rewind: error: terminated by signal 15$/m);
    });

    for my $part (0.001, 0.1, 0.5, 0.9)
    {
        subtest("no answer after a $part part of the bytes", sub {
            $proxy->after(int($bytes * $part), 'hang');
            my $run = start_rewind($target, $proxy, options => ['--retry-timeout=2']);
            $proxy->wait_for('hang');
            ends_within($run, Time::HiRes::time(), 45, qr/no answer|timeout expired|timed out/);
            $proxy->pass;
            wait_until('the proxy has no connection', sub { $proxy->status->{open} == 0 });
        });
    }
    subtest('a signal comes while there is no answer to a query', sub {
        for my $signal ('TERM', 'INT')
        {
            $proxy->after(int($bytes / 2), 'hang');
            my $run = start_rewind($target, $proxy);
            $proxy->wait_for('hang');
            my $since = Time::HiRes::time();
            kill $signal, $run->{pid};
            ends_within($run, $since, 25, qr/^pg_rewind: error: terminated by signal \d+$/m);
            $proxy->pass;
        }
    });
    subtest('a short silence', sub {
        my $copy = $target->copy('silence');
        $proxy->after(int($bytes / 2), 'hang');
        my $run = start_rewind($copy, $proxy, options => ['--retry-timeout=20']);
        $proxy->wait_for('hang');
        wait_until('it has given up waiting', sub { slurp($run->{errors}) =~ /no answer within 10 s/ });
        $proxy->cut;
        my $result = end_of_rewind($run);
        is($result->{status}, 0, 'pg_rewind goes on') or diag($result->{stderr});
        rejoins($copy, $source);
        $copy->discard;
    });
    is($target->try_start->{status}, 0, 'the old server starts');
}, only => [ 11, 18 ]);
