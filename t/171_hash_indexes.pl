# Before 10 no WAL tells what changes in a hash index: the rewound target has the source's file, as after a base backup,
# and a warning says so. After a promotion and REINDEX the index answers right. (design/versions-9.md)
#
#   source   ──●──┬── rows 2001 to 3000 ──▶
#   target        └── rows 4001 to 5000 ──▶      ● rows 1 to 1000

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub write_rows
{
    my ($first) = @_;
    return sub { $_[0]->sql("INSERT INTO t SELECT generate_series($first, $first + 999); CHECKPOINT"); return };
}

# What the index finds of each number.
sub found_by_index
{
    my ($cluster) = @_;
    my $scan = 'SET enable_seqscan = off; SET enable_bitmapscan = off; ';
    my $query = 'SELECT sum((SELECT count(*) FROM t WHERE a = g)) FROM generate_series(1, 6000) g';
    like($cluster->query("${scan}EXPLAIN $query"), qr/\bt_hash\b/, 'the index is used');
    return $cluster->query("$scan$query");
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE TABLE t (a int); CREATE INDEX t_hash ON t USING hash (a)');
            write_rows(1)->($primary);
        },
        source => write_rows(2001),
        target => write_rows(4001));
    my $path = $source->query(q{SELECT pg_relation_filepath('t_hash')});
    isnt(slurp($target->path($path)), slurp($source->path($path)), 'the files differ before');

    for my $kind (qw(server directory))
    {
        my $rewound = $target->copy("from_$kind");
        $source->stop if $kind eq 'directory';
        my $result = rewinds($rewound, $source, kind => $kind, options => ['--no-sync']);
        like($result->{stderr}, qr/^pg_rewind: warning: 1 hash index cannot be relied on/m, 'with a warning');
        ok(slurp($rewound->path($path)) eq slurp($source->path($path)), "the index's file is the source's");
        $source->start if $kind eq 'directory';
        rejoins($rewound, $source, no_promotion => 1, quick => 1);
        $rewound->promote->sql('REINDEX INDEX t_hash');
        is($rewound->query('SELECT count(*), max(a) FROM t WHERE a > 1000'),
            $source->query('SELECT count(*), max(a) FROM t WHERE a > 1000'), 'rows are the source\'s');
        is(found_by_index($rewound), $source->query('SELECT count(*) FROM t'),
            'the index finds each once, and nothing else');
        $rewound->discard;
    }
}, to => 9.6);
