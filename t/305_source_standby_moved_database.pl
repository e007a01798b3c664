# A standby as source has replayed the move of a database, which removes its old directory, but its pg_control does not
# say so: minRecoveryPoint does not wait for that. The rewound target must not be left without the database's files.
# (Invariant 7. Source is a standby: running, and stopped.)
# (Rule C32.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub make_restartpoint
{
    my ($primary, $standby) = @_;
    $primary->sql('CHECKPOINT');
    $standby->wait_for_replay_of($primary);
    $standby->sql('CHECKPOINT');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version, settings => 'allow_in_place_tablespaces = on')->start;
    my $make_place = sub { my ($cluster) = @_; $cluster->sql("CREATE TABLESPACE place LOCATION '"
        . $cluster->location_in_place('place') . "'") };
    $make_place->($target) if $version < 10;
    $target->sql('CREATE DATABASE moved');
    $target->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a', 'moved');
    my $primary = $target->standby('primary');
    $primary->wait_for_replay_of($target);
    $primary->promote;
    my $standby = $primary->standby('standby');
    $target->sql('CREATE TABLE lost AS SELECT generate_series(1, 1000) AS a');
    $target->stop;
    $make_place->($primary) if $version >= 10;

    my %place = (server => 'place', directory => 'pg_default');
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            make_restartpoint($primary, $standby);
            $primary->sql("ALTER DATABASE moved SET TABLESPACE $place{$kind}");
            # The record that the old directory is gone comes after the commit: let a later commit, which waits for
            # that, flush it.
            $primary->sql("CREATE TABLE flushed_$kind ()");
            $standby->wait_for_replay_of($primary);

            my $rewound = $target->copy("from_$kind");
            $standby->stop if $kind eq 'directory';
            my $result = rewind($rewound, $standby, kind => $kind,
                not_foretold => 'the record that the directory is gone may be flushed meanwhile');
            $standby->start if $kind eq 'directory';
            if ($result->{status} != 0)
            {
                # It needs a restartpoint behind the copy, and says so.
                is($result->{status}, 1, 'what cannot be right is refused');
                like($result->{stderr},
                    qr/replay would copy database \d+ from database \d+, which the source has dropped since/,
                    'with the reason');
                make_restartpoint($primary, $standby);
                $standby->stop if $kind eq 'directory';
                rewinds($rewound, $standby, kind => $kind);
                $standby->start if $kind eq 'directory';
            }
            rejoins($rewound, $standby, writer => $primary);
            $rewound->discard;
        });
    }
}, sample => 1);
