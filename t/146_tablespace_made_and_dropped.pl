# A tablespace that the source made and dropped after the divergence, in a directory that the target's host does not
# have: no link leads there, so none is made, but replay of CREATE TABLESPACE would need it, and the target's server
# would not start. (Both sources.)
#
#   source       ┌── 2 ─── CREATE TABLESPACE ─── DROP ─── ● ──▶    without its checkpoint ●: refused, and done once the directory is there;
#   target   1 ──┴── 1 ──▶                                         with it, recovery starts behind
# (Rule C44.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my $place;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my ($source) = @_;
            $place = $source->tablespace_location('brief');
            # with files in it, DROP makes a checkpoint
            $source->sql($_) for "CREATE TABLESPACE brief LOCATION '$place'", 'DROP TABLESPACE brief';
            rmdir $place or die "could not remove $place: $!";
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });

    my $copy = $target->copy('early');
    my $before = tree($copy);
    my $refused = rewind($copy, $source);
    is($refused->{status}, 1, 'refused, with status 1');
    like($refused->{stderr},
        qr/^pg_rewind: error: replay of CREATE TABLESPACE would fail: "\Q$place\E" does not exist$/m,
        'the error names the directory');
    like($refused->{stderr},
        qr/^pg_rewind: hint: Make this a directory, owned by the user who runs the target server, or let recovery start after CREATE TABLESPACE\.$/m,
        'and the hint what to do');
    like($refused->{stderr}, qr/^pg_rewind: hint: .*Add --checkpoint: pg_rewind then runs CHECKPOINT on the source\.$/m,
        'in two ways');
    is_same_tree(tree($copy), $before, 'the target is as it was');
    mkdir $place or die "could not make $place: $!";
    rewinds($copy, $source);
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;

    rmdir $place or die "could not remove $place: $!";
    $source->sql('CHECKPOINT');
    rewinds_from_both_kinds($source, $target, quick => 1);
}, sample => 1);
