# The pieces of large objects that lost transactions wrote are in the .jsonl of --save-lost-rows, also where
# pg_largeobject was rewritten; the .sql names them.
# (Rule L13.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql(q{SELECT lo_create(70001), lo_create(70002); SELECT lowrite(lo_open(70001, 131072), repeat('a', 3000)::bytea)}) },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for q{SELECT lowrite(lo_open(70002, 131072), decode('0001ff', 'hex'))},
                'VACUUM FULL pg_largeobject',
                q{SELECT lo_create(70003); SELECT lowrite(lo_open(70003, 131072), 'new')}, q{SELECT lo_unlink(70001)};
        });
    $source->stop;
    my $file = save_lost_rows($target, $source);
    return if !$file->{jsonl};
    my ($transactions, $others) = saved_rows($file->{jsonl});
    my @pieces = map { my $change = $_; my $row = $change->{new} // $change->{old}; join ' ', $change->{kind},
        map { "$_->[0]:" . substr($_->[2], 0, 10) } @$row }
        grep { $_->{table} eq 'pg_catalog.pg_largeobject' } map { @{ $_->{changes} } } @$transactions;
    is(join("\n", @pieces), join("\n", 'I loid:70002 pageno:0 data:\x0001ff', 'I loid:70003 pageno:0 data:\x6e6577',
        map { "D loid:70001 pageno:$_ data:" . substr('\x' . '61' x 9, 0, 10) } 0, 1), 'all pieces');
    is(scalar(() = slurp($file->{sql})
        =~ /^-- left out: .* of pg_catalog\.pg_largeobject .*: it is a piece of a large object$/mg), 4,
        'the script leaves them out, and says so');
    is_deeply([ map { "$_->{reason}: $_->{not_in_sql}" } @{ $others->[-1]{unknown} } ],
        ['it is a piece of a large object: 4'], 'they are counted');
}, only => [ 10, 15, 18 ]);
