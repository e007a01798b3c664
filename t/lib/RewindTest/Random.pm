# A split brain thrown by dice, and its rewind: all that differs between two runs follows from the seed, but for what
# several processes do at the same time.
#
#   my $choice = choose(4711);              # or choose(4711, version => 15)
#   diag(describe($choice));
#   my $end = play($choice);                # 'rewound', or why it was refused
#
# Histories (P, S: primary and its standby when it begins; second: a further standby that can be the source):
#
#   stopped       S is promoted while P lives on; P is the target
#   mistake       S is promoted by mistake; P is the source, S the target
#   standby       a standby of P has more of P's WAL than S when P dies and S is promoted; that standby is the target

package RewindTest::Random;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use POSIX ();
use RewindTest;
use RewindTest::Dice;
use RewindTest::Workload;
use Time::HiRes ();

our @EXPORT = qw(choose describe play save_clusters);

sub choose
{
    my ($seed, %fixed) = @_;
    my $dice = RewindTest::Dice->new($seed);
    my %choice = (
        seed => $seed,
        version => 10 + $dice->number(9),
        kind => $dice->pick(qw(server server standby directory standby_directory)),
        history => $dice->pick(qw(stopped stopped stopped mistake standby)),
        stop => $dice->pick(qw(fast immediate kill kill)),
        source_checkpoint => $dice->chance(60),
        wal_segment_mb => $dice->pick(1, 1, 1, 4, 16),
        checksums => $dice->chance(50),
        switches_before => $dice->pick(0, 0, 1, 2),
        switches_of_source => $dice->pick(0, 0, 0, 1, 2),
        switches_of_target => $dice->pick(0, 0, 0, 1, 2),
        crash_of_source => $dice->chance(20),
        crash_of_target => $dice->chance(20),
        load_at_divergence => $dice->chance(40),
        busy_source => $dice->pick(qw(idle load load operations)),
        held_transactions => $dice->chance(50),
        checkpoint_while_held => $dice->chance(60),
        checkpoint_after => $dice->chance(40),
        target_checkpoint => $dice->chance(50),
        jobs => 1 + $dice->number(4),
        write_recovery_conf => $dice->chance(30),
        dry_run => $dice->chance(40),
        killed_after_ms => $dice->chance(20) ? 10 + $dice->number(600) : 0,
        again => $dice->chance(25),
        autovacuum => $dice->chance(25),
        wal_compression => $dice->chance(25),
        archive => $dice->chance(20),
        commit_timestamps => $dice->chance(25),
        short_wal => $dice->chance(15),
        tablespace => $dice->chance(40),
        operations_before => 2 + $dice->number(6),
        operations_of_source => $dice->number(14),
        operations_of_target => $dice->number(14),
        %fixed,
    );
    $choice{wal_segment_mb} = 16 if $choice{version} == 10;
    $choice{switches_of_target} = 0 if $choice{history} eq 'standby';
    return \%choice;
}

# Is the source a stopped cluster: a primary's directory or a standby's?
sub is_directory { my ($choice) = @_; return $choice->{kind} =~ /directory/ }

sub describe
{
    my ($choice) = @_;
    return join ' ', "seed=$choice->{seed}", map { "$_=$choice->{$_}" }
        (qw(version kind history stop), grep { !/^(seed|version|kind|history|stop)$/ && $choice->{$_} } sort keys %$choice);
}

my %dice;           # one for each use, so that a change of one does not change all others
my $next_object;    # number of the next object, by cluster

sub work
{
    my ($choice, $cluster, $count) = @_;
    my $dice = $dice{ $cluster->name } //= RewindTest::Dice->new("$choice->{seed}/" . $cluster->name);
    $next_object->{ $cluster->name } //= $next_object->{'all before'} // 1;
    my $first = $next_object->{ $cluster->name };
    $next_object->{ $cluster->name } += $count;
    my @names = random_operations($dice, $count);
    run_operations($cluster, $dice, $first, work_dir() . '/operations.log', @names);
    return;
}

# ---------------------------------------------------------------- things that go on in the background

my $load_script = <<'END';
\set id random(1, 2000)
\set sub random(0, 9)
BEGIN;
UPDATE accounts SET balance = balance + 1 WHERE id = :id;
INSERT INTO history (id, delta) VALUES (:id, 1);
\if :sub = 0
SAVEPOINT a;
INSERT INTO history (id, delta) VALUES (:id, 2);
\endif
END;
END

sub in_background
{
    my ($name, @argv) = @_;
    my $log = work_dir() . "/$name.log";
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid != 0;
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>>', $log);
    open(STDERR, '>>', $log);
    { no warnings 'exec'; exec { $argv[0] } @argv; }
    POSIX::_exit(127);
}

