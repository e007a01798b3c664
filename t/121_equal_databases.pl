# Both sides made databases under the same numbers, by every strategy, from a template that each had changed otherwise:
# the source's win.  (Storage with equal names; copied databases. Invariant 7. Both sources.)
#
#   source       ┌── 2 ── template changed ── d1 .. d4 made ── template changed ──▶
#   target   1 ──┴── 1 ── template changed ── d1 .. d4 made ── changed ──▶
#
# What a copy of files put into a database is in no WAL: neither the source's rebuilds it nor the target's names it.
# (Rule C71.)

use strict;
use warnings;

use RewindTest;

# One database for each pair of strategies; up to 14 there is only the copy of files.
sub strategies
{
    my ($version) = @_;
    return ([ '', '' ]) if $version < 15;
    return map { my $of_source = $_; map { [ "STRATEGY $of_source", "STRATEGY $_" ] } qw(file_copy
        wal_log) } qw(file_copy wal_log);
}

sub write_apart
{
    my ($server, $side, $index) = @_;
    my $name = 'd0';
    $server->sql("UPDATE t SET v = '$side' WHERE g % 2 = $index", 'template');
    $server->sql("INSERT INTO t SELECT g, '$side' FROM generate_series(1, 4000) g", 'template');
    $server->sql('CREATE DATABASE ' . ++$name . " TEMPLATE template $_->[$index]") for strategies($server->version);
    return $server->query(q{SELECT string_agg(oid::text, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^d'});
}

each_version(sub {
    my ($version) = @_;
    my ($on_source, $on_target);
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE DATABASE template');
            $primary->sql("CREATE TABLE t AS SELECT g, 'common' AS v FROM generate_series(1, 3000) g", 'template');
        },
        source => sub {
            my ($source) = @_;
            $on_source = write_apart($source, 'source', 0);
            $source->sql("DELETE FROM t WHERE g % 3 = 0; INSERT INTO t SELECT g, 'later' FROM generate_series(1, 2000) g",
                'template');
        },
        target => sub {
            my ($target) = @_;
            # After a crash, as after a promotion, object ids go on where the last WAL record about them says.
            $target->stop('immediate')->start;
            $on_target = write_apart($target, 'target', 1);
            $target->sql("INSERT INTO t SELECT g, 'target' FROM generate_series(1, 10) g", 'd1');
        });
    is($on_target, $on_source, 'both sides handed out the same numbers');
    rewinds_from_both_kinds($source, $target, check => sub {
        my ($rewound) = @_;
        is($rewound->query("SELECT count(*) FROM t WHERE v = 'target'", $_), 0, "no lost row shows in $_")
            for grep { /^d\d/ } $rewound->databases;
    });
}, only => [ 10, 15, 18 ]);
