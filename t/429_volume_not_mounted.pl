# A rewind was interrupted, and its volume of a tablespace is not mounted when the same command runs again, without
# syncing: nothing that is to be removed there is taken for removed. (Invariant 3. The same in all versions.)
# (Rule I5.)

use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

each_version(sub {
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
    like($result->{stderr},
        qr{^pg_rewind: error: could not stat file "\Q$place\E/pg_rewind\.work\.PG_16_\d+": No such file or directory$}m,
        'it says what it lacks');
    like($result->{stderr},
        qr/^pg_rewind: hint: If a volume is not mounted there, mount it; then run pg_rewind again\.$/m,
        'and what to do');
    rmdir $place or die;
    rename("$place.away", $place) or die;
    rewinds($target, $source, options => ['--no-sync']);
    nothing_is_left($target);
    is_deeply([ glob("$place/*") ], [], 'no file stays');
}, only => [ 16 ]);
