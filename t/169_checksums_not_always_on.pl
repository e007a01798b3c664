# Data checksums that were switched behind the divergence, with wal_log_hints off: while they were off, entries of an
# index were marked as dead without WAL, on pages that no record names. The rewound target does not keep such marks: its
# index finds what its table holds. (What pg_checksums leaves does not depend on the version; there is one of 15, which
# takes clusters of 13 as well.)
# (Rules U6, U7, U14.)

use strict;
use warnings;

use RewindTest;

sub pg_checksums
{
    my ($cluster, $option) = @_;
    must_run([ program('pg_checksums'), $option, '-N', '-D', $cluster->data ]);
    return;
}

sub by_index
{
    my ($cluster) = @_;
    return $cluster->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE a BETWEEN 1 AND 1000');
}

# The checkpoint before makes sure that with checksums each mark would be logged.
sub mark_dead
{
    my ($cluster) = @_;
    $cluster->sql('DELETE FROM t WHERE a > 200');
    is(by_index($cluster), 200, 'the index is scanned, and entries are marked') for 1, 2;
    $cluster->sql('CHECKPOINT');
    return;
}

sub mark_dead_without_checksums
{
    my ($cluster) = @_;
    log_a_hint($cluster);
    $cluster->stop;
    switch($cluster, '--disable');
    $cluster->start;
    mark_dead($cluster);
    return;
}

sub diverge
{
    my ($version, $checksums, $target) = @_;
    return split_brain($version,
        cluster => { checksums => $checksums, settings => 'wal_log_hints = off' },
        before => sub { $_[0]->sql('CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000);
            CREATE TABLE hinted AS SELECT generate_series(1, 1000) AS a; CHECKPOINT') },
        together => sub { $_[0]->sql('CHECKPOINT') },
        target => $target);
}

# Leaves an image that a hint was logged with.
sub log_a_hint
{
    my ($cluster) = @_;
    $cluster->sql('SELECT count(*) FROM hinted');
    return;
}

# What is written now has other times than what was written before and than what comes later, also in whole seconds.
sub switch
{
    my ($cluster, $option) = @_;
    sleep 2;
    pg_checksums($cluster, $option);
    sleep 2;
    return;
}

sub index_finds_all
{
    my ($source, $target) = @_;
    rewinds_from_both_kinds($source, $target, no_promotion => 1,
        check => sub {
            my ($rewound) = @_;
            $rewound->promote;
            is(by_index($rewound), 1000, 'the index finds all rows');
        });
    RewindTest::Cluster::discard_all();
    return;
}

each_version(sub {
    my ($version) = @_;

    subtest('enabled, and started since', sub {
        my ($source, $target) = diverge($version, 0, \&mark_dead);
        $source->stop;
        switch($_, '--enable') for $source, $target;
        $_->start for $source, $target;
        $target->sql('CREATE TABLE after (a int)');
        $target->stop;
        index_finds_all($source, $target);
    });

    for my $started (0, 1)
    {
        subtest('off for a while' . ($started ? ', and started since' : ''), sub {
            my ($source, $target) = diverge($version, 1, sub {
                my ($cluster) = @_;
                mark_dead_without_checksums($cluster);
                $cluster->stop;
                switch($cluster, '--enable');
                $cluster->start if $started;
                $cluster->sql('CREATE TABLE after (a int)') if $started;
            });
            index_finds_all($source, $target);
        });
    }

    # They were off when it crashed, and on again before its recovery.
    subtest('off until a crash', sub {
        my ($source, $target) = diverge($version, 1, sub {
            my ($cluster) = @_;
            mark_dead_without_checksums($cluster);
            $cluster->sql("CREATE TABLE work AS SELECT a, repeat('x', 100) FROM generate_series(1, 100000) a");
            $cluster->stop('kill')->stop_amid_crash_recovery;
            switch($cluster, '--enable');
        });
        index_finds_all($source, $target);
    });

    subtest('disabled, and wal_log_hints on later', sub {
        my ($source, $target) = diverge($version, 1, sub {
            my ($cluster) = @_;
            mark_dead_without_checksums($cluster);
            $cluster->sql('ALTER SYSTEM SET wal_log_hints = on');
            $cluster->restart;
        });
        $source->stop;
        pg_checksums($source, '--disable');
        $source->start;
        index_finds_all($source, $target);
    });

    # What every crashed primary does: its pages are not read for that.
    subtest('always on, crashed and started since', sub {
        my ($source, $target) = diverge($version, 1, sub {
            my ($cluster) = @_;
            log_a_hint($cluster);
            mark_dead($cluster);
            $cluster->stop('immediate');
            $cluster->start;
        });
        my $result = rewinds($target, $source, options => ['--debug']);
        unlike($result->{stderr}, qr/relations were read/, 'no page is read in vain');
        RewindTest::Cluster::discard_all();
    });
}, only => [ 13, 15 ]);
