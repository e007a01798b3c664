# Whatever keeps a rewind from being done is said in one run, each thing with what to do about it: by a dry run, by a
# real one, and in the report. Nothing is changed. (Invariant 1. The same on all versions.)
# (Rules O2, O3.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Tree;

# Run with and without --dry-run; each must say these errors, no others, in this order.
sub finds
{
    my ($name, $target, $source, $status, $errors, %option) = @_;
    my $before = tree($target);
    for my $dry ([], ['--dry-run'])
    {
        my $result = rewind($target, $source, %option, options => [ '--report=json', '--retry-timeout=1',
            @{ $option{options} // [] }, @$dry ]);
        my $report = JSON::PP->new->utf8->decode($result->{stdout});
        my @found = map { $_->{message} } @{ $report->{errors} };
        is($result->{status}, $status, "$name: pg_rewind @$dry fails with status $status") or diag($result->{stderr});
        is(scalar @found, scalar @$errors, "$name: as many errors") or diag($result->{stderr});
        for my $i (0 .. $#$errors)
        {
            like($found[$i], $errors->[$i], "$name: error $i");
        }
        is(join("\n", map { $_->{message} } grep { !defined $_->{hint}
            && !defined $_->{detail} } @{ $report->{errors} }), '',
            "$name: each says what to do, or more about it");
        like($result->{stderr}, qr/\npg_rewind: hint: The target is unchanged\. [^\n]+\n\z/,
            'the last line says the state of the target');
        like($result->{stderr}, $option{last}, 'and what is next') if $option{last};
        is_same_tree(tree($target), $before, "$name: the target is as it was");
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    # Without checksums and without hints.
    my ($source, $target) = split_brain($version,
        cluster => { checksums => 0, settings => 'wal_log_hints = off' },
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    my $hints = qr/^target server needs to use either data checksums or "wal_log_hints = on"$/;

    my $closed = $target->path('base/' . $source->query(q{SELECT oid FROM pg_database WHERE datname = 'postgres'}));
    chmod 0500, $closed;
    finds('hints, a directory that cannot be written, no command', $target, $source, 1,
        [ qr/postgres|restore_command/, $hints, qr/Permission denied/ ],
        options => [ '-c', '--bindir=/nonexistent' ]);
    chmod 0700, $closed;

    finds('hints, and missing WAL', without_wal($target), $source, 1, [ $hints, qr/^could not open file ".*"/ ]);
    # That hints matter only a divergence shows, and that only both histories.
    finds('no command, and no archive', $target, $source, 1,
        [ qr/postgres|restore_command/, qr{could not open directory "/nonexistent"} ],
        options => [ '-c', '--bindir=/nonexistent', '--wal-archive=/nonexistent' ]);

    $source->stop;
    finds('nobody there', $target, $source, 1, [qr/./],
        last => qr/Run pg_rewind again when the source can be reached\.$/);
    # That the source can be reached again would not be enough, whatever was found first.
    finds('no command, and nobody there', $target, $source, 1, [ qr/postgres|restore_command/, qr/./ ],
        options => [ '--compare', '-c', '--bindir=/nonexistent' ],
        last => qr/Fix all problems listed above, then run pg_rewind again\.$/);
}, only => [ 10, 18 ]);

# A copy of which all WAL is gone.
sub without_wal
{
    my ($target) = @_;
    my $copy = $target->copy('without_wal');
    unlink grep { /[0-9A-F]{24}$/ } glob($copy->path('pg_wal/*'));
    return $copy;
}
