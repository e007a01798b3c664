# A second call of pg_rewind waits while the first one works, and then goes on as the same command does once more: nothing is
# left to be done, or what the first one left is finished.  (Servers have no part in it.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Background;
use RewindTest::Held;
use RewindTest::Tree;

# Start a second one, and wait until it waits.
sub begin_second
{
    my ($copy, $source, @options) = @_;
    my $second = start_rewind($copy, $source, errors => $copy->dir . '/second', options => \@options);
    wait_until('the second one waits', sub { slurp($second->{errors}) =~ /^pg_rewind: waiting for another pg_rewind that is working on directory ".*"$/m });
    return $second;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1') });

    # What the second one says, by what the first has come to, and whether that goes on or is killed.
    my %says = (
        'link go on' => qr/no rewind required/,
        'link kill' => qr/rewinding from last common checkpoint/,
        'apply go on' => qr/no rewind required/,
        'apply kill' => qr/the interrupted rewind is finished/,
        'control go on' => qr/no rewind required/,
        'control kill' => qr/the interrupted rewind is finished/,
    );
    for my $case (sort keys %says)
    {
        my ($point, $end) = split ' ', $case, 2;
        my $copy = $target->copy('copy');
        my $first = hold($copy, $source, $point);
        my $second = begin_second($copy, $source);
        $end eq 'kill' ? end_by_kill($first) : is(go_on($first)->{status}, 0, "$case: the first one succeeds");
        my $result = end_of_rewind($second);
        is($result->{status}, 0, "$case: the second one succeeds") or diag($result->{stderr});
        like($result->{stderr}, $says{$case}, 'and says what it did');
        nothing_is_left($copy);
        rejoins($copy, $source, no_promotion => 1) if $case eq 'apply kill';
        $copy->discard;
    }

    subtest('the second one is told to stop', sub {
        my $copy = $target->copy('copy');
        my $first = hold($copy, $source, 'apply');
        my $second = begin_second($copy, $source);
        kill 'TERM', $second->{pid};
        my $result = end_of_rewind($second);
        is($result->{status}, 2, 'exit status 2');
        unlike($result->{stderr}, qr/unchanged/, 'it does not say that the target is unchanged');
        is(go_on($first)->{status}, 0, 'the first one goes on');
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
