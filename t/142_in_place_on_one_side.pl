# A tablespace that lies in place on one side and behind a link on the other: what the error says to do can be done on
# the target, whose server is stopped, and then the rewind succeeds. (Source is a server, on which nothing can be
# moved.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

# As the hint says it, of the only tablespace.
sub move_in_place
{
    my ($path, $hint) = @_;
    my ($link, $place) = $hint
        =~ /^The source has this tablespace in place\. Replace the target's link "([^"]+)" by a directory, move the server's directory PG_\.\.\. from "([^"]+)" into it, /;
    is($link, $path, 'the hint names the link');
    unlink $link or die;
    mkdir $link, 0700 or die;
    must_run([ 'mv', glob("$place/PG_*"), $link ]);
    return;
}

sub move_behind_link
{
    my ($path, $hint, $place) = @_;
    my ($directory) =
        $hint
            =~ /^The source has a link to this tablespace\. Move the target's directory "([^"]+)" to a place outside of the data directory, make a link to it under the old name, /;
    is($directory, $path, 'the hint names the directory');
    must_run([ 'mv', $directory, $place ]);
    symlink($place, $directory) or die;
    return;
}

sub is_refused_then_rewinds
{
    my ($target, $source, $path, $follow) = @_;
    my $relative = substr($path, length($target->data) + 1);
    my $before = tree($target);
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'refused, with status 1');
    like($result->{stderr}, qr/^pg_rewind: error: file "\Q$relative\E" is of different type in source and target$/m,
        'it says why');
    is_same_tree(tree($target), $before, 'the target is as it was');
    my ($hint) = $result->{stderr} =~ /^pg_rewind: hint: (The source has [^\n]*)/m;
    $follow->($path, $hint // '');
    rewinds($target, $source);
    rejoins($target, $source, no_promotion => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'allow_in_place_tablespaces = on' },
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('place');
            $primary->sql("CREATE TABLESPACE place LOCATION '$location'");
            $primary->sql('CREATE TABLE t TABLESPACE place AS SELECT i FROM generate_series(1, 3000) i');
        },
        source => sub { $_[0]->sql('UPDATE t SET i = -i WHERE i % 2 = 0') },
        target => sub { $_[0]->sql('UPDATE t SET i = -i WHERE i % 2 = 1') });
    my $as_link = sub { my ($cluster) = @_; return (glob($cluster->path('pg_tblspc/*')))[0] };
    my $in_place = sub {
        my ($cluster) = @_;
        my $link = $as_link->($cluster);
        my $place = readlink $link;
        unlink $link or die;
        mkdir $link, 0700 or die;
        must_run([ 'mv', glob("$place/PG_*"), $link ]);
    };

    my $copy = $target->copy('in_place');
    $in_place->($copy);
    is_refused_then_rewinds($copy, $source, $as_link->($copy),
        sub { move_behind_link(@_, $copy->dir . '/tablespace/moved') });
    $copy->discard;
    $source->stop;
    $in_place->($source);
    $source->start;
    is_refused_then_rewinds($target, $source, $as_link->($target), \&move_in_place);
}, only => [ 15, 18 ]);
