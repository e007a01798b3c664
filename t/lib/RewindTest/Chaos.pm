# Chaos thrown by dice: clusters that part, in one way after another, and the rewinds that join them again. All that
# differs between two runs follows from the seed, but for what several processes do at the same time.
#
#   my $choice = choose(4711);              # or choose(4711, version => 15)
#   diag(describe($choice));
#   my @ends = play($choice);               # how each rewind ended: 'rewound', or why it was refused
#
# A run has rounds. In each the clusters part (RewindTest::Chaos::Divergence), a target is rewound, perhaps by several
# attempts (RewindTest::Chaos::Attempt), follows its source, and is compared with it: its pages first, before anything
# has read the source (RewindTest::Pages), then its rows. In the next round it may be the
# primary that fails, or the standby that is promoted. In the end it is promoted, and each index compared with its table
# (RewindTest::Indexes).

package RewindTest::Chaos;

use strict;
use warnings;

use Exporter 'import';
use RewindTest;
use RewindTest::Chaos::Attempt;
use RewindTest::Chaos::Divergence;
use RewindTest::Chaos::Field;
use RewindTest::Dice;

our @EXPORT = qw(choose describe play save_clusters);

# ---------------------------------------------------------------- what is thrown

# What holds for a whole run.
sub choose_run
{
    my ($seed) = @_;
    my $dice = RewindTest::Dice->new($seed);
    my %choice = (
        seed => $seed,
        version => 10 + $seed % 9,
        wal_segment_mb => $dice->pick((1) x 8, 16),
        checksums => $dice->chance(50),
        shared_buffers => $dice->pick(qw(1MB 4MB 4MB 16MB)),
        autovacuum => $dice->chance(15),
        wal_compression => $dice->chance(25),
        archive => $dice->pick(qw(off off off stuck own own_gzip shared)),
        commit_timestamps => $dice->chance(25),
        short_wal => $dice->chance(15),
        large => $dice->chance(10),
        compare_all => $dice->chance(5),
        keep_target => 0,
        round_count => $dice->pick(1, 1, 1, 1, 1, 2, 2, 3),
        summarize_wal => $dice->chance(50),
    );
    $choice{short_wal} ||= $dice->chance(40) if $choice{summarize_wal};
    return %choice;
}

# What a server has not yet.
sub limit_to_version
{
    my ($choice) = @_;
    my $version = $choice->{version};
    $choice->{wal_segment_mb} = 16 if $version < 11;
    $choice->{summarize_wal} = 0 if $version < 17;
    @$choice{qw(wal_compression commit_timestamps)} = (0, 0) if $version < 9.5;
    $choice->{checksums} = 1 if $version < 9.4;     # no wal_log_hints
    $choice->{autovacuum} = 0 if $version < 9.4;    # no ALTER SYSTEM, to end it
    return;
}

