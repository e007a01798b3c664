# Under a limit for the size of files (ulimit -f) that allows all files of the cluster, and the file in which blocks are
# staged, the rewind succeeds. A lower limit is an error before anything is written. No signal (SIGXFSZ) ends it.
# (Invariants 1 and 2. Nothing here depends on the server's version.)
#
#   largest file of either side     3 to 4 MB
#   blocks to be staged             6 tables, more than 1 MB each
#   growth, for the ballast         6 tables, 1 MB each
# (Rule C95.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

my $megabyte = 1024 * 1024;
my @tables = map { "t$_" } 1 .. 6;

# Start programs under a limit, which they inherit from this process.
sub under_limit
{
    my ($bytes, $start) = @_;
    must_run([ 'prlimit', '--pid', $$, "--fsize=$bytes:unlimited" ]);
    my $result = eval { $start->() };
    my $error = $@;
    must_run([ 'prlimit', '--pid', $$, '--fsize=unlimited:unlimited' ]);
    return $result // die $error;
}

sub is_refused
{
    my ($copy, $source, $limit, $error, @options) = @_;
    my $before = tree($copy);
    my $result = under_limit($limit, sub { rewind($copy, $source, options => \@options, not_foretold => 1) });
    is($result->{status}, 1, "a limit of $limit bytes is too low: pg_rewind @options fails");
    like($result->{stderr}, $error, 'it says why');
    unlike($result->{stderr}, qr/signal/, 'and is not ended by a signal');
    is_same_tree(tree($copy), $before, 'nothing was changed');
    return;
}

each_version(sub {
    my ($version) = @_;
    my @path;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql("CREATE TABLE $_ WITH (fillfactor = 30) AS SELECT i, repeat('common', 30) AS v FROM generate_series(1, 2500) i; SELECT count(*) FROM $_")
                for @tables;
            @path = map { $primary->query("SELECT pg_relation_filepath('$_')") } @tables;
        },
        source => sub { my ($source) = @_;
        $source->sql("INSERT INTO $_ SELECT i, repeat('source', 30) FROM generate_series(1, 1200) i")
        for @tables; $source->sql('CHECKPOINT') },
        target => sub { my ($target) = @_; $target->sql("UPDATE $_ SET v = repeat('target', 30) WHERE i > 1000")
            for @tables });
    my ($largest) = sort { $b <=> $a } map { -s $source->path($_) } @path;
    cmp_ok($largest, '>', 2 * $megabyte, 'a table is larger than one limit');
    cmp_ok($largest, '<', 4 * $megabyte, 'and smaller than the other');

    my $copy = $target->copy('copy');
    is_refused($copy, $source, 2 * $megabyte,
        qr/^pg_rewind: error: the limit for the size of files is too low: a file of \d+ bytes is needed, 2097152 are allowed\npg_rewind: hint: Raise the limit for the user that runs pg_rewind \(ulimit -f\)\.$/m,
        @$_)
        for [], ['--dry-run'], ['--compare'];
    is_refused($copy, $source, $megabyte / 2, qr/^pg_rewind: error: .*: File too large$/m);

    my $too_low = qr/^pg_rewind: error: the limit for the size of files is too low: a file of \d+ bytes is needed, 4194304/m;
    is_refused($copy, $source, 4 * $megabyte, $too_low, @$_) for [], ['--dry-run'];
    my $result = under_limit(64 * $megabyte, sub { rewind($copy, $source) });
    is($result->{status}, 0, 'a limit that allows what is staged is enough') or diag($result->{stderr});
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
}, only => [15]);
