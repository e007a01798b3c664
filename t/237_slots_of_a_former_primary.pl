# A former primary that needs no rewind keeps its replication slots. Each is named with what it does to a standby, and
# --drop-slots drops them: each is whole or dropped, whenever that is interrupted. A standby's own slots stay.
# (Invariant 6. 17 and later: a logical slot stops the synchronization of slots.)
#
#   source       ┌──── 2 ──▶      the primary was shut down, and its standby had all of its WAL: nothing to rewind
#   target   1 ──┘
# (Rules S14, S16, S33, S36.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

sub slots_in { my ($cluster) = @_; return join ' ', sort map { s{.*/}{}r } glob($cluster->path('pg_replslot/*')) }

sub make_standby
{
    my ($target, $source, @options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return rewind($target, $source, options => [ '-R', @options ], %option);
}

sub shared_pair
{
    my ($version) = @_;
    my $target = make_cluster('target', $version, settings => 'wal_level = logical')->start;
    $target->sql("CREATE TABLE t AS SELECT 1 AS a; SELECT pg_create_physical_replication_slot('of_standby')");
    $target->sql("SELECT pg_create_logical_replication_slot('of_subscriber', 'test_decoding')");
    my $source = $target->standby('source');
    $source->wait_for_replay_of($target);
    $target->stop;
    $source->promote;
    # the copies of the primary's
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; CHECKPOINT');
    return ($source, $target);
}

sub are_named
{
    my ($target, $source) = @_;
    my $sync = $target->version < 17 ? ''
        : ', and a logical one ends the synchronization of slots if the source has a slot of the same name to be synchronized';
    my $check = run([ rewind_argv($target->data, '--check', '--report=json', '--source-server', $source->conninfo,
        '-R') ]);
    my ($slots) = grep { $_->{name} eq 'slots' } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
    is($slots->{text},
        "Where no rewind is needed the target keeps the replication slots of its time as a primary: of_standby (physical), of_subscriber (logical). On a standby each keeps WAL until it is dropped$sync.",
        '--check names them');
    like($slots->{remedy}, qr/^Add --drop-slots to -R or --rejoin\./, 'and the option');

    my $copy = $target->copy('named');
    my $result = make_standby($copy, $source, '--report=json');
    is($result->{status}, 0, 'nothing is to be rewound') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'as it says');
    like($result->{stderr},
        qr/^pg_rewind: hint: Where no rewind is needed the target keeps the replication slots of its time as a primary: of_standby \(physical\), of_subscriber \(logical\)\. On a standby each keeps WAL until it is dropped\Q$sync\E\. Add --drop-slots to -R or --rejoin\. Or when the server runs, drop those that are not used there: SELECT pg_catalog\.pg_drop_replication_slot\('of_standby'::pg_catalog\.name\); SELECT pg_catalog\.pg_drop_replication_slot\('of_subscriber'::pg_catalog\.name\);$/m,
        'the slots are named');
    is(join(', ', map { "$_->{name} $_->{type} $_->{state}" } @{
        JSON::PP->new->utf8->decode($result->{stdout})->{next}{slots} }),
        'of_standby physical kept, of_subscriber logical kept', 'in the report as well');
    is(slots_in($copy), 'of_standby of_subscriber', 'and stay');
    $copy->discard;
    return;
}

sub are_dropped
{
    my ($target, $source) = @_;
    my $copy = $target->copy('dropped');
    my $dry = make_standby($copy, $source, '--drop-slots', '-n', '--report=json');
    like($dry->{stderr},
        qr/^pg_rewind: detail: Replication slots of the target that would be gone: of_standby, of_subscriber\.$/m,
        'a dry run says what would be dropped');
    is(slots_in($copy), 'of_standby of_subscriber', 'and drops nothing');
    my $result = make_standby($copy, $source, '--drop-slots', '--report=json');
    is($result->{status}, 0, '--drop-slots') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: detail: Replication slots of the target that are now gone: of_standby, of_subscriber\.$/m,
        'says that they are gone');
    unlike($result->{stderr}, qr/keeps the replication slots/, 'and not that they stay');
    is(join(', ', map { "$_->{name} $_->{state}" } @{ JSON::PP->new->utf8->decode($result->{stdout})->{next}{slots} }),
        'of_standby removed, of_subscriber removed', 'in the report as well');
    is(slots_in($copy), '', 'they are');
    unlike(make_standby($copy, $source, '--drop-slots')->{stderr}, qr/slots/,
        'the same command again has none to speak of');
    rejoins($copy, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($copy->query('SELECT count(*) FROM pg_replication_slots'), 0, 'the standby has none');

    # What it makes as a standby is its own.
    $copy->sql("SELECT pg_create_physical_replication_slot('of_cascade')");
    $copy->stop;
    like(make_standby($copy, $source, '--drop-slots')->{stderr},
        qr/^pg_rewind: --drop-slots leaves the replication slots of a target that was a standby, since its own standbys may use them: of_cascade$/m,
        'a standby\'s slots are left, as it says');
    unlike(make_standby($copy, $source)->{stderr}, qr/slots/, 'and not spoken of without the option');
    is(slots_in($copy), 'of_cascade', 'and not dropped');
    $copy->discard;
    return;
}

