# Our reader sees the same records and backup blocks in WAL of 9.3 and 9.4 as their pg_xlogdump, and knows each kind of
# record.
#
# These records do not say which blocks they change: what else we name is for the unit tests. Needs such servers:
# PG_BINDIR_9_3, PG_BINDIR_9_4.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use File::Basename qw(dirname);

my $waldump = $ENV{WALDUMP} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/waldump';
my %fork_number = (main => 0, fsm => 1, vm => 2, init => 3);
my @versions = grep { -x ($ENV{ 'PG_BINDIR_' . tr/./_/r } // '') . '/pg_xlogdump' } '9.3', '9.4';
plan(skip_all => 'no server of 9.3 or 9.4 is given') if !@versions;

# LSN => the record as one line, with its backup blocks but for the one in an image of hints, which is data to
# pg_xlogdump.
sub our_records
{
    my ($data, @segments) = @_;
    my (%record, @unknown);

    for my $line (split /\n/, must_run([ $waldump, $data, @segments ]))
    {
        my ($head, @blocks) = split /, /, $line =~ s/ INIT//gr;
        $head =~ s/ info ([0-9A-F]{2})$// or die $line;
        push @unknown, $line if hex($1) & 1;
        @blocks = () if $head =~ /rmgr XLOG$/;
        $record{ (split / /, $head)[0] } = join ', ', $head, grep { /FPW$/ } @blocks;
    }
    return (\%record, \@unknown);
}

sub their_records
{
    my ($server, @segments) = @_;
    my $result = run([ $server->bindir . '/pg_xlogdump', '-b', '-p', $server->path('pg_xlog'), @segments ]);
    my (%record, $lsn);

    for my $line (split /\n/, $result->{stdout})
    {
        if ($line =~ m{^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: (\S+), prev (\S+), bkp: })
        {
            ($lsn, $record{$4}) = ($4, "$4 prev $5 len $2 tx $3 rmgr $1");
        }
        elsif ($line =~ m{^\tbackup bkp #(\d); rel (\S+); fork: (\w+); block: (\d+);})
        {
            $record{$lsn} .= ", blk $1 $2 $fork_number{$3} $4 FPW";
        }
    }
    return \%record;
}

sub work
{
    my ($server) = @_;

    for my $method (qw(btree gin gist spgist))
    {
        my $column = { btree => 'word', gin => 'numbers' }->{$method} // 'place';
        $server->sql("CREATE TABLE with_$method (word text, place point, numbers int[]);
            CREATE INDEX ON with_$method USING $method ($column);
            INSERT INTO with_$method SELECT md5(i::text), point(i, i % 77), ARRAY[i % 5] FROM generate_series(1, 3000) i;
            CHECKPOINT;
            UPDATE with_$method SET word = md5(word) WHERE numbers[1] = 1;
            DELETE FROM with_$method WHERE numbers[1] > 1;
            VACUUM FREEZE with_$method");
    }
    $server->sql(<<'END');
CREATE SEQUENCE counter;
SELECT nextval('counter') FROM generate_series(1, 200);
CREATE TABLE locked AS SELECT 1 AS a;
BEGIN; SELECT a FROM locked FOR KEY SHARE; SAVEPOINT a; UPDATE locked SET a = 2; COMMIT;
TRUNCATE locked;
CREATE DATABASE made;
DROP DATABASE made;
SELECT pg_switch_xlog();
VACUUM FULL with_gist; REINDEX TABLE with_spgist;
DROP TABLE with_gin;
END
    return;
}

for my $version (@versions)
{
    my $server = RewindTest::Cluster->new("server$version", $version);
    $server->start;
    work($server);
    $server->stop;
    opendir(my $directory, $server->path('pg_xlog')) or die;
    my @range = (sort grep { /^0000000100[0-9A-F]{14}$/ } readdir $directory)[ 0, -1 ];
    my ($ours, $unknown) = our_records($server->data, @range);
    my $theirs = their_records($server, @range);
    my @different = sort grep { ($ours->{$_} // '') ne ($theirs->{$_} // '') } keys %{ { %$ours, %$theirs } };
    ok(!@different && keys %$ours > 10_000, "$version: all records are those of pg_xlogdump");
    diag('ours:   ', $ours->{ $different[0] } // 'nothing', "\ntheirs: ", $theirs->{ $different[0] } // 'nothing')
        if @different;
    is_deeply($unknown, [], "$version: no record is unknown");
    note(scalar(keys %$ours), ' records');
}

done_testing();
