# A server that is stopped amid its crash recovery says "shut down in recovery", as a standby does, but has no
# minRecoveryPoint: its pages are those of the crash. As source it is refused like any that has crashed. As target it
# counts as a primary. (Both roles.)
#
# One that had been promoted, and had not ended a checkpoint since, has a minRecoveryPoint, that of its promotion. As
# source all its WAL counts, as target it is rewound.
#
#   source      ┌── 2 ── checkpoint ── much work ──╳ killed, started, stopped amid crash recovery
#   target   1 ─┴── 1 ──▶
# (Rules C107, C108, S14.)

use strict;
use warnings;

use RewindTest;

sub stop_amid_crash_recovery
{
    my ($crashed) = @_;
    $crashed->stop_amid_crash_recovery;
    is(unpack('x16 V', slurp($crashed->path('global/pg_control'))), 2, "$crashed->{name} is shut down in recovery");
    return;
}

# What pg_auto_failover does with a primary that has crashed, before it calls pg_rewind.
sub stop_at_immediate_target
{
    my ($crashed) = @_;
    spew($crashed->path('recovery.signal'), '');
    $crashed->start(settings => { restore_command => 'false', recovery_target => 'immediate' });
    $crashed->stop;
    unlink $crashed->path('recovery.signal');
    is(unpack('x16 V', slurp($crashed->path('global/pg_control'))), 2, "$crashed->{name} is shut down in recovery");
    return;
}

sub as_source
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql("CREATE TABLE $_ AS SELECT g AS a, repeat('x', 100) AS b FROM generate_series(1, 20000) g")
                for qw(of_both of_source);
        },
        source => sub { $_[0]->sql('UPDATE of_source SET a = -a; UPDATE of_both SET a = -a') },
        target => sub { $_[0]->sql('UPDATE of_both SET a = a + 1') });
    $source->stop('kill');
    stop_amid_crash_recovery($source);
    my $refused = rewind($target, $source, kind => 'directory');
    is($refused->{status}, 1, 'it is refused as source');
    like($refused->{stderr}, qr/^pg_rewind: error: source data directory must be shut down cleanly$/m, 'with an error');
    like($refused->{stderr}, qr/^pg_rewind: detail: Its state is "shut down in crash recovery", .* has crashed\.$/m,
        'that tells its state');
    $source->start;
    rewinds_from_both_kinds($source, $target);
    return;
}

sub as_target
{
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 100000) g');
    my $source = $target->standby('source');
    $target->sql("SELECT pg_create_physical_replication_slot('of_a_former_standby')");
    $target->sql('CHECKPOINT; UPDATE t SET g = g + 1');
    # Its own record would be a divergence if the source lacked it.
    stop_in_system_call($target->background_writer_pid);
    $source->wait_for_replay_of($target);
    $target->stop('kill');
    $source->promote;
    $source->sql('CHECKPOINT');
    stop_amid_crash_recovery($target);
    my $check = run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ]);
    like($check->{stdout}, qr/, a stopped primary of PostgreSQL/, '--check calls it a primary');
    my $result = rewinds($target, $source, options => [ '-R', '--drop-slots' ]);
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is required');
    is_deeply([ glob $target->path('pg_replslot/*') ], [], 'its slots are dropped, as a primary\'s');
    rejoins($target, $source, recovery_written => 1, quick => 1);
    return;
}

# A primary, its standby that was promoted and stopped amid the recovery from its crash, and another that followed it.
sub promoted_without_checkpoint
{
    my ($version, $stop) = @_;
    my $primary = make_cluster('primary', $version, settings => 'bgwriter_lru_maxpages = 0')->start;
    $primary->sql('CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100000) g');
    my ($promoted, $other) = map { $primary->standby($_) } qw(promoted other);
    $primary->sql('CHECKPOINT');
    $promoted->wait_for_replay_of($primary);
    $promoted->sql('CHECKPOINT');    # replay of a later one would leave another state
    $primary->sql('UPDATE t SET a = a + 1');
    $_->wait_for_replay_of($primary) for $promoted, $other;
    $promoted->promote;    # it waits for processes that are held, from 19 on
    $promoted->hold_first_checkpoint;
    stop_in_system_call($promoted->background_writer_pid);
    $other->stop;
    $other->follow($promoted)->start;
    $promoted->sql('UPDATE t SET a = -a');
    $other->wait_for_replay_of($promoted);
    $promoted->stop('kill');
    $stop->($promoted);
    return ($primary, $promoted, $other);
}

sub promoted_as_source
{
    my ($version) = @_;
    my ($target, $source, $other) = promoted_without_checkpoint($version, \&stop_amid_crash_recovery);
    $other->stop;
    $target->sql('UPDATE t SET a = a + 2');
    $target->stop;
    rewinds($target, $source, kind => 'directory');
    $target->follow($source)->start;
    is($target->query('SELECT count(*) FROM t WHERE a < 0'), 100000, 'the target has all WAL of the source');
    $source->start;
    $target->stop;
    rejoins($target, $source, recovery_written => 1, quick => 1);
    return;
}

sub promoted_as_target
{
    my ($version, $stop) = @_;
    my ($primary, $target, $source) = promoted_without_checkpoint($version, $stop);
    $primary->stop;
    $source->promote;
    $source->sql('CHECKPOINT');
    my $result = rewinds($target, $source);
    unlike($result->{stderr}, qr/no rewind required/, 'it is rewound');
    rejoins($target, $source, quick => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    as_source($version);
    RewindTest::Cluster::discard_all();
    as_target($version);
    RewindTest::Cluster::discard_all();
    subtest('promoted, as source', sub { promoted_as_source($version) });
    for my $stop (\&stop_amid_crash_recovery, $version < 12 ? () : \&stop_at_immediate_target)
    {
        RewindTest::Cluster::discard_all();
        subtest('promoted, as target', sub { promoted_as_target($version, $stop) });
    }
});
