# The source's WAL is flushed up to the middle of a record, and nothing more is written: the rewound target is
# consistent where the last whole record ends, so it can be read although the source is gone. (minRecoveryPoint. Source
# is a server.)
#
#   source   1 ──┬── 2 ── ... |rec|rec|re      an open transaction, of which the WAL writer flushes whole pages only
#   target       └── 1 ──▶
# (Rule C46.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('DELETE FROM t WHERE a % 2 = 0') });
    stop_in_system_call($source->background_writer_pid);    # its records are flushed to their end
    my $session = $source->session;
    $session->sql('BEGIN');
    my $is_inside =
        sub {
            $source->query('SELECT pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()')
        =~ /[02468ACE]000\|t$/ };
    wait_until('the source is idle inside of a record', sub {
        # Long records, so that a page ends within one.
        $session->sql("SELECT pg_logical_emit_message(true, '', repeat('x', 6000)) FROM generate_series(1, 7)");
        my $flushed = '';
        wait_until('the writer has nothing to do', sub {
            my $before = $flushed;
            select(undef, undef, undef, 0.3);    # of its pauses, 200 ms each
            $flushed = $source->query('SELECT pg_current_wal_flush_lsn()');
            return $flushed eq $before;
        });
        return $is_inside->();
    });
    rewinds($target, $source, options => ['-N']);
    ok($is_inside->(), 'the source still is');
    $source->stop('kill');
    $session->end;
    $target->follow($source);
    is($target->try_start->{status}, 0, 'the rewound target starts') or diag($target->log);
    my $rows = $target->try_sql('SELECT count(*) FROM t');
    is($rows->{stdout}, "1000\n", 'and can be read') or diag($rows->{stderr});
}, only => [ 10, 15, 18 ]);
