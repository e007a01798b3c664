# --slot names the slot that the standby uses, and --create-slot makes it on the source, with its WAL reserved, before
# anything is fetched: WAL that a checkpoint removes a moment later is kept for the standby. A run that fails before the
# commit drops the slot that it made, and no other; one that is killed leaves it to the next. (Invariant 6, and its
# exception. The source is a server, or a standby. 10: recovery.conf.)
# (Rules S17, S18, S19.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Proxy;

my @with_slot = qw(-R --slot=of_target --create-slot);
my $commit_fails = 'fail:rename@*/backup_label:EIO';
my $staging = 'write@*/pg_rewind.work/*';    # its first call comes after the slot was made

# The slots of the source, each as "name with WAL" or "name without WAL".
sub slots_of
{
    my ($source) = @_;
    return $source->query(q{SELECT string_agg(slot_name || CASE WHEN restart_lsn IS NULL THEN ' without WAL' ELSE ' with WAL' END, ', ' ORDER BY slot_name)
        FROM pg_replication_slots});
}

sub drop_slots { my ($source) = @_;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active'); return }

sub slots_in_use { my ($source) = @_; return $source->query('SELECT count(*) FROM pg_replication_slots WHERE active') }

sub next_slots { my ($result) = @_; return JSON::PP->new->utf8->decode($result->{stdout})->{next}{slots} }

# The source goes on, and removes what nothing keeps: hardly any WAL, where segments are small.
sub removes_its_wal
{
    my ($source) = @_;
    $source->sql('SELECT pg_switch_wal(); CHECKPOINT') for 1 .. 3;
    return;
}

sub slot_that_is_not_there
{
    my ($target, $source) = @_;
    my $result = rewind($target->copy('not_there'), $source, options => [qw(-R --slot=of_target)]);
    is($result->{status}, 0, '--slot makes no slot') or diag($result->{stderr});
    is(slots_of($source), '', 'there is none');
    like($result->{stderr},
        qr/^pg_rewind: hint: Before the server starts: the source has no replication slot "of_target"\. .* Make the slot on the source: SELECT pg_catalog\.pg_create_physical_replication_slot\(/m,
        'it is said to be made');
    return;
}

sub is_made
{
    my ($target, $source) = @_;
    my $dry = rewind($target, $source, options => [ @with_slot, qw(-n --report=json) ]);
    is($dry->{status}, 0, 'a dry run with --create-slot') or diag($dry->{stderr});
    like($dry->{stderr}, qr/^pg_rewind: replication slot "of_target" would be made on the source$/m,
        'says what it would do');
    is_deeply([ map { "$_->{name} $_->{state}" } @{ next_slots($dry) } ], ['of_target made'], 'in its report as well');
    is(slots_of($source), '', 'and makes none');

    # Held before the commit: then it is there, and all that the source writes from now on is kept.
    my $held = hold($target, $source, 'commit', @with_slot);
    is(slots_of($source), 'of_target with WAL', 'the slot is there before the commit');
    $source->sql('INSERT INTO t SELECT generate_series(1, 1000)');
    removes_its_wal($source);
    my $result = go_on($held);
    is($result->{status}, 0, 'the rewind succeeds') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: made replication slot "of_target" on the source: it keeps WAL from [0-9A-F]+\/[0-9A-F]+ on$/m,
        'and tells of the slot');
    unlike($result->{stderr}, qr/^pg_rewind: hint: .*has no replication slot/m, 'nothing is to be made by hand');
    removes_its_wal($source);
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($source->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 'of_target'}), 't',
        'the standby uses it');
    my $again = rewind($target->stop, $source, options => \@with_slot);
    is($again->{status}, 0, 'the same command again') or diag($again->{stderr});
    like($again->{stderr}, qr/^pg_rewind: no rewind required$/m, 'has nothing to rewind');
    is(slots_of($source), 'of_target with WAL', 'and uses the slot that is there');
    return;
}

