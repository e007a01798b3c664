# --check tells what a rewind does to each kind of slot, with what really helps: a physical slot is created again on
# the new primary; a logical one that is created there lacks earlier changes, so it must have been a failover slot
# before (17 and later); a failover slot is on the standby as well. A temporary slot is nobody's loss: a killed server
# leaves it on the disk, and removes it when it starts.
#
#   source       ┌──── 2 ──▶
#   target   1 ──┴──── 1 ──▶      with a slot of each kind, killed
# (Rules S24, S26.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Session;

sub findings
{
    my ($target, @options) = @_;
    my $check = run([ rewind_argv($target->data, qw(--check --report=json), @options) ]);
    return map { "$_->{state}: $_->{text}" . ($_->{remedy} ? " | $_->{remedy}" : '') }
        grep { $_->{name} eq 'slots' } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
}

my $physical =
    'warning: Replication slots are of this node alone, and a rewind removes them: of_standby (physical).'
    . " | On the new primary, after a failover:\n"
    . "SELECT pg_catalog.pg_create_physical_replication_slot('NAME'::pg_catalog.name, true);";
my $logical = 'warning: Logical replication slots are of this node alone, and a rewind removes them: '
    . 'of_subscriber (logical). A slot that is created on the new primary lacks earlier changes.';
my $before = 'Make them failover slots, which a standby with sync_replication_slots has as well. On the subscriber, '
    . "while the subscription is disabled:\nALTER SUBSCRIPTION NAME SET (failover = true);";
my $after = 'After a failover copy the subscribers\' tables again.';
my $failover = 'Failover slots, which a standby with sync_replication_slots has as well';

# The statement makes a failover slot of the slot of a subscription.
sub statement_helps
{
    my ($primary, $statement) = @_;
    my $subscriber = make_cluster('subscriber', $primary->version)->start;
    my $is_failover = q{SELECT failover FROM pg_replication_slots WHERE slot_name = 's'};
    $primary->sql('CREATE PUBLICATION p FOR ALL TABLES');
    $subscriber->sql('CREATE TABLE t (a int)');
    $subscriber->sql('CREATE SUBSCRIPTION s CONNECTION \'' . $primary->conninfo . "' PUBLICATION p");
    $subscriber->sql('ALTER SUBSCRIPTION s DISABLE');
    is($primary->query($is_failover), 'f', 'the slot of a subscription is no failover slot');
    wait_until('the subscription lets its slot go', sub {
        $primary->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 's'}) eq 'f' });
    $subscriber->sql($statement =~ s/\bNAME\b/s/r);
    is($primary->query($is_failover), 't', 'the statement makes it one');
    $subscriber->sql('DROP SUBSCRIPTION s');
    $subscriber->discard;
    $primary->sql('DROP PUBLICATION p');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $temporary;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'wal_level = logical' },
        before  => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source  => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target  => sub {
            my ($primary) = @_;
            $primary->sql("INSERT INTO t VALUES (3); SELECT pg_create_physical_replication_slot('of_standby')");
            $primary->sql("SELECT pg_create_logical_replication_slot('of_subscriber', 'test_decoding')");
            my $more = q{'synchronized', 'test_decoding', false, false, true};
            $primary->sql("SELECT pg_create_logical_replication_slot($more)") if $version >= 17;
            $temporary = $primary->session;
            $temporary->sql("SELECT pg_create_physical_replication_slot('of_a_backup', true, true)");
        },
        stop => 'immediate');
    $temporary->end;
    ok(-e $target->path('pg_replslot/of_a_backup/state'), 'the killed server has left a temporary slot');

    my @found = findings($target, '--source-server', $source->conninfo);
    my $helps = $version >= 17 ? $before : $after;
    is(shift @found, $physical, 'a physical slot is created again');
    is(shift @found, "$logical | $helps", 'for a logical one that is no help');
    is(join(' ', @found), $version < 17 ? '' : "ok: $failover: synchronized (logical).",
        'a failover slot is not lost, and no other slot is named');

    my $result = rewind($target->copy('rewound'), $source, options => ['--report=json']);
    is($result->{status}, 0, 'a rewind') or diag($result->{stderr});
    is(join(' ', map { "$_->{name} $_->{state}" } @{ JSON::PP->new->utf8->decode($result->{stdout})->{next}{slots} }),
        'of_standby removed of_subscriber removed' . ($version < 17 ? '' : ' synchronized removed'),
        'does not speak of the temporary slot either');

    $target->start;
    ok(!-e $target->path('pg_replslot/of_a_backup'), 'the next start would have removed it');
    statement_helps($target, (split /\n/, $helps)[1]) if $version >= 17;
}, only => [ 15, 18 ]);