sub start_load
{
    my ($cluster) = @_;
    my $script = work_dir() . '/load.sql';
    spew($script, $load_script);
    return in_background('load', program('pgbench'), '-n', '-f', $script, '-c', 2, '-T', 100, $cluster->conninfo);
}

sub end_load
{
    for my $pid (grep { $_ } @_)
    {
        kill 'TERM', $pid;
        waitpid($pid, 0);
    }
    return;
}

# Operations on the source while pg_rewind works.
sub start_operations
{
    my ($choice, $cluster) = @_;
    $next_object->{ $cluster->name } += 100;
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid != 0;
    eval { work($choice, $cluster, 8) };
    POSIX::_exit(0);
}

# Wait until nobody writes any more: only then can two sides be compared. The checkpoint tells standbys which transactions
# still run: as long as one takes those of a dead primary for running, amcheck there looks for what vacuum has removed.
sub settle
{
    my ($choice, $cluster) = @_;
    $cluster->sql('ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()') if $choice->{autovacuum};
    wait_until('all others leave ' . $cluster->name, sub {
        $cluster->query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE backend_type IN ('client backend', 'autovacuum worker') AND pid <> pg_backend_pid()") == 0
    });
    $cluster->sql('CHECKPOINT');
    return;
}

# A transaction that stays open until the server stops.
sub hold_transaction
{
    my ($cluster) = @_;
    my $session = $cluster->session;
    $session->sql("SET client_min_messages = error; BEGIN; INSERT INTO history (id) SELECT generate_series(1, 200); CREATE TABLE held_open AS SELECT 1 AS a");
    return $session;
}

# ---------------------------------------------------------------- histories

# Make a primary go through a standby's recovery without a primary of its own: the next timeline.
sub switch_timeline
{
    my ($cluster) = @_;
    my $nowhere = bless { %$cluster, dir => '/nonexistent' }, ref $cluster;
    $cluster->stop;
    $cluster->follow($nowhere);
    $cluster->start->promote;
    return;
}

sub settings
{
    my ($choice) = @_;
    my $kept_mb = $choice->{short_wal} ? 4 * $choice->{wal_segment_mb} : 2048;
    my $kept = $choice->{version} >= 13 ? "wal_keep_size = ${kept_mb}MB" : 'wal_keep_segments = ' . int($kept_mb / $choice->{wal_segment_mb});
    my $settings = "$kept\nmax_replication_slots = 40\nallow_in_place_tablespaces = on\n";
    $settings .= "autovacuum = on\nautovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 10\n" if $choice->{autovacuum};
    $settings .= "wal_compression = on\n" if $choice->{wal_compression};
    $settings .= "archive_mode = on\narchive_command = '/bin/true'\n" if $choice->{archive};
    $settings .= "track_commit_timestamp = on\n" if $choice->{commit_timestamps};
    return $settings;
}

sub first_primary
{
    my ($choice) = @_;
    my $primary = make_cluster('p', $choice->{version}, settings => settings($choice),
        map { $_ => $choice->{$_} } qw(checksums wal_segment_mb))->start;
    build_schema($primary, RewindTest::Dice->new("$choice->{seed}/schema"));
    $primary->sql("CREATE TABLESPACE place LOCATION '" . $primary->tablespace_location('place')
        . "'; CREATE TABLE in_place TABLESPACE place AS SELECT generate_series(1, 2000) AS key") if $choice->{tablespace};
    work($choice, $primary, $choice->{operations_before});
    for (1 .. $choice->{switches_before})
    {
        switch_timeline($primary);
        work($choice, $primary, 2);
    }
    return $primary;
}

# A primary's standbys, each following the one named; the primary stops for a moment.
sub add_standbys
{
    my ($primary, %upstream) = @_;
    my %cluster = ($primary->name => $primary);
    $primary->stop;
    $cluster{$_} = $primary->copy($_) for sort keys %upstream;
    $primary->start;
    for my $name (sort { ($upstream{$a} ne 'p') <=> ($upstream{$b} ne 'p') } keys %upstream)
    {
        $cluster{$name}->follow($cluster{ $upstream{$name} })->start;
    }
    $cluster{$_}->wait_for_replay_of($primary) for sort keys %upstream;
    return \%cluster;
}

# Kill a server while it is busy, and start it again.
sub crash
{
    my ($cluster) = @_;
    my $load = start_load($cluster);
    Time::HiRes::sleep(0.3);
    $cluster->stop('kill');
    end_load($load);
    $cluster->start;
    return;
}