# What holds for one round.
sub choose_round
{
    my ($dice, $run) = @_;
    my $operations = $run->{large} ? 20 : 8;
    my %choice = (
        kind => $dice->pick(qw(server server server standby cascade directory standby_directory)),
        history => $dice->pick(qw(stopped stopped mistake mistake ahead ahead ahead_promoted opened opened_by_mistake
            chain_to_first chain_to_first chain_to_second chain_from_first chain_from_second)),
        stop => $dice->pick(qw(fast immediate kill kill)),
        cascaded_target => $dice->chance(30),
        failover_to_rewound => $dice->chance(70),
        operations_before => 1 + $dice->number(4),
        switches_before => $dice->pick(0, 0, 0, 0, 1),
        switches_of_source => $dice->pick(0, 0, 0, 0, 1, 2),
        switches_of_target => $dice->pick(0, 0, 0, 0, 1, 2),
        operations_of_source => $dice->number($operations),
        operations_of_target => $dice->number($operations),
        source_checkpoint => $dice->chance(55),
        target_checkpoint => $dice->chance(45),
        crash_at_divergence => $dice->chance(25),
        crash_of_source => $dice->chance(10),
        crash_of_target => $dice->chance(10),
        held_transactions => $dice->chance(40),
        held_commits => $dice->chance(60),
        checkpointer => $dice->pick(qw(free free stopped stopped spread)),
        # The images of a source's hints mend pages of the target.
        dead_entries_of_source => $dice->chance(20),
        dead_entries_of_target => $dice->chance(70),
        growth_of_source => $dice->chance(15),
        growth_of_target => $dice->chance(40),
        chain_switches => $dice->pick(1, 1, 2),
        prepared => $dice->pick(0, 0, 0, 1, 2),
        prepared_after => $dice->chance(60),
        checkpoint_while_held => $dice->chance(60),
        checkpoint_after => $dice->chance(40),
        load_at_divergence => $dice->chance(20),
        load_at_stop => $dice->chance(30),
        busy_source => $dice->pick(qw(idle idle load operations copies)),
        trouble => $dice->pick((0) x 56, qw(full_page_writes_off hints_late wal_level_minimal checksums_off)),
        tablespace_of_source => $dice->chance(12),
        tablespace_of_target => $dice->chance(12),
        jobs => 1 + $dice->number(4),
        write_recovery_conf => $dice->chance(30),
        dry_run => $dice->chance(25),
        sync => $dice->pick(qw(no no fsync syncfs)),
        late_start => $dice->chance(30),
        missing_wal => $dice->pick(qw(none wal_archive restore_command configured)),
        kill => $dice->pick((0) x 8, 'change', 'other'),
        killed_at => int 2**($dice->number(1100) / 100),
        killed_again => $dice->chance(30),
        rewound_twice => $dice->chance(15),
        second_kind => $dice->pick(qw(same other)),
        start_refused => $dice->chance(30),
    );
    $choice{load_at_stop} = 0 if $choice{stop} ne 'kill';
    $choice{checkpointer} = 'free' if $choice{history} !~ /^(mistake|ahead_promoted|chain_to|chain_from_second)/;
    # A server of 19 does not end its recovery before each of its processes has answered.
    $choice{checkpointer} = 'spread' if $choice{checkpointer} eq 'stopped' && $run->{version} >= 19;
    # A standby on the same host would want the same place.
    $choice{tablespace_of_source} = 0 if $choice{kind} =~ /standby|cascade/;
    $choice{tablespace_of_target} = 0 if $choice{history} eq 'ahead';
    return \%choice;
}

# Each of %fixed takes the place of what the dice say, of the run or of each round.
sub choose
{
    my ($seed, %fixed) = @_;
    my %run = (choose_run($seed), map { $_ => $fixed{$_} } grep { exists $fixed{$_} } qw(version));
    %run = (%run, map { $_ => $fixed{$_} } grep { exists $run{$_} } keys %fixed);
    limit_to_version(\%run);
    my @rounds;
    for my $number (1 .. $run{round_count})
    {
        my $round = choose_round(RewindTest::Dice->new("$seed/round $number"), \%run);
        exists $round->{$_} and $round->{$_} = $fixed{$_} for keys %fixed;
        push @rounds, $round;
    }
    return { %run, rounds => \@rounds };
}

sub describe
{
    my ($choice) = @_;
    my $text = "SEED=$choice->{seed} VERSIONS=$choice->{version}";
    $text .= join '', map { " $_=$choice->{$_}" } grep { !/^(seed|version|rounds|round_count)$/ && $choice->{$_} }
        sort keys %$choice;
    my $number = 0;
    for my $round (@{ $choice->{rounds} })
    {
        my @names = grep { !/^(kind|history)$/ && $round->{$_} && !(/^killed/ && !$round->{kill}) } sort keys %$round;
        $text .= "\n    round " . ++$number . ':' . join '', map { " $_=$round->{$_}" } qw(kind history), @names;
    }
    return $text;
}

# ---------------------------------------------------------------- a run

sub play
{
    my ($choice) = @_;
    my $run = begin_run($choice);
    my @ends;
    for my $round (@{ $choice->{rounds} })
    {
        $run->{round}++;
        my $is_last = $round == $choice->{rounds}[-1];
        # Servers have faults of their own: a standby of 13 that dies when the primary before it is promoted in the
        # midst of a record.
        my $sides = eval { diverge($run, $round) };
        if (!defined $sides)
        {
            my $reason = (grep { /PANIC|FATAL|error:|gave up/ } split /\n/, $@)[0] // $@;
            return (@ends, 'no history: ' . $reason =~ s/[0-9A-F]*\d[0-9A-F]*/N/gr);
        }
        push @ends, attempt($run, $round, $sides, $is_last);
        last if $ends[-1] !~ /^(rewound|unneeded)/ || $ends[-1] =~ /again (refused|failed)|source's host/
            || !Test::More->builder->is_passing;
        next_field($run, $sides) if !$is_last;
    }
    return @ends;
}

# Stop all servers and take their directories away from the clean-up.
sub save_clusters
{
    my ($to) = @_;
    RewindTest::Cluster::stop_all();
    rename(work_dir(), $to) or warn "could not rename " . work_dir() . ": $!";
    return;
}

1;
