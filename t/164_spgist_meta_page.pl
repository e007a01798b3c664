# The first page of an SP-GiST index tells which pages were last used, and is changed without WAL. The rewound target
# has the source's: rows can be inserted when it is promoted later.
#
#   source   1 ──┬── 2 ─────────────────▶
#   target       └── 1 ── inserts ──▶       into pages that the source does not have
# (Rule U13.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a text, p point); CREATE INDEX t_text ON t USING spgist (a); CREATE INDEX t_point ON t USING spgist (p);
            INSERT INTO t SELECT md5(g::text), point(g, g) FROM generate_series(1, 1000) g') },
        target => sub {
            $_[0]->sql('INSERT INTO t SELECT md5(g::text), point(g, g) FROM generate_series(1001, 20000) g; CHECKPOINT') });
    rewinds_from_both_kinds($source, $target, no_promotion => 1,
        check => sub {
            my ($rewound) = @_;
            $rewound->promote;
            my $inserted =
                $rewound->try_sql('INSERT INTO t SELECT md5(g::text), point(g, g) FROM generate_series(1001, 2000) g');
            is($inserted->{stderr}, '', 'rows are inserted');
            is($rewound->query("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE p <@ box '((0, 0), (3000, 3000))'"),
                2000, 'and found by the index');
        });
});
