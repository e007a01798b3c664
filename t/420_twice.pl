# A rewound target that was never started is rewound again: to the same source, which moved on, and to another one after
# another failover. (Doing it twice is harmless.)
#
#   first source    1 ───●────┬──── 2 ────┬── 2 ──▶
#   second source             │           └── 3 ──▶
#   target                    └──── 1 ──▶
# (Rule I7.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 5000) g') },
        source => sub { $_[0]->sql('UPDATE t SET v = 1 WHERE g % 2 = 0') },
        target => sub { $_[0]->sql('UPDATE t SET v = 2 WHERE g % 3 = 0; CREATE TABLE u AS SELECT 1 AS a') });
    my $second = $source->standby('second');

    rewinds($target, $source);
    my $again = rewinds($target, $source);
    like($again->{stderr}, qr/no rewind required/, 'nothing is left to do');
    $source->sql('UPDATE t SET v = 3 WHERE g % 5 = 0');
    $again = rewinds($target, $source);
    like($again->{stderr}, qr/no rewind required/, 'a source that moved on can be followed');
    my $started = $target->copy('started');
    rejoins($started, $source, no_promotion => 1);

    $second->wait_for_replay_of($source);
    $started->stop;
    $started->discard;
    $second->promote;
    $second->sql('UPDATE t SET v = 4 WHERE g % 7 = 0; CREATE TABLE w AS SELECT 2 AS a; CHECKPOINT');
    $source->sql('UPDATE t SET v = 5 WHERE g % 11 = 0');

    # The first rewind ended before the second divergence, so the target only has to follow; rewound once more to
    # what the first source wrote since, it has passed that divergence.
    my $behind = $target->copy('behind');
    rewinds($behind, $second);
    rejoins($behind, $second);
    $behind->discard;

    $target->follow($source)->start;
    $target->wait_for_replay_of($source);
    $target->stop;
    $source->stop;
    rewinds($target, $second);
    rejoins($target, $second);
}, sample => 1);