# Killed at each call that changes pg_replslot.
sub interrupted
{
    my ($target, $source) = @_;
    my $log = work_dir() . '/calls';
    my $whole_run = $target->copy('logged');
    make_standby($whole_run, $source, '--drop-slots',
        { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT_LOG => $log } });
    $whole_run->discard;
    my @calls = map { m{^(\d+) (\S+ \S*/pg_replslot\S*)$} ? [ $1, $2 ] : () } split /\n/, slurp($log);
    cmp_ok(@calls, '>=', 8, 'two renames, two states, two directories, and what brings that to the disk');
    for my $call (@calls)
    {
        my ($number, $name) = ($call->[0], $call->[1] =~ s{ /.*/(?=pg_replslot)}{ }r);
        my $copy = $target->copy('killed');
        my $killed = make_standby($copy, $source, '--drop-slots', { fault => "kill:$number" });
        is($killed->{signal}, 9, "killed at $name");
        my @whole = grep { !/\.tmp$/ } split / /, slots_in($copy);
        is(join(' ', grep { !-e $copy->path("pg_replslot/$_/state") } @whole), '', 'each slot is whole or dropped');
        my $started = $copy->copy('started');
        unlink $started->path('postmaster.pid');
        is($started->try_start->{status}, 0, 'a server starts');
        is($started->query('SELECT count(*) FROM pg_replication_slots'), scalar @whole, 'and has those that are whole');
        is(slots_in($started), join(' ', @whole), 'what was dropped in part it removes');
        $started->discard;
        is(make_standby($copy, $source, '--drop-slots')->{status}, 0, 'the same command goes on');
        is(join(' ', grep { !/\.tmp$/ } split / /, slots_in($copy)), '', 'and drops the rest');
        $copy->discard;
    }
    return;
}

# With a slot that stays the standby starts only with settings that the slot can be used with.
sub keep_the_standby_from_starting
{
    my ($target, $source, $set, $fact, $reason, $needed) = @_;
    my $copy = $target->copy('kept_from_starting');
    my $add = 'Or add --drop-slots to -R or --rejoin.';
    $copy->configure($set);
    my $rejoin = run([ rewind_argv($copy->data, '--rejoin', '--no-sync', '-B', $copy->bindir,
        '--source-server', $source->conninfo) ]);
    is($rejoin->{status}, 1, "--rejoin refuses $set") or diag($rejoin->{stderr});
    like($rejoin->{stderr}, qr/^pg_rewind: error: \Q$fact\E\npg_rewind: detail: \Q$reason\E$/m, 'with the reason');
    ok(!-e $copy->path('standby.signal') && !-e $copy->path('recovery.conf'), 'and has written nothing');
    my $check = run([ rewind_argv($copy->data, '--check', '--report=json', '--source-server', $source->conninfo,
        '-R') ]);
    my ($found) = grep { $_->{text} =~ /\Q$reason\E/ } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
    is($found->{name}, 'standby', '--check -R has it as a finding');
    is($found->{remedy}, "Set $needed in the configuration that the target will have. $add", 'with what helps');

    my $result = make_standby($copy, $source);
    is($result->{status}, 0, '-R makes a standby') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: hint: Before the server starts: \Q$fact\E\. \Q$reason\E Set \Q$needed\E /m,
        'and has a step');
    isnt($copy->try_start->{status}, 0, 'without it the server does not start');
    my $dropping = make_standby($copy, $source, '--drop-slots');
    is($dropping->{status}, 0, '--drop-slots') or diag($dropping->{stderr});
    unlike($dropping->{stderr}, qr/would not start/, 'needs no such step');
    is($copy->try_start->{status}, 0, 'and the server starts') or diag($copy->log);
    $copy->discard;
    return;
}

