# A source that gives fewer connections than asked for is rewound from with fewer, and one that gives none now, since it
# starts up or is full, is waited for.  (The same on all versions; the source is a server.)
# (Rule I45.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "max_connections = 12\nsuperuser_reserved_connections = 0"
        . ($version >= 16 ? "\nreserved_connections = 0" : '')
        . ($version >= 13 ? "\nwal_keep_size = 500MB" : "\nwal_keep_segments = 500") },
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 150000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    $source->have_much_to_fetch;
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my @jobs = ('--jobs=4', '--no-sync');
    my @debug = (@jobs, '--debug');

    subtest('the source is full but for two connections', sub {
        $source->wait_for_clients(0);
        my @sessions = map { $source->session } 1 .. 10;
        # Each run finds two: connections of the run before are gone.
        $source->wait_for_clients(10);
        is(rewind($target, $source, options => [ @jobs, '-n' ])->{status}, 0, 'a dry run succeeds');
        $source->wait_for_clients(10);
        my $fewer = qr/^pg_rewind: continuing with fewer connections to the source server: .*too many clients/ms;
        my $copy = $target->copy('two');
        my $result = rewind($copy, $source, options => \@debug, not_foretold => 'its connections would be in the way');
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        like($result->{stderr}, $fewer, 'with the connections that there are');
        unlike($result->{stderr}, qr/warning/, 'without a warning');
        $copy->discard;
        $_->end for @sessions;
        $source->wait_for_clients(0);
    });

    # The limit does not count for superusers, and 10 knows no other role that is enough.
    subtest('the role may have one connection', sub {
        $source->sql(join '; ', 'CREATE ROLE ordinary LOGIN CONNECTION LIMIT 1',
            map { "GRANT EXECUTE ON FUNCTION $_ TO ordinary" }
            'pg_ls_dir(text, boolean, boolean)', 'pg_stat_file(text, boolean)',
            'pg_read_binary_file(text, bigint, bigint, boolean)');
        my $fewer =
            qr/^pg_rewind: continuing with fewer connections to the source server: .*too many connections for role/ms;
        my $copy = $target->copy('one');
        my $result = rewind($copy, $source, options => \@debug, user => 'ordinary',
            not_foretold => 'its connection would be in the way');
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        like($result->{stderr}, $fewer, 'with one connection');
        $copy->discard;
    }) if $version >= 11;

    # A server before 9.5 does not end a connection that it is writing to.
    subtest('connections are lost, and others take their place for a while', sub {
        my $copy = $target->copy('taken');
        $proxy->after(1_500_000, 'hang');
        my $run = start_rewind($copy, $proxy, options => [ '--jobs=4', '--retry-timeout=120' ]);
        $proxy->wait_for('hang');
        my $made = $proxy->status->{made};
        $source->sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'pg_rewind'");
        $source->wait_for_clients(0);
        my @sessions = map { $source->session } 1 .. 12;
        $proxy->pass;
        wait_until('it has been refused', sub { $proxy->status->{made} > $made + 1 });
        $_->end for @sessions;
        is(end_of_rewind($run)->{status}, 0, 'it goes on when there is room') or diag(slurp($run->{errors}));
        $source->wait_for_clients(0);
        rejoins($copy, $source);
        $copy->discard;
    }) if $version >= 9.5;

    subtest('the source is full at first', sub {
        my $copy = $target->copy('none');
        $source->wait_for_clients(0);
        my @sessions = map { $source->session } 1 .. 12;
        my $result = rewind($copy, $source, options => [ @jobs, '--retry-timeout=0' ]);
        is($result->{status}, 1, 'pg_rewind fails at once if it is not to try again');
        like($result->{stderr}, qr/^pg_rewind: error: .*too many clients/ms, 'and says why');
        my $run = start_rewind($copy, $source, options => \@jobs);
        wait_until('it has been refused', sub { slurp($run->{errors}) =~ /warning: .*too many clients/s });
        $_->end for @sessions;
        is(end_of_rewind($run)->{status}, 0, 'it succeeds when there is room');
        $source->wait_for_clients(0);
        $copy->discard;
    });

    # As long as a server starts up or stops it answers, and refuses.
    subtest('the source is starting up', sub {
        my $copy = $target->copy('starting');
        my $standby = $source->standby('standby');
        $standby->stop->start(settings => { hot_standby => 'off' });
        my $run = start_rewind($copy, $standby, options => \@jobs);
        wait_until('it has been refused', sub { slurp($run->{errors}) =~ /warning: .*(?:starting up|not accepting)/s });
        $standby->restart;
        is(end_of_rewind($run)->{status}, 0, 'pg_rewind waits for it') or diag(slurp($run->{errors}));
        $_->discard for $copy, $standby;
    });
    subtest('the source is shutting down, and is started again', sub {
        my $copy = $target->copy('stopping');
        my $session = $source->session;
        must_run([ $source->bindir . '/pg_ctl', '-D', $source->data, '-m', 'smart', '-W', 'stop' ]);
        wait_until('the server is shutting down', sub { $source->try_sql('SELECT 1')->{stderr} =~ /shutting down/ });
        my $run = start_rewind($copy, $source, options => \@jobs);
        wait_until('it has been refused', sub { slurp($run->{errors}) =~ /warning: .*shutting down/s });
        $session->end;
        wait_until('the server has stopped', sub { !$source->is_running });
        $source->start;
        is(end_of_rewind($run)->{status}, 0, 'pg_rewind waits for it') or diag(slurp($run->{errors}));
        rejoins($copy, $source);
        $copy->discard;
    });
}, only => [ 10, 15 ]);
