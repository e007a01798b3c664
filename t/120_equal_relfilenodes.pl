# Both sides made relations and a database under the same numbers: the source's win, no row of the target's shows.
# (Invariant 7. Both sources.)
#
#   source       ┌──── 2 ─────────▶      ┬ divergence: 2 and 1 hand out the same object ids
#   target   1 ──┴──── 1 ─────────▶        rows written on 1 are gone afterwards
# (Rule C71.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Made in this order on both sides, so that equal names share a number (r7 only balances the sum).  Some are the
# same kind of relation on both sides, some are unlogged on one side, r6 is an index here and a table there.
my %statements = (
    source => [
        'CREATE TABLE r1 (a int, b text)',
        'CREATE TABLE r2 (a int)',
        'CREATE TABLE r3 (a int)',
        'CREATE TABLE r4 (a int)',
        'CREATE UNLOGGED TABLE r5 (a int)',
        'CREATE INDEX r6 ON r3 (a)',
        'CREATE TABLE r7 (a int)',
        'CREATE TABLE r8 (b int)',
        'CREATE DATABASE d9',
        q{INSERT INTO r1 SELECT i, repeat('source', 500) FROM generate_series(1, 100) i},
        'INSERT INTO r2 SELECT generate_series(1, 3000)',
        'INSERT INTO r4 SELECT generate_series(1, 3000)',
        'COPY r4 FROM PROGRAM \'seq 3001 4000\'',
        'INSERT INTO r3 SELECT generate_series(1, 10000)',
        'INSERT INTO r5 SELECT generate_series(1, 1000)',
        'INSERT INTO r7 SELECT generate_series(1, 2)',
    ],
    target => [
        'CREATE TABLE r1 (a int, b text)',
        'CREATE TABLE r2 (a int)',
        'CREATE TABLE r3 (a int)',
        'CREATE UNLOGGED TABLE r4 (a int)',
        'CREATE TABLE r5 (a int)',
        'CREATE TABLE r6 (a int)',
        'CREATE INDEX r7 ON r6 (a)',
        'CREATE TABLE r8 (a int)',
        'CREATE DATABASE d9',
        q{INSERT INTO r1 SELECT i, repeat('target', 900) FROM generate_series(1, 300) i},
        'INSERT INTO r2 SELECT generate_series(-5000, 0)',
        'INSERT INTO r3 SELECT generate_series(-10, 0)',
        'INSERT INTO r4 SELECT generate_series(-20000, 0)',
        'INSERT INTO r5 SELECT generate_series(-9000, 0)',
        'INSERT INTO r6 SELECT generate_series(-5000, 0)',
        'INSERT INTO r8 SELECT generate_series(-5000, 0)',
        map { "VACUUM $_" } qw(r2 r3 r5 r6 r8),
    ],
);

my $numbers = q{SELECT string_agg(relname || ' ' || relfilenode, ', ' ORDER BY relname)
    FROM pg_class WHERE relname ~ '^r[1-68]$'};
my $database_number = q{SELECT oid FROM pg_database WHERE datname = 'd9'};

sub write_apart
{
    my ($server, $side) = @_;
    $server->sql($_) for @{ $statements{$side} };
    $server->sql("CREATE TABLE t AS SELECT i AS a, '$side'::text AS b FROM generate_series(1, 2000) i", 'd9');
    return ($server->query($numbers), $server->query($database_number));
}

each_version(sub {
    my ($version) = @_;
    my (@on_source, @on_target);
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE common AS SELECT generate_series(1, 1000) AS a') },
        source => sub { @on_source = write_apart($_[0], 'source') },
        target => sub {
            my ($target) = @_;
            # After a crash, as after a promotion, object ids go on where the last WAL record about them says.
            $target->stop('immediate')->start;
            @on_target = write_apart($target, 'target');
            $target->sql('CHECKPOINT');
        });
    is("@on_target", "@on_source", 'both sides handed out the same numbers');
    rewinds_from_both_kinds($source, $target, check => sub {
        my ($rewound) = @_;
        is($rewound->query('SELECT min(a) || $$ $$ || max(a) || $$ $$ || count(*) FROM r4'), '1 4000 4000',
            'no lost row shows in a logged table');
    });
}, sample => 1);
