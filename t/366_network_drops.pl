# A network that drops every packet, with no reset and no report, ends the run within the retry timeout, or costs only
# time if it recovers before. (Invariant 1. The same on all versions; the source is a server. Run by root only.)
#
#   pg_rewind ── pair of devices ── network namespace ── relay ── source
# (Rules C52, I45.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Privileged;
use RewindTest::Proxy;
use RewindTest::Tree;
use Time::HiRes ();

skip_unless_privileged();

my ($target, $before);

sub ends_within
{
    my ($run, $since, $seconds, $message) = @_;
    my $result = end_of_rewind($run);
    cmp_ok(Time::HiRes::time() - $since, '<', $seconds, "it ends within $seconds seconds") or diag($result->{stderr});
    is($result->{status}, 1, 'exit status 1') or diag($result->{stderr});
    like($result->{stderr}, $message, 'it says why');
    is_same_tree(tree($target), $before, 'the target is as it was');
    return;
}

each_version(sub {
    my ($version) = @_;
    (my $source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my $address = eval { privileged('make-network', "$proxy->{dir}/.s.PGSQL.5432") };
    if (!defined $address)
    {
        diag("$0 is SKIPPED: no network namespace can be made here: $@");
      SKIP: { skip('no network namespace can be made here', 1) }
        return;
    }
    $address =~ tr/_/./;
    my $conninfo = "host=$address port=5432 user=postgres dbname=postgres";
    wait_until('the relay is there', sub { run([ program('psql'), '-Xc', '', '-d', $conninfo ])->{status} == 0 });
    $before = tree($target);
    my $copy = $target->copy('undisturbed');
    $proxy->cut;
    my $began = $proxy->status->{bytes};
    my $undisturbed = end_of_rewind(start_rewind($copy, $source, conninfo => $conninfo));
    is($undisturbed->{status}, 0, 'pg_rewind succeeds through that network') or diag($undisturbed->{stderr});
    my $bytes = $proxy->status->{bytes} - $began;
    $copy->discard;

    # Hold the run, drop from then on, and let the server go on into the void.
    my $hold = sub {
        my ($who, @options) = @_;
        $proxy->cut;    # what an earlier run left
        $proxy->after(int($bytes / 2), 'hang');
        my $run = start_rewind($who, $source, conninfo => $conninfo, options => \@options);
        wait_until(sub { "the run is held; it has said:\n" . slurp($run->{errors}) },
            sub { $proxy->status->{last} eq 'hang' || has_ended($run) });
        privileged('drop-packets');
        $proxy->pass;
        return $run;
    };
    subtest('all packets are dropped', sub {
        my $run = $hold->($target, '--retry-timeout=3');
        ends_within($run, Time::HiRes::time(), 45, qr/no answer|timeout expired|timed out/);
    });
    subtest('it connects meanwhile', sub {
        my $run = start_rewind($target, $source, conninfo => $conninfo, options => ['--retry-timeout=4']);
        ends_within($run, $run->{began}, 45, qr/timeout expired|timed out/);
    });
    privileged('pass-packets');
    subtest('a signal comes', sub {
        my $run = $hold->($target);
        my $since = Time::HiRes::time();
        kill 'TERM', $run->{pid};
        ends_within($run, $since, 25, qr/^pg_rewind: error: terminated by signal 15$/m);
        privileged('pass-packets');
    });
    subtest('the network recovers', sub {
        $copy = $target->copy('recovers');
        my $run = $hold->($copy, '--retry-timeout=30');
        # Our own limit and the kernel's are the same: either may be first.
        wait_until(sub { "pg_rewind has noticed; it has said:\n" . slurp($run->{errors}) },
            sub { slurp($run->{errors}) =~ /no answer within 15 s|timed out/ });
        privileged('pass-packets');
        my $result = end_of_rewind($run);
        is($result->{status}, 0, 'pg_rewind goes on') or diag($result->{stderr});
        rejoins($copy, $source);
    });
    privileged('remove-network');
}, only => [15]);
