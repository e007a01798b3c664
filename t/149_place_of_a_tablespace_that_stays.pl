# A directory of the target's own is no place for another tablespace of the source, if the target's tablespace there
# stays: two links would lead to one directory, and what the server removes by one of them is gone from the other.
#
#   the target's place of k   ── k stays ──── --tablespace-mapping leads m there              refused
#                             ── k stays ──── replay of CREATE TABLESPACE brief leads there   recovery starts after it
# (Rules C42, C103.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my ($on_source, $link) = (undef, 'pg_tblspc/\d+');
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $place = $primary->tablespace_location('k');
            $primary->sql($_) for "CREATE TABLESPACE k LOCATION '$place'", 'CREATE DATABASE d TABLESPACE k';
            $primary->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a', 'd');
            $primary->sql('CREATE TABLE in_k (a int) TABLESPACE k');
        },
        source => sub {
            my ($source) = @_;
            $on_source = $source->tablespace_location('m');
            # It makes a checkpoint, and logs after this one that it removes the database's files in k.
            $source->sql($_) for "CREATE TABLESPACE m LOCATION '$on_source'", 'ALTER DATABASE d SET TABLESPACE m';
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (0)', 'd') });

    subtest('a new tablespace is mapped there', sub {
        my $copy = $target->copy('mapped');
        my ($before, $place) = (tree($copy), "$copy->{dir}/tablespace/k");
        for my $kind (qw(server directory))
        {
            $source->stop if $kind eq 'directory';
            my $refused = rewind($copy, $source, kind => $kind, options => [ '-T', "$on_source=$place" ]);
            is($refused->{status}, 1, "refused, with a $kind as source");
            like($refused->{stderr},
                qr{^pg_rewind: error: tablespaces "$link" and "$link" of the source would have one place: "\Q$place\E}m,
                'the error names both');
            like($refused->{stderr},
                qr/^pg_rewind: hint: Give "$link" another place with --tablespace-mapping\.$/m,
                'the hint says what to do');
            is_same_tree(tree($copy), $before, 'the target is as it was');
            $source->start if $kind eq 'directory';
        }
        rewinds($copy, $source, options => [ '-T', "$on_source=$copy->{dir}/tablespace/m" ]);
        rejoins($copy, $source);
        $copy->discard;
    });

    # The source's tablespace has the path of the target's, as on a host of its own.
    my $place = "$target->{dir}/tablespace/k";
    rename($place, "$place.aside") && mkdir($place, 0700) or die "could not move $place: $!";
    $source->sql($_) for 'CHECKPOINT', "CREATE TABLESPACE brief LOCATION '$place'", 'DROP TABLESPACE brief';
    rmdir($place) && rename("$place.aside", $place) or die "could not move $place.aside: $!";

    subtest('replay would lead another tablespace there', sub {
        my $before = tree($target);
        my @mapping = ('-T', "$on_source=$target->{dir}/tablespace/m");
        my $refused = rewind($target, $source, options => [ @mapping, '--early-start' ]);
        is($refused->{status}, 1, 'an early start is refused');
        like($refused->{stderr},
            qr/: replay of CREATE TABLESPACE would give tablespace \d+ the directory of tablespace \d+: "\Q$place\E"$/m,
            'the error names both');
        is_same_tree(tree($target), $before, 'the target is as it was');
    });
}, only => [ 10, 15, 18 ]);
