# --check does not say that a node is ready where a rewind would fail, nor that it is not where one would succeed: the
# source has lost WAL, a primary that still runs has lost its own, the source is the node itself, the last segment is on
# neither side.
#
#   source       ┌──── 2 ── gone ── S, its checkpoint ──▶
#   target   1 ●─┴──── 1 ── goes on, or is stopped ──▶          ● the last common checkpoint
# (Rules K6, O1.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

# What --check says: its exit status, its findings by name, and the whole.
sub checks
{
    my ($node, $source, @options) = @_;
    my $result = run([ rewind_argv($node->data, '--check', '--report=json', '-B', $node->bindir, '--source-server',
        $source->conninfo, @options) ]);
    my $said = JSON::PP->new->utf8->decode($result->{stdout});
    my %finding = map { $_->{name} => $_ } reverse @{ $said->{findings} };
    my $problems = join ' ', sort map { $_->{state} eq 'problem' ? $_->{name} : () } values %finding;
    my $verdict = $said->{verdict} ? $said->{verdict}{state} : 'no verdict';
    return { %$said, finding => \%finding, short => join(', ', $result->{status}, $verdict, $problems
        || 'no problem') };
}

sub dry_run
{
    my ($node, $source, @options) = @_;
    return run([ rewind_argv($node->data, '-n', '-B', $node->bindir, '--source-server', $source->conninfo, @options) ]);
}

sub segments { my ($cluster) = @_; return map { m{/([0-9A-F]{24})$} } glob($cluster->path('pg_wal/*')) }

# Segment after segment, each of which goes to the archive, then a checkpoint that recycles those before it. (That of a
# promotion, which would do so while they are copied, has ended before.)
sub loses_its_wal
{
    my ($cluster, $archive) = @_;
    $cluster->sql('CHECKPOINT');
    my $first = (sort(segments($cluster)))[0];
    wait_until("$cluster->{name} has recycled its WAL", sub {
        $cluster->sql('INSERT INTO t VALUES (0); SELECT pg_switch_wal()');
        must_run([ 'cp', (map { $cluster->path("pg_wal/$_") } segments($cluster)), $archive ]) if defined $archive;
        $cluster->sql('CHECKPOINT');
        return !-e $cluster->path("pg_wal/$first");
    });
    return;
}

