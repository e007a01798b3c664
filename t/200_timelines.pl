# Several timeline switches on either side of the divergence, and a target on a higher timeline than the source.
# (Invariant 7. Both sources.)
#
#   source   1 ── 2 ──┬── 3 ── 4 ─────────────▶      ┬ divergence
#   target            └── 2 ─────────▶  or also  └── 3' ── 4' ── 5' ──▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# End recovery once more: a new timeline, and some rows on it.
sub switch_timeline
{
    my ($server, $label) = @_;
    $server->switch_timeline;
    $server->sql("CHECKPOINT; INSERT INTO t SELECT '$label', i FROM generate_series(1, 1000) i; UPDATE t SET a = a + 1 WHERE a % 10 = 3");
    return;
}

sub timeline { return $_[0]->query('SELECT timeline_id FROM pg_control_checkpoint()') }

# [ name, switches before the divergence, of the source after it (its promotion is one), of the target after it ]
my @cases = (
    [ 'the source switched three times', 0, 3, 0 ],
    [ 'both have three timelines in common', 2, 1, 0 ],
    [ 'the target is on a higher timeline', 1, 1, 3 ],
    [ 'both switched several times', 1, 3, 2 ],
);

each_version(sub {
    my ($version) = @_;
    for my $case (@cases)
    {
        my ($name, $before, $of_source, $of_target) = @$case;
        subtest($name, sub {
            my ($source, $target) = split_brain($version,
                before => sub {
                    my ($primary) = @_;
                    $primary->sql(q{CREATE TABLE t AS SELECT 'before'::text AS b, i AS a FROM generate_series(1, 3000) i; CREATE INDEX ON t (a)});
                    switch_timeline($primary, "before $_") for 1 .. $before;
                },
                source => sub {
                    my ($source) = @_;
                    $source->sql(q{INSERT INTO t VALUES ('source', 1)});
                    switch_timeline($source, "source $_") for 2 .. $of_source;
                },
                target => sub {
                    my ($target) = @_;
                    $target->sql(q{INSERT INTO t SELECT 'target', i FROM generate_series(1, 500) i});
                    switch_timeline($target, "target $_") for 1 .. $of_target;
                    is(timeline($target), 1 + $before + $of_target, 'the target is on the expected timeline');
                });
            is(timeline($source), 1 + $before + $of_source, 'the source is on the expected timeline');
            rewinds_from_both_kinds($source, $target);
            RewindTest::Cluster::discard_all();
        });
    }
}, sample => 1);
