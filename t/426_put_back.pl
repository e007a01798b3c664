# A rewind was interrupted, and somebody has copied the target's former files over it, and removed nothing: the journal
# is obsolete, and the target is rewound again. (Invariant 3.)
#
#   target   ── rewind: committed, files installed ──✕── former files put back ── rewind ──▶      ✕ killed
# (Rule I1.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        # No page is all-visible when the histories part.
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 5000) g; CREATE INDEX ON t (g)');
            my ($p) = @_; $p->sql($_) for 'VACUUM t', 'UPDATE t SET g = g', 'CHECKPOINT' },
        source => sub { $_[0]->sql('DELETE FROM t WHERE g % 2 = 0'); $_[0]->sql('CHECKPOINT') },
        # On the target all are: the visibility map is installed whole.
        target => sub { $_[0]->sql('VACUUM t') });
    for my $point (qw(poison patch label))
    {
        subtest("interrupted before $point", sub {
            my $copy = $target->copy('copy');
            end_by_kill(hold($copy, $source, $point));
            must_run([ 'cp', '-a', $target->data . '/.', $copy->data ]);
            rewinds($copy, $source);
            nothing_is_left($copy);
            $copy->follow($source)->start;
            $copy->wait_for_replay_of($source);
            is($copy->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE g > 0'),
                2500, 'the index shows what is there');
            is_copy_of($copy, $source, quick => 1);
            $copy->discard;
        });
    }
}, only => [ 10, 18 ]);
