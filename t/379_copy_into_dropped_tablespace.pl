# A database was copied into a tablespace that the source has dropped since. Servers of before August 2022 (10.21,
# 11.16, 12.11, 13.7, 14.4), and of 9.3 to 9.6, do not make the directory above the copy's when they replay it, so the
# rewound target must have it: "could not create directory "pg_tblspc/..."" at each start. Later servers make it.
# (Source is a standby that has replayed all, and whose restartpoint is older: a primary's checkpoint follows the copy.)
#
#   primary   ─ CREATE DATABASE d TABLESPACE goes ─ DROP DATABASE d ─ DROP TABLESPACE goes ─▶
#
# (Rule C102.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($primary, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('goes');
            $primary->sql("CREATE TABLESPACE goes LOCATION '$location'");
        },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
    my $oid = $primary->query(q{SELECT oid FROM pg_tablespace WHERE spcname = 'goes'});
    my $standby = $primary->standby('standby');
    my $strategy = $version >= 15 ? 'STRATEGY file_copy' : '';
    $primary->sql($_)
        for "CREATE DATABASE d TABLESPACE goes $strategy", 'DROP DATABASE d', 'DROP TABLESPACE goes',
        'CREATE TABLE flushed ()';
    $standby->wait_for_replay_of($primary);

    my $result = rewinds($target, $standby, options => ['--no-sync']);
    return if $result->{status} != 0;
    my @above = glob($target->path("pg_tblspc/$oid/PG_*"));
    ok(@above == 1 && -d $above[0], 'the target has the directory in which replay makes that of the database')
        or diag("@above");
    rejoins($target, $standby, writer => $primary, check => sub {
        my ($rewound) = @_;
        ok(!-e $rewound->path("pg_tblspc/$oid"), 'replay has removed it');
    });
}, only => [ 10, 15, 18 ]);
