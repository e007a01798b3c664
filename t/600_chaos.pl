# Histories and work on both sides thrown by dice, one for each version; `make chaos` throws more.
# (Invariants 1, 7. Sources of all kinds.)
#
# PG_REWIND_TEST_SEED=N throws others.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Chaos;
use RewindTest::Dice;

my $seed = test_seed(20_000);

each_version(sub {
    my ($version) = @_;
    # Servers have faults of their own, so that a history may not come about: then the dice are thrown again.
    for my $throw (0 .. 2)
    {
        my $choice = choose($seed + $version + 1000 * $throw, version => $version);
        note(describe($choice));
        my @ends = play($choice);
        note('it was: ' . join '; then ', @ends);
        last if $ends[0] !~ /^no history/;
        RewindTest::Cluster::discard_all();
    }
});
