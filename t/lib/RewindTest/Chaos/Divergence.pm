# How clusters part, in a round of RewindTest::Chaos:
#
#   stopped             a standby is promoted while the primary lives on; the old primary is the target
#   mistake             a standby is promoted by mistake; it is the target
#   ahead               a standby has more of the primary's WAL than the one that is promoted; it is the target
#   ahead_promoted      the same, and it was promoted as well: to a timeline of the same number
#   opened              a standby is opened by removing its signal file; the old primary, on the same timeline, is the
#                       target
#   opened_by_mistake   the same; the standby is the target
#   chain_to_first      a standby s is promoted, its own standby t follows it and is promoted later; t is the target,
#                       the first primary,
#                       which lives on, the source
#   chain_to_second     the same; s is the source
#   chain_from_first    the same; the first primary is the target, t the source
#   chain_from_second   the same; s is the target, t the source

package RewindTest::Chaos::Divergence;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Chaos::Field;
use RewindTest::Command;
use RewindTest::Dice;
use RewindTest::Indexes;
use RewindTest::Pages;
use Time::HiRes ();

our @EXPORT = qw(diverge);

# The clusters of a round by their roles: p, s; t, which has more WAL than s; second, third: standbys of s, of second.
sub line_up
{
    my ($run, $round) = @_;
    my %node = (p => $run->{writer});
    my $rewound = $run->{target};
    $run->{base} = $rewound->stop if $rewound;    # what runs cannot be copied
    $node{s} = $rewound && $round->{failover_to_rewound} ? $rewound->follow($node{p})
        : add_standby($run, 's', $node{p});
    my @more;
    if ($round->{history} =~ /^ahead/)
    {
        push @more, [ 'u', 'p' ] if $round->{cascaded_target};
        push @more, [ 't', $round->{cascaded_target} ? 'u' : 'p' ];
    }
    push @more, [ 't', 's' ] if $round->{history} =~ /^chain/;
    if ($round->{kind} =~ /standby|cascade/)
    {
        push @more, [ 'second', (roles($round))[0] ];
        push @more, [ 'third', 'second' ] if $round->{kind} eq 'cascade';
    }
    $node{ $_->[0] } = add_standby($run, $_->[0], $node{ $_->[1] }) for @more;
    $node{s} == $rewound ? $rewound->start : drop_nodes($run, $rewound) if $rewound;
    $node{$_}->wait_for_replay_of($node{p}) for grep { $_ ne 'p' } sort keys %node;
    return %node;
}

# Which of the nodes is the source, and which the target.
sub roles
{
    my ($round) = @_;
    my %roles = (
        stopped => 's p', mistake => 'p s', ahead => 's t', ahead_promoted => 's t', opened => 's p',
        opened_by_mistake => 'p s',
        chain_to_first => 'p t', chain_to_second => 's t', chain_from_first => 't p', chain_from_second => 't s',
    );
    return split ' ', $roles{ $round->{history} };
}

