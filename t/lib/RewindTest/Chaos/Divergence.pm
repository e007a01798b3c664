# How clusters part, in a round of RewindTest::Chaos:
#
#   stopped             a standby is promoted while the primary lives on; the old primary is the target
#   mistake             a standby is promoted by mistake; it is the target
#   ahead               a standby has more of the primary's WAL than the one that is promoted; it is the target
#   ahead_promoted      the same, and it was promoted as well: to a timeline of the same number
#   opened              a standby is opened by removing its signal file; the old primary, on the same timeline, is the target
#   opened_by_mistake   the same; the standby is the target

package RewindTest::Chaos::Divergence;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Chaos::Field;
use RewindTest::Command;

our @EXPORT = qw(diverge);

# The clusters of a round by their roles: p, s; t, which has more WAL than s; second, third: standbys of s, of second.
sub line_up
{
    my ($run, $round) = @_;
    my %node = (p => $run->{writer});
    my $rewound = $run->{target};
    $run->{base} = $rewound->stop if $rewound;    # what runs cannot be copied
    $node{s} = $rewound && $round->{failover_to_rewound} ? $rewound->follow($node{p}) : add_standby($run, 's', $node{p});
    my @more;
    if ($round->{history} =~ /^ahead/)
    {
        push @more, [ 'u', 'p' ] if $round->{cascaded_target};
        push @more, [ 't', $round->{cascaded_target} ? 'u' : 'p' ];
    }
    if ($round->{kind} =~ /standby|cascade/)
    {
        push @more, [ 'second', $round->{history} =~ /mistake/ ? 'p' : 's' ];
        push @more, [ 'third', 'second' ] if $round->{kind} eq 'cascade';
    }
    $node{ $_->[0] } = add_standby($run, $_->[0], $node{ $_->[1] }) for @more;
    $node{s} == $rewound ? $rewound->start : drop_nodes($run, $rewound) if $rewound;
    $node{$_}->wait_for_replay_of($node{p}) for grep { $_ ne 'p' } sort keys %node;
    return %node;
}

