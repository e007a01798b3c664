# A link of the target leads to nothing, since a volume is not mounted: that of a tablespace, or pg_wal. Where files
# would be written behind it the rewind is refused before anything is changed, and succeeds as soon as the volume is
# there; if it is lost, with an empty directory. A link that is removed may lead anywhere. (Invariants 1 and 2. Both
# sources.)
#
#   link of the target       on the source    the rewind
#   pg_tblspc/N, dangling    the same one     refused
#   pg_tblspc/N, dangling    none             removes it
#   pg_wal, dangling         (a directory)    refused, also with --compare, which needs none of the target's WAL
# (Rule C86.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

sub make_tablespace
{
    my ($cluster, $name) = @_;
    $cluster->sql("CREATE TABLESPACE $name LOCATION '" . $cluster->tablespace_location($name) . "'");
    $cluster->sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT i FROM generate_series(1, 3000) i");
    return;
}

sub link_to
{
    my ($target, $place) = @_;
    my ($link) = grep { (readlink($_) // '') eq $place } glob $target->path('pg_tblspc/*');
    return $link // die "no link leads to $place";
}

sub is_refused
{
    my ($target, $source, $link, $place, %option) = @_;
    my $before = tree($target);
    my $result = rewind($target, $source, %option);
    is($result->{status}, 1, 'refused, with status 1');
    my @errors = $result->{stderr} =~ /^pg_rewind: error: (.*)/mg;
    is_deeply(\@errors, [ qq{symbolic link "$link" leads to no directory: "$place"} ],
        'the only error names the link, and what it leads to') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: hint: Mount the volume that belongs there, and run pg_rewind again\. If it is lost, create this directory, owned by the user who runs the target server\.$/m,
        'the hint says what to do');
    is_same_tree(tree($target), $before, 'the target is as it was');
    return;
}

sub away { my ($path) = @_; rename($path, "$path.away") or die "$path: $!"; return }
sub back { my ($path) = @_; rename("$path.away", $path) or die "$path: $!"; return }

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { make_tablespace($_[0], 'common') },
        source => sub { $_[0]->sql('DELETE FROM in_common WHERE i % 2 = 0') },
        target => sub {
            my ($target) = @_;
            $target->sql('DELETE FROM in_common WHERE i % 2 = 1');
            make_tablespace($target, 'of_target');
        });
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            my $copy = $target->copy("from_$kind");
            my ($common, $of_target) = map { "$copy->{dir}/tablespace/$_" } qw(common of_target);
            $source->stop if $kind eq 'directory';
            away($of_target);
            away($common);
            is_refused($copy, $source, link_to($copy, $common), $common, kind => $kind);
            if ($kind eq 'server') { back($common) }
            else { mkdir $common or die }
            my $link = link_to($copy, $of_target);
            rewinds($copy, $source, kind => $kind);
            ok(!-l $link, 'a link that the source does not have is removed, wherever it leads');
            nothing_is_left($copy);
            $source->start if $kind eq 'directory';
            rejoins($copy, $source, no_promotion => 1);
            $copy->discard;
        });
    }
    subtest('pg_wal', sub {
        my $copy = $target->copy('without_wal');
        my $wal = $copy->path($version < 10 ? 'pg_xlog' : 'pg_wal');
        my $place = "$copy->{dir}/wal";
        must_run([ 'rm', '-rf', $wal ]);
        symlink($place, $wal) or die;
        is_refused($copy, $source, $wal, $place, options => ['--compare']);
        mkdir $place or die;
        rewinds($copy, $source, options => ['--compare']);
        rejoins($copy, $source, no_promotion => 1);
    });
}, only => [ 10, 15, 18 ]);