# Work on a side after the divergence, with switches of its timeline.
sub write_apart
{
    my ($choice, $cluster, $side) = @_;
    my $switches = $choice->{"switches_of_$side"};
    my $operations = $choice->{"operations_of_$side"};
    for (1 .. $switches)
    {
        work($choice, $cluster, int($operations / ($switches + 1)));
        switch_timeline($cluster);
    }
    crash($cluster) if $choice->{"crash_of_$side"};
    work($choice, $cluster, $operations - $switches * int($operations / ($switches + 1)));
    return;
}

sub stop_target
{
    my ($choice, $target, @held) = @_;
    my $load = $choice->{stop} eq 'kill' && $choice->{history} ne 'standby' ? start_load($target) : 0;
    Time::HiRes::sleep(0.3) if $load;
    $target->sql('CHECKPOINT') if $choice->{target_checkpoint};
    Time::HiRes::sleep(0.2) if $load;
    $target->stop($choice->{stop});
    end_load($load);
    $_->end for @held;
    return;
}

# Returns source, target, and who can write for the source.
sub split_up
{
    my ($choice) = @_;
    my $primary = first_primary($choice);
    my $history = $choice->{history};
    my %upstream = (s => 'p');
    $upstream{second} = $history eq 'mistake' ? 'p' : 's' if $choice->{kind} =~ /standby/;
    $upstream{t} = 'p' if $history eq 'standby';
    my $cluster = add_standbys($primary, %upstream);
    my ($s, $t) = @$cluster{qw(s t)};
    my @held;

    work($choice, $primary, 2);
    push @held, hold_transaction($primary) if $choice->{held_transactions};
    $primary->sql('CHECKPOINT') if $choice->{checkpoint_while_held};
    my $load = $choice->{load_at_divergence} ? start_load($primary) : 0;
    Time::HiRes::sleep(0.2) if $load;
    $next_object->{'all before'} = $next_object->{p};

    my ($source, $target);
    if ($history eq 'standby')
    {
        $s->wait_for_replay_of($primary) if !$load;
        $s->stop($choice->{source_checkpoint} ? 'fast' : 'immediate');
        # Hints of such a transaction can reach the target's disk and be in no WAL.
        $held[0]->sql('COMMIT; CREATE TABLE after_commit AS SELECT 1 AS a; DROP TABLE after_commit') if @held;
        work($choice, $primary, $choice->{operations_of_target});
        $primary->sql('CHECKPOINT') if $choice->{checkpoint_after};
        $t->wait_for_replay_of($primary);
        $t->sql('SELECT count(*) FROM history; SELECT count(*) FROM accounts');
        $primary->stop('immediate');
        $s->start;
        ($source, $target) = ($s, $t);
        $source->promote;
    }
    else
    {
        $s->wait_for_replay_of($primary) if !$load;
        $s->promote;
        ($source, $target) = $history eq 'mistake' ? ($primary, $s) : ($s, $primary);
        write_apart($choice, $target, 'target');
    }
    end_load($load);
    $source->sql('CHECKPOINT') if $choice->{source_checkpoint};
    write_apart($choice, $source, 'source');
    stop_target($choice, $target, @held);

    my $second = $cluster->{second} // return ($source, $target, $source);
    $second->wait_for_replay_of($source);
    return ($second, $target, $source);
}

# ---------------------------------------------------------------- the rewind

# Names, sizes and times of all files.
sub files_of
{
    my ($cluster) = @_;
    return must_run([ 'find', $cluster->dir . '/data', $cluster->dir . '/tablespace', '-printf', '%P %y %s %m %T@ %l\n' ]);
}

# Why a rewind was rightly refused, or undef.
sub refusal
{
    my ($choice, $result) = @_;
    return if $result->{status} == 0 || $result->{signal};
    return 'file copy' if $result->{stderr} =~ /replay would copy database/;
    return 'WAL is gone' if $choice->{short_wal}
        && $result->{stderr} =~ /the source no longer has WAL|could not open file ".*\/pg_wal\/[0-9A-F]{24}"/;
    return 'source changed' if $result->{stderr} =~ /source system was modified while pg_rewind was running/;
    return;
}

# A run that does not come to its end.
sub kill_rewind
{
    my ($choice, $target, $source, @options) = @_;
    my @source = is_directory($choice) ? ('--source-pgdata', $source->data) : ('--source-server', $source->conninfo);
    my $pid = in_background('killed', $ENV{PG_REWIND}, '-D', $target->data, @source, @options, '--debug');
    Time::HiRes::sleep($choice->{killed_after_ms} / 1000);
    kill 'KILL', $pid;
    waitpid($pid, 0);
    return;
}

