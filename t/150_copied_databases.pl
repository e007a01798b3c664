# A database that the source copied as files is right although its template was changed, or dropped, or moved since.
# (Copied databases; where recovery starts. Both sources.)
#
#   source   1 ───●────┬──── 2 ── copy of the template ── template changed ──▶
#   target             └──── 1 ── template changed otherwise ──▶
#
# Replay copies the template as it stands in the rewound target; so recovery must start behind the copy.
# (Rules C31, C36.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $strategy = $version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE DATABASE changed; ');
            $primary->sql('CREATE DATABASE dropped');
            $primary->sql("CREATE TABLE t AS SELECT g, 'old' AS v FROM generate_series(1, 3000) g", $_)
                for qw(changed dropped);
            $primary->sql('CHECKPOINT');
        },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target' WHERE g % 3 = 0", 'changed');
            $target->sql("INSERT INTO t SELECT g, 'target' FROM generate_series(3001, 5000) g", 'dropped');
        },
        source => sub {
            my ($source) = @_;
            $source->sql("CREATE DATABASE copy_of_changed TEMPLATE changed $strategy");
            $source->sql("CREATE DATABASE copy_of_dropped TEMPLATE dropped $strategy");
            $source->sql("UPDATE t SET v = 'new' WHERE g % 2 = 0; INSERT INTO t SELECT g, 'more' FROM generate_series(1, 9000) g",
                'changed');
            $source->sql('DROP DATABASE dropped');
            $source->sql('CREATE TABLE after_all AS SELECT 1 AS a');
        });
    rewinds_from_both_kinds($source, $target,
        check => sub {
            my ($rewound) = @_;
            is($rewound->query('SELECT count(*), min(v), max(v) FROM t', "copy_of_$_"), '3000|old|old',
                "the copy of the template that was $_ holds the rows of its time")
                for qw(changed dropped);
        });
});
