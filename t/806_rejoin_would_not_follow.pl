# --rejoin does not start, nor stop, a server of which it is known that it would not follow: a recovery target ends its
# replay, and it may open for writing; its slot is not on the source, or another standby uses it there; or what the
# lost rows go to is not there. And one that receives from another host of its primary_conninfo, as from itself, does
# not follow the source. (Invariant 3. Where recovery is configured: 10.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──▶ running
# (Rules I50, I53, I54, I57, I60, S27, S32.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;
use RewindTest::Outcome;

my ($source, $diverged, $target);

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --rejoin-timeout=20
        -B), $target->bindir, '--source-server', $option{conninfo} // $source->conninfo, @options) ]);
}

# While the server runs, which goes on, in a dry run, and when it is stopped.
sub is_refused
{
    my ($what, $says, @options) = @_;
    my $pid = $target->postmaster_pid;
    ends(rejoin(@options, @$_), 1, "$what @$_", $says,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m) for [], ['-n'];
    is($target->postmaster_pid, $pid, "$what: the server goes on");
    $target->stop;
    ends(rejoin(@options, @$_), 1, "$what, stopped @$_", $says) for [], ['-n'];
    ok(!$target->is_running, "$what, stopped: it is not started");
    $target->start;
    return;
}

sub fresh { my ($name) = @_; $target->discard if $target; $target = $diverged->copy($name); $target->{starts} = 1;
    return $target }

# Settings in the source's or target's last file, for this time.
sub with_settings
{
    my ($cluster, $settings, $test) = @_;
    my $file = $cluster->path('postgresql.auto.conf');
    my $before = slurp($file);
    append($file, $settings);
    $test->();
    spew($file, $before) if -e $file;
    return;
}

