# When is a standby back? When its server runs, streams, and has replayed what the source had when the tool ended.

package Ready;

use strict;
use warnings;

use Client;
use Exporter 'import';
use RewindTest;
use Time::HiRes ();

our @EXPORT = qw(source_end seconds_until_ready);

use constant POLL_SECONDS => 0.01;
use constant AT_MOST_SECONDS => 1200;

# Where the WAL of a source ends, that of its last record flushed.
sub source_end
{
    my ($source) = @_;
    my $client = Client->connect($source->dir) // die $source->name . " takes no connections\n";
    $client->query("SELECT pg_logical_emit_message(true, 'bench', '')");
    return ($client->query('SELECT pg_current_wal_flush_lsn()'))[0][0];
}

# Start a standby, as its users do: with fsync, which other servers here do without. Returns how long it took until it was back.
sub seconds_until_ready
{
    my ($standby, $lsn) = @_;
    my $begin = Time::HiRes::time();

    $standby->{starts}++;
    must_run([ $standby->bindir . '/pg_ctl', '-W', '-D', $standby->data, '-l', $standby->log_path, '-o',
        '-c unix_socket_directories=' . $standby->dir . ' -c fsync=on', 'start' ]);
    my $client;
    poll($standby, sub { $client = Client->connect($standby->dir) });
    poll($standby, sub {
        my ($row) = $client->query("SELECT coalesce(pg_last_wal_replay_lsn() >= '$lsn', false)
            AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')");
        return $row->[0] eq 't';
    });
    return Time::HiRes::time() - $begin;
}

sub poll
{
    my ($standby, $condition) = @_;
    my $begin = Time::HiRes::time();

    for (my $asked = 1; !$condition->(); $asked++)
    {
        my $seconds = Time::HiRes::time() - $begin;
        die $standby->name . " does not come back; its log:\n" . $standby->log
            if $seconds > AT_MOST_SECONDS || ($asked % 100 == 0 && $seconds > 5 && !$standby->is_running);
        Time::HiRes::sleep(POLL_SECONDS);
    }
    return;
}

1;
