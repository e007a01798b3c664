# A standby that was away for so long that its primary no longer has the WAL it needs. Nothing has diverged, but it
# cannot follow; it is told so, unless its own restore_command has that WAL, and --compare brings it back.
#
#   primary   1 ─────────────────░░░░░░░─────▶   ░ segments that are gone, but for an archive
#   standby   1 ────────┤
# (Rules C19, S29.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $archive = work_dir() . "/archive_$version";
    mkdir $archive or die "could not create $archive: $!";
    my $primary = make_cluster('primary', $version, settings => ($version < 13 ? 'wal_keep_segments = 0'
        : 'wal_keep_size = 0') .
        "\narchive_mode = on\narchive_command = 'cp %p $archive/%f'")->start;
    $primary->sql("CREATE TABLE t AS SELECT i, 'old' AS v FROM generate_series(1, 20000) i; CREATE TABLE quiet AS TABLE t");
    my $standby = $primary->standby('standby');
    $standby->wait_for_replay_of($primary);
    $standby->stop;

    my $near = $standby->copy('near');
    $primary->sql("UPDATE t SET v = 'near' WHERE i < 10");
    my $result = rewinds($near, $primary);
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is required');
    unlike($result->{stderr}, qr/no longer has segment/, 'and the primary has what it needs');

    my ($needed) = reverse map { s{.*/}{}r } grep { m{/[0-9A-F]{24}$} } sort glob($standby->path('pg_wal/*'));
    my $round = 0;
    wait_until('the primary has removed what the standby needs', sub {
        $round++;
        $primary->sql("UPDATE t SET v = 'round $round' WHERE i % 10 = $round % 10");
        $primary->sql('SELECT pg_switch_wal()');
        $primary->sql('CHECKPOINT');
        return !-e $primary->path("pg_wal/$needed");
    });
    $result = rewind($standby, $primary);
    is($result->{status}, 1, 'that is an error, since nothing shows that it is the same history');
    like($result->{stderr}, qr/^pg_rewind: error: could not prove/m, 'which it says');
    like($result->{stderr},
        qr/^pg_rewind: detail: The source no longer has segment [0-9A-F]{24}, in which the target's WAL ends\. A standby /m,
        'with what it means for a standby');
    like($result->{stderr}, qr/^pg_rewind: hint: .*--compare/m, 'and what helps');

    # Its own server would ask that archive: so it can follow.
    my $restoring = $standby->copy('restoring');
    my $configuration = $restoring->path($version >= 12 ? 'postgresql.conf' : 'recovery.conf');
    append($configuration, "restore_command = 'cp $archive/%f %p'\narchive_cleanup_command = 'true'\n");
    append($configuration, "recovery_target_name = 'elsewhere'\n") if $version < 12;
    $result = rewinds($restoring, $primary, options => [ '-R', '-B', $restoring->bindir ]);
    like($result->{stderr},
        qr/^pg_rewind: the source no longer has WAL that is needed: asking the target's own "restore_command"$/m,
        'it is asked');
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'and shows that nothing has diverged');
    unlike($result->{stderr}, qr/cannot follow/, 'nor is anything missing');
    like(slurp($configuration), qr/^$_ = /m, "-R keeps $_") for qw(restore_command archive_cleanup_command);
    unlike(slurp($configuration), qr/^recovery_target_name/m, 'and no recovery target');
    rejoins($restoring, $primary, recovery_written => 1, quick => 1, no_promotion => 1);
    $restoring->discard;

    # In a file that recovery.conf includes one stays.
    if ($version < 12)
    {
        my $copy = $standby->copy('included');
        append($copy->path('recovery.conf'),
            "restore_command = 'cp $archive/%f %p'\ninclude 'more.conf'\nrecovery_target_name = 'elsewhere'\n");
        spew($copy->path('more.conf'), "recovery_target = 'immediate'\n");
        $result = run([ rewind_argv($copy->data, '--rejoin', '-B', $copy->bindir, '--source-server',
            $primary->conninfo) ]);
        is($result->{status}, 1, '--rejoin refuses a recovery target that recovery.conf includes');
        like($result->{stderr},
            qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m,
            'and names it, not the one that goes');
        $copy->discard;
    }

    $result = rewinds($standby, $primary, options => [ '--wal-archive', $archive ]);
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'an archive shows that nothing has diverged');
    like($result->{stderr},
        qr/^pg_rewind: warning: the source no longer has segment [0-9A-F]{24}: the target cannot follow it\npg_rewind: hint: .*--compare/m,
        'but that alone does not help');
    unlike($result->{stderr}, qr/hint: Start the server/, 'so that no step says that it would follow');
    like($result->{stderr}, qr/^pg_rewind: hint: the source no longer has segment \w+: .* Set restore_command /m,
        'but what helps');

    rewinds($standby, $primary, options => ['--compare']);
    rejoins($standby, $primary, quick => 1);
});
