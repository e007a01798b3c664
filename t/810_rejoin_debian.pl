# --rejoin finds a cluster of Debian's layout by its data directory: its server is stopped and started by pg_ctlcluster,
# with its configuration outside of the data directory.
# (Rules I49, I55, I58, I61, I64, S6.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::DebianCluster;

each_version(sub {
    my $target = RewindTest::DebianCluster->new('target')->start;
    $target->sql("CREATE TABLE t AS SELECT 'both' AS b");
    my $source = $target->standby('source')->promote;
    $_->[0]->sql("UPDATE t SET b = '$_->[1]'") for [ $source, 'source' ], [ $target, 'target' ];
    my @command = rewind_argv($target->data, qw(--rejoin -N --keep-config --source-server), $source->conninfo);
    my $command = 'pg_ctlcluster 15 ' . $target->{name};

    my $result = run([@command]);
    is($result->{status}, 0, 'a cluster that runs follows the source') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: stopping the target's server \(PID \d+\): \Q$command\E stop -m fast$/m,
        'it was stopped by pg_ctlcluster');
    like($result->{stderr}, qr/^pg_rewind: starting the target's server: \Q$command\E start$/m, 'and started');
    like($result->{stderr},
        qr{^pg_rewind: the target follows the source: standby "15/\Q$target->{name}\E" is streaming}m,
        'under its cluster_name');
    is($target->query('SELECT b FROM t'), 'source', 'it has the row of the source');

    # Options of its last start, a secret among them.
    $target->stop;
    must_run([ qw(pg_ctlcluster 15), $target->{name}, qw(start -- -o), q{-c work_mem=5MB -c my.token='a b'} ]);
    $target->stop;
    $result = run([@command]);
    is($result->{status}, 0, 'a cluster that was started with options') or diag($result->{stderr});
    my $options = q{'-c work_mem=5MB -c '\\''my.token=********'\\'''};
    like($result->{stderr}, qr/^pg_rewind: starting .*: pg_ctlcluster -o \Q$options 15 $target->{name}\E start \(/m,
        'is started with them, and pg_ctl has one -o: up to 9.4 it takes the last one only');
    is($target->query(q{SELECT current_setting('work_mem') || current_setting('my.token')}), '5MBa b', 'and has them');

    # A source of another layout has its postgresql.conf in the data directory. Once a rewind has copied it no
    # postmaster.opts tells which one the target's server reads: the cluster's.
    $target->stop;
    spew($source->path('postgresql.conf'), "listen_addresses = '10.9.9.9'\n");
    my @rewind = rewind_argv($target->data, qw(-R -N --compare --source-server), $source->conninfo);
    is(run(\@rewind)->{status}, 0, 'rewound, with a file that its server does not read');
    ok(-e $target->path('postgresql.conf') && !-e $target->path('postmaster.opts'), 'none else is there');
    $target->configure("recovery_target = 'immediate'\nrecovery_target_action = 'promote'");
    $result = run([@command]);
    isnt($result->{status}, 0, "a recovery target in the cluster's configuration") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: with "recovery_target" the target's/m, 'is seen')
        or diag($result->{stderr});
    ok(!$target->is_running, 'and it is not started');
    like(run([ rewind_argv($target->data, qw(--check -R --source-server), $source->conninfo) ])->{stdout},
        qr/^warning  standby +with "recovery_target" the target's server/m, '--check tells of it');
    $target->configure("recovery_target = ''");
    $result = run([@command]);
    is($result->{status}, 0, 'without it the address of a file that it does not read is none')
        or diag($result->{stderr});
    is($target->query('SHOW listen_addresses'), '', 'it has its own');

    # What keeps it from starting is in the cluster's own log.
    $target->stop;
    $target->configure('max_wal_senders = -5');
    $result = run([@command]);
    is($result->{status}, 2, 'a cluster that cannot be started') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: detail: .*LOG: .*max_wal_senders/m, 'its log is shown')
        or diag($result->{stderr});
}, only => [15]);
