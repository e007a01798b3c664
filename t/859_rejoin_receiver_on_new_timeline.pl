# --rejoin of a standby whose primary was promoted while it streamed: its WAL receiver follows to the new timeline and
# goes on, and shows primary_conninfo as it is configured, with quotes. It follows the source, and is not stopped.
# (Rule I55. 10, 15 and 18 stand for all.)
#
#   source   1 ──┬── 2 ──▶  was a standby, is promoted
#   target       └── 2 ──▶  its standby, before and after

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Write the connection settings as the original's -R does where a host or a path has a character that needs quotes.
sub follow_with_quotes
{
    my ($target, $source) = @_;
    my $path = $target->path($target->{version} < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    my $conninfo = ($source->conninfo . ' application_name=target') =~ s/=(\S+)/=''$1''/gr;
    $target->stop;
    spew($path, slurp($path) =~ s/^primary_conninfo = .*$/primary_conninfo = '$conninfo'/mr);
    $target->start;
    $target->wait_for_stream_from($source);
    return;
}

each_version(sub {
    my ($version) = @_;
    my $first = make_cluster('first', $version)->start;
    $first->sql('CREATE TABLE t AS SELECT 1 AS a');
    my $source = $first->standby('source');
    my $target = $source->standby('target');
    follow_with_quotes($target, $source);
    $source->promote;
    $source->sql('INSERT INTO t VALUES (2)');
    $target->wait_for_replay_of($source);
    wait_until('the target receives the new timeline',
        sub { $target->query('SELECT received_tli FROM pg_stat_wal_receiver') eq '2' });
    like($target->query('SELECT conninfo FROM pg_stat_wal_receiver'), qr/='/, 'its settings have quotes');

    my $pid = $target->postmaster_pid;
    my $result = run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--source-server',
        $source->conninfo . ' application_name=target') ]);
    is($result->{signal} || $result->{status}, 0, 'exit status 0') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m,
        'it follows');
    is($target->postmaster_pid, $pid, 'it was not stopped');
}, only => [ 10, 15, 18 ]);
