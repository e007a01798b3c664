# The location of a tablespace may be the data directory itself, or one of the server's directories in it: a server
# warns, and does it. What else is in that directory is rewound by its own names, the tablespace by its link. A
# tablespace inside the data directory that goes leaves an empty directory, as DROP TABLESPACE does. (Both sources.)
# (Rule O8.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# The server's directory of the tablespace is moved: the locations hold other things.
sub move_tablespace
{
    my ($cluster, $place) = @_;
    my ($link) = grep { -l } glob($cluster->path('pg_tblspc/*'));
    must_run([ 'mv', glob(readlink($link) . '/PG_*_*'), $place ]);
    unlink $link;
    symlink($place, $link) or die "could not make a link: $!";
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('place');
            $primary->sql("CREATE TABLESPACE place LOCATION '$location'");
            $primary->sql('CREATE TABLE same TABLESPACE place AS SELECT i FROM generate_series(1, 3000) i;
                CREATE TABLE changed TABLESPACE place AS SELECT i FROM generate_series(1, 3000) i');
        },
        source => sub { $_[0]->sql('UPDATE changed SET i = -i WHERE i % 7 = 0') },
        target => sub { $_[0]->sql('UPDATE changed SET i = -i WHERE i % 2 = 1') });
    my $elsewhere = $source->dir . '/tablespace/place';
    for my $pair ([ '', 'elsewhere' ], [ 'base', 'elsewhere' ], [ 'pg_wal', 'base' ], [ 'base', 'base' ],
        [ 'elsewhere', 'base' ])
    {
        my ($on_target, $on_source) = @$pair;
        if ($on_source ne 'elsewhere')
        {
            $source->stop;
            move_tablespace($source, $source->path($on_source));
            $source->start;
        }
        subtest("target data/$on_target, source data/$on_source", sub {
            rewinds_from_both_kinds($source, $target, no_promotion => 1, quick => 1,
                prepare => sub { move_tablespace($_[0], $_[0]->path($on_target)) if $on_target ne 'elsewhere' },
                rewound => sub {
                    my ($copy) = @_;
                    my @places = map { s{.*/data/}{}r } split /\n/,
                        must_run([ 'find', $copy->data, '-name', 'PG_1*_*' ]);
                    my $own = $on_target eq 'elsewhere' ? undef : ($on_target ne '' ? "$on_target/" : '')
                        . (glob($copy->path('pg_tblspc/*/PG_*')))[0] =~ s{.*/}{}r;
                    is(join(' ', @places), $own // '', 'its files are in one place of the data directory');
                });
        });
        if ($on_source ne 'elsewhere')
        {
            $source->stop;
            move_tablespace($source, $elsewhere);
            $source->start;
        }
    }
    $_->discard for $source, $target;

    subtest('tablespaces that go', sub {
        my $make = sub {
            my ($cluster, $name) = @_;
            mkdir $cluster->path($name) or die;
            $cluster->sql("CREATE TABLESPACE $name LOCATION '" . $cluster->path($name) . "'");
            $cluster->sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT 1 AS a");
        };
        ($source, $target) = split_brain($version,
            before => sub { $make->($_[0], 'old'); $_[0]->sql('CREATE TABLE t (a int)') },
            source => sub {
                my ($cluster) = @_;
                $cluster->sql('DROP TABLE in_old');
                $cluster->sql('DROP TABLESPACE old');
                mkdir $cluster->path('new') or die;
                spew($cluster->path('new/file'), 'of the source');
            },
            target => sub { $make->($_[0], 'new') });
        rewinds_from_both_kinds($source, $target, no_promotion => 1, quick => 1, rewound => sub {
            my ($copy) = @_;
            is(join(' ', glob($copy->path('pg_tblspc/*'))), '', 'they are gone');
            is(join(' ', map { m{/data/(.*)} } glob($copy->path('{old,new}/*'))), 'new/file',
                'their directories have only what the source has there');
            ok(-d $copy->path('old'), 'and stay');
        });
    });
}, only => [ 10, 15, 18 ]);
