# A file with a second name, as after pg_upgrade --link or beside a backup of links, is copied only where the rewind
# itself changes it. Of a file whose blocks recovery rebuilds nothing is written, so no space is needed for it.
# (Rule C89.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql("CREATE TABLE $_ AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i")
                for qw(rebuilt patched);
        },
        source => sub { $_[0]->sql("UPDATE rebuilt SET v = 'source' WHERE i = 1") },
        target => sub { $_[0]->sql("UPDATE $_ SET v = 'target' WHERE i = 1") for qw(rebuilt patched) });
    my %path = map { $_ => $target->path($source->query("SELECT pg_relation_filepath('$_')")) } qw(rebuilt patched);
    my %before;
    for my $table (sort keys %path)
    {
        link($path{$table}, $target->dir . "/$table") or die;
        $before{$table} = slurp($path{$table});
    }
    my $result = rewind($target, $source, options => [ '-R', '--early-start' ]);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    my %same = map { $_ => (stat $path{$_})[1] == (stat $target->dir . "/$_")[1] } keys %path;
    ok($same{rebuilt}, 'what recovery rebuilds keeps its names');
    ok(!$same{patched}, 'what is patched is another file');
    is(slurp($target->dir . "/$_"), $before{$_}, "the other name of what is $_ keeps its content") for sort keys %path;
    unlink $target->dir . "/$_" for keys %path;
    rejoins($target, $source);
}, only => [ 10, 15, 18 ]);
