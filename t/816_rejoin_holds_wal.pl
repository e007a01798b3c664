# --rejoin holds the WAL that the stop of the target's server removes: the checkpoint of a clean stop leaves no more
# than that server itself needs, where neither wal_keep_size nor a slot keeps more. (Invariants 1, 3.)
#
#   source            ┌── 2 ──────▶
#   target   ●── gone ┴── gone ──╳ stop     ● last common checkpoint
# (Rules I66, I67, I68, I69, K6.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;

my ($version, $source, $target);

sub none_kept { return $version >= 13 ? 'wal_keep_size = 0' : 'wal_keep_segments = 0' }

sub fill_segments
{
    my ($server, $count) = @_;
    $server->sql("INSERT INTO t SELECT i, 'filler' FROM generate_series(1, 1000) i; SELECT pg_switch_wal()")
        for 1 .. $count;
    return;
}

# Both run. The source has removed its WAL from before the divergence, and the target's stop removes its own. (Up to 10
# a checkpoint leaves the WAL since the one before.)
sub pair
{
    my (%option) = @_;
    $target = make_cluster('target', $version, settings => none_kept() . "\n" . ($option{settings} // ''))->start;
    $target->sql('CREATE TABLE t (a int, b text); CHECKPOINT');
    $target->sql('SELECT pg_switch_wal(); CHECKPOINT') if $version < 11;
    $source = $target->standby('source');
    move_pg_wal() if $option{link};
    $option{before_promotion}->() if $option{before_promotion};
    fill_segments($target, 2);
    $target->sql("INSERT INTO t VALUES (1, 'together')");
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql("CHECKPOINT; INSERT INTO t VALUES (1, 'source')");
    $target->sql("INSERT INTO t VALUES (1, 'target')");
    fill_segments($target, 2);
    $target->sql("INSERT INTO t VALUES (1, 'last')");
    $target->sql('CHECKPOINT') if $version < 11;
    return;
}

sub pg_ctl { return "$target->{bindir}/pg_ctl -D " . $target->data . ' -w' }

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --keep-config -B), $target->bindir, '--source-server',
        $source->conninfo . ' application_name=target', @options) ], env => $option{env} // {});
}

sub follows
{
    my ($what, $result) = @_;
    is($result->{signal} || $result->{status}, 0, "$what: it succeeds") or diag($result->{stderr});
    $source->sql("INSERT INTO t VALUES (2, 'later')");
    $target->wait_for_replay_of($source);
    my $rows = 'SELECT count(*), sum(a), max(b) FROM t';
    is($target->query($rows), $source->query($rows), "$what: it has the source's rows");
    is(join(' ', glob($target->path('pg_rewind*') . ' ' . $target->path('pg_wal/pg_rewind*'))),
        $target->path('pg_rewind_server.log'), "$what: nothing is left but the log");
    return;
}

sub reads_wal
{
    my ($what, $result) = @_;
    follows($what, $result);
    unlike($result->{stderr}, qr/comparing all blocks/, "$what: no blocks are compared");
    return;
}

sub discard { $_->discard for $target, $source; return }

sub finding
{
    my $result = run([ rewind_argv($target->data, qw(--check --report=json), '--source-server', $source->conninfo) ]);
    my ($found) = grep { $_->{name} eq 'wal_at_stop' } @{ JSON::PP->new->utf8->decode($result->{stdout})->{findings} };
    return $found // { state => 'none' };
}

# By hand: the WAL is gone after a clean stop, as --check foretells, and is there after the others that it names.
sub by_hand
{
    pair();
    my $found = finding();
    is($found->{state}, 'warning', 'before a stop that removes WAL --check warns') or diag(explain($found));
    like($found->{remedy},
        qr/--rejoin, .* -m immediate\. .*\nALTER SYSTEM SET wal_keep_(?:size|segments) = .*; SELECT pg_catalog\.pg_reload_conf\(\);$/s,
        'and says how to keep it');
    $target->stop;
    is(finding()->{state}, 'none', 'of a server that is stopped it says nothing');
    like(rewind($target, $source)->{stderr},
        qr/^pg_rewind: error: could not open file ".*": No such file or directory$/m,
        'by hand the stop removes WAL that the rewind needs');
    discard();

    pair();
    my ($set) = finding()->{remedy} =~ /^(ALTER SYSTEM .*?);/m;
    $target->sql($_) for $set, 'SELECT pg_reload_conf()';
    wait_until('it is set', sub { $target->query('SHOW ' . (none_kept() =~ /^(\w+)/)[0]) !~ /^0/ });
    is(finding()->{state}, 'ok', 'with that setting nothing is wrong');
    $target->stop;
    unlike(rewinds($target, $source, options => [ '-N', '--keep-config' ])->{stderr}, qr/comparing all blocks/,
        'nor after a clean stop');
    discard();

    pair();
    $target->stop('immediate');
    unlike(rewinds($target, $source, options => [ '-N', '--keep-config' ])->{stderr}, qr/comparing all blocks/,
        'an immediate stop removes nothing');
    discard();
    return;
}

