# A cluster whose template1 was dropped and created again, as recipes for another encoding do, has no base/1: nothing of
# a rewind depends on that directory. (Both sources.)
# (Rule C52.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql($_) for q{UPDATE pg_database SET datistemplate = false WHERE datname = 'template1'},
                'DROP DATABASE template1', 'CREATE DATABASE template1 TEMPLATE postgres',
                q{UPDATE pg_database SET datistemplate = true WHERE datname = 'template1'},
                q{CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 1000) i};
        },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target' WHERE i % 2 = 0") });
    ok(!-e $source->path('base/1'), 'template1 is not in base/1');
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [ 10, 15, 18 ]);
