# A relation of two segments that the source drops or cuts while pg_rewind works: the rewound target does not keep the
# second one, which replay reaches only from a first that is there and full. (Source is a server. All is sparse: a block
# of zeros is a valid empty page.)
#
#   first segment    ● a row of the target's ───── read when the source has removed it, or cut it off
#   second one       ─ nothing of it is fetched ─  replay removes it, or cuts it to nothing
# (Rule C56.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my $full = 1 << 30;
my $last_block = $full / 8192 - 1;

sub make_larger { my ($path, $size) = @_; must_run([ 'truncate', '-s', $size, $path ]); return }

# Rows in the first block, and in one of the last of the first segment.
sub build
{
    my ($primary) = @_;
    $primary->sql("CREATE TABLE $_ (a int); INSERT INTO $_ SELECT generate_series(1, 10)") for qw(dropped cut);
    my %path = map { $_ => $primary->path($primary->query("SELECT pg_relation_filepath('$_')")) } qw(dropped cut);
    $primary->stop;
    make_larger($path{cut}, $full - 2 * 8192);
    $primary->start->sql('INSERT INTO cut VALUES (11)');
    $primary->stop;
    make_larger($_, $full), make_larger("$_.1", 4 << 20) for values %path;
    $primary->start;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => \&build,
        target => sub { $_[0]->sql('DELETE FROM dropped WHERE a = 1; DELETE FROM cut WHERE a = 11') });
    my ($dropped, $cut) = map { $source->query("SELECT pg_relation_filepath('$_')") } qw(dropped cut);
    cmp_ok($source->query("SELECT (ctid::text::point)[0] FROM cut WHERE a = 11"), '>', $last_block - 8,
        'a row lies at the end of the first segment');

    my $held = hold($target, $source, 'create@*/pg_rewind.work/*');
    $source->sql('DROP TABLE dropped; DELETE FROM cut WHERE a = 11; VACUUM cut; CHECKPOINT');
    ok(!-e $source->path($dropped), 'the source has removed the table');
    cmp_ok(-s $source->path($cut), '<', $full, 'and cut the other');
    my $result = go_on($held);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});

    rejoins($target, $source, no_promotion => 1, check => sub {
        is(join(' ', glob($target->path("$dropped*"))), '', 'nothing is left of the table that was dropped');
        is(-s $target->path("$cut.1"), 0, 'nor of the second segment of the one that was cut');
    });
}, sample => 1);
