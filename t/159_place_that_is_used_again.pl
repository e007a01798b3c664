# The source made and dropped a tablespace after the divergence, and then another one at the same place. Replay of
# CREATE TABLESPACE would give both the new one's directory, whose files are there already, and replay of DROP
# TABLESPACE would leave the link of the old one: it cannot remove a directory that has files. (Both sources.)
#
#   WAL of the source   ┌── 2 ── CREATE a at /place ── DROP a ── CREATE b at /place ── checkpoint ──▶
#   target           1 ─┴── 1 ──▶                                               recovery starts there
# (Rule C103.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $place;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my ($source) = @_;
            $place = $source->tablespace_location('place');
            $source->sql($_) for "CREATE TABLESPACE a LOCATION '$place'", 'DROP TABLESPACE a',
                "CREATE TABLESPACE b LOCATION '$place'",
                'CREATE TABLE in_b TABLESPACE b AS SELECT generate_series(1, 100) AS a',
                'CREATE UNLOGGED TABLE unlogged_in_b TABLESPACE b AS SELECT 1 AS a';
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });

    # The target can have this path only once the source's tablespace is at another one.
    $source->stop;
    my ($link) = glob($source->path('pg_tblspc/*'));
    rename($place, "$place.moved") && unlink($link) && symlink("$place.moved", $link)
        or die "could not move $place: $!";
    my @mapping = ('-T', "$place.moved=$place");

    for my $kind (qw(directory server))
    {
        my $copy = $target->copy("from_$kind");
        $source->start if $kind eq 'server';
        rewinds($copy, $source, kind => $kind, options => [ @mapping, '--early-start' ]);
        $source->start if $kind eq 'directory';
        rejoins($copy, $source, check => sub { is(scalar(() = glob($_[0]->path('pg_tblspc/*'))), 1,
            'no link of the old tablespace') });
        $source->stop if $kind eq 'directory';
        $copy->discard;
        must_run([ 'rm', '-r', $place ]);
    }
}, only => [ 10, 15, 18 ]);
