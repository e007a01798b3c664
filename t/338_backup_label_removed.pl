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
use RewindTest::Held;

sub never_becomes_consistent
{
    my ($standby, $source) = @_;
    $source->sql('CREATE TABLE later AS SELECT 1 AS a');
    my $end = $source->lsn;
    wait_until('it has all WAL',
        sub { $source->query("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= '$end'") > 0 });
    unlike($standby->log, qr/consistent recovery state reached/, 'it has replayed all WAL');
    return;
}

# Recovery is to begin at the checkpoint of a base backup of the source. The record that ends this backup comes later,
# and names that checkpoint; pg_control names the one after it.
#
#   source   1 ──D── 2 ── rows changed ──c────k──■──▶      ■   end of the backup that began with c
sub the_backup_of_another_ends
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql("UPDATE t SET a = 2") },
        target => sub { $_[0]->sql("UPDATE t SET a = 3") });
    my $session = $source->session;
    $session->sql($version >= 15 ? "SELECT pg_backup_start('b', true)" : "SELECT pg_start_backup('b', true, false)");
    my $held = hold($target, $source, 'rename@*/pg_rewind.work/README', '--late-start', '-R');
    $source->sql('CHECKPOINT');
    $session->sql($version >= 15 ? 'SELECT pg_backup_stop(false)' : 'SELECT pg_stop_backup(false, false)');
    $session->end;
    is(go_on($held)->{status}, 0, 'the rewind succeeds');
    my ($redo) = slurp($target->path('backup_label')) =~ /^START WAL LOCATION: (\S+)/m;
    isnt($source->query('SELECT redo_lsn FROM pg_control_checkpoint()'), $redo, 'pg_control has a later checkpoint');
    unlink $target->path('backup_label') or die;
    $target->start(settings => { hot_standby => 'off' });
    never_becomes_consistent($target, $source);
    $_->discard for $source, $target;
    return;
}

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
        never_becomes_consistent($started, $source);
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
    RewindTest::Cluster::discard_all();
    subtest('the end of a backup on the source is not taken for its', sub { the_backup_of_another_ends($version) });
}, only => [ 10, 18 ]);
