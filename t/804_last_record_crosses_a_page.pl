# A standby of an idle source follows it, though its server leaves the last record unreplayed: one that crosses a page,
# came in two parts, and whose last byte is the last that was flushed. (Servers of many releases, seen with 9.6 to 12,
# read on only when they have received more than the record itself.) Nor is a record replayed of which the source has
# flushed a part only, up to a page's end. A standby that could replay and does not, has not caught up, at whatever
# place the source's WAL ends.
#
#   source   ... ──|rec      flushed up to the page's end
#            ... ──|rec|ord| ▶  and then up to the record's end; nothing follows
#   target   ... ──▶         has received all of it
# (Rule I60.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

use constant { PAGE => 8192, HEADER => 24 };

sub position { my ($cluster, $function) = @_; return $cluster->sql("SELECT pg_wal_lsn_diff($function(), '0/0')") }

# Has that process read a page of WAL, and does it wait for the next? reads: what it had read before.
sub bytes_read { my ($pid) = @_; return slurp("/proc/$pid/io") =~ /^rchar: (\d+)/ ? $1 : die "no rchar\n" }
sub waits_for_more { my ($pid, $reads) = @_; return bytes_read($pid) >= $reads + PAGE
    && slurp("/proc/$pid/stat") =~ /\) S / }

# A record of the source that begins at $begin, crosses the page, and has no padding; its transaction is open, and the
# WAL writer flushes whole pages only. A commit that has written no row lets it flush the rest.
sub emit_in_two_parts
{
    my ($source, $target, $session) = @_;
    my $startup = $target->process_pid('startup');
    my $reads = bytes_read($startup);
    my $begin = position($session, 'pg_current_wal_insert_lsn');
    my $rest = PAGE - $begin % PAGE;
    my $around = 24 + 5 + 24 + 2;    # headers of the record, of its data, of the message; and the prefix
    my $length = $rest + 512;
    $session->sql("BEGIN; SELECT pg_logical_emit_message(false, 'p', repeat('x', @{[ $length - $length % 8 - $around ]}))");
    my $end = position($session, 'pg_current_wal_insert_lsn');
    is($end, $begin + $length - $length % 8 + HEADER, 'the record crosses a page and has no padding');
    wait_until('the first part arrives', sub { position($target, 'pg_last_wal_receive_lsn') == $begin + $rest });
    wait_until('the server has read it', sub { waits_for_more($startup, $reads) });
    $session->sql('COMMIT');
    wait_until('the second part arrives', sub { position($target, 'pg_last_wal_receive_lsn') == $end });
    is(position($target, 'pg_last_wal_replay_lsn'), $begin, 'the server does not replay it') if $target->version < 13;
    is(position($source, 'pg_current_wal_insert_lsn'), $end, 'and nothing follows');
    return;
}

# A record of an open transaction that crosses the page: the WAL writer flushes the part on whole pages. Returns the end
# of that part.
sub flush_to_end_of_page
{
    my ($target, $session) = @_;
    my $begin = position($session, 'pg_current_wal_insert_lsn');
    my $end = $begin - $begin % PAGE + PAGE;
    $session->sql("BEGIN; SELECT pg_logical_emit_message(false, 'p', repeat('x', @{[ $end - $begin + 512 ]}))");
    wait_until('the part arrives', sub { position($target, 'pg_last_wal_receive_lsn') == $end });
    return $end;
}

sub rejoin
{
    my ($target, $source, $timeout) = @_;
    return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, "--rejoin-timeout=$timeout",
        '--source-server', $source->conninfo . ' application_name=target') ]);
}

each_version(sub {
    my ($version) = @_;
    my $source = make_cluster('source', $version, wal_segment_mb => 16)->start;
    $source->sql('CREATE TABLE t (a int)');
    my $target = $source->standby('target');
    my $session = $source->session;
    # All that is read of catalogs later sets its hints now.
    $session->sql("SELECT pg_logical_emit_message(false, 'p', repeat('x', 100))");
    position($_, 'pg_current_wal_insert_lsn') for $source, $session;
    is(rejoin($target, $source, 30)->{status}, 0, 'the target follows the source');
    $source->sql('CHECKPOINT');
    $target->wait_for_replay_of($source);
    my $writer = $source->background_writer_pid;
    stop_in_system_call($writer);
    emit_in_two_parts($source, $target, $session);
    my $pid = $target->postmaster_pid;
    my $result = rejoin($target, $source, 30);
    is($result->{status}, 0, 'and an idle source') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: the target follows the source: standby "target" is streaming/m,
        'it says so');
    is($target->postmaster_pid, $pid, 'it was not restarted');

    $target->query('SELECT pg_wal_replay_pause()');
    $source->sql('INSERT INTO t VALUES (1)');
    $result = rejoin($target, $source, 4);
    is($result->{status}, 2, 'a standby that leaves more than that unreplayed has not caught up')
        or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: the target's server does not follow the source yet$/m, 'it says so');
    my $end = flush_to_end_of_page($target, $session);
    $result = rejoin($target, $source, 4);
    is($result->{status}, 2, 'nor has it where the source is flushed up to the end of a page')
        or diag($result->{stderr});
    $target->query('SELECT pg_wal_replay_resume()');
    $result = rejoin($target, $source, 30);
    is($result->{status}, 0, 'it has once it lacks nothing but the record that this page does not end')
        or diag($result->{stderr});
    cmp_ok(position($target, 'pg_last_wal_replay_lsn'), '<', $end, 'which it has not replayed');
    $session->sql('COMMIT');
    kill 'CONT', $writer;
    $session->end;
}, from => 9.6, only => [ 10, 12, 15 ]);
