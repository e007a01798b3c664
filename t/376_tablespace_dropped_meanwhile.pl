# A tablespace that the source drops while pg_rewind runs: its link goes before the record of that is in the WAL. The
# rewound target must not replay changes in a tablespace for which it has no link. (Invariant 7. Source is a server.)
#
#   source   ─ table in s changed, dropped ─── link of s goes ─── record: s is dropped ──▶
#                                                            ▲
#                                                            everything is fetched, and the position is read
#
# Replay would make a directory in the place of the link: "unexpected directory entry found in pg_tblspc/", at each
# start (15 and later).
# (Rule C60.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Tree;
use Time::HiRes qw(time);

my @spaces = map { "s$_" } 1 .. 10;

# The transaction has not ended, and not flushed its last record. (What is unflushed may be another's if it has ended.)
sub is_amid_drop
{
    my ($source, $oid) = @_;
    return $source->query("SELECT EXISTS (SELECT 1 FROM pg_tablespace WHERE oid = $oid) AND pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()")
        eq 't';
}

# Stop a session between the removal of a tablespace's link and the flush of the record, while it sleeps for
# commit_delay, 100 ms: it holds the lock then under which any process flushes. It may be too fast; then the next
# tablespace is tried.
sub stop_amid_drop
{
    my ($source, $session, $pid) = @_;
    while (defined(my $space = shift @spaces))
    {
        my $oid = $source->query("SELECT oid FROM pg_tablespace WHERE spcname = '$space'");
        my $link = $source->path("pg_tblspc/$oid");
        $source->sql($_) for "UPDATE in_$space SET i = i + 1", "DROP TABLE in_$space";
        my $deadline = time + PATIENCE_SECONDS;
        $session->send("DROP TABLESPACE $space");
        while (-l $link || process_file($pid, 'stat') !~ /\) S /) { die "the link of $space stays\n"
            if time > $deadline }
        stop_in_system_call($pid);
        return $oid if is_amid_drop($source, $oid);
        kill 'CONT', $pid;
        $session->sql('SELECT 1');
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            for my $space (@spaces)
            {
                my $place = $primary->tablespace_location($space);
                $primary->sql("CREATE TABLESPACE $space LOCATION '$place'");
                $primary->sql("CREATE TABLE in_$space TABLESPACE $space AS SELECT i FROM generate_series(1, 1000) i");
            }
        },
        source => sub {
            my ($source) = @_;
            $source->configure("fsync = on\ncommit_delay = 100000\ncommit_siblings = 0\nautovacuum = off");
            $source->restart;
        },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
    my $session = $source->session;
    my $pid = $session->sql('SELECT pg_backend_pid()');
    my $oid = stop_amid_drop($source, $session, $pid);
    ok($oid, 'the source is stopped while it drops a tablespace') or return;

    my $before = tree($target);
    my $refused = rewind($target, $source, options => ['--wait-timeout=1'], not_foretold => 'nothing is fetched');
    is($refused->{status}, 1, 'a drop that takes too long is an error');
    like($refused->{stderr},
        qr/^pg_rewind: error: tablespace "pg_tblspc\/$oid" is gone from the source, whose WAL does not say that it was dropped$/m,
        'which names the tablespace');
    is_same_tree(tree($target), $before, 'the target is as it was');

    my $run = start_rewind($target, $source);
    wait_until('pg_rewind waits', sub {
        has_ended($run)
            || slurp($run->{errors})
            =~ /^pg_rewind: waiting for the source's WAL to say that tablespace $oid was dropped$/m });
    kill 'CONT', $pid;
    my $result = end_of_rewind($run);
    is($result->{status}, 0, 'once the drop ends the rewind goes on') or diag($result->{stderr});
    $session->sql('SELECT 1');    # the drop has ended
    ok(!-e $target->path("pg_tblspc/$oid"), 'the target has no such tablespace');
    rejoins($target, $source, no_promotion => 1);
}, only => [ 10, 15, 18 ]);
