# A rewound target whose backup_label somebody removes: no server takes it for consistent, and pg_rewind does not call
# it one that needs no rewind. Recovery from the checkpoint in pg_control, which is the source's last one, would leave
# out the WAL before it. (Invariant 7. Sources are servers.)
#
#   source   1 ──c──D── 2 ── rows changed ──k──▶      k   last checkpoint, in the rewound target's pg_control
#   target   1 ──c──D── rows changed ──╳              c   where its backup_label lets recovery begin
# (Rule C48.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 2000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a");
        $_[0]->sql('CHECKPOINT') },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    rewinds($target, $source);
    my $again = $target->copy('again');
    my $removed = $target->copy('removed');
    unlink $removed->path('backup_label') or die;
    my $started = $removed->copy('started');

    subtest('with its backup_label it needs no rewind', sub { rewinds($again, $source);
        rejoins($again, $source, quick => 1) });

    subtest('a standby without it never becomes consistent', sub {
        $started->follow($source)->start(settings => { hot_standby => 'off' });
        $source->sql('CREATE TABLE later AS SELECT 1 AS a');
        my $end = $source->lsn;
        wait_until('it has all WAL',
            sub { $source->query("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= '$end'") > 0 });
        unlike($started->log, qr/consistent recovery state reached/, 'it has replayed all WAL');
        $started->stop('immediate');
    });
    subtest('nor does a server that is opened without it', sub {
        unlink $removed->path('standby.signal'), $removed->path('recovery.conf');
        my $copy = $removed->copy('opened');
        isnt($copy->try_start->{status}, 0, 'it does not start');
        like($copy->log, qr/FATAL:  WAL ends before end of online backup/, 'and says why');
    });
    subtest('pg_rewind sees that it is missing', sub {
        my $result = rewind($removed, $source);
        is($result->{status}, 1, 'exit status 1');
        like($result->{stderr},
            qr/^pg_rewind: error: target is not consistent\npg_rewind: detail: .*the backup_label of a rewind was removed\.$/m,
            'it says why');
        rewinds($removed, $source, options => ['--compare']);
        rejoins($removed, $source);
    });
}, only => [ 10, 18 ]);
