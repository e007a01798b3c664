# What else a server loads from the source's files before it does anything else needs room whatever hot_standby says: a
# prepared transaction (10 and later), and up to 10, whose slots are copied, a replication slot. With a slot a server
# starts only with a wal_level that the slot can be used with, and so it is with settings that need WAL for standbys.
#
#   source   1 ──┬── 2 ── 2 transactions are prepared, 12 slots ── checkpoint ──▶
#   target       └── 1 ──▶ keeps its configuration: room for 1, for 10
# (Rules C5, S23, S33.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Outcome;

my ($source, $diverged, $target);

sub fresh { my ($name, @settings) = @_; $target->discard if $target; $target = $diverged->copy($name);
    $target->{starts} = 1; $target->configure($_) for @settings; return $target }

sub of_target
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, '--keep-config', @options, '--source-server', $source->conninfo) ]);
}

sub findings
{
    my $check = of_target('--check', '--report=json', @_);
    return @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
}

sub finding { my ($found) = grep { $_->{name} eq 'standby_limits' } findings(@_); return $found }

my $step = "the target's server would not start as a standby: its limits are lower than the source's. ";

sub told
{
    my ($version, $what) = @_;
    return $version >= 12
        ? qr/^pg_rewind: -R writes limits that are at least .* start with lower ones: \Q$what\E$/m
        : qr/\Q$step$what\E/;
}

sub prepare { my ($server, @names) = @_;
    $server->sql("BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION '$_'") for @names; return }

# Those of the WAL, and those of pg_twophase, which --check sees too.
sub prepared
{
    my ($version) = @_;
    my @closed = ('hot_standby = off', 'max_prepared_transactions = 1');
    my $low = 'max_prepared_transactions (1, needed: 8)';
    prepare($source, 'a', 'b');
    fresh('of_wal', @closed);
    ends(of_target('--no-sync', '-R'), 0, 'prepared transactions of the WAL', told($version, $low));

    $source->sql('CHECKPOINT');
    fresh('of_files', @closed);
    like(finding()->{text}, qr/^\Q$low\E\.$/m, '--check has both numbers');
    ends(of_target('--no-sync', '-R'), 0, 'prepared transactions of files', told($version, $low));
    $target->configure('max_prepared_transactions = 8') if $version < 12;
    is($target->try_start->{status}, 0, 'the server starts') or diag($target->log);
    $target->promote;
    is($target->query('SELECT count(*) FROM pg_prepared_xacts'), 2, 'and has both');

    # Without any the limit does not matter.
    $source->sql("ROLLBACK PREPARED '$_'") for 'a', 'b';
    $source->sql('CHECKPOINT');
    fresh('none', @closed);
    is(finding()->{state}, 'ok', 'without any nothing is needed');
    return;
}

sub slots
{
    my ($version) = @_;
    return if $version >= 11 || $version < 9.4;
    $source->sql('ALTER SYSTEM SET max_replication_slots = 30');
    $source->restart;
    $source->sql("SELECT pg_create_physical_replication_slot('slot_$_')") for 1 .. 12;
    fresh('slots')->start;
    my $pid = $target->postmaster_pid;
    like(finding()->{text}, qr/^max_replication_slots \(10, needed: 12\)\.$/m, '--check has both numbers');
    ends(of_target(qw(--rejoin --no-sync -B), $target->bindir), 1, '--rejoin',
        qr/^pg_rewind: detail: max_replication_slots \(10, needed: 12\)\.$/m);
    is($target->postmaster_pid, $pid, 'the server goes on');
    fresh('slots');
    ends(of_target('--no-sync', '-R'), 0, 'copied slots', told($version, 'max_replication_slots (10, needed: 12)'));
    $target->configure('max_replication_slots = 12');
    is($target->try_start->{status}, 0, 'the server starts') or diag($target->log);
    return;
}

sub wal_level
{
    my ($version) = @_;
    return if $version >= 11 || $version < 9.4;
    refuses_wal_level('the physical replication slot "slot_1"', 'minimal', 'replica', 'wal_level = minimal',
        'max_wal_senders = 0', 'archive_mode = off', 'max_replication_slots = 40');
    $source->sql('ALTER SYSTEM SET wal_level = logical');
    $source->restart;
    $source->sql("SELECT pg_create_logical_replication_slot('decoded', 'test_decoding')");
    refuses_wal_level('the logical replication slot "decoded"', 'replica', 'logical', 'max_replication_slots = 40');
    return;
}

# wal_level = minimal in the configuration that the target keeps, which its server has not read yet.
sub wal_level_of_settings
{
    my ($version) = @_;
    my $needed = $version >= 9.6 ? 'replica' : 'hot_standby';
    my $senders = $source->query("SELECT current_setting('max_wal_senders')");
    # From 12 on -R raises the limit.
    refuses_wal_level("max_wal_senders = $senders", 'minimal', $needed, 'wal_level = minimal', 'archive_mode = off',
        'max_wal_senders = ' . ($version >= 12 ? 0 : $senders));
    return;
}

# A server that ran with wal_level = minimal after the divergence alone can be rewound, and --check says so.
sub ran_with_minimal
{
    fresh('ran', 'wal_level = minimal', 'max_wal_senders = 0', 'archive_mode = off')->start;
    $target->sql('INSERT INTO t VALUES (5)');
    $target->stop;
    my ($found) = grep { $_->{name} eq 'wal_level' } findings();
    is($found->{state}, 'ok', 'wal_level = minimal since the divergence does no harm');
    ends(of_target('--no-sync', '-R'), 0, 'a rewind of a server that ran with wal_level = minimal');
    return;
}

# The target has too low a wal_level for what its server will have.
sub refuses_wal_level
{
    my ($what, $level, $needed, @settings) = @_;
    my $fact = "the target's server would not start with wal_level = $level";
    my $reason = "It will have $what, which needs wal_level = $needed.";
    fresh('level')->start;
    $target->configure($_) for @settings;
    my $pid = $target->postmaster_pid;
    ends(of_target(qw(--rejoin --no-sync -B), $target->bindir), 1, "--rejoin with wal_level = $level",
        qr/^pg_rewind: error: \Q$fact\E$/m, qr/^pg_rewind: detail: \Q$reason\E$/m);
    is($target->postmaster_pid, $pid, 'the server goes on');
    $target->stop;
    my ($found) = grep { $_->{text} =~ /\Q$reason\E/ } findings('-R');
    is($found->{name}, 'standby', '--check -R has it as a finding') or return;
    is($found->{remedy}, "Set wal_level = $needed in the configuration that the target will have.", 'with what helps');
    ends(of_target('--no-sync', '-R'), 0, "-R with wal_level = $level",
        qr/^pg_rewind: hint: Before the server starts: \Q$fact\E\. \Q$reason\E Set wal_level = $needed /m);
    isnt($target->try_start->{status}, 0, 'the server does not start');
    $target->configure("wal_level = $needed");
    is($target->try_start->{status}, 0, 'and does with what helps') or diag($target->log);
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    prepared($version);
    ran_with_minimal();
    wal_level_of_settings($version);
    slots($version);
    wal_level($version);
    undef $target;
}, only => [ 10, 12, 15, 18 ]);
