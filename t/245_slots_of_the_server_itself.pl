# Slots that a server of 19 creates and drops by itself. REPACK (CONCURRENTLY) has its own ones, which do not count
# towards max_replication_slots: while it runs --create-slot finds a free one. The slot for conflict detection, of a
# primary with subscriptions that retain dead tuples, stays on its directory without a rewind. On a standby it makes
# hot_standby_feedback keep the source's dead rows, and only --drop-slots drops it.
#
#   source       ┌──── 2 ──▶      the primary was shut down: nothing to rewind
#   target   1 ──┘
# (Rules S25, S26.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Session;

my $slot = 'pg_conflict_detection';

sub xmin_of
{
    my ($cluster) = @_;
    return $cluster->query("SELECT xmin FROM pg_replication_slots WHERE slot_name = '$slot'");
}

sub slots_in { my ($cluster) = @_; return join ' ', sort map { s{.*/}{}r } glob($cluster->path('pg_replslot/*')) }

sub run_on
{
    my ($target, $source, @options) = @_;
    return run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]);
}

sub findings
{
    my ($target, $source) = @_;
    my $check = run_on($target, $source, qw(--check --report=json));
    return map { "$_->{state}: $_->{text}" . ($_->{remedy} ? " | $_->{remedy}" : '') }
        grep { $_->{name} eq 'slots' } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
}

sub repack_takes_no_slot
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'max_replication_slots = 1' },
        before  => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t ADD PRIMARY KEY (a)') },
        source  => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target  => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    my $open = $source->session;
    $open->sql('BEGIN; SELECT pg_current_xact_id()');    # its end is waited for
    my $repack = $source->session;
    $repack->send('REPACK (CONCURRENTLY) t');
    wait_until('REPACK has its slot', sub {
        $source->query(q{SELECT count(*) FROM pg_replication_slots WHERE plugin = 'pgrepack'}) == 1 });
    my $result = rewind($target, $source, options => [qw(-R --slot=of_target --create-slot)]);
    is($result->{status}, 0, 'a slot is created while REPACK runs') or diag($result->{stderr});
    is($source->query(q{SELECT string_agg(plugin, ' ') || count(*) FROM pg_replication_slots}), 'pgrepack2',
        'beside its slot');
    $open->sql('COMMIT');
    $repack->sql('SELECT 1');
    $_->end for $open, $repack;
    $_->discard for $target, $source;
    return;
}

sub pair_with_conflict_slot
{
    my ($version) = @_;
    my $target = make_cluster('target', $version,
        settings => "track_commit_timestamp = on\nhot_standby_feedback = on\nwal_receiver_status_interval = 1s")->start;
    $target->sql('CREATE TABLE t AS SELECT 1 AS a');
    $target->sql(q{CREATE SUBSCRIPTION s CONNECTION 'host=/nonexistent' PUBLICATION p
        WITH (connect = false, retain_dead_tuples = true)});
    $target->restart;    # its launcher looks at subscriptions
    wait_until('the slot for conflict detection exists', sub { xmin_of($target) ne '' });
    my $source = $target->standby('source');
    $source->wait_for_replay_of($target);
    $target->stop;
    $source->promote;
    wait_until('the source has its own', sub { xmin_of($source) ne '' });
    return ($source, $target);
}

my $says = "Where no rewind is needed the target keeps the replication slot \"$slot\" of its time as a primary "
    . 'with subscriptions. It keeps no WAL, but with hot_standby_feedback the source removes no dead rows until it '
    . 'is dropped.';
my $remedy = 'Stop the server, and add --drop-slots to -R or --rejoin: no statement drops this slot.';

sub conflict_slot_stays
{
    my ($target, $source) = @_;
    my $result = run_on($target, $source, '-R');
    is($result->{status}, 0, 'nothing is to be rewound') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: hint: \Q$says $remedy\E$/m, 'the slot is named with what it does');
    unlike($result->{stderr}, qr/keeps WAL|pg_drop_replication_slot/, 'and no more');
    $target->start;
    my $xmin = xmin_of($target);
    $source->sql('INSERT INTO t VALUES (2)') for 1 .. 3;
    $target->wait_for_replay_of($source);
    wait_until('hot_standby_feedback has its xmin',
        sub { $source->query('SELECT backend_xmin FROM pg_stat_replication') eq $xmin });
    like($target->try_sql("SELECT pg_drop_replication_slot('$slot')")->{stderr}, qr/\Q$slot\E/,
        'no statement drops it');
    is(join(' ', findings($target, $source)), "warning: $says | $remedy", '--check of the standby has the warning');

    my $follows = run_on($target, $source, qw(--rejoin --drop-slots -B), $target->bindir);
    is($follows->{status}, 0, '--rejoin of a standby that follows') or diag($follows->{stderr});
    like($follows->{stderr},
        qr/^pg_rewind: hint: Stop the server and run the same command again: no statement drops "$slot"\.$/m,
        'says what to do');
    $target->stop;
    return;
}

sub conflict_slot_is_dropped
{
    my ($target, $source) = @_;
    my $result = run_on($target, $source, qw(--rejoin --drop-slots -B), $target->bindir);
    is($result->{status}, 0, '--drop-slots') or diag($result->{stderr});
    is(slots_in($target), '', 'drops it, also of a standby');
    wait_until('the source may remove its dead rows', sub {
        $source->query('SELECT backend_xmin::text::bigint FROM pg_stat_replication') > xmin_of($source) });
    $source->stop;
    $target->promote;
    wait_until('a primary makes one again', sub { xmin_of($target) ne '' });
    return;
}

sub conflict_slot_is_no_loss
{
    my ($version) = @_;
    my ($source, $target) = pair_with_conflict_slot($version);
    $target->start->sql('INSERT INTO t VALUES (3)');
    $target->stop;
    is(join(' ', findings($target, $source)), 'ok: There are no replication slots of clients.',
        'a rewind that removes it is no loss');
    $_->discard for $target, $source;
    return;
}

each_version(sub {
    my ($version) = @_;
    repack_takes_no_slot($version);
    conflict_slot_is_no_loss($version);
    my ($source, $target) = pair_with_conflict_slot($version);
    conflict_slot_stays($target, $source);
    conflict_slot_is_dropped($target, $source);
}, from => 19);
