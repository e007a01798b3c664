# --max-rate limits what comes from the source, over all connections together; no timeout strikes because of it, and a
# signal ends the run although it waits. (The same on all versions.)
#
#   source  1 ──┬── 2 ──▶   sends no faster than it may
#   target      └──▶
# (Rule I30.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP;
use RewindTest;
use RewindTest::Background;
use RewindTest::Tree;
use Time::HiRes 'time';

my $rate = 1024 * 1024;

each_version(sub {
    my ($source, $target) = split_brain($_[0],
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });

    subtest('a signal', sub {
        my $before = tree($target);
        my $run = start_rewind($target, $source, options => [ '-r', 32, '--jobs=3' ]);
        wait_until('it works', sub { slurp($run->{errors}) =~ /servers diverged/ || has_ended($run) });
        kill 'TERM', $run->{pid};
        my $result = end_of_rewind($run);
        is($result->{status}, 1, 'exit status 1');
        like($result->{stderr}, qr/^pg_rewind: error: terminated by signal 15$/m, 'it says why');
        cmp_ok($result->{seconds}, '<', 60, 'it ends at once: all that is to come would take minutes');
        is_same_tree(tree($target), $before, 'the target is as it was');
    });

    my $copy = $target->copy('from_directory');
    my $took = sub {
        my ($who, %option) = @_;
        my $began = time;
        my $result = rewind($who, $source, %option,
            options => [ '--max-rate=1M', '--jobs=3', '--retry-timeout=6', '--report=json', '--no-sync' ]);
        my $seconds = time - $began;
        is($result->{signal} || $result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        unlike($result->{stderr}, qr/warning/, 'and nothing is noteworthy');
        my $bytes = decode_json($result->{stdout})->{bytes}{fetched};
        cmp_ok($bytes, '>', 3 * $rate, 'more was fetched than three seconds allow: as long as an answer may take');
        # The last waits, and what may come at once, are half a second at most.
        cmp_ok($seconds, '>=', $bytes / $rate - 0.5, "$bytes bytes took no less than they should");
        return;
    };
    subtest('from a server', sub { $took->($target) });
    rejoins($target, $source, quick => 1);
    $source->stop;
    subtest('from a directory', sub { $took->($copy, kind => 'directory') });
}, only => [ 10, 18 ]);
