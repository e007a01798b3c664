# The history file of a timeline that was given up is still there: in the archive, or in pg_wal of the source. A server
# that finds it when it starts takes that timeline for the newest, and does not follow the source. The file in pg_wal is
# not copied, and that in the archive is reported: --rejoin starts no such server. The same goes for an archive that has
# other WAL under the source's names. A standby as source may follow a newer timeline, but none that leaves its own
# timeline before its replay position. (Invariants 1, 3. Where recovery is configured: 10.)
#
#   source   1 ──┬── 1 ──────────▶
#   target       └── 2 ──▶               a standby that was promoted by mistake, and has archived its history file
# (Rules C65, C66, C67, S13, S39.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

my $dead = '00000002.history';
my ($source, $mid, $diverged, $archive, $restore);

# Up to 11 the commands of recovery are in a file that --keep keeps.
my @keep;

sub fresh
{
    my ($name) = @_;
    my $target = $diverged->copy($name);
    spew($target->path('recovery.conf'), "standby_mode = on\nprimary_conninfo = '" . $source->conninfo
        . "'\n$restore\nrecovery_target_timeline = 'latest'\n") if @keep;
    return $target;
}

sub in_the_archive
{
    my ($version) = @_;
    my $step =
        qr/^pg_rewind: hint: Before the server starts: the target's server would follow timeline 2, .* remove "$dead" from (.+?)\. If not/m;
    my $place = sub { my ($place) = rewinds($_[0], $source, options => $_[1])->{stderr} =~ $step; return $place
        // 'nowhere' };
    my $target = fresh('archived');
    is($place->($target, [ '-n', @keep ]), 'the archive', 'a dry run tells of the file');
    if (!@keep)
    {
        my $elsewhere = fresh('by_number');
        append($elsewhere->path('postgresql.auto.conf'), "recovery_target_timeline = '1'\n");
        is($place->($elsewhere, [ '-n', '--keep=*.auto.conf' ]), 'nowhere',
            'a server that stays on a timeline does not look for newer ones');
        $elsewhere->discard;
    }
    is($place->($target, \@keep), 'the archive', 'the rewind tells of it');
    is($place->($target, \@keep), 'the archive', 'and so does one that is not required');
    nothing_is_left($target);
    $target->follow($source) if !@keep;
    isnt($target->try_start->{status}, 0, 'with the file the server does not start');
    like($target->log, qr/FATAL:  requested timeline 2 does not contain minimum recovery point/,
        'since the timeline is another one');
    # That start has copied the file to its pg_wal.
    is($place->($target, \@keep), q{the archive and the target's pg_wal}, 'then it is in two places');
    rename("$archive/$dead", "$archive/not.$dead") or die;
    is($place->($target, \@keep), q{the target's pg_wal}, 'one of which goes on misleading the server');
    unlink($target->path("pg_wal/$dead")) or die;
    is($place->($target, \@keep), 'nowhere', 'without the file there is nothing to tell');
    rejoins($target, $source, recovery_written => 1, no_promotion => 1);
    rename("$archive/not.$dead", "$archive/$dead") or die;
    $target->discard;
    return;
}

sub with_rejoin
{
    my $target = fresh('rejoined');
    $source->listen_apart;
    my @rejoin = (qw(--rejoin --no-sync --rejoin-timeout=30
        -B), $target->bindir, '--source-server', $source->conninfo, @keep);
    my $says =
        qr/error: the target's server would follow timeline 2, not the source's timeline 1\n.*remove "$dead" from the archive\./s;
    my $before = tree($target);
    like(run([ rewind_argv($target->data, qw(--check -R
        --verbose), '--source-server', $source->conninfo, @keep) ])->{stdout},
        qr/^warning  standby +the target's server would follow timeline 2/m, '--check tells of it');
    my $result = run([ rewind_argv($target->data, @rejoin) ]);
    is($result->{status}, 1, '--rejoin refuses') or diag($result->{stderr});
    like($result->{stderr}, $says, 'and says why');
    my $after = tree($target);
    delete $after->{'data/pg_rewind.work.start'};    # how the server would have been started
    is_same_tree($after, $before, 'the target is unchanged');
    $target->start if !@keep;
    $result = run([ rewind_argv($target->data, @rejoin) ]);
    like($result->{stderr}, $says, 'nor is a server stopped for it') if !@keep;
    is($target->is_running ? 1 : 0, @keep ? 0 : 1, 'the server is left as it is');
    rename("$archive/$dead", "$archive/not.$dead") or die;
    $result = run([ rewind_argv($target->data, @rejoin, '--demote=2') ]);
    is($result->{status}, 0, 'without the file --rejoin succeeds') or diag($result->{stderr}, $target->log);
    rename("$archive/not.$dead", "$archive/$dead") or die;
    $target->discard;
    return;
}

# The source is a standby of the primary that was not given up.
sub from_a_standby
{
    my $target = fresh('of_standby');
    my $told = sub {
        my ($where) = rewinds($target, $mid, options => [ '-n', @keep ])->{stderr} =~
            /^pg_rewind: hint: .* would follow timeline (\d, .* remove .+?)\. If not/m;
        return $where // 'nothing';
    };
    my ($next, $past, $to_come) = ("$archive/00000003.history", map { "1\t$_\tby hand\n" } '0/100028', '7F/0');
    like($told->(), qr/^2, .* remove "$dead" from the archive$/, 'the source has passed the switch to timeline 2');
    spew($next, $to_come);
    is($told->(), 'nothing', 'the newest timeline counts, which the source may follow');
    rename("$archive/$dead", "$archive/not.$dead") or die;
    spew("$archive/$dead", $to_come);
    spew($next, $past);
    like($told->(), qr/^3, .* remove "00000003\.history" from the archive$/, 'a file that the source may follow stays');
    unlink($next) or die;
    is($told->(), 'nothing', 'the source has not passed the switch');
    rename("$archive/not.$dead", "$archive/$dead") or die;
    $target->start if !@keep;
    my $result = run([ rewind_argv($target->data, qw(--rejoin --demote=2 --no-sync --rejoin-timeout=30
        -B), $target->bindir, '--source-server', $mid->conninfo, @keep) ]);
    is($result->{status}, 1, '--rejoin refuses') or diag($result->{stderr});
    like($result->{stderr}, qr/error: the target's server would follow timeline 2, not the source's timeline 1$/m,
        'and says why');
    is($target->is_running ? 1 : 0, @keep ? 0 : 1, 'the server is left as it is');
    $_->discard for $target, $mid;
    return;
}

# As of a tool that lays WAL of an archive out, or of a hand.
sub in_pg_wal
{
    rename("$archive/$dead", "$archive/not.$dead") or die;
    spew($source->path("pg_wal/$dead"), slurp($diverged->path("pg_wal/$dead")));
    spew($source->path('pg_wal/00000003.history'), "1\t0/1000000\tby hand\n");
    rewinds_from_both_kinds($source, $diverged, no_promotion => 1, quick => 1, rewound => sub {
        my ($rewound) = @_;
        is(join(' ', map { m{([^/]+)$} } glob($rewound->path('pg_wal/*.history'))), '',
            'no history file of a timeline above the source comes or stays');
    });
    return;
}

# Two standbys were promoted, each without knowing of the other, so that both are on timeline 2, and the one that lost
# was first to archive. What it archived has the names of the winner's WAL.
#
#   source   1 ──┬──(1)──┬── 2 ──▶      later: it has followed the primary for longer, and its history file is another one
#   target       └── 2 ──▶
sub same_names
{
    my ($version, $later) = @_;
    my $shared = "$archive.same." . ($later ? 'later' : 'at_once');
    mkdir $shared;
    my $primary = make_cluster('primary', $version,
        settings => "archive_mode = on\narchive_command = 'test ! -f $shared/%f && cp %p $shared/%f'")->start;
    $primary->sql('CREATE TABLE t AS SELECT g, g AS h FROM generate_series(1, 1000) g; CHECKPOINT');
    my ($winner, $loser) = map { $primary->standby($_) } 'winner', 'loser';
    $_->wait_for_replay_of($primary) for $winner, $loser;
    $primary->stop if !$later;    # both have its last record
    $loser->promote;
    my $segment = $loser->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $loser->sql('UPDATE t SET h = -g; DELETE FROM t WHERE g > 500');
    $loser->sql('SELECT pg_switch_wal()');
    wait_until('the loser has archived its segment', sub { -e "$shared/$segment" && -e "$shared/$dead" });
    if ($later) { $primary->sql('INSERT INTO t VALUES (0, 0)'); $winner->wait_for_replay_of($primary); $primary->stop }
    $winner->promote->sql('UPDATE t SET h = 7 WHERE g < 100; INSERT INTO t SELECT g, 5 FROM generate_series(1001, 2000) g');
    $loser->stop;
    # A command that only the source has would not be run for this look. Up to 11 the new recovery.conf has it from the
    # former one.
    my $command = "restore_command = 'cp $shared/%f %p 2>/dev/null'\n";
    my @standby = $version < 12 ? '-R' : ();
    if (@standby) { spew($loser->path('recovery.conf'), "standby_mode = on\n$command") }
    else { $_->configure($command) for $winner, $loser }

    my $name = $later ? $dead : $segment;
    my $step =
        qr/^pg_rewind: hint: Before the server starts: the archive has a file with a source file's name and other content\. Its "$name" is not the source's\. .* Remove that file from the archive, and all later files of its timeline\.$/m;
    like(rewinds($loser, $winner, options => [ '-n', @standby ])->{stderr}, $step, 'a dry run tells of the file');
    my $result = run([ rewind_argv($loser->data, qw(--rejoin --no-sync --rejoin-timeout=30
        -B), $loser->bindir, '--source-server', $winner->conninfo) ]);
    is($result->{status}, 1, '--rejoin refuses') or diag($result->{stderr}, $loser->log);
    like($result->{stderr},
        qr/error: the archive has a file with a source file's name and other content\n.*"$name" is not the source's\./,
        'and says why');
    like(rewinds($loser, $winner, options => \@standby)->{stderr}, $step, 'the rewind tells of it');
    unlink(glob("$shared/00000002*")) or die;
    rejoins($loser, $winner, no_promotion => 1, recovery_written => scalar @standby);
    $_->discard for $loser, $winner, $primary;
    return;
}

each_version(sub {
    my ($version) = @_;
    $archive = RewindTest::Command::work_dir() . "/archive_$version";
    mkdir $archive;
    $restore = "restore_command = 'cp $archive/%f %p 2>/dev/null'";
    @keep = $version < 12 ? ('--keep=recovery.conf') : ();
    $source = make_cluster('source', $version, settings => "archive_mode = on\narchive_command = 'cp %p $archive/%f'"
        . (@keep ? '' : "\n$restore"))->start;
    $source->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    $mid = $source->standby('mid');
    $diverged = $source->standby('diverged');
    $diverged->promote;
    $diverged->sql('INSERT INTO t VALUES (-1)');
    $source->sql('INSERT INTO t VALUES (0)');
    wait_until('the history file is in the archive', sub { -e "$archive/$dead" });
    $diverged->stop;
    $mid->wait_for_replay_of($source);
    subtest('from a standby', sub { from_a_standby() });
    subtest('in the archive', sub { in_the_archive($version) });
    subtest('with --rejoin', sub { with_rejoin() });
    subtest('in pg_wal', sub { in_pg_wal() });
    for my $later (0, 1)
    {
        subtest('the names of the source, ' . ($later ? 'another history file' : 'the same one'),
            sub { same_names($version, $later) });
    }
});
