# A primary of 10 to 14 that crashed during an exclusive backup has a backup_label. It is rewound from the label's
# checkpoint on; a copy of it, which has the same label, is not. (t/322 has copies that were made by such a backup.)
#
#   source                                    ┌── 2 ──▶
#   target   1 ── begin of the backup ──●─────┴── 1 ──▶ killed
# (Rule C13.)

use strict;
use warnings;

use RewindTest;

# With its label a server that starts as a standby would wait for the end of the backup, which no WAL will have.
sub has_not_diverged
{
    my ($version) = @_;
    my $target = make_cluster('target', $version, settings => 'wal_log_hints = on')->start;
    my $source = $target->standby('source');
    my $session = $target->session;
    $session->sql("SELECT pg_start_backup('b', true, true)");
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    $source->wait_for_replay_of($target);
    $target->kill_all_processes;
    $source->promote;
    ok(-e $target->path('backup_label'), 'the target has a label');
    my $check = run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ]);
    like($check->{stdout}, qr/rewind.* is needed/i, '--check says that a rewind is needed');
    my $result = rewinds($target, $source, options => ['-R']);
    unlike($result->{stderr}, qr/no rewind required/, 'it is rewound');
    rejoins($target, $source, recovery_written => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    my $session;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g') },
        together => sub {
            my ($primary) = @_;
            $session = $primary->session;
            $session->sql("SELECT pg_start_backup('b', true, true)");
            $primary->sql('UPDATE t SET g = g + 1; CHECKPOINT; UPDATE t SET g = g + 1 WHERE g < 100');
        },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (0)') },
        target => sub { $_[0]->sql('CHECKPOINT; UPDATE t SET g = -g') },
        stop => 'kill');
    ok(-e $target->path('backup_label') && -e $target->path('postmaster.pid'),
        'the target has a label and the pid file of a server that was killed');
    my $copy = $target->copy('copied');
    my $refused = rewind($copy, $source);
    is($refused->{status}, 1, 'a copy is refused');
    like($refused->{stderr}, qr/error: target is not consistent$/m, 'with that reason');
    $copy->discard;
    rewinds($target, $source);
    rejoins($target, $source);
    RewindTest::Cluster::discard_all();
    subtest('all that the target wrote is on the source', sub { has_not_diverged($version) });
}, only => [ 10, 13, 14 ]);
