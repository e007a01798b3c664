# Replay of CREATE TABLESPACE must not lead a second link to the directory of a tablespace that the rewind fetches,
# whatever path leads there: the files would be in two tablespaces, and those of one would go with the other.
#
#   the source's WAL: CREATE, DROP at   the rewind makes another tablespace at
#   var/ts, and var is a link to srv    srv/ts                                     recovery starts after it
#   hidden/ts, of another user          elsewhere                                  recovery starts after it
#   elsewhere                           elsewhere, by --tablespace-mapping         refused until the next checkpoint
# (Rules C44, C103.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

sub make_tablespace
{
    my ($source, $name, $location) = @_;
    $source->sql($_) for "CREATE TABLESPACE $name LOCATION '$location'",
        "CREATE TABLE in_$name TABLESPACE $name AS SELECT generate_series(1, 100) AS a",
        "CREATE UNLOGGED TABLE unlogged_in_$name TABLESPACE $name AS SELECT 1 AS a";
    return;
}

sub make_and_drop
{
    my ($source, $location) = @_;
    $source->sql($_) for "CREATE TABLESPACE brief LOCATION '$location'", 'DROP TABLESPACE brief';
    return;
}

sub has_links
{
    my ($count) = @_;
    return (check => sub {
        is(scalar(() = glob($_[0]->path('pg_tblspc/*'))), $count, 'each link is a tablespace\'s');
    });
}

each_version(sub {
    my ($version) = @_;
    my ($srv, $var);
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my ($source) = @_;
            $srv = $source->tablespace_location('srv');
            $var = "$source->{dir}/tablespace/var";
            symlink($srv, $var) && mkdir("$srv/ts", 0700) or die "could not prepare $srv: $!";
            make_and_drop($source, "$var/ts");
            make_tablespace($source, 'b', "$srv/ts");
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });

    # The target can have this path only once the source's tablespace is at another one.
    $source->stop;
    my ($link) = glob($source->path('pg_tblspc/*'));
    rename("$srv/ts", "$srv/moved") && unlink($link) && symlink("$srv/moved", $link)
        or die "could not move $srv/ts: $!";
    $source->start;
    my @mapping = ('-T', "$srv/moved=$srv/ts");

    subtest('a path with a symbolic link', sub {
        my $copy = $target->copy('linked');
        mkdir("$srv/ts", 0700) or die "could not make $srv/ts: $!";
        rewinds($copy, $source, options => [ @mapping, '--early-start' ]);
        rejoins($copy, $source, has_links(1));
        $copy->discard;
        must_run([ 'rm', '-r', "$srv/ts" ]);
    });

    subtest('a path that this user may not look at', sub {
        my $copy = $target->copy('hidden');
        my $hidden = $source->tablespace_location('hidden');
        mkdir "$hidden/ts", 0700 or die "could not make $hidden/ts: $!";
        make_and_drop($source, "$hidden/ts");
        $source->sql('CHECKPOINT');
        chmod(0, $hidden);
        rewinds($copy, $source, options => \@mapping);
        chmod(0700, $hidden);
        rejoins($copy, $source, has_links(1), no_promotion => 1);
        $copy->discard;
        must_run([ 'rm', '-r', "$srv/ts" ]);
    });

    subtest('a path that a mapping leads to', sub {
        my $copy = $target->copy('mapped');
        my $on_source = $source->tablespace_location('m');
        my $place = $source->tablespace_location('place');
        my @both = (@mapping, '-T', "$on_source=$place");
        make_tablespace($source, 'm', $on_source);
        $source->sql('CHECKPOINT');
        make_and_drop($source, $place);
        my $before = tree($copy);
        my $refused = rewind($copy, $source, options => \@both);
        is($refused->{status}, 1, 'refused, with status 1');
        like($refused->{stderr},
            qr/: replay of CREATE TABLESPACE would give tablespace \d+ the directory of tablespace \d+: "\Q$place\E"/,
            'the error names both');
        is_same_tree(tree($copy), $before, 'the target is as it was');
        $source->sql('CHECKPOINT');
        rewinds($copy, $source, options => \@both);
        rejoins($copy, $source, has_links(2));
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