sub new_pair
{
    my ($version, %option) = @_;
    return split_brain($version,
        cluster => { settings => $version < 13 ? 'wal_keep_segments = 0' : 'wal_keep_size = 0' },
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') }, %option);
}

my $compares = qr/a rewind compares all blocks instead, and starts at the source's last checkpoint/;

# No directory can be made for what is fetched: it says what it could not look at.
sub without_a_place
{
    my ($target, $source, $with, $archive) = @_;
    local $ENV{TMPDIR} = '/nowhere';
    my %seen = map { $_->{name} => $_->{state} } @{ checks($target, $source)->{findings} };
    is_deeply(\%seen, { map { $_->{name} => $_->{state} } @{ $with->{findings} } }, 'no place is needed where nothing is fetched');
    is(checks($target, $source, '--early-start', "--wal-archive=$archive")->{short}, '0, needed, no problem',
        'nor for files of an archive that are read where they are');
    my $unseen = checks($target, $source, '--early-start', "--restore-command=cp $archive/%f %p");
    is($unseen->{short}, '0, needed, no problem', 'what cannot be fetched is no problem');
    is($unseen->{finding}{divergence}{state}, 'unknown', 'but it is not known');
    like($unseen->{finding}{divergence}{text},
        qr{^WAL that a rewind would fetch first was not examined, since no directory can hold it: could not stat file "/nowhere"},
        'as is told');
    like($unseen->{finding}{divergence}{remedy}, qr/^Set TMPDIR to a directory of your own\.$/, 'with what to do');
    return;
}

sub source_has_lost_wal
{
    my ($version) = @_;
    my ($source, $target) = new_pair($version, target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        no_checkpoint => 1);
    my $archive = $target->dir . '/archive';
    mkdir $archive or die;
    my ($first) = sort grep { /^00000002/ } segments($source);
    loses_its_wal($source, $archive);

    my $late = checks($target, $source);
    is($late->{short}, '0, needed, no problem', 'a later start needs no WAL from before it');
    is($late->{finding}{source_wal}{state}, 'warning', 'it costs more');
    like($late->{finding}{source_wal}{text}, $compares, 'all blocks are compared');
    like($late->{verdict}{text}, qr/It is possible, by comparing all blocks/, 'as the verdict says');

    is(dry_run($target, $source)->{status}, 0, 'a dry run agrees');
    my $early = checks($target, $source, '--early-start');
    is($early->{short}, '1, not possible, source_wal', 'without a later start a rewind is not possible');
    like($early->{verdict}{errors}[0]{message}, qr/^the source no longer has WAL that the rewound target needs$/,
        'by the error that a rewind ends with');
    like(dry_run($target, $source, '--early-start')->{stderr},
        qr/^pg_rewind: error: the source no longer has WAL that the rewound target needs$/m, 'which it does');

    for my $option ([ "--wal-archive=$archive" ], [ "--restore-command=cp $archive/%f %p" ])
    {
        my $archived = checks($target, $source, '--early-start', @$option);
        is($archived->{short}, '0, needed, no problem', 'an archive has it');
        is(dry_run($target, $source, '--early-start', @$option)->{status}, 0, 'as a dry run finds');
        like($archived->{finding}{source_wal}{text},
            qr/^The source no longer has segment $first, from which on its WAL is replayed: /, 'and that is told');
    }
    without_a_place($target, $source, $late, $archive);
    append($target->path($version < 12 ? 'recovery.conf' : 'postgresql.conf'),
        "restore_command = 'cp $archive/%f %p'\n");
    my $own = checks($target, $source);
    is($own->{short}, '0, needed, no problem', 'the target\'s own restore_command is asked as well');
    is(dry_run($target, $source)->{status}, 0, 'a dry run with its own command');
    like($own->{finding}{source_wal}{text}, qr/the restore command gives it\./, 'and gives it');
    RewindTest::Cluster::discard_all();
    return;
}

# A standby that was away for so long that the source has none of its WAL any more.
sub standby_left_behind
{
    my ($version) = @_;
    my $source = make_cluster('source', $version, settings => $version < 13 ? 'wal_keep_segments = 0'
        : 'wal_keep_size = 0')->start;
    $source->sql('CREATE TABLE t AS SELECT 1 AS a');
    my $standby = $source->standby('standby');
    $standby->wait_for_replay_of($source);
    $standby->stop;
    loses_its_wal($source) for 1 .. 2;
    my $left = checks($standby, $source);
    is($left->{short}, '1, not possible, no problem', 'nothing proves the history of a standby that was left behind');
    my ($error) = map { $_->{message} } @{ $left->{verdict}{errors} };
    my $result = dry_run($standby, $source);
    is($result->{status}, 1, 'a rewind fails');
    like($result->{stderr}, qr/^pg_rewind: error: \Q$error\E$/m, 'with the error that --check names');
    RewindTest::Cluster::discard_all();
    return;
}

# What --check foretells, --rejoin finds before it stops the server.
sub is_not_stopped
{
    my ($node, $source, $says, @options) = @_;
    my $pid = $node->postmaster_pid;
    my $result = run([ rewind_argv($node->data, '--rejoin', '-B', $node->bindir, '--source-server', $source->conninfo,
        @options) ]);
    is($result->{status}, 1, "--rejoin @options fails");
    like($result->{stderr}, $says, "--rejoin @options says why");
    like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m,
        "--rejoin @options leaves the server alone");
    is($node->postmaster_pid, $pid, "--rejoin @options does not stop the server");
    return;
}

