# The slot of --create-slot is made before the plan, which is for the source as it is then. What the source writes while
# the plan is made, or while lost rows are saved, is there when it is staged, although the source removes all WAL that
# nothing keeps. A run that fails in the meantime drops the slot; one that has problems already makes none.
#
#   source     ────┬──── 2 ──── writes, removes WAL ──▶
#   target   1 ────┘          ▲ pg_rewind makes its plan
# (Rules S17, S18.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;
use RewindTest::Proxy;

my @with_slot = qw(-R --slot=of_target --create-slot);

sub slots_of { my ($source) = @_;
    return $source->query(q{SELECT coalesce(string_agg(slot_name, ', '), 'none') FROM pg_replication_slots}) }

# Write some segments, each with a checkpoint, which removes the segments before if nothing keeps them.
sub writes_and_removes
{
    my ($source) = @_;
    $source->sql('INSERT INTO t SELECT generate_series(1, 1000); SELECT pg_switch_wal(); CHECKPOINT') for 1 .. 4;
    return;
}

sub is_rewound
{
    my ($target, $source, $result) = @_;
    is($result->{status}, 0, 'the rewind succeeds') or return diag($result->{stderr});
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    $target->discard;
    wait_until('the slot is free', sub { !$source->query('SELECT count(*) FROM pg_replication_slots WHERE active') });
    $source->sql(q{SELECT pg_drop_replication_slot('of_target')});
    return;
}

sub is_made_first
{
    my ($target, $source, $when, @options) = @_;
    my $held = hold($target, $source, $when, @with_slot, @options);
    is(slots_of($source), 'of_target', 'the slot is there');
    writes_and_removes($source);
    is_rewound($target, $source, go_on($held));
    return;
}

# The source removes WAL before the slot keeps any.
sub is_made_late
{
    my ($target, $source) = @_;
    my $proxy = RewindTest::Proxy->new('proxy', $source, filter => sub {
        my ($number, $who, $bytes, $process) = @_;
        RewindTest::Proxy::act($process, 'hang')
            if $who eq 'client' && $bytes =~ /pg_create_physical_replication_slot/;
        return $bytes;
    });
    my $running = start_rewind($target, $proxy, options => [@with_slot]);
    $proxy->wait_for('hang');
    writes_and_removes($source);
    $proxy->pass;
    is_rewound($target, $source, end_of_rewind($running));
    $proxy->end;
    return;
}

sub fails
{
    my ($target, $source, $name, $error, %option) = @_;
    my $result = rewind($target, $source, %option);
    is($result->{status}, 1, "$name: it fails");
    like($result->{stderr}, $error, "$name: with its reason");
    is(slots_of($source), 'none', "$name: no slot is left");
    return $result->{stderr};
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 2000)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $source->sql('ALTER SYSTEM SET ' . ($version >= 13 ? 'wal_keep_size' : 'wal_keep_segments') . ' = 0');
    $source->sql('SELECT pg_reload_conf()');
    my $rows = work_dir() . "/rows_$version";

    my $said = fails($target, $source, 'rows cannot be saved', qr/^pg_rewind: error: .*No space left on device$/m,
        options => [ @with_slot, "--save-lost-rows=$rows", '--require-lost-rows' ],
        fault => "fail:create\@$rows/*:ENOSPC");
    like($said, qr/^pg_rewind: dropped replication slot "of_target"/m, 'the slot was made');
    my $hba = slurp($source->path('pg_hba.conf'));
    spew($source->path('pg_hba.conf'), "local all all trust\n");
    $source->sql('SELECT pg_reload_conf()');
    $said = fails($target, $source, 'it could not stream', qr/^pg_rewind: error: .* a replication connection/m,
        options => \@with_slot);
    unlike($said, qr/made/, 'the slot was not made');
    spew($source->path('pg_hba.conf'), $hba);
    $source->sql('SELECT pg_reload_conf()');

    subtest('before the slot is made', sub { is_made_late($target->copy('late'), $source) });
    subtest('while WAL is fetched for the plan', sub {
        is_made_first($target->copy('fetches'), $source, 'rename@*/source.*') });
    subtest('while lost rows are saved', sub {
        is_made_first($target, $source, "create\@$rows/*", "--save-lost-rows=$rows") });
}, only => [ 10, 12, 15, 18 ]);