# Not the slot that it found either; after the commit not even its own.
sub run_that_fails
{
    my ($target, $source) = @_;
    my $copy = $target->copy('fails');
    drop_slots($source);
    my $result = rewind($copy, $source, options => \@with_slot, fault => $commit_fails);
    is($result->{status}, 1, 'a run that fails before the commit') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: dropped replication slot "of_target", which this run has made on the source$/m,
        'tells that it drops the slot');
    is(slots_of($source), '', 'which is gone');

    my $held = hold($copy, $source, $staging, @with_slot);
    is(slots_of($source), 'of_target with WAL', 'the slot is made before the first file is fetched');
    kill 'TERM', $held->{pid};
    is(go_on($held)->{status}, 1, 'so does one that is asked to stop');
    is(slots_of($source), '', 'the slot is gone');

    $source->sql(q{SELECT pg_create_physical_replication_slot('of_target')});
    $result = rewind($copy, $source, options => \@with_slot, fault => $commit_fails);
    is($result->{status}, 1, 'with a slot that was there before');
    is(slots_of($source), 'of_target without WAL', 'that is not dropped');
    like($result->{stderr}, qr/^pg_rewind: warning: replication slot "of_target" of the source reserves no WAL yet$/m,
        'that it reserves none is told');
    drop_slots($source);
    $copy->discard;
    return;
}

sub run_that_is_killed
{
    my ($target, $source) = @_;
    my $copy = $target->copy('killed');
    end_by_kill(hold($copy, $source, 'commit', @with_slot));
    is(slots_of($source), 'of_target with WAL', 'a run that is killed leaves its slot');
    my $result = rewind($copy, $source, options => \@with_slot, fault => $commit_fails);
    is(slots_of($source), 'of_target with WAL', 'the next run finds it, and leaves it when it fails');
    like($result->{stderr}, qr/^pg_rewind: replication slot "of_target" of the source exists already$/m,
        'that it found one is told');
    end_by_kill(hold($copy, $source, 'apply', @with_slot));
    if ($copy->version == 18)
    {
        my $alone = $copy->copy('alone');
        my $finished = run([ rewind_argv($alone->data, '--source-server=host=/nonexistent', qw(-R --slot=another)) ]);
        is($finished->{status}, 0, 'without the source it is finished as well') or diag($finished->{stderr});
        like($finished->{stderr},
            qr/^pg_rewind: detail: .* It is set up as a standby by the options of the interrupted run, not by those of this command\.$/m,
            'with the slot of the run that was killed');
        like(slurp($alone->path('postgresql.auto.conf')), qr/^primary_slot_name = 'of_target'$/m, 'as is told');
        $alone->discard;
    }
    $result = rewind($copy, $source, options => \@with_slot);
    is($result->{status}, 0, 'killed after the commit, the same command finishes') or diag($result->{stderr});
    is(slots_of($source), 'of_target with WAL', 'the slot is there');
    drop_slots($source);
    $copy->discard;
    return;
}

sub source_that_is_lost
{
    my ($target, $source) = @_;
    my $copy = $target->copy('lost');
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my $held = hold($copy, $proxy, $staging, @with_slot);
    kill 'TERM', $held->{pid};
    $proxy->refuse;
    my $result = go_on($held);
    is($result->{status}, 1, 'without the source') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: warning: could not drop replication slot "of_target", which this run has made on the source: /m,
        'the slot cannot be dropped');
    my ($statement) = $result->{stderr}
        =~ /drop it on the source: (SELECT pg_catalog\.pg_drop_replication_slot\(.*\);)$/m;
    $source->sql($statement);
    is(slots_of($source), '', 'the statement for that is told');
    $copy->discard;
    return;
}

sub refuses
{
    my ($target, $source, $name, $error) = @_;
    # what others see before anything is changed
    my $result = rewind($target, $source, options => [ @with_slot, '-n' ]);
    is($result->{status}, 1, "$name: refused");
    like($result->{stderr}, qr/^pg_rewind: error: $error$/m, "$name: told");
    return;
}

