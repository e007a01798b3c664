# A database that the source makes from a template with a large unlogged table while pg_rewind runs, block by block (15
# and later), does not keep the rewound target from being promoted: the table's main fork is there before its init fork,
# and its number is the template's. (What is fetched.)
#
#   source   ── record: database ─── main fork copied, no WAL ─── listed ─── init fork, WAL ──▶
# (Rule C76.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my @names = map { "d$_" } 1 .. 10;

# The WAL writer takes less than a second, unless the stopped session holds the lock for that.
sub is_flushed
{
    my ($source) = @_;
    return eval {
        wait_until('WAL is flushed',
            sub { $source->query('SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() < 8192') eq 't' }, 5);
        1;
    };
}

# Stop the session that makes a database when it copies the table, and the database's own record is flushed. It may
# stop at another place; then the next database is tried.
sub stop_amid_copy
{
    my ($source, $session, $pid, $number) = @_;
    while (defined(my $name = shift @names))
    {
        my %known = map { $_ => 1 } glob $source->path("base/*/$number");
        my $file;
        my $deadline = time + PATIENCE_SECONDS;
        $session->send("CREATE DATABASE $name TEMPLATE t STRATEGY wal_log");
        until (defined $file) { ($file) = grep { !$known{$_} && -s } glob $source->path("base/*/$number");
            die "$name is not made\n" if time > $deadline }
        stop_in_system_call($pid);
        return $name if !-e "${file}_init" && is_flushed($source);
        kill 'CONT', $pid;
        $session->sql('SELECT 1');
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql('CREATE DATABASE t');
            $_[0]->sql('CREATE UNLOGGED TABLE u (a text)', 't');
        },
        source => sub { $_[0]->sql(q{INSERT INTO u SELECT repeat('x', 1000) FROM generate_series(1, 100000)}, 't') },
        target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
    my ($number) = $source->sql("SELECT pg_relation_filepath('u')", 't') =~ m{(\d+)$};
    my $session = $source->session;
    my $pid = $session->sql('SELECT pg_backend_pid()');
    ok(stop_amid_copy($source, $session, $pid, $number), 'the source is stopped while it copies the table') or return;
    my $result = rewind($target, $source, options => ['--early-start']);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    kill 'CONT', $pid;
    $session->sql('SELECT 1');
    rejoins($target, $source);
}, only => [ 15, 18 ]);
