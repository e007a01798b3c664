# What stands in pg_wal after a rewind: segments of common history that the target had, with their markers; the
# source's from the redo position on, as archived; nothing else, no history file of a backup either.  (Both sources.)
#
#   segment    1 .. 3   4          5 ...
#   source     ──────────┬──── 2 ─────▶    archives all, has a .partial and a recycled segment
#   target   1 ──────────┴──── 1 ─────▶    archives nothing: all segments are .ready; lacks segment 1
# (Rules C69, O15.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# The WAL files of a cluster, and its markers, without anything else.
sub wal_files { my ($cluster) = @_; return map { m{([^/]+)$} } grep { -f } glob($cluster->path('pg_wal/*')) }
sub markers { my ($cluster) = @_; return map { m{([^/]+)$} } glob($cluster->path('pg_wal/archive_status/*')) }

sub segment
{
    my ($cluster) = @_;
    return $cluster->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
}

sub back_up
{
    my ($cluster) = @_;
    return $cluster->sql($cluster->version >= 15 ? "SELECT pg_backup_start('b', true);\nSELECT pg_backup_stop()"
        : "SELECT pg_start_backup('b', true, true);\nSELECT pg_stop_backup()");
}

sub leave_segments
{
    my ($cluster, $count) = @_;
    $cluster->sql("INSERT INTO t VALUES ($_)"), $cluster->sql('SELECT pg_switch_wal()') for 1 .. $count;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($oldest, $redo, $parted_in);
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => $version < 11 ? 16
        : 1, settings => "archive_mode = on\narchive_command = 'false'" },
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        together => sub {
            my ($primary) = @_;
            $oldest = (sort grep { /^[0-9A-F]{24}$/ } wal_files($primary))[0];
            leave_segments($primary, 2);
            $primary->sql('CHECKPOINT');
            $redo = segment($primary);
            leave_segments($primary, 2);
            $primary->sql('INSERT INTO t VALUES (1000)');
            $parted_in = segment($primary);
        },
        source => sub {
            my ($source) = @_;
            $source->sql("ALTER SYSTEM SET archive_command = 'true'");
            $source->sql('SELECT pg_reload_conf()');
            back_up($source);
            leave_segments($source, 2);
            $source->sql('INSERT INTO t VALUES (2000)');
        },
        target => sub { my ($target) = @_; leave_segments($target, 3) });
    wait_until('the source archives', sub { !grep { /ready$/ } markers($source) });

    my @kept = sort grep { /^[0-9A-F]{24}$/ && $_ ge $redo && $_ lt $parted_in } wal_files($target);
    is(@kept, 2, 'the target has common segments to keep');
    # With no marker, the end of the target's next backup as a primary would mark it to be archived, and an archive that
    # has it refuses it: nothing would be archived any more.
    my ($backup) = grep { /\.backup$/ } wal_files($source);
    ok($backup, 'the source has the history file of its base backup');
    my $first_of_source = '00000002' . substr($parted_in, 8);
    my $last_of_source = segment($source);
    my $recycled = sprintf('00000002%s%08X', substr($last_of_source, 8, 8), hex(substr($last_of_source, 16)) + 8);
    must_run([ 'cp', $source->path("pg_wal/$kept[0]"), $source->path("pg_wal/$recycled") ]);
    spew($source->path('pg_wal/xlogtemp.123'), 'rubbish');

    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        prepare => sub {
            my ($target) = @_;
            unlink $target->path("pg_wal/$oldest"), $target->path("pg_wal/archive_status/$oldest.ready");
            spew($target->path("pg_wal/$parted_in.partial"), 'rubbish');
            spew($target->path("pg_wal/archive_status/$parted_in.partial.ready"), '');
            spew($target->path('pg_wal/xlogtemp.456'), 'rubbish');
            must_run([ 'cp', $source->path("pg_wal/$backup"), $target->path('pg_wal') ]);
            spew($target->path("pg_wal/archive_status/$backup.ready"), '');
            spew($target->path('pg_wal/00000007.history'), "1\t0/1000000\tof another cluster\n");
            spew($target->path('pg_wal/archive_status/00000007.history.ready'), '');
            spew($target->path('pg_wal/archive_status/0000000900000000000000AA.ready'), '');
        },
        rewound => sub {
            my ($target) = @_;
            my %file = map { $_ => 1 } wal_files($target);
            my %marker = map { $_ => 1 } markers($target);

            ok(!$file{$oldest}, 'a segment before the redo position is not copied');
            ok($file{$_} && $marker{"$_.ready"} && !$marker{"$_.done"},
                "common segment $_ stays, to be archived as before") for @kept;
            my @of_target = grep { /^00000001/ && $_ ge $parted_in } sort(keys %file), sort keys %marker;
            is("@of_target", "$parted_in $parted_in.done",
                'segments of the target\'s own history are gone, with their markers');
            my $common = slurp($target->path("pg_wal/$parted_in")) =~ s/\0+\z//r;
            ok(index(slurp($target->path("pg_wal/$first_of_source")), $common) == 0,
                'but for the common part of the one in which the histories part');

            my @of_source = sort grep { /^00000002[0-9A-F]{16}$/ } keys %file;
            is($of_source[0], $first_of_source, 'the source\'s first segment of its own is there');
            ok($of_source[-1] ge $last_of_source && $of_source[-1] lt $recycled,
                'the source\'s last segment is there, and nothing behind it');
            ok($marker{"$_.done"}, "copied segment $_ counts as archived") for grep { $_ ne $of_source[-1] } @of_source;
            ok($file{'00000002.history'}, 'the source\'s history file is there');

            is(join(' ', grep { !/^[0-9A-F]{24}$/ && $_ ne '00000002.history' } sort keys %file), '',
                'no partial, temporary or foreign file is there, nor one of a backup');
            is(join(' ', grep { /ready$/ && !$file{s/\.ready$//r} } sort keys %marker), '',
                'nothing is to be archived that is not there');
        },
        no_promotion => 1);
}, sample => 1);
