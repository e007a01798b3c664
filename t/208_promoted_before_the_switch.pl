# A standby that knows of a switch by its history file (from an archive), and is promoted before it has replayed up to
# there, aims at that timeline and writes a history whose points go backwards: "1 D, 2 E" with E before D. It never had
# what the others have between E and D, so the histories part at E. The original takes D: it rewinds a target that then
# does not start. (Both sources.)
#
#   between E and D     a few changes, or more segments than the late one writes
#
#   old primary   1 ────────E─────D───── 1 ──▶
#   promoted                │     └───── 2 ──▶
#   late                    └─ 3 ────────────▶     history: 1 D, 2 E
# (Rule C23.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Without a primary, but with an archive that holds nothing but the history file.
sub aim_by_archive
{
    my ($cluster, $archive) = @_;
    my $settings = "restore_command = 'cp $archive/%f %p'\n";
    if ($cluster->version < 12)
    {
        spew($cluster->path('recovery.conf'), "standby_mode = 'on'\nrecovery_target_timeline = 'latest'\n$settings");
        return;
    }
    spew($cluster->path('postgresql.auto.conf'), $settings);
    return;
}

sub three_histories
{
    my ($version, $between) = @_;
    my $archive = RewindTest::Command::work_dir() . "/archive_$version" . length $between;
    mkdir $archive;
    my $old = make_cluster('old', $version)->start;
    $old->sql("CREATE TABLE t (key int, word text);\nINSERT INTO t SELECT i, 'old' FROM generate_series(1, 2000) i;\nCREATE INDEX ON t (key)");
    my $late = $old->standby('late');
    my $promoted = $old->standby('promoted');
    $late->follow($old)->restart;
    $old->sql("CHECKPOINT;\nUPDATE t SET word = 'common' WHERE key % 3 = 0");
    # The late one is to have all that there is until it stops.
    my $writer = $old->background_writer_pid;
    stop_in_system_call($writer);
    $_->wait_for_replay_of($old) for $promoted, $late;
    my $left_at = $late->lsn;
    $late->stop;
    kill 'CONT', $writer;
    $old->sql("UPDATE t SET word = 'between' WHERE key % 7 = 0;\nCHECKPOINT;\n$between");
    $promoted->wait_for_replay_of($old);
    $promoted->promote;
    $promoted->sql("UPDATE t SET word = 'promoted' WHERE key % 11 = 0");
    must_run([ 'cp', $promoted->path('pg_wal/00000002.history'), $archive ]);

    aim_by_archive($late, $archive);
    $late->start->promote;
    $late->sql("UPDATE t SET word = 'late' WHERE key % 13 = 0;\nCHECKPOINT;\nUPDATE t SET word = 'later' WHERE key % 17 = 0");
    $old->sql("UPDATE t SET word = 'lost' WHERE key % 2 = 0");
    my @points = slurp($late->path('pg_wal/00000003.history')) =~ m{^\d+\t(\S+)}mg;
    $_->stop for $late, $promoted, $old;
    return ($old, $promoted, $late, $left_at, @points);
}

each_version(sub {
    my ($version) = @_;
    for my $between ('', "INSERT INTO t VALUES (3000, 'between');\nSELECT pg_switch_wal();\n" x 4)
    {
        my ($old, $promoted, $late, $left_at, @points) = three_histories($version, $between);
        is(scalar @points, 2, 'the late one aimed at timeline 2');
        isnt($points[0], $points[1], 'and left timeline 1 before it');
        is($points[1], $left_at, 'where it stood');
        for my $pair ([ $late, $old ], [ $old, $late ], $between eq '' ? ([ $late, $promoted ], [ $promoted, $late ])
            : ())
        {
            my ($source, $target) = @$pair;
            subtest $target->name . ' from ' . $source->name => sub {
                $source->start;
                rewinds_from_both_kinds($source, $target,
                    rewound => sub {
                        my ($rewound, $from, $result) = @_;
                        like($result->{stderr}, qr/servers diverged at WAL location \Q$left_at\E on timeline 1/,
                            'they part where the late one left timeline 1');
                        # The archive of histories is not the rewound one's.
                        spew($rewound->path('postgresql.auto.conf'), '') if $version >= 12;
                    },
                    quick => 1);
                $source->stop;
            };
        }
        RewindTest::Cluster::discard_all();
    }
}, sample => 1);