# A restore command that does not have it is no reason to give up.
sub is_stopped_with_command
{
    my ($node, $source) = @_;
    my $result = run([ rewind_argv($node->data, '--rejoin', '--dry-run', '-B', $node->bindir, '--source-server',
        $source->conninfo, '--restore-command=false') ]);
    is($result->{status}, 0, '--rejoin would compare where the command does not give the WAL either');
    like($result->{stderr}, qr/^pg_rewind: would stop the target's server/m, 'so the server would be stopped');
    return;
}

# The rewind makes a checkpoint that needs no WAL from before it, or fetches that WAL to the target: where a look cannot
# see to the end, --rejoin goes on.
sub look_cannot_see_all
{
    my ($version) = @_;
    my ($source, $target) = new_pair($version);
    my $archive = work_dir() . "/rejoin_archive_$version";
    mkdir $archive or die;
    my $first = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $source->sql('INSERT INTO t VALUES (0); SELECT pg_switch_wal()') for 1 .. 3;
    must_run([ 'mv', $source->path("pg_wal/$first"), $archive ]);
    $target->start;
    is_not_stopped($target, $source,
        qr/^pg_rewind: error: the source no longer has WAL that the rewound target needs$/m);
    my @rejoin = ('--rejoin', '-B', $target->bindir, '--source-server', $source->conninfo);
    my $result = run([ rewind_argv($target->data, @rejoin, '--dry-run', '--checkpoint') ]);
    is($result->{status}, 0, 'with --checkpoint it makes what it needs') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: would stop the target's server/m, 'so the server would be stopped');
    $result = run([ rewind_argv($target->data, @rejoin, "--restore-command=cp $archive/%f %p") ],
        env => { TMPDIR => '/nowhere' });
    is($result->{status}, 0, 'a look without a place to fetch to refuses nothing') or diag($result->{stderr});
    RewindTest::Cluster::discard_all();
    return;
}

# The old primary still runs.
sub primary_goes_on
{
    my ($version) = @_;
    my ($source, $target) = new_pair($version);
    $target->start;
    my $ready = checks($target, $source);
    is($ready->{short}, '0, no verdict, no problem', 'a primary beside a new one is ready');
    like($ready->{finding}{wal_reach}{text}, qr/^pg_\w+ reaches back to /, 'as long as its WAL reaches back');
    is($ready->{finding}{source_wal}{state}, 'ok', 'and the source has its own');
    is(checks($target, $target)->{short}, '1, no verdict, source_system', 'the source is not the node itself');
    like(checks($target, $target)->{finding}{source_system}{text}, qr/^the source server is the target's own server/,
        'as is told');

    loses_its_wal($source);
    is_not_stopped($target, $source,
        qr/^pg_rewind: error: the source no longer has WAL that the rewound target needs$/m, '--early-start');
    is(checks($target, $source)->{finding}{source_wal}{state}, 'warning',
        'the source has lost its WAL, but may be started from later') ;
    loses_its_wal($target);
    my $lost = checks($target, $source);
    is($lost->{short}, '1, no verdict, wal_reach',
        'it has lost the WAL before the divergence, which the history files tell');
    my $gone = qr{could not open file ".*/0000000100000000[0-9A-F]{8}": No such file or directory$}m;
    my $saved = work_dir() . "/saved_$version";
    mkdir $saved or die;
    is_not_stopped($target, $source, qr/^pg_rewind: error: $gone/m, "--save-diverged-wal=$saved");
    my $compared = run([ rewind_argv($target->data, '--rejoin', '--dry-run', '-B', $target->bindir, '--source-server',
        $source->conninfo) ]);
    is($compared->{status}, 0, '--rejoin would compare by itself');
    like($compared->{stderr}, qr/^pg_rewind: warning: $gone/m, 'as it says before the stop');
    is_stopped_with_command($target, $source);
    is(checks($target, $source, '--compare')->{short}, '0, no verdict, no problem', 'comparing needs none');
    $target->stop;
    is(dry_run($target, $source)->{status}, 1, 'a rewind fails');
    RewindTest::Cluster::discard_all();
    return;
}

each_version(sub {
    my ($version) = @_;
    source_has_lost_wal($version);
    standby_left_behind($version);
    look_cannot_see_all($version);
    primary_goes_on($version);
}, only => [ 10, 15, 18 ]);