sub slots_that_cannot_be_used
{
    my ($target, $source) = @_;
    $source->sql(q{ALTER SYSTEM SET wal_level = logical});
    $source->restart;
    $source->sql(q{SELECT pg_create_logical_replication_slot('of_target', 'pgoutput')});
    refuses($target, $source, 'a logical slot', 'replication slot "of_target" of the source is a logical one');
    drop_slots($source);

    $source->sql(q{SELECT pg_create_physical_replication_slot('of_target', true)});
    my $other = $source->standby('other');
    spew($other->path('postgresql.auto.conf'), slurp($other->path('postgresql.auto.conf'))
        . "primary_slot_name = 'of_target'\n");
    $other->restart;
    wait_until('the slot is in use', sub { slots_in_use($source) });
    refuses($target, $source, 'one of another standby', 'replication slot "of_target" of the source is in use');
    $other->discard;
    wait_until('the slot is free', sub { !slots_in_use($source) });

    $source->sql(q{ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'; ALTER SYSTEM SET wal_keep_size = 0; ALTER SYSTEM SET max_replication_slots = 1});
    $source->restart;
    $source->sql('CREATE TABLE IF NOT EXISTS filler (a int); INSERT INTO filler SELECT generate_series(1, 30000)')
        for 1 .. 4;
    removes_its_wal($source);
    is(slots_of($source), 'of_target without WAL', 'the slot has lost its WAL');
    refuses($target, $source, 'a slot that has lost its WAL',
        'replication slot "of_target" of the source no longer keeps the WAL that it reserved');
    drop_slots($source);
    $source->sql(q{SELECT pg_create_physical_replication_slot('another')});
    refuses($target, $source, 'no slot left', 'all replication slots of the source are in use');
    drop_slots($source);
    return;
}

# The slot keeps less than the source has been told to write in the meantime; what the rewind needs is still there.
sub slot_is_lost_in_the_meantime
{
    my ($target, $source) = @_;
    my $segment = 'INSERT INTO t VALUES (1); SELECT pg_switch_wal()';
    $source->sql(q{ALTER SYSTEM SET max_slot_wal_keep_size = '4MB'; ALTER SYSTEM SET wal_keep_size = '3MB'; SELECT pg_reload_conf(); CHECKPOINT});
    $source->sql($segment) for 1 .. 3;
    my $held = hold($target, $source, $staging, @with_slot, '--compare');
    $source->sql($segment) for 1 .. 3;
    # The checkpointer may notice the setting later than the checkpoint that follows the reload.
    wait_until('a checkpoint takes the WAL of the slot', sub { $source->sql('CHECKPOINT');
        slots_of($source) =~ /without/ });
    is(slots_of($source), 'of_target without WAL', 'the slot has lost its WAL during the run');
    my $result = go_on($held);
    is($result->{status}, 0, 'the rewind succeeds') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: warning: replication slot "of_target" of the source no longer keeps the WAL that it reserved\npg_rewind: hint: Drop it on the source/m,
        'and warns');
    return;
}

sub source_is_a_standby
{
    my ($target, $source) = @_;
    my $standby = $source->standby('standby');
    my $copy = $target->copy('of_standby');
    my $result = rewinds($copy, $standby, options => \@with_slot);
    is(slots_of($standby), 'of_target with WAL', 'the slot is made on a standby');
    rejoins($copy, $standby, writer => $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($standby->query('SELECT active FROM pg_replication_slots'), 't', 'and used');
    $_->discard for $copy, $standby;
    return;
}

# What a new slot keeps begins at the source's last checkpoint. A target that needs no rewind may need more.
sub older_wal_is_needed
{
    my ($target, $source) = @_;
    $target->stop;
    drop_slots($source);
    removes_its_wal($source);
    unlink $target->path('standby.signal');
    my $dry = rewind($target, $source, options => [ '-n', '-R', '--slot=another', '--create-slot' ]);
    like($dry->{stderr},
        qr/^pg_rewind: replication slot "another" would be made on the source\npg_rewind: hint: This was a dry run, nothing was changed: run the same command without --dry-run\.\n\z/m,
        'a dry run says what -R would do where no rewind is required');
    is(slots_of($source) . (-e $target->path('standby.signal') ? 'written' : ''), '', 'and does nothing');
    my $result = rewind($target, $source, options => [ '-R', '--slot=another', '--create-slot' ]);
    is($result->{status}, 0, 'no rewind required, and a slot') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: warning: replication slot "another" of the source keeps WAL from \S+ on, and the standby needs it from \S+ on$/m,
        'a slot that keeps too little is told');
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    $target->stop;
    wait_until('the slot is free', sub { !slots_in_use($source) });
    drop_slots($source);
    return;
}

sub is_refused
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $result = rewind($target, $source, options => \@with_slot);
    is($result->{status}, 1, '--create-slot is refused');
    my $why = $version < 9.4 ? 'has no replication slots'
        : 'cannot create a replication slot that reserves WAL before it is used';
    like($result->{stderr}, qr/^pg_rewind: error: PostgreSQL \Q$version\E $why$/m, 'it says why');
    like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\.$/m, 'and nothing is changed');
    return;
}

each_version(sub {
    my ($version) = @_;
    return is_refused($version) if $version < 9.6;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $original = $target->copy('original');
    slot_that_is_not_there($target, $source);
    is_made($target, $source);
    return if $version < 18;
    run_that_fails($original, $source);
    run_that_is_killed($original, $source);
    source_that_is_lost($original, $source);
    source_is_a_standby($original, $source);
    older_wal_is_needed($target, $source);
    slots_that_cannot_be_used($original, $source);
    slot_is_lost_in_the_meantime($original, $source);
}, only => [ 10, 12, 18 ]);
