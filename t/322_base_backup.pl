# A base backup that was never started is no target: only its WAL knows where it ends, so nothing says which blocks are newer.
# (Invariant 1. What is said does not depend on the version, but for the functions that make the backup.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my $source = $primary->standby('source');

    # As pg_basebackup does it, but by hand: that of 15 does not know newer servers.
    my $session = $primary->session;
    $session->sql($version >= 15 ? "SELECT pg_backup_start('b', true)" : "SELECT pg_start_backup('b', true, false)");
    my $target = RewindTest::Cluster->allocate('target', $version, $primary->bindir);
    must_run([ 'cp', '-a', $primary->data, $target->data ]);
    unlink $target->path('postmaster.pid');
    my $label = $session->sql($version >= 15 ? 'SELECT labelfile FROM pg_backup_stop(false)' : 'SELECT labelfile FROM pg_stop_backup(false, false)');
    $session->end;
    spew($target->path('backup_label'), $label =~ s/\n*\z/\n/r);

    $source->promote;
    $primary->sql('INSERT INTO t SELECT g FROM generate_series(1, 1000) g');
    $primary->stop;
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'it is refused');
    like($result->{stderr}, qr/error: target is not consistent$/m, 'because it is not consistent');
    ok(!-e $target->path('pg_rewind.work'), 'nothing is left in it');
}, only => [ 10, 14, 18 ]);