# A transaction that stays open until the server stops.
sub hold_transaction
{
    my ($cluster) = @_;
    my $session = $cluster->session;
    $session->sql('SET client_min_messages = error; BEGIN; INSERT INTO history (id) SELECT generate_series(1, 200);
        CREATE TABLE held_open AS SELECT 1 AS a');
    return $session;
}

sub prepare_transactions
{
    my ($run, $cluster, $count) = @_;
    my $round = $run->{round};
    $cluster->sql("BEGIN; INSERT INTO history (id) SELECT generate_series(1, 100); CREATE TABLE IF NOT EXISTS made_by_prepared_${round}_$_ (a int);
        UPDATE accounts SET filler = 'prepared' WHERE id = 10 * $round + $_; PREPARE TRANSACTION 'before_${round}_$_'") for 1 .. $count;
    return;
}

# Work on a side after the divergence, with new timelines.
sub write_apart
{
    my ($run, $round, $cluster, $side) = @_;
    my $switches = $round->{"switches_of_$side"};
    my $operations = $round->{"operations_of_$side"};
    for (1 .. $switches)
    {
        work($run, $cluster, int($operations / ($switches + 1)));
        $cluster->switch_timeline;
    }
    crash($run, $cluster, 1) if $round->{"crash_of_$side"};
    make_trouble($run, $round, $cluster, $side);
    $round->{"place_of_$side"} = make_tablespace($cluster, "made_by_${side}_$run->{round}") if $round->{"tablespace_of_$side"};
    work($run, $cluster, $operations - $switches * int($operations / ($switches + 1)));
    return;
}

# A tablespace with a directory of its own, in that of the cluster.
sub make_tablespace
{
    my ($cluster, $name) = @_;
    my $place = $cluster->tablespace_location($name);
    $cluster->sql("CREATE TABLESPACE $name LOCATION '$place'");
    $cluster->sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT generate_series(1, 500) AS key");
    return $place;
}

# Settings that take away what a rewind relies on.
sub make_trouble
{
    my ($run, $round, $cluster, $side) = @_;
    my $trouble = $round->{trouble} or return;
    if ($trouble eq 'full_page_writes_off' && $side eq 'source')
    {
        restart_with($cluster, 'full_page_writes = off');
        work($run, $cluster, 2);
        restart_with($cluster, 'full_page_writes = on');
    }
    if ($trouble eq 'wal_level_minimal' && $side eq 'target')
    {
        my @archive = $run->{choice}{archive} ne 'off' ? ('archive_mode = off') : ();
        $cluster->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active');
        restart_with($cluster, 'wal_level = minimal', 'max_wal_senders = 0', @archive);
        work($run, $cluster, 3);
        restart_with($cluster, 'wal_level = replica', 'max_wal_senders = 8', @archive ? ('archive_mode = on') : ());
    }
    if ($trouble eq 'hints_late' && $side eq 'target' && !$run->{choice}{checksums})
    {
        restart_with($cluster, 'wal_log_hints = off');
        $cluster->sql('UPDATE history SET delta = 7; SELECT count(*) FROM history; CHECKPOINT; SELECT count(*) FROM history; CHECKPOINT');
        restart_with($cluster, 'wal_log_hints = on');
    }
    return;
}

sub stop_target
{
    my ($round, $target, @held) = @_;
    my $load = $round->{load_at_stop} && $round->{history} ne 'ahead' ? start_load($target) : 0;
    $target->sql('CHECKPOINT') if $round->{target_checkpoint};
    $target->stop($round->{stop});
    end_load($load);
    $_->end for @held;
    return;
}

# The primary dies; s is promoted, t had more of its WAL.
sub part_with_t_ahead
{
    my ($run, $round, $node, $held) = @_;
    my ($p, $s, $t) = @$node{qw(p s t)};
    make_safe_to_crash($run, $s) if !$round->{source_checkpoint};
    $s->stop($round->{source_checkpoint} ? 'fast' : 'immediate');
    # Hints of such a transaction can reach the target's disk and be in no WAL.
    $held->sql('COMMIT; CREATE TABLE after_commit AS SELECT 1 AS a; DROP TABLE after_commit') if $held;
    work($run, $p, $round->{operations_of_target});
    $p->sql('CHECKPOINT') if $round->{checkpoint_after};
    $t->wait_for_replay_of($p);
    $t->sql('SELECT count(*) FROM history; SELECT count(*) FROM accounts');
    $t->sql('CHECKPOINT') if $round->{target_checkpoint};
    $p->stop('immediate');
    $s->start->promote;
    return if $round->{history} eq 'ahead';
    $t->promote;
    write_apart($run, { %$round, operations_of_target => 2 }, $t, 'target');
    return;
}

sub part_alive
{
    my ($run, $round, $node, $target) = @_;
    my ($p, $s) = @$node{qw(p s)};
    # Afterwards both count OIDs from the same number.
    crash($run, $p) if $round->{crash_at_divergence};
    $s->wait_for_replay_of($p) if $round->{crash_at_divergence};
    $round->{history} =~ /opened/ ? $s->open_without_promotion : $s->promote;
    write_apart($run, $round, $target, 'target');
    return;
}

# Returns { source, target, writer: who can write for the source, other: another source, or undef }.
sub diverge
{
    my ($run, $round) = @_;
    my %node = line_up($run, $round);
    my ($p, $s) = @node{qw(p s)};
    work($run, $p, $round->{operations_before});
    for (1 .. $round->{switches_before})
    {
        $p->switch_timeline;
        work($run, $p, 1);
    }
    prepare_transactions($run, $p, $round->{prepared}) if !$round->{prepared_after};
    my $held = $round->{held_transactions} && !($round->{crash_at_divergence} && $round->{history} !~ /ahead/) ? hold_transaction($p) : undef;
    $p->sql('CHECKPOINT') if $round->{checkpoint_while_held};
    prepare_transactions($run, $p, $round->{prepared}) if $round->{prepared_after};
    my $load = $round->{load_at_divergence} ? start_load($p) : 0;
    $s->wait_for_replay_of($p) if !$load;
    $run->{next_object}{common} = $run->{next_object}{ $p->name } // 1;

    my ($source, $target) = $round->{history} =~ /^ahead/ ? ($s, $node{t}) : $round->{history} =~ /mistake/ ? ($p, $s) : ($s, $p);
    delete $run->{next_object}{ $_->name } for grep { $_ != $p } values %node;
    $round->{history} =~ /^ahead/ ? part_with_t_ahead($run, $round, \%node, $held) : part_alive($run, $round, \%node, $target);
    end_load($load);
    $source->sql('CHECKPOINT') if $round->{source_checkpoint};
    write_apart($run, $round, $source, 'source');
    stop_target($round, $target, $held ? $held : ());

    my $nearest = $node{third} // $node{second} // $source;
    $nearest->wait_for_replay_of($source) if $nearest != $source;
    return { source => $nearest, target => $target, writer => $source, other => $nearest != $source ? $source : undef };
}

1;
