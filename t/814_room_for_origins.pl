# A server loads the replication origins of its file before it does anything else, and ends if it has no room for one of
# them; so it does at a record of another one. The rewound target gets the source's file, and keeps its configuration.
# What is too low is raised by -R, from 12 on, and refused by --rejoin before.
#
#   source   1 ──┬── 2 ── room for 30 origins ── 12 of them ── checkpoint ── 3 more ──▶
#   target       └── 1 ──▶ keeps its configuration: room for 10     could not find free replication state
# (Rule S22.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Outcome;

my ($source, $diverged, $target, $setting);

sub fresh { my ($name) = @_; $target->discard if $target; $target = $diverged->copy($name); $target->{starts} = 1;
    return $target }

sub of_target
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]);
}

sub rejoin { return of_target(qw(--rejoin --keep-config --no-sync --rejoin-timeout=60 -B), $target->bindir, @_) }

sub finding
{
    my (@options) = @_;
    my $check = of_target('--check', '--report=json', @options);
    my $said = JSON::PP->new->utf8->decode($check->{stdout});
    my ($found) = grep { $_->{name} eq 'standby_limits' } @{ $said->{findings} };
    return $found;
}

# Origins that the server has used, by a function and, the last one, by a transaction.
sub use_origins
{
    my ($server, @numbers) = @_;
    $server->sql(join '; ', map { "SELECT pg_replication_origin_create('origin_$_')" } @numbers);
    my $last = pop @numbers;
    $server->sql(join '; ', map { "SELECT pg_replication_origin_advance('origin_$_', '0/100')" } @numbers) if @numbers;
    $server->sql(<<"END");
SELECT pg_replication_origin_session_setup('origin_$last');
BEGIN; SELECT pg_replication_origin_xact_setup('0/100', now()); INSERT INTO t VALUES (1); COMMIT;
END
    return;
}

sub written
{
    my ($needed) = @_;
    return qr/ -R writes limits that are at least .* start with lower ones: $setting \(10, needed: $needed\)$/m;
}

my $low =
    qr/^pg_rewind: error: the target's server would not start as a standby: its limits are lower than the source's$/m;
my $step = "the target's server would not start as a standby: its limits are lower than the source's. ";

sub room_has_its_default
{
    my ($version) = @_;
    my $row = $source->query("SELECT boot_val || ' ' || context FROM pg_settings WHERE name = '$setting'");
    is($row, '10 postmaster', "the default of $setting");
    return;
}

# Those of the file, which are known before the server is stopped.
sub of_file
{
    my ($version) = @_;
    my $raises = $version >= 12;
    is(-s $source->path('pg_logical/replorigin_checkpoint'), 8 + 12 * 16, 'the file has 16 bytes for each origin');

    fresh('rejoined')->start;
    my $found = finding('--keep-config');
    is($found->{state}, 'warning', '--check warns');
    like($found->{text}, qr/^$setting \(10, needed: 12\)\.$/m, 'and has both numbers');
    is(finding('--keep-config', '-R')->{state}, $raises ? 'ok' : 'warning', '--check -R knows whether it raises it');
    is(finding()->{state}, 'ok', 'the source\'s configuration has room');
    my $pid = $target->postmaster_pid;
    my $result = rejoin();
    if ($raises)
    {
        ends($result, 0, '--rejoin', qr/^pg_rewind: the target follows the source: standby /m, written(12));
        is($target->query("SHOW $setting"), 12, 'the server has room for 12');
    }
    else
    {
        ends($result, 1, '--rejoin', $low, qr/^pg_rewind: detail: $setting \(10, needed: 12\)\.$/m,
            qr/The target is unchanged, and its server is running\.$/m);
        is($target->postmaster_pid, $pid, 'the server goes on');
    }

    # The command line wins over what -R writes.
    fresh('command_line')->start(settings => { $setting => 11 });
    $pid = $target->postmaster_pid;
    ends(rejoin(), 1, 'room on the command line', $low, qr/^pg_rewind: detail: $setting \(11, needed: 12\)\.$/m);
    is($target->postmaster_pid, $pid, 'and the server goes on');

    # It is not for queries only that the server needs the room.
    fresh('closed')->configure('hot_standby = off');
    $result = of_target('--keep-config', '--no-sync', '-R');
    ends($result, 0, 'hot_standby = off', $raises ? written(12) : qr/\Q$step$setting (10, needed: 12)\E/);
    unlike($result->{stderr}, qr/max_connections/, 'and no other limit counts');
    return;
}

# More of them in the WAL that is replayed.
sub of_wal
{
    my ($version) = @_;
    use_origins($source, 13 .. 15);
    fresh('replays');
    my @options = qw(--keep-config --no-sync -R);
    my $said = $version >= 12 ? written(15) : qr/\Q$step$setting (10, needed: 15)\E/;
    ends(rewinds($target, $source, options => \@options), 0, 'origins of the WAL', $said);
    append($target->last_settings, "$setting = 15\n") if $version < 12;
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);

    # Those that come while the rewind works, by which time the source has a higher limit as well.
    fresh('meanwhile');
    my $held = hold($target, $source, 'create@*/pg_rewind.work/*', qw(--keep-config -R));
    use_origins($source, 16, 17);
    $source->sql('CHECKPOINT');
    $said = $version >= 12 ? written(17) : qr/\Q$step$setting (10, needed: 17)\E/;
    ends(go_on($held), 0, 'origins that come meanwhile', $said);
    append($target->last_settings, "$setting = 17\n") if $version < 12;
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    return;
}

# A standby that needs no rewind has a file of its own.
sub without_divergence
{
    my ($version) = @_;
    $target->discard;
    $target = $source->standby('standby');
    $target->follow($source);
    $target->wait_for_replay_of($source);
    $target->sql('CHECKPOINT');
    $target->stop;
    append($target->last_settings, "$setting = 10\n");
    my $said = $version >= 12 ? written(17) : qr/\Q$step$setting (10, needed: 17)\E/;
    ends(of_target('-R', '--no-sync'), 0, 'no rewind', $said);
    append($target->last_settings, "$setting = 17\n") if $version < 12;
    is($target->try_start->{status}, 0, 'the server starts') or diag($target->log);
    return;
}

each_version(sub {
    my ($version) = @_;
    $setting = $version >= 18 ? 'max_active_replication_origins' : 'max_replication_slots';
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my ($server) = @_;
            $server->sql("ALTER SYSTEM SET $setting = 30");
            $server->restart;
            use_origins($server, 1 .. 12);
            $server->sql('CHECKPOINT; INSERT INTO t VALUES (2)');
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    room_has_its_default($version);
    of_file($version);
    of_wal($version);
    without_divergence($version);
    undef $target;
}, only => [ 10, 12, 15, 18, 19 ]);