# --check has it as a warning: with -R alone it is a hint.
sub is_foretold
{
    my ($name, @options) = @_;
    my $check = sub { return run([ rewind_argv($target->data, qw(--check -R
        --verbose), '--source-server', $source->conninfo, @_) ])->{stdout} };
    for my $running (1, 0)
    {
        $target->stop if !$running;
        like($check->(@options), qr/^warning  standby +with "$name" the target's server/m, "--check tells of $name");
        like($check->(), qr/^ok       standby /m, '--check tells that nothing is there');
    }
    $target->start;
    return;
}

sub recovery_targets
{
    my ($version) = @_;
    my ($from_source, $own) = ('The target will have the setting from the source, or in a file that is kept',
        q{The setting is in the target's configuration});
    my $says = sub { my ($name, $whose) = @_;
        qr/^pg_rewind: error: with "$name" the target's server would not follow the source\npg_rewind: detail: .* \Q$whose\E\.$/m };
    fresh('targets')->start;
    with_settings($source, "recovery_target_time = '2020-01-01 00:00:00+00'\nrecovery_target_action = 'promote'\n",
        sub { is_refused('a recovery target of the source', $says->('recovery_target_time', $from_source)) });
    spew($source->path('from_backup.conf'), "recovery_target_name = 'here'\n");
    with_settings($source, "include 'from_backup.conf'\n",
        sub { is_refused('one that the source includes', $says->('recovery_target_name', $from_source)) });
    unlink $source->path('from_backup.conf');
    mkdir $target->path('own.d');
    spew($target->path('own.d/own.conf'), "recovery_target_name = 'there'\n");
    with_settings($source, "include_dir 'own.d'\n",
        sub { is_refused('one in a directory that is kept', $says->('recovery_target_name', $from_source),
        '--keep=own.d') });
    # With this one it would be promoted as soon as it is consistent.
    with_settings($target, "recovery_target = 'immediate'\nrecovery_target_action = 'promote'\n",
        sub { is_foretold('recovery_target', '--keep-config');
        is_refused('a recovery target that is kept', $says->('recovery_target', $own), '--keep-config') });
    with_settings($target, "recovery_target_timeline = 'current'\n",
        sub { is_refused('another timeline', $says->('recovery_target_timeline', $from_source),
        '--keep=*.auto.conf') });
    with_settings($target, "recovery_target_timeline = '2'\n",
        sub { ends(rejoin('--keep-config'), 0, 'the timeline of the source by its number') });

    # Where no rewind is required as well: what -R writes leaves them.
    $target->stop;
    append($target->path('postgresql.auto.conf'), "recovery_target = 'immediate'\n");
    ends(rejoin(), 1, 'without divergence', $says->('recovery_target', $own));
    ok(!$target->is_running, 'without divergence: it is not started');

    # A standby of another primary, with a slot that only that one has: it runs afterwards, as it did before.
    return if $version < 12;
    spew($target->path('postgresql.auto.conf'),
        "primary_conninfo = 'host=/nowhere'\nprimary_slot_name = 'of_the_other'\n");
    $target->start;
    ends(rejoin('--rejoin-timeout=2'), 2, 'a running standby without divergence');
    ok($target->is_running, 'a running standby without divergence still runs');
    return;
}

# A slot of the name in the source's configuration exists there, but is none for the target. -R alone says so as a step.
sub is_no_slot_for_target
{
    my ($what, $says) = @_;
    my $slot = qr/replication slot "of_source" of the source $says/;
    with_settings($source, "primary_slot_name = 'of_source'\n", sub {
        is_refused($what, qr/^pg_rewind: error: $slot$/m);
        my $copy = $diverged->copy('copy');
        my $with_r = sub { return run([ rewind_argv($copy->data, qw(-R --no-sync), '--source-server',
            $source->conninfo, @_) ]) };
        ends($with_r->(), 0, "$what, with -R alone", qr/^pg_rewind: hint: Before the server starts: $slot\. /m,
            qr/: run pg_rewind with --slot=NAME and --create-slot\./);
        my $again = ends($with_r->('--slot=own', '--create-slot'), 0, "$what, with a slot of its own");
        unlike($again->{stderr}, qr/of_source/, "$what, with a slot of its own: nothing more to do");
        $copy->start->wait_for_stream_from($source);
        $copy->discard;
        wait_until('the slot is free',
            sub { $source->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 'own'}) eq 'f' });
        $source->sql(q{SELECT pg_drop_replication_slot('own')});
    });
    return;
}

sub slots_that_are_taken
{
    fresh('taken')->start;
    $source->sql(q{SELECT pg_create_physical_replication_slot('of_source')});
    my $other = $source->standby('other');
    append($other->path('postgresql.auto.conf'), "primary_slot_name = 'of_source'\n");
    $other->stop->start;
    wait_until('the other standby uses the slot',
        sub { $source->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 'of_source'}) eq 't' });
    is_no_slot_for_target('a slot of another standby', 'is in use');
    $other->discard;
    $source->sql(q{SELECT pg_drop_replication_slot('of_source')});
    $source->sql(q{SELECT pg_create_logical_replication_slot('of_source', 'pgoutput')});
    is_no_slot_for_target('a logical slot', 'is a logical one');
    $source->sql(q{SELECT pg_drop_replication_slot('of_source')});
    return;
}