# Where no hard link can be made there are copies; where nothing can be held, blocks are compared; and what cannot be
# removed is told.
sub not_held
{
    pair();
    reads_wal('no hard links',
        rejoin({ env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT_APART => '*/pg_rewind.work.held/0*' } }));
    discard();

    pair();
    my $result =
        rejoin({ env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT => 'fail:mkdir@*/pg_rewind.work.held:ENOSPC' } });
    like($result->{stderr},
        qr/^pg_rewind: warning: could not create directory ".*held": .*\npg_rewind: detail: When it stops, the server may remove WAL that shows what it has changed\. Then the rewind compares all blocks\.$/m,
        'what cannot be held is told');
    like($result->{stderr}, qr/^pg_rewind: comparing all blocks/m, 'and compared');
    follows('nothing can be held', $result);
    discard();

    pair();
    $result =
        rejoin({ env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
        PG_REWIND_FAULT => 'fail:rmdir@*/pg_rewind.work.held:EIO' } });
    like($result->{stderr},
        qr/^pg_rewind: warning: could not remove .*\npg_rewind: detail: The directory ".*\/pg_rewind\.work\.held" may be removed\.$/m,
        'what cannot be removed is told');
    reads_wal('what is held is removed by the next step', $result);
    discard();
    return;
}

# A standby removes WAL at a stop as well: at its restartpoint.
sub standby_of_the_old_primary
{
    my $standby;
    pair(before_promotion => sub { $standby = $target->standby('other') });
    my $primary = $target;
    $primary->sql('CHECKPOINT');
    $standby->wait_for_replay_of($primary);
    $target = $standby;
    reads_wal('a standby that runs', rejoin());
    $primary->discard;
    discard();
    return;
}

sub at_once
{
    pair();
    reads_wal('a primary that runs', rejoin());
    discard();
    return;
}

# What is recycled at a checkpoint between the two gets another name, and is overwritten under that.
sub overwritten_before_the_stop
{
    pair();
    my $psql = program('psql') . " -Xqd '" . $target->conninfo
        . q{' -c "INSERT INTO t SELECT i, 'filler' FROM generate_series(1, 1000) i" -c 'SELECT pg_switch_wal()'};
    my $checkpoint = $psql =~ s/ -c .*/ -c CHECKPOINT/r;
    reads_wal('a checkpoint before the stop',
        rejoin("--stop-command=$checkpoint; for i in 1 2 3 4 5 6 7 8; do $psql; done; @{[ pg_ctl() ]} -m immediate stop"));
    discard();
    return;
}

sub killed
{
    my %at = ('while WAL is held' => 'rename@*/pg_rewind.work.held/*',
        'before the stop' => 'create@*/pg_rewind_server.log', 'after the stop' => 'create@*/pg_rewind.work/*');
    for my $when (sort keys %at)
    {
        pair();
        my $result = rejoin(ONCE,
            { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => "kill:$at{$when}" } });
        is($result->{signal}, 9, "killed $when") or diag($result->{stderr});
        ok(-d $target->path('pg_wal/pg_rewind.work.held'), "killed $when: WAL is held");
        is($target->is_running ? 'running' : 'stopped', $when eq 'after the stop' ? 'stopped'
            : 'running', "killed $when: so is the server");
        reads_wal("killed $when, and the same command again", rejoin());
        discard();
    }
    return;
}

