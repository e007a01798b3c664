# The link of a tablespace cannot be followed for a moment (a device or a network that fails): the tablespace is not
# taken for empty, which would leave its files as they are. (Invariants 1 and 2. The same in all versions.)
# (Rule C83.)

use strict;
use warnings;
use lib 't/lib';
use File::Basename 'basename';
use RewindTest;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql("CREATE TABLESPACE space LOCATION '" . $primary->tablespace_location('space') . "'");
            $primary->sql('CREATE TABLE t TABLESPACE space AS SELECT generate_series(1, 1000) AS a');
        },
        source => sub { $_[0]->sql('DELETE FROM t') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1') });
    my ($link) = map { basename($_) } glob $target->path('pg_tblspc/*');
    my $before = tree($target);
    # The first look is at the link, the second one at what it leads to.
    for my $where ("stat\@$link", "stat\@$link;stat\@$link")
    {
        my $result = rewind($target, $source, fault => "fail:$where:EIO", not_foretold => 1);
        is($result->{status}, 1, "$where fails: exit status 1");
        like($result->{stderr}, qr{^pg_rewind: error: could not stat file "\S+/pg_tblspc/$link": Input/output error$}m,
            'it says why');
        is_same_tree(tree($target), $before, 'the target is as it was');
    }
    rewinds($target, $source);
    rejoins($target, $source);
}, only => [ 10, 15, 18 ]);