sub slots
{
    my ($version) = @_;
    my $says = sub { my ($name) = @_; qr/^pg_rewind: error: the source has no replication slot "$name"$/m };
    fresh('slots')->start;
    is_refused('--slot without --create-slot', $says->('mine'), '--slot=mine');
    # Each standby has its own, so the promoted one's is no slot of its own.
    with_settings($source, "primary_slot_name = 'of_source'\n", sub {
        is_refused('a slot of the source from its time as a standby', $says->('of_source'));
        ends(rejoin('--slot=mine', '--create-slot'), 0, 'and with one of its own');
    }) if $version >= 12;
    ends(rejoin('--keep-config'), 0, 'without a slot') if $version < 12;
    my $pid = $target->postmaster_pid;
    ends(rejoin(), 0, 'the same without --slot',
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    ends(rejoin('--slot=other', '--create-slot'), 0, 'another slot',
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source, but not with replication slot "other"$/m);
    is($source->query("SELECT active FROM pg_replication_slots WHERE slot_name = 'other'"), 't',
        'another slot: the standby uses it');
    return;
}

sub saved_directories
{
    fresh('saved')->start;
    is_refused("a directory for $_ that cannot be made",
        qr{^pg_rewind: error: could not write to directory "/nonexistent/a": No such file or directory$}m,
        "$_=/nonexistent/a/b")
        for '--save-lost-rows', '--save-diverged-wal';
    return;
}

# Two at once: the second finds the server that the first has started, and does not ask to stop it.
sub twice_at_once
{
    fresh('twice')->start;
    my @options = ('--rejoin', '--keep-config', '-B', $target->bindir, '--no-sync');
    my $first = hold($target, $source, 'apply', @options);
    my $second = start_rewind($target, $source, options => \@options, errors => "$target->{dir}/second");
    wait_until('the second one waits',
        sub { slurp($second->{errors})
        =~ /^pg_rewind: waiting for another pg_rewind that is working on directory ".*"$/m });
    is(go_on($first)->{status}, 0, 'two at once: the first one');
    my $pid = $target->postmaster_pid;
    ends(end_of_rewind($second), 0, 'two at once: the second one',
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is($target->postmaster_pid, $pid, 'two at once: the server is the same');
    return;
}

# It would work against the command.
sub managers
{
    fresh('managed')->start;
    spew($target->path('patroni.dynamic.json'), '{}');
    my $says = qr/^pg_rewind: warning: Patroni may start or stop the target's server at the same time$/m;
    ends(rejoin('-n'), 0, 'a manager, of a server that runs', $says, qr/pause it before --rejoin\.$/m);
    $target->stop;
    ends(rejoin('--keep-config'), 0, 'a manager, of a server that is stopped', $says);
    my $result = rejoin('--keep-config');
    ends($result, 0, 'a manager, of a standby that follows');
    unlike($result->{stderr}, $says, 'a manager, of a standby that follows: no warning');
    return;
}

# By a role that sees nothing but names, and by a superuser.
sub from_itself
{
    my ($version) = @_;
    for my $role ($version < 11 ? () : 'rewinder', 'postgres')
    {
        fresh("itself_$role")->configure("unix_socket_directories = '$target->{dir}'");
        my $conninfo =
            "host=$target->{dir},$source->{dir} port=5432,5432 dbname=postgres user=$role application_name=itself";
        my $any = $role eq 'postgres' ? "$conninfo target_session_attrs=any" : $conninfo;    # the default
        ends(rejoin('--keep-config', '--rejoin-timeout=8', { conninfo => $any }), 2,
            "a standby of itself, as $role",
            qr/^pg_rewind: warning: primary_conninfo names several hosts, and the standby may stream from any of them, even from itself$/m,
            qr/^pg_rewind: hint: Name one host in --source-server, or add target_session_attrs=read-write\.$/m,
            qr/^pg_rewind: error: the target's server does not follow the source yet$/m,
            qr/receives WAL, but not from the source: look at the hosts of primary_conninfo\.$/m);
        my $result = rejoin('--keep-config', { conninfo => "$conninfo target_session_attrs=read-write" });
        ends($result, 0, "the hosts by what they are, as $role");
        unlike($result->{stderr}, qr/names several hosts/, "the hosts by what they are, as $role: no warning");
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        cluster => { settings => 'wal_level = logical' },
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub {
            $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT");
            $_[0]->sql(rewinding_role('rewinder') . 'ALTER ROLE rewinder REPLICATION') if $version >= 11;
        },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    recovery_targets($version) if $version >= 12;
    slots($version);
    slots_that_are_taken() if $version >= 12;
    saved_directories();
    twice_at_once();
    managers();
    from_itself($version);
    undef $target;
}, only => [ 10, 15, 18 ]);
