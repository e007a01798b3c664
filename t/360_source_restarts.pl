# A source that is gone for a moment costs a moment: stopped and started again, killed and started again, its
# connections terminated, at any time. (The argument why a restart does no harm is above check_same_server. Sources are
# servers: a primary and a standby.)
#
#   bytes of the source's answers   0 ──┬────┬────┬────┬────┬──▶ all      ┬ held back here while it happens
# (Rules C52, I45.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;

my @deeds = (
    'is restarted' => sub { $_[1]->restart_server($_[0]) },
    'is killed and started' => sub { $_[0]->stop('kill')->start },
    'terminates its connections' => sub { $_[0]->sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
        AND application_name = \'pg_rewind\'') },
    'is stopped at once, and started' => sub { $_[0]->stop('immediate')->start },
);

# Something that is on the disk only in part when the server is killed.
sub write_on
{
    my ($writer, $n) = @_;
    $writer->sql("INSERT INTO t SELECT i, 'later $n' FROM generate_series(1, 2000) i; CREATE TABLE later_$n AS SELECT * FROM t;
        INSERT INTO unlogged SELECT i FROM generate_series(1, 900) i; DELETE FROM t WHERE i % 7 = $n % 7; TRUNCATE truncated;
        INSERT INTO truncated SELECT i FROM generate_series(1, 1000 * $n) i;
        DROP TABLE IF EXISTS dropped_$n; BEGIN; INSERT INTO t SELECT i, 'prepared' FROM generate_series(1, 50) i;
        PREPARE TRANSACTION 'prepared $n'");
    return;
}

sub bytes_needed
{
    my ($target, $proxy) = @_;
    my $copy = $target->copy('undisturbed');
    my $before = $proxy->status->{bytes};
    my $result = rewind($copy, $proxy, options => ['--no-sync']);
    is($result->{status}, 0, 'undisturbed it succeeds') or diag($result->{stderr});
    $copy->discard;
    return $proxy->status->{bytes} - $before;
}

# Hold the run after so many bytes, do the deed, let it go on; the target must become a standby of the source.
sub survives
{
    my ($what, $deed, $bytes, $n, $target, $source, $writer, $proxy, $judge) = @_;
    subtest("the source $what after $bytes bytes", sub {
        my $copy = $target->copy('rewound');
        $proxy->after($bytes, 'hang');
        my $run = start_rewind($copy, $proxy, options => [ '--retry-timeout=120', '--jobs', $n % 2 ? 1 : 4 ]);
        $proxy->wait_for('hang');
        my $made = $proxy->status->{made};
        $writer->sql('CHECKPOINT') if $n % 3 == 0;
        write_on($writer, $n);
        # A server before 9.5 does not end a connection that it is writing to.
        $proxy->refuse if $source->version < 9.5;
        $deed->($source, $proxy);
        $proxy->pass;
        my $result = end_of_rewind($run);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        cmp_ok($proxy->status->{made}, '>', $made, 'and has connected again');
        if ($result->{status} == 0 && $judge) { rejoins($copy, $source, writer => $writer) }
        $writer->sql("ROLLBACK PREPARED 'prepared $n'");
        $copy->discard;
    });
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($primary, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i; CREATE INDEX ON t (i);
            CREATE UNLOGGED TABLE unlogged (i int); CREATE TABLE truncated (i int);
            SELECT format('CREATE TABLE dropped_%s AS SELECT * FROM t', n) FROM generate_series(0, 8) n \\gexec\n") },
        source => sub {
            $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a; INSERT INTO unlogged VALUES (1)") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    my $n = 0;
    for my $kind (qw(primary standby))
    {
        my $source = $kind eq 'primary' ? $primary : $primary->standby('standby');
        my $proxy = RewindTest::Proxy->new("to_$kind", $source);
        subtest("the source is a $kind", sub {
            my $bytes = bytes_needed($target, $proxy);
            for my $part ($kind eq 'primary' ? (0.02, 0.2, 0.5, 0.8) : (0.1, 0.6))
            {
                my ($what, $deed) = @deeds[ 2 * ($n % 4), 2 * ($n % 4) + 1 ];
                survives($what, $deed, int($bytes * $part), $n++, $target, $source, $primary, $proxy, $n % 2
                    || $kind eq 'standby');
            }
        });
        $proxy->end;
    }
}, only => [ 10, 18 ]);
