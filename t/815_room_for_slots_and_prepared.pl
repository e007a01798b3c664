# What else a server loads from the source's files before it does anything else needs room whatever hot_standby says: a
# prepared transaction (10 and later), and up to 10, whose slots are copied, a replication slot.
#
#   source   1 ──┬── 2 ── 2 transactions are prepared, 12 slots ── checkpoint ──▶
#   target       └── 1 ──▶ keeps its configuration: room for 1, for 10
# (Rule S23.)

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

sub finding
{
    my $check = of_target('--check', '--report=json', @_);
    my $said = JSON::PP->new->utf8->decode($check->{stdout});
    my ($found) = grep { $_->{name} eq 'standby_limits' } @{ $said->{findings} };
    return $found;
}

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

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    prepared($version);
    slots($version);
    undef $target;
}, only => [ 10, 12, 15, 18 ]);
