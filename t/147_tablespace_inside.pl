# A tablespace whose directory lies inside the data directory has two names there: its link in pg_tblspc, and its own
# path. Its files are rewound by the link alone, wherever the other side has that tablespace; nothing is copied to, or
# removed from, the other name. (Both sources.)
#
#   target                          source
#   data/tbs                        elsewhere
#   elsewhere                       data/tbs
#   data/one                        data/two, also with a common OID of tablespaces that were made after the divergence
#   data/tbs                        data/tbs
#   data/vol/tbs, vol is a link     data/vol/tbs, vol is a directory; and elsewhere
# (Rules O8, O9.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

# Move the only tablespace of a stopped cluster.
sub move_tablespace
{
    my ($cluster, $place) = @_;
    my ($link) = grep { -l } glob($cluster->path('pg_tblspc/*'));
    my $former = readlink $link;
    return if $former eq $place;
    must_run([ 'mkdir', '-p', $place =~ s{/[^/]+$}{}r ]);
    must_run([ 'mv', $former, $place ]);
    unlink $link;
    symlink($place, $link) or die "could not make a link: $!";
    return;
}

sub build
{
    my ($primary) = @_;
    my $place = $primary->path('tbs');
    mkdir $place or die;
    $primary->sql("CREATE TABLESPACE inside LOCATION '$place'");
    $primary->sql('CREATE TABLE same TABLESPACE inside AS SELECT i FROM generate_series(1, 3000) i;
        CREATE TABLE changed TABLESPACE inside AS SELECT i FROM generate_series(1, 3000) i;
        CREATE TABLE empty (a int) TABLESPACE inside');
    return;
}

sub is_rewound
{
    my ($target, $source, $place, $other, $kind, @options) = @_;
    my $copy = $target->copy('copy');
    my $link = $copy->path('vol');
    if ($place eq 'link')
    {
        mkdir $copy->dir . '/volume' or die;
        symlink($copy->dir . '/volume', $link) or die;
        $place = 'data/vol/tbs';
    }
    move_tablespace($copy, $copy->dir . "/$place");
    my $is_elsewhere = !-e $copy->path('tbs');
    $source->stop if $kind eq 'directory';
    my $result = rewinds($copy, $source, kind => $kind, options => [ '--no-sync', @options ]);
    my @warnings = grep { !/^"vol" is of different type in source and target/ } $result->{stderr}
        =~ /^pg_rewind: warning: (.*)/mg;
    my $is_told = $kind eq 'server' && $other =~ m{^data/(.*)} && $place ne $other;
    is(join("\n", @warnings), $is_told
        ? qq("$1" of the source is not copied: it is another cluster, or a directory of a tablespace or of pg_wal) : '',
        'a warning says what is not copied');
    $source->start if $kind eq 'directory';
    is((map { readlink } grep { -l } glob($copy->path('pg_tblspc/*')))[0], $copy->dir . "/$place",
        'the tablespace is where the target had it');
    ok(-d $copy->dir . "/$place/$_", "it has $_") for map { m{([^/]+)$} } glob($source->path('pg_tblspc/*/PG_*'));
    ok(!-e $copy->path('tbs'), 'nothing is copied to the place of the source') if $is_elsewhere;
    rejoins($copy, $source, no_promotion => 1, quick => 1);
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => \&build,
        source => sub { $_[0]->sql('UPDATE changed SET i = -i WHERE i % 7 = 0') },
        target => sub {
            $_[0]->sql('UPDATE changed SET i = -i WHERE i % 2 = 1; CREATE TABLE of_target TABLESPACE inside AS SELECT 1 AS a') });

    subtest('two links to one directory', sub {
        my $copy = $target->copy('copy');
        my ($link) = map { m{(pg_tblspc/\d+)$} } glob($copy->path('pg_tblspc/*'));
        symlink(readlink $copy->path($link), $copy->path('pg_tblspc/99999')) or die;
        my $before = tree($copy);
        my $result = rewind($copy, $source);
        is($result->{status}, 1, 'they are refused, with status 1');
        like($result->{stderr},
            qr/^pg_rewind: error: "\Q$link\E" and "pg_tblspc\/99999" of the target lead to one directory$/m,
            'it says why');
        like($result->{stderr},
            qr/^pg_rewind: hint: Remove the link that its server does not need: the one that is not in pg_tablespace\.$/m,
            'and what to do');
        is_same_tree(tree($copy), $before, 'the target is as it was');
        $copy->discard;
    });

    subtest('files of the source where the target has the tablespace', sub {
        my $copy = $target->copy('copy');
        move_tablespace($copy, $copy->path('place'));
        mkdir $source->path('place') or die;
        spew($source->path('place/file'), 'of the source');
        my $result = rewinds($copy, $source, options => ['--no-sync']);
        like($result->{stderr},
            qr/^pg_rewind: warning: "place" of the source is not copied: on the target it is the directory of pg_wal or of a tablespace$/m,
            'a warning says so');
        ok(!-e $copy->path('place/file'), 'they are not written there');
        rejoins($copy, $source, no_promotion => 1, quick => 1);
        $copy->discard;
        must_run([ 'rm', '-r', $source->path('place') ]);
    });

    for my $pair ([ 'data/tbs', 'tablespace/tbs' ], [ 'tablespace/tbs', 'data/tbs' ], [ 'data/one', 'data/two' ],
        [ 'data/tbs', 'data/tbs' ],
        [ 'link', 'data/vol/tbs' ], [ 'link', 'tablespace/tbs' ])
    {
        my ($on_target, $on_source) = @$pair;
        $source->stop;
        move_tablespace($source, $source->dir . "/$on_source");
        rmdir $source->path('vol') if $on_source !~ /vol/;
        $source->start;
        subtest("target $on_target, source $on_source", sub {
            is_rewound($target, $source, $on_target, $on_source, 'server');
            is_rewound($target, $source, $on_target, $on_source, 'directory', '--compare');
        });
    }
    $_->discard for $source, $target;

    subtest('two tablespaces with one OID', sub {
        my $make = sub {
            my ($cluster, $place) = @_;
            mkdir $cluster->path($place) or die;
            $cluster->sql("CREATE TABLESPACE $place LOCATION '" . $cluster->path($place) . "'");
            $cluster->sql("CREATE TABLE t TABLESPACE $place AS SELECT '$place'::text FROM generate_series(1, 1000)");
            $cluster->sql('CHECKPOINT');
        };
        ($source, $target) = split_brain($version, source => sub { $make->($_[0], 'one') },
            target => sub { $make->($_[0], 'two') });
        my @links = map { m{([^/]+)$} } map { glob($_->path('pg_tblspc/*')) } $source, $target;
        is($links[0], $links[1], 'they have one OID');
        for my $options ([], ['--compare'])
        {
            my $copy = $target->copy('copy');
            my $result = rewinds($copy, $source, options => [ '--no-sync', @$options ]);
            is(() = $result->{stderr} =~ /warning/g, 1, 'there is one warning');
            like($result->{stderr}, qr/^pg_rewind: warning: "one" of the source is not copied: it is /m,
                'of the place of the source');
            is(readlink $copy->path("pg_tblspc/$links[0]"), $copy->path('two'),
                'the tablespace is where the target had its own');
            ok(!-e $copy->path('one'), 'nothing is copied to the place of the source');
            rejoins($copy, $source, no_promotion => 1, quick => 1);
            $copy->discard;
        }
    });

    $_->discard for $source, $target;

    subtest('a new tablespace in a directory that the target has', sub {
        ($source, $target) = split_brain($version, source => sub {
            my ($cluster) = @_;
            mkdir $cluster->path('new') or die;
            $cluster->sql("CREATE TABLESPACE new LOCATION '" . $cluster->path('new') . "'");
            $cluster->sql('CREATE TABLE t TABLESPACE new AS SELECT i FROM generate_series(1, 1000) i');
            $cluster->sql('CHECKPOINT');
        });
        must_run([ 'mkdir', '-p', $target->path('vol/place') ]);
        rewinds($target, $source, options => [ '--no-sync', '-T', $source->path('new') . '='
            . $target->path('vol/place') ]);
        ok(!-e $target->path('new'), 'nothing is copied to the place of the source');
        rejoins($target, $source, no_promotion => 1, quick => 1);
    });
}, only => [ 10, 12, 15, 18 ]);
