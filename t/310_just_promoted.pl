# A source that was promoted a moment ago, whose pg_control still shows the old timeline, is known for what it is.
# (Invariant 7. Source is a server.)
#
#   source       ┌──── 2 ─▶      ┬ divergence: no checkpoint of timeline 2 is complete when pg_rewind looks
#   target   1 ──┴──── 1 ─▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        # The checkpoint that follows a promotion takes its time when many buffers are to be written.
        cluster => { settings => "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0" },
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)') },
        together => sub { $_[0]->sql(q{INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i}) },
        no_checkpoint => 1,
        source => sub { $_[0]->sql(q{INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100) i}) },
        target => sub { $_[0]->sql(q{INSERT INTO t SELECT i, 'target' FROM generate_series(1, 5000) i; UPDATE t SET b = 'lost' WHERE a % 100 = 1}) });

    my $result = rewinds($target, $source, options => [ '--no-sync' ]);
    is($source->query('SELECT timeline_id FROM pg_control_checkpoint()'), 1,
        'the source has not finished its first checkpoint on the new timeline meanwhile');
    like($result->{stderr}, qr/^pg_rewind: servers diverged at WAL location [0-9A-F]+\/[0-9A-F]+ on timeline 1$/m,
        'the divergence is found');
    rejoins($target, $source) if $result->{status} == 0;
});
