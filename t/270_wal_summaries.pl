# Summaries of WAL: those of the target's lost history go, for an incremental backup would believe them.
# (17 and later, which have them. Both sources.)
# (Rule W7.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Each summary of a cluster: name => [ timeline, start, end ].
sub summaries
{
    my ($cluster) = @_;
    my %summary;
    for my $path (glob($cluster->path('pg_wal/summaries/*.summary')))
    {
        my ($name, $timeline, $start, $end) = $path =~ m{(([0-9A-F]{8})([0-9A-F]{16})([0-9A-F]{16})\.summary)$}
            or die "$path";
        $summary{$name} = [ hex $timeline, hex $start, hex $end ];
    }
    return %summary;
}

sub number { my ($lsn) = @_; my ($high, $low) = split m{/}, $lsn; return (hex($high) << 32) + hex $low }

# A summary ends where a checkpoint begins.
sub make_summary
{
    my ($cluster) = @_;
    $cluster->sql('INSERT INTO t VALUES (1)');
    my $lsn = $cluster->lsn;
    $cluster->sql('CHECKPOINT');
    wait_until("$cluster->{name} summarizes its WAL",
        sub { $cluster->query("SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= '$lsn'") > 0 });
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'summarize_wal = on' },
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)'); make_summary($primary) },
        source => \&make_summary,
        target => sub { my ($target) = @_; make_summary($target) for 1 .. 2 });

    rewinds_from_both_kinds($source, $target,
        rewound => sub {
            my ($rewound, $source, $result) = @_;
            my ($divergence) = $result->{stderr} =~ m{diverged at WAL location ([0-9A-F]+/[0-9A-F]+)} or die;
            my (%before, %after, %of_source) = ();
            %before = summaries($target);
            %after = summaries($rewound);
            %of_source = summaries($source);
            my @lost = grep { $before{$_}[2] > number($divergence) } sort keys %before;
            cmp_ok(@lost, '>=', 2, 'the target has summaries of WAL after the divergence');
            is(join(' ', grep { $after{$_} && !$of_source{$_} } @lost), '', 'they are gone');
            my @kept = grep { $before{$_}[2] <= number($divergence) } sort keys %before;
            cmp_ok(@kept, '>=', 1, 'the target has summaries of common WAL');
        },
        check => sub {
            my ($rewound, $source) = @_;
            make_summary($source);
            my $lsn = $source->query('SELECT redo_lsn FROM pg_control_checkpoint()');
            $rewound->wait_for_replay_of($source);
            $rewound->sql('CHECKPOINT');
            wait_until('the rewound target summarizes WAL',
                sub {
                $rewound->query("SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= '$lsn'") > 0 });
            is($rewound->query('SELECT count(*) FROM pg_available_wal_summaries() WHERE tli = 1 AND end_lsn > (SELECT max(start_lsn) FROM pg_available_wal_summaries() WHERE tli = 2)'),
                0, 'no summary contradicts the source\'s history');
        });
}, from => 17);
