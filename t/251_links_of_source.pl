# A server follows any link among its files; the list of a stopped directory does not show what such a link leads to.
# Where the source is one with a link that is neither pg_wal nor a tablespace, the rewind is refused: with a link on
# both sides nothing of that database would be copied, and with a link on the source alone the target would be led into
# the source's own files. The running server lists what is behind its links. A link of the target stays where a server
# makes the directory's content again. (The same for every version.)
# (Rule C81.)

use strict;
use warnings;

use RewindTest;

sub directory_of
{
    my ($cluster, $database) = @_;
    return 'base/' . $cluster->query("SELECT oid FROM pg_database WHERE datname = '$database'");
}

sub move_behind_link
{
    my ($cluster, $path, $name) = @_;
    must_run([ 'mv', $cluster->path($path), "$cluster->{dir}/$name" ]);
    symlink("$cluster->{dir}/$name", $cluster->path($path)) or die "could not make a link: $!";
    return;
}

sub move_back
{
    my ($cluster, $path, $name) = @_;
    unlink $cluster->path($path) or die "could not remove a link: $!";
    must_run([ 'mv', "$cluster->{dir}/$name", $cluster->path($path) ]);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1001, 1010)');
        $_[0]->sql('CREATE DATABASE new') },
        target => sub { $_[0]->sql('DELETE FROM t WHERE a > 200') });
    my ($old, $new) = map { directory_of($source, $_) } qw(postgres new);
    $source->stop;
    move_behind_link($_, $old, 'old') for $source, $target;
    move_behind_link($source, $new, 'new');

    my $result = rewind($target, $source, kind => 'directory');
    is($result->{status}, 1, 'a directory is refused') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: "$_" in the source is a symbolic link$/m, "it names $_")
        for $old, $new;
    ok(!-e $target->path('pg_rewind.work'), 'nothing is left in the target');

    move_back($target, $old, 'old');
    move_behind_link($_, 'pg_stat_tmp', 'stat') for $source, $target;
    move_behind_link($target, 'pg_xact', 'xact');
    $source->start;
    $result = rewind($target, $source);
    like($result->{stderr},
        qr/^pg_rewind: hint: Replace the target's symbolic link "\S*\/pg_xact" by what it leads to and run/m,
        "a running server's directory, where the target has a link: the hint is about the target");
    unlike($result->{stderr}, qr/"pg_stat_tmp" is of different type/, 'pg_stat_tmp may be a link');
    move_back($target, 'pg_xact', 'xact');
    rewinds($target, $source);
    ok(-l $target->path('pg_stat_tmp'), 'it is one afterwards');
    rejoins($target, $source);
}, only => [15]);
