# A former primary that was started as a standby once, without a rewind, still has its slots. A failover slot of a
# standby that was not synchronized proves that it is one of these: no standby can make one. --drop-slots drops it then
# too, and says why others stay; --check does not promise a rewind that is not to come.
#
#   source       ┌──── 2 ──▶      the primary was shut down, and its standby had all of its WAL: nothing to rewind
#   target   1 ──┴──── 2 ──▶      and followed since
# (Rule S15.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Session;

sub slots_in { my ($cluster) = @_; return join ' ', sort map { s{.*/}{}r } glob($cluster->path('pg_replslot/*')) }

sub rewind_here
{
    my ($target, $source, @options) = @_;
    return run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]);
}

sub slots_by_check
{
    my ($target, $source, @options) = @_;
    my $check = run([ rewind_argv($target->data, qw(--check
        --report=json), @options, $source ? ('--source-server', $source->conninfo) : ()) ]);
    return (grep { $_->{name} eq 'slots' } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} })[0];
}

my $harm =
    'On a standby each keeps WAL until it is dropped, and a logical one ends the synchronization of slots if the source has a slot of the same name to be synchronized';

sub is_warned_of
{
    my ($finding, $what, $remedy) = @_;
    is($finding->{state}, 'warning', "$what: --check warns");
    is($finding->{text},
        "Where no rewind is needed the target keeps the replication slots of its time as a primary: of_subscriber (logical). $harm.",
        "$what: of the leftover");
    like($finding->{remedy}, qr/\Q$remedy\E/, "$what: and has the remedy");
    return;
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version, settings => "wal_level = logical\nhot_standby_feedback = on")->start;
    $target->sql("CREATE TABLE t AS SELECT 1 AS a; SELECT pg_create_physical_replication_slot('of_standby')");
    $target->sql("SELECT pg_create_logical_replication_slot('of_subscriber', 'test_decoding', false, false, true)");
    my $source = $target->standby('source');
    $source->wait_for_replay_of($target);
    $target->stop;
    $source->promote;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; CHECKPOINT');
    $source->sql("SELECT pg_create_logical_replication_slot('of_subscriber', 'test_decoding', false, false, true)");

    # A standby, which has not been rewound.
    $target->follow($source);
    $target->start;
    $target->wait_for_replay_of($source);
    my $sql = "SELECT pg_catalog.pg_drop_replication_slot('of_subscriber'::pg_catalog.name);";
    is_warned_of(slots_by_check($target, $source), 'running', $sql);
    is_warned_of(slots_by_check($target), 'running, without a source', $sql);
    my @rejoin = ('--rejoin', '-B', $target->bindir);
    my $follows = rewind_here($target, $source, @rejoin, '--drop-slots');
    is($follows->{status}, 0, '--rejoin of a standby that follows') or diag($follows->{stderr});
    like($follows->{stderr},
        qr/^pg_rewind: warning: --drop-slots has dropped no replication slot, since the target's server was not stopped\npg_rewind: hint: .*of_subscriber/m,
        'says why its slots stay');
    $target->stop;
    is_warned_of(slots_by_check($target, $source), 'stopped', 'Add --drop-slots to -R or --rejoin.');

    my $copy = $target->copy('named');
    my $named = rewind_here($copy, $source, '-R');
    is($named->{status}, 0, 'without --drop-slots') or diag($named->{stderr});
    like($named->{stderr},
        qr/^pg_rewind: hint: Where no rewind is needed the target keeps the replication slots of its time as a primary: of_subscriber \(logical\)\. /m,
        'the leftover is named, and no other');
    is(slots_in($copy), 'of_standby of_subscriber', 'and stays');
    $copy->discard;

    my $dropped = rewind_here($target, $source, qw(-R --drop-slots --slot=of_target --create-slot));
    is($dropped->{status}, 0, '--drop-slots') or diag($dropped->{stderr});
    like($dropped->{stderr},
        qr/^pg_rewind: detail: Replication slots of the target that are now gone: of_subscriber\.$/m,
        'drops the leftover');
    like($dropped->{stderr},
        qr/^pg_rewind: --drop-slots leaves the replication slots of a target that was a standby, since its own standbys may use them: of_standby$/m,
        'and says why the other stays');
    is(slots_in($target), 'of_standby', 'so it is');
    my $finding = slots_by_check($target, $source);
    is("$finding->{state}: $finding->{text}",
        'ok: No rewind is needed, so this standby\'s replication slots stay: of_standby (physical).',
        '--check does not promise a rewind');

    # One that was synchronized is no leftover.
    $target->configure('sync_replication_slots = on');
    $target->start;
    # It waits for the slot to need nothing that the standby no longer has.
    wait_until('the slot is synchronized', sub {
        $source->sql('INSERT INTO t VALUES (2); SELECT pg_log_standby_snapshot()');
        $source->sql("SELECT pg_replication_slot_advance('of_subscriber', pg_current_wal_flush_lsn())");
        $target->query("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'of_subscriber' AND synced AND NOT temporary")
            == 1;
    });
    $target->stop;
    my $again = rewind_here($target, $source, qw(-R --drop-slots));
    is($again->{status}, 0, '--drop-slots again') or diag($again->{stderr});
    is(slots_in($target), 'of_standby of_subscriber', 'a slot that was synchronized stays');
}, from => 17);