# After --rejoin has stopped the server, and failed, a plain rewind finds what is held, and removes it.
sub without_rejoin
{
    pair();
    my $result = rejoin('--stop-command=' . pg_ctl() . ' -m fast stop; mv ' . $target->path('PG_VERSION') . ' '
        . $target->path('away'));
    is($result->{status}, 1, 'a run that fails after the stop') or diag($result->{stderr});
    ok(-d $target->path('pg_wal/pg_rewind.work.held'), 'what is held stays for the same command');
    rename($target->path('away'), $target->path('PG_VERSION')) or die;
    rewinds($target, $source, options => [ '-N', '--keep-config' ]);
    ok(!-e $target->path('pg_wal/pg_rewind.work.held'), 'a rewind without --rejoin removes it');
    rejoins($target, $source);
    discard();
    return;
}

sub is_kept_nothing
{
    my ($what) = @_;
    ok(!-e $target->path('pg_wal/pg_rewind.work.held'), "$what: no WAL is held");
    ok(!-e $target->path('pg_rewind.work.start'), "$what: nothing is kept for the start");
    return;
}

# A server that goes on after a stop that failed, or did not begin, keeps nothing of it.
sub not_stopped
{
    pair();
    is(rejoin('--stop-command=false')->{status}, 1, 'a stop that fails');
    is_kept_nothing('after a stop that failed');
    discard();

    pair();
    my $run = hold($target, $source, 'rename@*/pg_rewind.work.held/*', qw(--rejoin --no-sync --keep-config
        -B), $target->bindir);
    kill 'TERM', $run->{pid};
    my $result = go_on($run);
    ok($result->{status} != 0 && $target->is_running, 'SIGTERM while WAL is held: the server goes on')
        or diag($result->{stderr});
    is_kept_nothing('SIGTERM while WAL is held');
    discard();
    return;
}

# What the stop has removed is held for the same command also where a supervisor has started the server again.
sub started_again
{
    pair();
    my $start = pg_ctl() . " -l $target->{dir}/log.1 -o '-k $target->{dir}' start";
    my $result = rejoin('--stop-command=' . pg_ctl() . " -m fast stop; $start >$target->{dir}/started");
    is($result->{status}, 1, 'a server that is started again after each stop');
    like($result->{stderr}, qr/^pg_rewind: error: another program keeps starting the target's server$/m, 'it is told')
        or diag($result->{stderr});
    ok(-d $target->path('pg_wal/pg_rewind.work.held'), 'what the first stop has removed is held');
    reads_wal('a server that was started again, and the same command', rejoin());
    discard();
    return;
}

# pg_wal on another volume.
sub move_pg_wal
{
    my $elsewhere = work_dir() . "/wal_$version";
    $target->stop;
    must_run([ 'mv', $target->path('pg_wal'), $elsewhere ]);
    symlink($elsewhere, $target->path('pg_wal')) or die;
    $target->start;
    return;
}

sub behind_a_link
{
    pair(link => 1);
    reads_wal('pg_wal behind a link', rejoin());
    discard();
    return;
}

# What could not be held is lost: all blocks are compared, unless an option asks for what only the WAL has.
sub lost_nevertheless
{
    pair();
    my $stop = '--stop-command=' . pg_ctl() . ' -m fast stop; rm -r ' . $target->path('pg_wal/pg_rewind.work.held');
    my $saved = work_dir() . "/saved_$version";
    mkdir $saved;
    my $lost = qr/could not open file ".*": No such file or directory$/m;
    my $refused = rejoin($stop, "--save-diverged-wal=$saved");
    is($refused->{status}, 1, 'WAL that is to be saved and is lost is an error');
    like($refused->{stderr}, qr/^pg_rewind: error: $lost/m, 'it says so');
    my $report = work_dir() . "/report_$version";
    my $result = rejoin("--save-lost-rows=$saved", "--report-file=$report", '--report=json');
    like($result->{stderr},
        qr/^pg_rewind: warning: $lost\npg_rewind: detail: No WAL tells what the target has changed, or which transactions are lost\. No rows can be saved\.$/m,
        'WAL that is lost is a warning');
    like($result->{stderr}, qr/^pg_rewind: comparing all blocks with the source's$/m, 'all blocks are compared');
    is(() = $result->{stderr} =~ /servers diverged at/g, 1, 'the divergence of the histories is printed');
    like(slurp($report), qr/"mode": "compare"/, 'so says the report');
    follows('WAL that is lost', $result);
    discard();
    return;
}

each_version(sub {
    ($version) = @_;
    by_hand();
    at_once();
    overwritten_before_the_stop();
    killed();
    without_rejoin();
    not_stopped();
    started_again();
    behind_a_link();
    lost_nevertheless();
    not_held();
    standby_of_the_old_primary();
}, sample => 1);
