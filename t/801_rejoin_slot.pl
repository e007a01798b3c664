# --rejoin --slot, called again: the slot is in use by the target's own server, which is no obstacle. A slot that
# another standby uses is one, before the target's server is stopped; and one that the source has not released yet is
# waited for. (Invariant 3.)
#
#   source   1 ──┬── 2 ─── slot s ──▶ target, again and again
#   target       └── 1 ──╳
# (Rules I56, S17, S32.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Outcome;

my ($source, $target);

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    my $conninfo = $option{conninfo} // $source->conninfo . ' application_name=target';
    return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--source-server',
        $conninfo, '--slot=s', @options) ],
        env => $option{env} // {});
}

sub user_of_slot
{
    return $source->query(q{SELECT r.application_name FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = 's'});
}

# --check looks at the slot as well, while the target's server runs.
sub is_checked
{
    my ($what, $state, $says) = @_;
    my $result = run([ rewind_argv($target->data, qw(--check --report=json -R
        --slot=s), '-B', $target->bindir, '--source-server', $source->conninfo) ]);
    my ($found) = grep { $_->{name} eq 'source_slot' } @{ JSON::PP->new->utf8->decode($result->{stdout})->{findings} };
    is($found->{state}, $state, "$what: --check says so");
    like($found->{text}, $says, "$what: with the reason");
    return;
}

sub is_used_by_target
{
    my ($what) = @_;
    is(user_of_slot(), 'target', "$what: the target uses the slot");
    is_checked($what, 'ok', qr/^Replication slot "s" of the source is the one that this node's server uses\.$/);
    $source->sql("INSERT INTO t VALUES ('$what')");
    $target->wait_for_replay_of($source);
    is($target->query('SELECT count(*) FROM t'), $source->query('SELECT count(*) FROM t'),
        "$what: it has the source's rows");
    return;
}

sub pair
{
    my ($version) = @_;
    $target = make_cluster('target', $version)->start;
    $target->sql("CREATE TABLE t AS SELECT 'common'::text AS a");
    $source = $target->standby('source')->promote;
    $target->sql("INSERT INTO t VALUES ('lost')");
    return;
}

# What the slot of another standby is, and whose server goes on.
sub is_refused
{
    my ($what) = @_;
    my $pid = $target->postmaster_pid;
    is_checked($what, 'problem',
        qr/^replication slot "s" of the source is in use\nA client with application_name "other" streams with it\.$/);
    ends(rejoin(), 1, $what, qr/^pg_rewind: error: replication slot "s" of the source is in use$/m,
        qr/^pg_rewind: detail: A client with application_name "other" streams with it\.$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
    is($target->postmaster_pid, $pid, "$what: the target's server is not stopped");
    return;
}

sub start_other
{
    my $other = $source->standby('other');
    my $file = $other->path($other->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    append($file, "primary_slot_name = 's'\n");
    $other->stop->start;
    wait_until('the other standby uses the slot', sub { user_of_slot() eq 'other' });
    return $other;
}

sub used_by_another
{
    $source->sql(q{SELECT pg_create_physical_replication_slot('s')});
    my $other = start_other();
    is_refused('a primary, and a slot that another standby uses');
    $other->discard;
    wait_until('the slot is free', sub { user_of_slot() eq '' });
    return;
}

# It has the slot in its configuration, but came too late.
sub used_by_another_too_early
{
    $target->stop;
    my $other = start_other();
    $target->start;
    wait_until(sub { "the target has asked for the slot; its log:\n" . $target->log },
        sub { $target->log =~ /slot "s" is active for PID/ });
    is_refused('a standby whose slot another one uses');
    $other->discard;
    wait_until('the target has its slot', sub { user_of_slot() eq 'target' });
    return;
}

# By a name under which it is not known as the source that the target follows.
sub under_another_address
{
    my $other_name = $target->dir . '/other_name';
    symlink($source->dir, $other_name) or die;
    my $conninfo = $source->conninfo . ' application_name=target';
    $conninfo =~ s/\Q$source->{dir}\E/$other_name/ or die $conninfo;
    # A smart stop waits for all that are connected.
    ends(rejoin("--stop-command=$target->{bindir}/pg_ctl -D $target->{dir}/data -m smart -w stop",
        { conninfo => $conninfo }), 0, 'a source under another address',
        qr/^pg_rewind: stopping the target's server/m,
        qr/^pg_rewind: the target follows the source: standby "target"/m);
    is_used_by_target('a source under another address');
    # The configuration names the slot as well as --slot.
    if ($target->version >= 12)
    {
        ends(run([ rewind_argv($target->data, qw(--rejoin --compare --keep-config --no-sync -B), $target->bindir,
            '--source-server', $source->conninfo . ' application_name=target') ]), 0,
            'a slot that the configuration names', qr/^pg_rewind: stopping the target's server/m);
        is_used_by_target('a slot that the configuration names');
    }
    return;
}

# Neither how standbys do, nor what the target receives.
sub by_a_role_that_sees_little
{
    $source->sql(rewinding_role('rewinder'));
    $source->sql('ALTER ROLE rewinder REPLICATION');
    $target->wait_for_replay_of($source);
    ends(rejoin({ conninfo => $source->conninfo =~ s/user=\S+/user=rewinder/r . ' application_name=target' }), 0,
        'by a role that sees little');
    is_used_by_target('by a role that sees little');
    return;
}

# The process that sends to a server which is gone does not notice it.
sub not_released_yet
{
    my $sender = $source->query(q{SELECT active_pid FROM pg_replication_slots WHERE slot_name = 's'});
    stop_in_system_call($sender);
    $target->stop('immediate');
    ends(rejoin(), 1, 'a slot that is not released yet',
        qr/^pg_rewind: replication slot "s" of the source is in use; waiting up to 5 s for its release\n(?:.*\n)*?pg_rewind: error: replication slot "s" of the source is in use$/m,
        qr/wal_sender_timeout/);
    kill 'CONT', $sender;
    wait_until('the slot is free', sub { user_of_slot() eq '' });
    ends(rejoin(), 0, 'a slot that was released', qr/^pg_rewind: the target follows the source: standby "target"/m);
    is_used_by_target('a slot that was released');
    return;
}

each_version(sub {
    my ($version) = @_;
    pair($version);
    is_checked('a primary that runs', 'ok',
        qr/^Replication slot "s" of the source can be used, or does not exist yet\.$/);
    used_by_another();
    # Killed at the end of its wait: the server runs, and holds the slot.
    my $result = rejoin(ONCE,
        { env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => 'kill:unlink@*/pg_rewind.work.start' } });
    is($result->{signal}, 9, 'killed while it waits') or diag($result->{stderr});
    wait_until('the target has its slot', sub { user_of_slot() eq 'target' });
    my $pid = $target->postmaster_pid;
    ends(rejoin(), 0, $_, qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m)
        for 'killed while it waits, and again', 'once more';
    ends(rejoin('--create-slot'), 0, 'with --create-slot',
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is_used_by_target('again');
    under_another_address();
    by_a_role_that_sees_little() if $version >= 11;
    used_by_another_too_early();
    not_released_yet();
}, only => [ 10, 15, 18 ]);
