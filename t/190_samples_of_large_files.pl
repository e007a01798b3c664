# --compare: a large file of which a sample shows that nearly all blocks differ is fetched whole, and not compared; all
# others are compared block by block. (Invariant 1. Both sources.)
#
#   each row   a table of 20 MB, of which the target changes every block, the first half, all but each third block, or
#              every block of what was common while the source has made it longer
# (Rules K1, K8.)

use strict;
use warnings;

use lib 't/lib';
use RewindTest;

# Three rows of a kilobyte on a page, with room for another version of each.
my $rows = 7700;
my %changed = (all => 'true', first_half => "i < $rows / 2", most => '(i - 1) % 9 < 6', longer => 'true');
my %expected = (all => 'replaced', first_half => 'patched', most => 'patched', longer => 'replaced');

sub inode { my ($cluster, $path) = @_; return (stat $cluster->path($path))[1] }

each_version(sub {
    my ($version) = @_;
    my @tables = sort keys %changed;
    my %path;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'autovacuum = off' },
        before => sub {
            $_[0]->sql(join '', map { "CREATE TABLE \"$_\" (i int, f text) WITH (fillfactor = 40);
                INSERT INTO \"$_\" SELECT i, repeat('x', 1000) FROM generate_series(1, $rows) i;\n" } @tables);
            $_[0]->sql(qq{VACUUM FREEZE "$_"}) for @tables;    # no hint is to be set on either side
            $path{$_} = $_[0]->sql("SELECT pg_relation_filepath('\"$_\"')") for @tables;
        },
        source => sub { $_[0]->sql("INSERT INTO longer SELECT i, repeat('s', 1000) FROM generate_series(1, 5000) i") },
        target => sub {
            $_[0]->sql(join '', map { "UPDATE \"$_\" SET f = repeat('t', 1000) WHERE $changed{$_};\n" } @tables);
        });
    my %before;

    rewinds_from_both_kinds($source, $target, quick => 1, options => [qw(--compare --debug)],
        prepare => sub { my ($copy) = @_; $before{$_} = inode($copy, $path{$_}) for @tables },
        rewound => sub {
            my ($copy, undef, $result) = @_;
            is(inode($copy, $path{$_}) == $before{$_} ? 'patched' : 'replaced', $expected{$_}, "$_: the file") for @tables;
            like($result->{stderr}, qr/^pg_rewind: [34]\d MB of relations are fetched whole: /m,
                'of two tables only samples were compared') or diag($result->{stderr} =~ /(.*fetched whole.*)/);
        });
}, only => [ 10, 15, 18 ]);
