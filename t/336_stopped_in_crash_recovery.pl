# A server that is stopped amid its crash recovery says "shut down in recovery", as a standby does, but has no
# minRecoveryPoint: its pages are those of the crash. As source it is refused like any that has crashed. As target it
# counts as a primary. (Both roles.)
#
#   source      ┌── 2 ── checkpoint ── much work ──╳ killed, started, stopped amid crash recovery
#   target   1 ─┴── 1 ──▶
# (Rules C107, S14.)

use strict;
use warnings;

use RewindTest;

# What a service manager and an administrator do: start it after a crash, and stop it before it is through. The
# postmaster heeds the signal as soon as it has made the process that recovers.
sub stop_amid_crash_recovery
{
    my ($crashed) = @_;
    my $pid = 0;
    my @start = ('-l', $crashed->dir . '/log.crash_recovery', '-o', "-c unix_socket_directories=$crashed->{dir}");
    must_run([ "$crashed->{bindir}/pg_ctl", '-D', $crashed->data, @start, '-W', 'start' ]);
    wait_until('the postmaster runs', sub {
        for (1 .. 1000) { last if $pid = $crashed->postmaster_pid }
        return $pid;
    });
    kill 'INT', $pid;
    $crashed->wait_for_end_of($pid);
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
    kill 'STOP', $target->background_writer_pid;    # its own record would be a divergence if the source lacked it
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

each_version(sub {
    my ($version) = @_;
    as_source($version);
    RewindTest::Cluster::discard_all();
    as_target($version);
});