sub try_rewind
{
    my ($choice, $source, $target, $writer) = @_;
    my $kind = is_directory($choice) ? 'directory' : 'server';
    my $busy = $kind eq 'server' ? $choice->{busy_source} : 'idle';
    my $with_conf = $choice->{write_recovery_conf} && $kind eq 'server';
    my @options = ('-j', $choice->{jobs}, $with_conf ? '-R' : ());
    my $load = $busy eq 'load' ? start_load($writer) : 0;
    my $operations = $busy eq 'operations' ? start_operations($choice, $writer) : 0;

    my $dry;
    if ($choice->{dry_run})
    {
        my $before = files_of($target);
        $dry = rewind($target, $source, kind => $kind, options => [ @options, '--dry-run' ]);
        spew(work_dir() . '/dry_run.stderr', $dry->{stderr});
        ok(files_of($target) eq $before, '--dry-run changes nothing');
    }
    kill_rewind($choice, $target, $source, @options) if $choice->{killed_after_ms};
    my $result = rewind($target, $source, kind => $kind, options => [ @options, '--debug' ]);
    end_load($load);
    waitpid($operations, 0) if $operations;
    spew(work_dir() . '/rewind.stderr', $result->{stderr});
    is($dry->{status}, $result->{status}, '--dry-run predicts how it ends') if $dry && $busy eq 'idle';
    is($result->{stdout}, '', 'pg_rewind prints nothing on stdout');
    return ($result, $with_conf);
}

# Rewind, test the result, and promote it.  Returns 'rewound', or why that was rightly refused.
sub rewind_and_rejoin
{
    my ($choice, $source, $target, $writer) = @_;
    my $directory = is_directory($choice);
    $source->stop if $directory;
    if ($ENV{PG_REWIND_TEST_KEEP})
    {
        must_run([ 'rm', '-rf', work_dir() . '/target_before' ]);
        must_run([ 'cp', '-a', $target->dir, work_dir() . '/target_before' ]);
    }
    my ($result, $with_conf) = try_rewind($choice, $source, $target, $writer);
    my $refusal = refusal($choice, $result);
    my $end = $refusal ? "refused at first: $refusal" : 'rewound';
    if ($refusal && $refusal ne 'WAL is gone' && !$directory)
    {
        # What its hint says; a standby needs a restartpoint behind it.
        $writer->sql('CHECKPOINT');
        if ($source != $writer)
        {
            $source->wait_for_replay_of($writer);
            $source->sql('CHECKPOINT');
        }
        ($result, $with_conf) = try_rewind({ %$choice, dry_run => 0, killed_after_ms => 0, busy_source => 'idle' }, $source, $target, $writer);
        $refusal = refusal($choice, $result);
    }
    $source->start if $directory;
    return "refused: $refusal" if $refusal;
    is($result->{status}, 0, 'pg_rewind succeeds') or diag(tail($result->{stderr}));
    return 'failed' if $result->{status} != 0;
    $end .= ', started late' if $result->{stderr} =~ /recovery starts late/;
    settle($choice, $writer);
    rejoins($target, $source, writer => $writer, recovery_written => $with_conf);
    return $end;
}

# Returns how it ended: 'rewound' and the like, or 'refused: ...'.
sub play
{
    my ($choice) = @_;
    %dice = ();
    $next_object = {};
    # Servers have faults of their own: a standby of 13 that dies when the primary before it is promoted in the midst of a record.
    my ($source, $target, $writer) = eval { split_up($choice) };
    return 'no history: ' . ((grep { /PANIC|FATAL|error:|gave up/ } split /\n/, $@)[0] // $@) =~ s/\d+/N/gr if !defined $source;
    my $end = rewind_and_rejoin($choice, $source, $target, $writer);
    if ($choice->{again} && $target->is_running && Test::More->builder->is_passing)
    {
        # It has been promoted: the next divergence.
        $writer->sql('DROP TABLE written_after_rewind');
        work($choice, $target, 3);
        work($choice, $writer, 3);
        stop_target($choice, $target);
        $source->wait_for_replay_of($writer) if $source != $writer;
        $end .= '; then ' . rewind_and_rejoin({ %$choice, killed_after_ms => 0 }, $source, $target, $writer);
    }
    return $end;
}

sub tail { my ($text) = @_; my @lines = grep { !/debug:/ } split /\n/, $text; return join "\n", @lines[ (@lines > 8 ? -8 : -@lines) .. -1 ] }

# Stop all servers and take their directories away from the clean-up.
sub save_clusters
{
    my ($to) = @_;
    RewindTest::Cluster::stop_all();
    rename(work_dir(), $to) or warn "could not rename " . work_dir() . ": $!";
    return;
}

1;
