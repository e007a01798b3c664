# A source, which may be any server, names the place of a new tablespace. It is only taken as CREATE TABLESPACE makes
# one: by a canonical path, outside of the target's data directory and its pg_wal, and each in a place of its own. (The
# attacker: the source.)
#
#   source   1 ──┬── 2 ──▶   a link in pg_tblspc
#   target       └── 1 ──╳
# (Rules I76, T1.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

my ($source, $target, $dir, $inner);

# The place has a file there, so that the source's tablespace is no lost one.
sub fill
{
    my ($place) = @_;
    must_run([ 'mkdir', '-p', "$place/$inner/5" ]);
    spew("$place/$inner/5/16999", 'x' x 8192);
    return;
}

sub with_links
{
    my ($what, $reason, @places) = @_;
    my @mapped = ref $places[-1] ? @{ pop @places } : ();
    my @links = map { $source->path('pg_tblspc/' . (99990 + $_)) } 0 .. $#places;
    symlink($places[$_], $links[$_]) or die "$places[$_]: $!" for 0 .. $#places;
    fill($_) for @places;
    for my $options ([], ['-n'])
    {
        my $result = rewind($target, $source, kind => 'directory', options => [ '--no-sync', @mapped, @$options ],
            not_foretold => 'both are run');
        is($result->{status}, 1, "$what: refused");
        like($result->{stderr}, qr/^pg_rewind: error: $reason/ms, "$what: it says why");
        like($result->{stderr}, qr/^pg_rewind: hint: .*--tablespace-mapping/m, "$what: and what helps");
    }
    unlink @links;
    must_run([ 'rm', '-rf', @places ]);
    return;
}

# Another account of the host creates the place, between the look at it and its use or before both.
sub places_of_another_account
{
    my $place = "$dir/sticky/late";
    my @options = ("--source-pgdata=@{[ $source->data ]}", '-T', "$dir/shared=$place");
    mkdir "$dir/sticky" or die;
    chmod 01777, "$dir/sticky" or die;
    for my $make (
        sub { mkdir $place or die; chmod 0777, $place; privileged('change-owner', 'nobody', $place) },
        sub { symlink("$dir/other", $place) or die; privileged('change-owner-of-link', 'nobody', $place) })
    {
        my $held = hold($target, $source, 'mkdir@*/pg_rewind.work', @options);
        $make->();
        privileged('change-owner', 'root', "$dir/sticky");
        for my $result (go_on($held), run([ rewind_argv($target->data, @options) ]))
        {
            is($result->{status}, 1, "another account's place: refused");
            like($result->{stderr}, qr/^pg_rewind: error: "\Q$place\E" belongs to another user$/m, 'it says why');
        }
        is(join(' ', glob("$dir/other/*")), '', 'nothing is there');
        privileged('change-owner', scalar(getpwuid($>)), "$dir/sticky");
        -l $place ? unlink $place : rmdir $place or die;
    }
    return;
}

# A run was killed after it had made the place, and a volume is mounted there when the same command runs again.
sub volume_in_place
{
    my $place = "$dir/late";
    my @options = ('--no-sync', '-T', "$dir/shared=$place");
    mkdir "$dir/volume" or die;
    chmod 0700, "$dir/volume" or die;
    end_by_kill(hold($target, $source, 'commit', "--source-pgdata=@{[ $source->data ]}", @options));
    ok(-d $place, 'the place was made');
    privileged('mount', "$dir/volume", $place);
    my $result = rewind($target, $source, kind => 'directory', options => \@options);
    is($result->{status}, 0, 'a volume that was mounted there stays') or diag($result->{stderr});
    ok(-d "$dir/volume/$inner/5", 'and has the directories of the tablespace');
    nothing_is_left($target);
    privileged('unmount', $place);
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my $location = $_[0]->tablespace_location('space');
            $_[0]->sql('INSERT INTO t VALUES (1)');
            $_[0]->sql("CREATE TABLESPACE space LOCATION '$location'");
            ($inner) = map { m{([^/]+)$} } glob("$location/PG_*");
            $_[0]->sql('DROP TABLESPACE space');
            $_[0]->sql('CHECKPOINT');
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $source->stop;
    $dir = work_dir() . "/places.$version";
    mkdir $_ or die "$_: $!" for $dir, "$dir/wal", "$dir/shared", "$dir/shared/below";
    must_run([ 'sh', '-c',
        "mv @{[ $target->path('pg_wal') ]}/* $dir/wal/ && rmdir @{[ $target->path('pg_wal') ]} && ln -s $dir/wal @{[ $target->path('pg_wal') ]}" ]);
    chmod 0700, "$dir/wal";
    my $before = tree($target);
    my $data = $target->data;
    with_links('a path with ..',
        qr/tablespace "pg_tblspc\/99990" of the source is not at a canonical path: "\Q$dir\E\/shared\/\.\.\/x"/,
        "$dir/shared/../x");
    with_links('a path with a newline', qr/tablespace "pg_tblspc\/99990" of the source is not at a canonical path: "/,
        "$dir/x\ny");
    with_links('a path with //', qr/tablespace "pg_tblspc\/99990" of the source is not at a canonical path: "/,
        "$dir//x");
    with_links('in the data directory',
        qr/tablespace "pg_tblspc\/99990" of the source would be inside "\Q$data\E": "\Q$data\E\/x"/, "$data/x");
    with_links('in its pg_wal, which is elsewhere',
        qr/tablespace "pg_tblspc\/99990" of the source would be inside "\Q$dir\E\/wal": "\Q$dir\E\/wal\/x"/,
        "$dir/wal/x");
    with_links('the same by the link',
        qr/tablespace "pg_tblspc\/99990" of the source would be inside "\Q$dir\E\/wal": "/, "$data/pg_wal/x");
    with_links('another cluster',
        qr/tablespace "pg_tblspc\/99990" of the source would be inside "\Q@{[ $source->data ]}\E": "/,
        $source->path('base/x'));
    with_links('one place for two',
        qr/tablespaces "pg_tblspc\/99990" and "pg_tblspc\/99991" of the source would have one place: "\Q$dir\E\/z"/,
        "$dir/x", "$dir/y",
        [ '-T', "$dir/x=$dir/z", '-T', "$dir/y=$dir/z" ]);
    with_links('one place in another',
        qr/tablespaces "pg_tblspc\/9999." and "pg_tblspc\/9999." of the source would have one place: "/,
        "$dir/shared/below", "$dir/shared");
    is_same_tree(tree($target), $before, 'the target is unchanged');

    # What is right is taken.
    fill("$dir/shared");
    symlink("$dir/shared", $source->path('pg_tblspc/99990')) or die;
    mkdir "$dir/other" or die;
    chmod 0777, "$dir/other";
    my %option = (kind => 'directory', options => [ '-n', '--no-sync', '-T', "$dir/shared=$dir/other" ],
        not_foretold => 'it is one');
    my $result = rewind($target, $source, %option);
    like($result->{stderr}, qr/^pg_rewind: error: every user may rename files in directory "\Q$dir\E\/other"/m,
        'a directory where everybody can write is refused');
    chmod 0700, "$dir/other";
    places_of_another_account() if is_privileged();
    rewinds($target, $source, %option);
    volume_in_place() if is_privileged();
    unlink $source->path('pg_tblspc/99990');
}, only => [ 10, 15, 18 ]);
