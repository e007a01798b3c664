# That source and target have one history is proved by bytes of WAL that both have, with times in them; where there are
# none, the original says "no rewind required", and this program says that it cannot know. (Equal timeline numbers prove
# nothing.)
#
#   source   1 ──●────────── gone ──┬──────▶        its WAL begins behind the target's end, or behind the divergence
#   target   1 ──●──▶               │
#   archive        ────────────────▶                with it the proof is there
# (Rules C16, C19, C20.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Write a bit in each of some segments.
sub fill_segments
{
    my ($server, $count) = @_;
    for (1 .. $count)
    {
        $server->sql("INSERT INTO t VALUES ($_)");
        $server->sql('SELECT pg_switch_wal()');
    }
    return;
}

sub segments_of { my ($cluster) = @_; return sort grep { /^[0-9A-F]{24}$/ } map { m{([^/]+)$} }
    glob($cluster->path('pg_wal/*')) }

# Move the segments up to and including this number (of any timeline) elsewhere, as removing them would.
sub move_segments
{
    my ($cluster, $last, $to) = @_;
    mkdir $to;
    for my $name (segments_of($cluster))
    {
        must_run([ 'mv', $cluster->path("pg_wal/$name"), $to ]) if substr($name, 8) le substr($last, 8);
    }
    return;
}

sub current_segment { my ($cluster) = @_; return $cluster->query('SELECT pg_walfile_name(pg_current_wal_lsn())') }

each_version(sub {
    my ($version) = @_;

    subtest('a standby whose WAL the source has removed', sub {
        my $source = make_cluster('source', $version, settings => 'archive_mode = on')->start;
        my $archive = work_dir() . '/archive';
        mkdir $archive;
        $source->sql("ALTER SYSTEM SET archive_command = 'cp %p $archive/%f'; SELECT pg_reload_conf()");
        $source->sql('CREATE TABLE t (a int)');
        my $target = $source->standby('target');
        my $none = rewind($target->stop, $source);
        is($none->{status}, 0, 'while the source has it, no rewind is required');
        like($none->{stderr}, qr/^pg_rewind: no rewind required$/m, 'with that message');

        fill_segments($source, 4);
        my $last = current_segment($source);
        $source->sql('CHECKPOINT');
        fill_segments($source, 2);
        wait_until('all is archived', sub { !(() = glob($source->path('pg_wal/archive_status/*.ready'))) });
        $source->sql('CHECKPOINT');
        move_segments($source, $last, work_dir() . '/removed');
        my $result = rewind($target, $source);
        is($result->{status}, 1, 'without it nobody knows');
        like($result->{stderr},
            qr/^pg_rewind: error: could not prove that source and target have the same history before [0-9A-F\/]+$/m,
            'and that is said');
        like($result->{stderr}, qr/--restore-command/, 'with what may help');

        my @archive = ('--restore-command', "cp $archive/%f %p");
        $result = rewind($target, $source, options => [ @archive, '--debug' ]);
        is($result->{status}, 0, 'the archive has the proof') or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is required');

        # What is there does not go on where the source's own WAL begins.
        unlink "$archive/$last" or die;
        $result = rewind($target, $source, options => [ @archive, '--debug' ]);
        is($result->{status}, 1, 'an archive with a hole proves nothing')
            or diag(join ' ', $last, glob("$archive/*"), segments_of($source), segments_of($target)),
            diag($result->{stderr});
        RewindTest::Cluster::discard_all();
    });

    # Timelines are equal, bytes are not; where the histories part is in WAL that is gone.
    subtest('two timelines with one number, and the point where they part is gone', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE t (a int)');
        my $source = $primary->standby('source');
        my $target = $primary->standby('target');
        # What both have replayed of this they received by connections that last: both get what it writes at its end.
        $primary->sql('INSERT INTO t VALUES (0)');
        $_->wait_for_replay_of($primary) for $source, $target;
        $primary->stop;
        $_->promote for $source, $target;
        my $parted = current_segment($target);
        fill_segments($source, 3);
        fill_segments($target, 2);
        $target->stop;
        $source->sql('CHECKPOINT');
        my $removed = work_dir() . '/removed_here';
        move_segments($source, $parted, $removed);
        my $result = rewind($target, $source);
        is($result->{status}, 1, 'it is refused');
        like($result->{stderr},
            qr/^pg_rewind: error: could not find where source and target diverged: before [0-9A-F\/]+$/m,
            'with the reason');

        $result = rewinds($target, $source, options => [ '--restore-command', "cp $removed/%f %p" ]);
        like($result->{stderr}, qr/servers diverged at WAL location/,
            'with that WAL in an archive the divergence is found');
        rejoins($target, $source) if $result->{status} == 0;
        RewindTest::Cluster::discard_all();
    });

    # One copy is promoted twice: its first life, which went on as timeline 2, and its second, which began as a copy of
    # the files before.
    subtest('a copy is promoted twice', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE t (a int)');
        my $source = $primary->standby('source');
        $source->stop;
        my $target = $source->copy('target');
        $source->start;
        $primary->sql('INSERT INTO t SELECT generate_series(1, 300)');
        $source->wait_for_replay_of($primary);
        $source->promote;
        $target->start;
        $target->wait_for_replay_of($primary);
        $target->promote;
        $primary->stop;
        isnt(slurp($target->path('pg_wal/00000002.history')) =~ s/\s//gr, '', 'both have a history of that name');
        $source->sql('INSERT INTO t SELECT generate_series(1, 500); CHECKPOINT');
        $target->sql('INSERT INTO t SELECT generate_series(1, 700)');
        $target->stop;
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
        RewindTest::Cluster::discard_all();
    });

    # The same name, another content: one left timeline 1 earlier than the other.
    subtest('history files of one name differ', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE t (a int)');
        my $target = $primary->standby('target');
        my $source = $primary->standby('source');
        $target->promote;
        $primary->sql('INSERT INTO t SELECT generate_series(1, 900)');
        $source->wait_for_replay_of($primary);
        $source->promote;
        $primary->stop;
        isnt((split /\t/, slurp($target->path('pg_wal/00000002.history')))[1],
            (split /\t/, slurp($source->path('pg_wal/00000002.history')))[1], 'they do');
        $source->sql('INSERT INTO t SELECT generate_series(1, 500); CHECKPOINT');
        $target->sql('INSERT INTO t SELECT generate_series(1, 700)');
        $target->stop;
        rewinds_from_both_kinds($source, $target);
    });
}, only => [ 10, 15, 18 ]);
