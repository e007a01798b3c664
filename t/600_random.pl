# Histories and work on both sides thrown by dice, one for each version; `make random` throws more.
# (Invariants 1, 7. Sources of all kinds.)
#
# RANDOM_SEED=N throws others.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Random;

my $seed = $ENV{RANDOM_SEED} // 20_000;

each_version(sub {
    my ($version) = @_;
    my $choice = choose($seed + $version, version => $version);
    diag(describe($choice));
    note('it was ' . play($choice));
});
