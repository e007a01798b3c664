# Our reader sees the same records and block references in real WAL as pg_waldump: record for record, block for block.
#
# The WAL is of versions 15 and 19, whose pg_waldump Debian has: all kinds of indexes, records longer than a page and
# than a segment, segment switches, compressed images, a record given up in the middle, two timelines.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use File::Basename qw(dirname);

my $waldump = $ENV{WALDUMP} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/waldump';
my $pg_waldump;
my %fork_number = (main => 0, fsm => 1, vm => 2, init => 3);

# A record as one line, from ours.
sub our_records
{
    my ($data, @segments) = @_;
    my $output = must_run([ $waldump, $data, @segments ]);
    return map { s/ info [0-9A-F]{2}| INIT//gr } split /\n/, $output;
}

# The same line from one of pg_waldump's.
sub converted
{
    my ($line) = @_;
    $line =~ m{^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: (\S+), prev (\S+), desc: }
        or die "not a line of pg_waldump: $line";
    my $record = "$4 prev $5 len $2 tx $3 rmgr $1";
    while ($line =~ m{, blkref #(\d+): rel (\d+/\d+/\d+)(?: fork (\w+))? blk (\d+)( FPW for WAL verification| FPW)?}g)
    {
        my $image = !defined $5 ? '' : $5 eq ' FPW' ? ' FPW' : ' FPW-check';
        $record .= ", blk $1 $2 " . $fork_number{ $3 // 'main' } . " $4$image";
    }
    return $record;
}

# Records of a range; at its end pg_waldump fails where the WAL ends, which is not our subject.
sub their_records
{
    my ($data, $timeline, @segments) = @_;
    my $result = run([ $pg_waldump, '-p', "$data/pg_wal", '-t', $timeline, @segments ]);
    return map { converted($_) } split /\n/, $result->{stdout};
}

sub segments
{
    my ($cluster, $timeline) = @_;
    my $prefix = sprintf '%08X', $timeline;
    opendir(my $directory, $cluster->path('pg_wal')) or die;
    my @names = sort grep { /^$prefix[0-9A-F]{16}$/ } readdir $directory;
    return @names[0, -1];
}

sub work
{
    my ($server) = @_;
    for my $method (qw(btree hash gist spgist brin))
    {
        my $column = $method =~ /gist/ ? 'place' : 'word';
        $server->sql("CREATE TABLE with_$method (word text, place point, numbers int[]);
            CREATE INDEX ON with_$method USING $method ($column);
            INSERT INTO with_$method SELECT md5(i::text), point(i, i % 77), ARRAY[i % 5] FROM generate_series(1, 3000) i;
            UPDATE with_$method SET word = md5(word) WHERE numbers[1] = 1;
            DELETE FROM with_$method WHERE numbers[1] = 2;
            VACUUM with_$method");
    }
    $server->sql(<<'END');
CREATE INDEX with_gin ON with_btree USING gin (numbers);
UPDATE with_btree SET numbers = numbers || 17;
CREATE TABLE toasted (value text);
ALTER TABLE toasted ALTER value SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT repeat(md5(i::text), 3000) FROM generate_series(1, 30) i;
SELECT pg_switch_wal();
CREATE SEQUENCE counter;
SELECT nextval('counter') FROM generate_series(1, 200);
CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 100);
SELECT pg_logical_emit_message(false, 'long', repeat('x', 5000000));
SELECT pg_logical_emit_message(true, 'short', 'y');
CREATE DATABASE by_wal STRATEGY wal_log;
CREATE DATABASE by_file STRATEGY file_copy;
DROP DATABASE by_file;
BEGIN; CREATE TABLE truncated AS SELECT generate_series(1, 5000) AS a; COMMIT;
DELETE FROM truncated; VACUUM truncated; TRUNCATE truncated;
BEGIN; INSERT INTO truncated VALUES (1); SAVEPOINT a; INSERT INTO truncated VALUES (2); ROLLBACK TO a;
SAVEPOINT b; INSERT INTO truncated VALUES (3); PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one';
BEGIN; INSERT INTO truncated VALUES (4); PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';
CREATE TABLE locked AS SELECT 1 AS a;
BEGIN; SELECT a FROM locked FOR KEY SHARE; SAVEPOINT a; UPDATE locked SET a = 2; COMMIT;
CHECKPOINT;
VACUUM FULL with_gist; REINDEX TABLE with_spgist; CLUSTER with_btree USING with_btree_word_idx;
SELECT pg_create_restore_point('here');
SELECT pg_switch_wal();
UPDATE with_hash SET word = md5(word);
DROP TABLE with_brin;
END
    # Enough transactions for a new page of pg_xact, and one commit record longer than a page.
    $server->sql(<<'END');
DO $$ BEGIN FOR i IN 1 .. 33000 LOOP
BEGIN INSERT INTO truncated VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
END LOOP; END $$
END
    return;
}

sub same_records
{
    my ($cluster, $timeline, $what) = @_;
    my @range = segments($cluster, $timeline);
    my @ours = our_records($cluster->data, @range);
    my @theirs = their_records($cluster->data, $timeline, @range);
    my ($first_difference) = grep { ($ours[$_] // '') ne ($theirs[$_] // '') } 0 .. ($#ours > $#theirs ? $#ours
        : $#theirs);
    ok(!defined $first_difference && @ours > 100, "$what: all records are those of pg_waldump");
    diag("ours:   ", $ours[$first_difference] // 'nothing', "\ntheirs: ", $theirs[$first_difference] // 'nothing')
        if defined $first_difference;
    note(scalar(@ours), ' records');
    return @ours;
}

each_version(sub {
    my ($version) = @_;
    my $server = RewindTest::Cluster->new('server', $version, wal_segment_mb => 1,
        settings => "wal_compression = on\nwal_level = logical\nwal_keep_size = '1GB'\nmax_wal_size = '2GB'");
    $pg_waldump = -x $server->bindir . '/pg_waldump' ? $server->bindir . '/pg_waldump' : program('pg_waldump');
    $server->start;
    work($server);
    $server->sql("SET wal_consistency_checking = 'heap, btree'; UPDATE with_hash SET word = md5(word)");

    # Crash, and lose the segment in which the last record ends: the server gives that record up.
    $server->sql('SELECT pg_switch_wal()');
    my $end_of_record = $server->query(
        "SELECT pg_walfile_name(pg_logical_emit_message(true, 'cut', repeat('z', 1500000)))");
    my $pid = $server->postmaster_pid;
    $server->stop('kill');
    wait_until('the server is reaped', sub { !-e "/proc/$pid" });
    unlink $server->path("pg_wal/$end_of_record") or die "could not remove $end_of_record: $!";
    $server->start;
    $server->sql('CREATE TABLE after_crash AS SELECT generate_series(1, 1000) AS a');
    $server->stop;

    my @records = same_records($server, 1, 'timeline 1');
    my %kinds = map { /rmgr (\w+)/ ? ($1 => 1) : () } @records;
    is_deeply([ grep { !$kinds{$_} } qw(XLOG Transaction Storage CLOG Database MultiXact RelMap Standby Heap2 Heap Btree
                Hash Gin Gist Sequence SPGist BRIN LogicalMessage) ], [], 'all kinds of records are there');
    ok((grep { /len [0-9]{7}/ } @records), 'a record longer than a segment is there');

    # On a new timeline, whose first segment begins with a copy of the old one's.
    $server->configure("restore_command = 'false'");
    spew($server->path('standby.signal'), '');
    $server->start;
    $server->promote;
    $server->sql('CREATE TABLE on_two AS SELECT generate_series(1, 20000) AS a');
    $server->stop;
    same_records($server, 2, 'timeline 2');
}, only => [ 15, 19 ]);