# A standby that runs is not stopped if its server would not start again.
sub keep_the_standby_from_starting_again
{
    my ($target, $source) = @_;
    my $copy = $target->copy('runs');
    is(make_standby($copy, $source)->{status}, 0, 'a standby with the slots');
    $copy->start;
    $copy->configure('hot_standby = off');
    my $pid = $copy->postmaster_pid;
    my $rejoin = run([ rewind_argv($copy->data, '--rejoin', '--no-sync', '-B', $copy->bindir, '--slot=of_target',
        '--create-slot', '--source-server', $source->conninfo) ]);
    is($rejoin->{status}, 1, '--rejoin would stop it, for another slot, and does not') or diag($rejoin->{stderr});
    like($rejoin->{stderr}, qr/^pg_rewind: error: the target's server would not start with hot_standby = off$/m,
        'as it says');
    is($copy->postmaster_pid, $pid, 'the server goes on');
    $copy->discard;
    return;
}

# Which settings a --start-command gives is not known: what the files set is no more than a warning, and what they do
# not set counts as not known.
sub the_start_command_sets_the_level
{
    my ($target, $source, $in_file) = @_;
    my $copy = $target->copy('commanded');
    spew($copy->path('postgresql.conf'), slurp($copy->path('postgresql.conf')) =~ s/^wal_level.*\n//mgr . $in_file);
    my $options = "-c wal_level=logical -c unix_socket_directories=$copy->{dir}";
    my $start = "$copy->{bindir}/pg_ctl -w -D $copy->{dir}/data -l $copy->{dir}/log -o '$options' start";
    my $rejoin = run([ rewind_argv($copy->data, '--rejoin', '--no-sync', '-B', $copy->bindir,
        '--source-server', $source->conninfo, "--start-command=$start") ]);
    is($rejoin->{status}, 0, "--start-command sets wal_level, a file: '$in_file'") or diag($rejoin->{stderr});
    my $warning = qr/^pg_rewind: warning: the target's server would not start with wal_level = replica$/m;
    is(scalar(() = $rejoin->{stderr} =~ /$warning/g), $in_file eq '' ? 0 : 1, 'a warning if the file has another')
        or diag($rejoin->{stderr});
    is($copy->query('SHOW wal_level'), 'logical', 'the server has started with the option');
    $copy->stop;
    $copy->discard;
    return;
}

sub need_settings
{
    my ($version, $target, $source) = @_;
    my $slot = 'It will have the logical replication slot "of_subscriber", which';
    keep_the_standby_from_starting($target, $source, 'wal_level = replica',
        'the target\'s server would not start with wal_level = replica', "$slot needs wal_level = logical.",
        'wal_level = logical') if $version < 19;
    keep_the_standby_from_starting($target, $source, 'hot_standby = off',
        'the target\'s server would not start with hot_standby = off', "$slot needs hot_standby = on.",
        'hot_standby = on') if $version >= 16;
    keep_the_standby_from_starting_again($target, $source) if $version >= 16;
    the_start_command_sets_the_level($target, $source, $_) for $version < 19 ? ('', "wal_level = replica\n") : ();
    return;
}

# What a logical slot does to the synchronization of slots, and that it works without.
sub slots_are_synchronized
{
    my ($target, $source) = @_;
    my $standby = $target->copy('synchronizes');
    $source->sql("SELECT pg_create_logical_replication_slot('of_subscriber', 'test_decoding', false, false, true)");
    my @options = ('--slot=of_target', '--create-slot');
    is(make_standby($standby, $source, @options)->{status}, 0, 'with its slots');
    $standby->configure("sync_replication_slots = on\nhot_standby_feedback = on");
    $standby->start;
    wait_until('the standby meets its own slot',
        sub { $standby->log =~ /same name slot "of_subscriber" already exists on the standby/ });
    $standby->stop;
    $standby->discard;

    $standby = $target->copy('synchronized');
    is(make_standby($standby, $source, @options, '--drop-slots')->{status}, 0, 'without them');
    $standby->configure("sync_replication_slots = on\nhot_standby_feedback = on");
    $standby->start;
    $source->sql('INSERT INTO t VALUES (2)');
    wait_until('the slot is synchronized',
        sub { $standby->query("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'of_subscriber' AND synced")
        == 1 });
    $standby->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = shared_pair($version);
    are_named($target, $source);
    are_dropped($target, $source);
    need_settings($version, $target, $source);
    return if $version < 18;
    interrupted($target, $source);
    slots_are_synchronized($target, $source);
}, only => [ 10, 15, 18 ]);
