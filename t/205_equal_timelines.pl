# Two servers that each made a timeline 2 have different histories, also when their history files are equal.
# (Equal timeline numbers prove nothing. Both sources.)
#
#   source   1 ───●────┬──── 2 ─────────▶
#   target             └──── 2 ─────▶

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;

    subtest('both were promoted to timeline 2', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
        my $source = $primary->standby('source');
        my $target = $primary->standby('target');
        $primary->stop;
        $_->promote for $source, $target;
        $source->sql('INSERT INTO t SELECT g FROM generate_series(1, 500) g; CHECKPOINT');
        $target->sql('INSERT INTO t SELECT g FROM generate_series(1, 700) g; CREATE TABLE u (a int)');
        $target->stop;
        $primary->discard;
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
        RewindTest::Cluster::discard_all();
    });

    # No timeline switch at all: the signal file was deleted, so both go on writing timeline 1.
    subtest('the target was opened without a promotion', sub {
        my $source = make_cluster('source', $version)->start;
        $source->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
        my $target = $source->standby('target');
        $target->wait_for_replay_of($source);
        $target->stop;
        unlink $target->path($version >= 12 ? 'standby.signal' : 'recovery.conf');
        $target->start;
        $target->sql('INSERT INTO t SELECT g FROM generate_series(1, 700) g; CREATE TABLE u (a int)');
        $source->sql('INSERT INTO t SELECT g FROM generate_series(1, 500) g; CHECKPOINT');
        $target->stop;
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
    });
});