# A transaction that stays open until the server stops.
sub hold_transaction
{
    my ($cluster, $round_number) = @_;
    my $session = $cluster->session;
    $session->sql('SET client_min_messages = error; BEGIN; INSERT INTO history (id) SELECT generate_series(1, 200);
        INSERT INTO held SELECT generate_series(1, 500); CREATE TABLE held_open_' . $round_number . ' AS SELECT 1 AS a');
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
    $cluster->sql(grow_indexes(dice_of_indexes($run, "$side grows"), $run->{round}, 8000))
        if $round->{"growth_of_$side"};
    for (1 .. $switches)
    {
        work($run, $cluster, int($operations / ($switches + 1)));
        $cluster->switch_timeline;
    }
    crash($run, $cluster, 1) if $round->{"crash_of_$side"};
    make_trouble($run, $round, $cluster, $side);
    $round->{"place_of_$side"} = make_tablespace($cluster, "made_by_${side}_$run->{round}")
        if $round->{"tablespace_of_$side"};
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
        hints_are_without_images();
        restart_with($cluster, 'full_page_writes = off');
        work($run, $cluster, 2);
        restart_with($cluster, 'full_page_writes = on');
    }
    if ($trouble eq 'wal_level_minimal' && $side eq 'target')
    {
        my @archive = $run->{choice}{archive} ne 'off' ? ('archive_mode = off') : ();
        $cluster->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active')
            if $cluster->version >= 9.4;
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
    checksums_are_off_for_a_while($run, $cluster) if $trouble eq 'checksums_off' && $side eq 'target'
        && $run->{choice}{checksums};
    return;
}

# No record tells. The hints of that time are in no WAL. (Debian's program takes clusters of these versions.)
sub checksums_are_off_for_a_while
{
    my ($run, $cluster) = @_;
    return if $cluster->version < 13 || $cluster->version > 16;
    $cluster->stop;
    must_run([ program('pg_checksums'), '--disable', '-D', $cluster->data ]);
    $cluster->start;
    $cluster->sql(kill_index_entries(dice_of_indexes($run, 'without checksums')));
    $cluster->sql(scan_indexes());
    $cluster->stop;
    must_run([ program('pg_checksums'), '--enable', '-D', $cluster->data ]);
    $cluster->start;
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
    hold_checkpointer($run, $round, $p, $t);
    work($run, $p, $round->{operations_of_target});
    $p->sql('CHECKPOINT') if $round->{checkpoint_after};
    $t->wait_for_replay_of($p);
    $t->sql('SELECT count(*) FROM held; SELECT count(*) FROM history; SELECT count(*) FROM accounts');
    $t->sql('CHECKPOINT') if $round->{target_checkpoint} && $round->{checkpointer} eq 'free';
    $p->stop('immediate');
    $s->start->promote;
    return if $round->{history} eq 'ahead';
    promote_target($run, $round, $t);
    write_apart($run, { %$round, operations_of_target => 2 }, $t, 'target');
    return;
}

sub part_alive
{
    my ($run, $round, $node, $target, $held) = @_;
    my ($p, $s) = @$node{qw(p s)};
    hold_checkpointer($run, $round, $p, $s);
    # Afterwards both count OIDs from the same number.
    crash($run, $p) if $round->{crash_at_divergence};
    $s->wait_for_replay_of($p) if $round->{crash_at_divergence};
    $round->{history} =~ /opened/ ? $s->open_without_promotion : $s == $target ? promote_target($run, $round, $s)
        : $s->promote;
    $held->sql('COMMIT') if $held && $round->{held_commits};
    write_apart($run, $round, $target, 'target');
    return;
}

# One is promoted after the other, and what was open at first may be committed where it began.
sub part_in_chain
{
    my ($run, $round, $node, $target, $held) = @_;
    my ($p, $s, $t) = @$node{qw(p s t)};
    hold_checkpointer($run, $round, $p, $target) if $target != $p;
    $s->wait_for_replay_of($p);
    $s == $target ? promote_target($run, $round, $s) : $s->promote;
    work($run, $s, 1);
    for (2 .. $round->{chain_switches})
    {
        $s->switch_timeline;
        work($run, $s, 1);
    }
    $t->wait_for_replay_of($s);
    # It learns there who is dead, and sets hints on pages that replay has changed.
    $t->sql('SELECT count(*) FROM held; SELECT count(*) FROM history; SELECT count(*) FROM accounts');
    $run->{next_object}{ $t->name } = $run->{next_object}{ $s->name };
    $t == $target ? promote_target($run, $round, $t) : $t->promote;
    $held->sql('COMMIT') if $held && $round->{held_commits};
    write_apart($run, $round, $target, 'target');
    return;
}

# ---------------------------------------------------------------- a target that is promoted while its last restartpoint
# is an old one

# Its redo pointer stays where it is until the checkpointer, stopped or in the midst of a slow restartpoint, comes to
# the first checkpoint behind the promotion. There are changes of indexes behind it, and before the last checkpoint that
# both sides have.
sub hold_checkpointer
{
    my ($run, $round, $p, $target) = @_;
    return if $round->{checkpointer} eq 'free';
    if ($round->{checkpointer} eq 'spread')
    {
        # a restartpoint begins after half of that, not before all is replayed
        my $megabytes = $run->{choice}{wal_segment_mb} == 1 ? 12 : 32;
        append($target->last_settings, ($target->version < 9.5 ? "checkpoint_segments = 2\n"
            : "max_wal_size = ${megabytes}MB\n")
            . "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.9\n");
        $target->sql('SELECT pg_reload_conf()');
    }
    $p->sql('CHECKPOINT');
    $target->wait_for_replay_of($p);
    $target->sql('CHECKPOINT') if $round->{checkpointer} eq 'stopped';
    stop_in_system_call($run->{stopped_checkpointer} = $target->checkpointer_pid)
        if $round->{checkpointer} eq 'stopped';
    $p->sql(touch_indexes());
    fill_wal($p, $target) if $round->{checkpointer} eq 'spread';
    $p->sql('CHECKPOINT');
    $target->wait_for_replay_of($p);
    return;
}

# Until a restartpoint begins, if it does.
sub fill_wal
{
    my ($p, $standby) = @_;
    for (1 .. 12)
    {
        $p->sql($p->version < 9.6 ? 'SELECT txid_current(); SELECT pg_switch_wal()'
            : q{SELECT pg_logical_emit_message(true, 'test', 'x'); SELECT pg_switch_wal()});
        $standby->wait_for_replay_of($p);
        return if $standby->log =~ /restartpoint starting:.*(wal|xlog)/;
        Time::HiRes::sleep(0.05);
    }
    return;
}

sub dice_of_indexes
{
    my ($run, $side) = @_;
    return RewindTest::Dice->new("$run->{choice}{seed}/indexes $run->{round} $side");
}

sub promote_target
{
    my ($run, $round, $target) = @_;
    $target->promote;
    kill_entries($run, $round, $target, 'target');
    kill 'CONT', $run->{stopped_checkpointer} if $round->{checkpointer} eq 'stopped';
    return;
}

# Index scans mark entries of rows that are dead to everybody.
sub kill_entries
{
    my ($run, $round, $cluster, $side) = @_;
    return if !$round->{"dead_entries_of_$side"};
    my $sql = kill_index_entries(dice_of_indexes($run, $side));
    my $result = $cluster->try_sql($sql);
    append(work_dir() . '/operations.log',
        "==== $cluster->{name} kills index entries\n$sql\n---- says\n$result->{stdout}$result->{stderr}");
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
    my $held = $round->{held_transactions} && !($round->{crash_at_divergence} && $round->{history} !~ /ahead/)
        ? hold_transaction($p, $run->{round}) : undef;
    $p->sql('CHECKPOINT') if $round->{checkpoint_while_held};
    prepare_transactions($run, $p, $round->{prepared}) if $round->{prepared_after};
    my $load = $round->{load_at_divergence} ? start_load($p) : 0;
    $s->wait_for_replay_of($p) if !$load;
    $run->{next_object}{common} = $run->{next_object}{ $p->name } // 1;

    my ($source, $target) = @node{ roles($round) };
    delete $run->{next_object}{ $_->name } for grep { $_ != $p } values %node;
    my $part = $round->{history} =~ /^ahead/ ? \&part_with_t_ahead : $round->{history} =~ /^chain/ ? \&part_in_chain
        : \&part_alive;
    $part->($run, $round, \%node, $round->{history} =~ /^ahead/ ? $held : ($target, $held));
    end_load($load);
    $source->sql('CHECKPOINT') if $round->{source_checkpoint};
    kill_entries($run, $round, $source, 'source');
    write_apart($run, $round, $source, 'source');
    stop_target($round, $target, $held ? $held : ());

    $_->stop('immediate') for grep { $round->{history} =~ /^chain/ && $_ != $source && $_ != $target } @node{qw(p s t)};
    my $nearest = $node{third} // $node{second} // $source;
    $nearest->wait_for_replay_of($source) if $nearest != $source;
    return { source => $nearest, target => $target, writer => $source, other => $nearest != $source ? $source : undef };
}

1;
