# A rewind was interrupted, and a volume of the target is not as it was when the same command runs again. (Invariant 3.
# The same in all versions.)
#
#   not mounted           a tablespace: nothing that is to be removed there is taken for removed
#   empty after a restart memory, an instance store: files that the server creates again, or removes when it starts, and
#                         directories of databases in a tablespace need no work directory, and the rewind is finished
# (Rules I5, I79.)

use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

sub volume_not_mounted
{
    my ($version) = @_;
    my $volume = File::Temp->newdir(DIR => '/var/tmp');
    plan(skip_all => '/var/tmp and the work directory are one file system, so the tablespace would have no work directory of its own')
        if (stat $volume)[0] == (stat work_dir())[0];
    my $place = "$volume/space";
    mkdir $place or die;
    my ($source, $target) = split_brain($version,
        target => sub { $_[0]->sql($_) for "CREATE TABLESPACE space LOCATION '$place'",
        'CREATE TABLE u TABLESPACE space AS SELECT 1 AS a' });
    end_by_kill(hold($target, $source, 'apply', '--no-sync'));
    rename($place, "$place.away") or die;
    mkdir $place or die;
    my $result = rewind($target, $source, options => [ '--no-sync', '--retries=0' ], not_foretold => 1);
    is($result->{status}, 2, 'it cannot be finished yet');
    my $work = qr{\Q$place\E/pg_rewind\.work\.PG_${version}_\d+};
    like($result->{stderr}, qr{^pg_rewind: error: could not stat file "$work": No such file or directory$}m,
        'it says what it lacks');
    like($result->{stderr},
        qr/^pg_rewind: hint: If a volume is not mounted there, mount it; then run pg_rewind again\.$/m,
        'and what to do');
    rmdir $place or die;
    rename("$place.away", $place) or die;
    rewinds($target, $source, options => ['--no-sync']);
    nothing_is_left($target);
    is_deeply([ glob("$place/*") ], [], 'no file stays');
    $_->discard for $target, $source;
    return;
}

# Two mounts in the target's directory, and the location of a tablespace for temporary files.
sub empty_after_restart
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('scratch');
            $primary->sql("CREATE TABLESPACE scratch LOCATION '$location'");
            $primary->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a');
        },
        # A temporary relation leaves the directory of its database.
        source => sub {
            my ($source) = @_;
            $source->sql('UPDATE t SET a = a + 1 WHERE a % 2 = 0');
            $source->sql('CREATE DATABASE new');
            $source->sql('CREATE TEMPORARY TABLE u TABLESPACE scratch AS SELECT 1 AS a', 'new');
        },
        target => sub {
            $_[0]->sql('DELETE FROM t WHERE a % 3 = 0; CHECKPOINT');
            $_[0]->sql('CREATE TEMPORARY TABLE u TABLESPACE scratch AS SELECT 1 AS a');
        },
        stop => 'immediate');
    my $scratch = $target->dir . '/tablespace/scratch';
    my %file = (
        $target->path('pg_stat_tmp') => 'pgss_query_texts.stat',
        $target->path('base/pgsql_tmp') => 'pgsql_tmp1.0',
        $scratch => 't3_16500');
    for my $volume (sort keys %file)
    {
        my $aside = work_dir() . '/aside';
        mkdir $volume;
        must_run([ 'cp', '-a', $volume, $aside ]);
        must_run([ 'find', $volume, '-mindepth', 1, '-delete' ]);
        privileged('make-file-system', 24, $volume);
        must_run([ 'cp', '-a', "$aside/.", $volume ]);
        must_run([ 'rm', '-rf', $aside ]);
        $file{$volume} = ($volume eq $scratch ? (glob("$scratch/*/*"))[0] : $volume) . "/$file{$volume}";
        spew($file{$volume}, 'of the target');
    }

    end_by_kill(hold($target, $source, 'patch'));
    for my $volume (sort keys %file)
    {
        ok(!-e $file{$volume}, "$file{$volume} was removed");
        is_deeply([ glob("$volume/pg_rewind.work*") ], [], 'nothing is staged there');
        privileged('unmount', $volume);
        privileged('make-file-system', 24, $volume);
    }
    rewinds($target, $source);
    nothing_is_left($target);
    rejoins($target, $source, no_promotion => 1, quick => 1);
    $target->stop;
    privileged('unmount', $_) for sort keys %file;
    $_->discard for $target, $source;
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('a volume is not mounted', sub { volume_not_mounted($version) });
    return diag("$0: the part with volumes in memory is SKIPPED: it needs root, who may mount") if !is_privileged();
    subtest('a volume is empty after a restart', sub { empty_after_restart($version) });
}, only => [ 10, 16, 18 ]);
