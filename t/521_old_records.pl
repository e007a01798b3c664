# Our reader sees the same records in WAL of 9.3 to 9.6 as the pg_xlogdump of that version: record for record, and the
# same blocks.
#
# The WAL is that of the diverged pairs (see t/520_old_fixtures.pl); VERSION/pair-tiny.SIDE.xlogdump.zst is what
# pg_xlogdump -b said of each of its segments. Of 9.5 and 9.6 it names each block, which must be the same. Of 9.3 and
# 9.4 it names those with an image, which must be the same, and most of the others in its description of the record:
# ours must have them all, and may have more. No server is needed.

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(basename dirname);
use RewindTest;

my $fixtures = $ENV{PG_REWIND_TEST_FIXTURES} // '../shared/fixtures';
plan(skip_all => "there are no diverged pairs at $fixtures") if !-r "$fixtures/9.6/pair-tiny.tar.zst";

my $waldump = $ENV{WALDUMP} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/waldump';
my %fork_number = (main => 0, fsm => 1, vm => 2, init => 3);

# A record is [ "LSN prev LSN len N tx N rmgr NAME", { "RELATION FORK BLOCK" => has an image }, what it is ].
sub our_records
{
    my ($data) = @_;
    my @records;
    for my $segment (sort grep { /^[0-9A-F]{24}$/ } map { basename($_) } glob("$data/pg_xlog/*"))
    {
        for my $line (split /\n/, must_run([ $waldump, $data, $segment ]))
        {
            my ($head, $info) = $line =~ m{^(\S+ prev \S+ len \d+ tx \d+ rmgr \S+) info (\w\w)}
                or die "not a record: $line";
            push @records, [ $head, {}, $info ];
            $records[-1][1]{"$1 $2 $3"} = defined $4 while $line =~ m{, blk \d+ (\d+/\d+/\d+) (\d+) (\d+)( FPW)?}g;
        }
    }
    return @records;
}

# pg_xlogdump's, with a list of blocks that the description names.
sub their_records
{
    my ($file) = @_;
    my @records;
    for my $line (split /\n/, must_run([ 'zstd', '-q', '-dc', $file ]))
    {
        if ($line
            =~ m{^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: (\S+), prev (\S+), (?:bkp: \d{4}, )?desc: (.*)})
        {
            push @records, [ "$4 prev $5 len $2 tx $3 rmgr $1", {}, $6 ];
        }
        elsif ($line =~ m{^\tblkref #\d+: rel (\S+) fork (\w+) blk (\d+)( \(FPW\))?}
            || $line =~ m{^\tbackup bkp #\d; rel (\S+); fork: (\w+); block: (\d+)(;)})
        {
            $records[-1][1]{"$1 $fork_number{$2} $3"} = defined $4;
        }
        elsif ($line !~ /^pg_xlogdump: FATAL: +error in WAL record/)
        {
            die "not a line of pg_xlogdump: $line";
        }
    }
    return @records;
}

# The blocks in a description of 9.3 and 9.4, as "RELATION FORK BLOCK".
sub described
{
    my ($text) = @_;
    return "1663/$1 " . ($2 ? $fork_number{$2} : 0) . " $3"
        if $text =~ m{^full-page image: base/(\d+/\d+)(?:_(\w+))? block (\d+)$};
    my ($relation) = $text =~ m{(?:rel|node:) (\d+/\d+/\d+)} or return;
    my $fork = $text =~ m{; fork (\d), blk } ? $1 : 0;
    return if $text =~ /^reuse_page/;    # for conflicts only
    # (The page that follows the right half of a split has the number 0 where there is none.)
    my @blocks =
        $text
            =~ m{(?:\btid |\bblk |\bblkno: |\bblock number |\bpage:? |\broot (?=\d+ lev)|\bleft |\bright |\bnext (?!0,))(\d+)}g;
    return map { "$relation $fork $_" } @blocks;
}

sub same_records
{
    my ($version, $data, $side, $count) = @_;
    my @ours = our_records($data);
    my @theirs = their_records("$fixtures/$version/pair-tiny.$side.xlogdump.zst");
    my @wrong;
    for my $i (0 .. ($#ours > $#theirs ? $#ours : $#theirs))
    {
        my ($ours, $theirs) = ($ours[$i] // [ 'nothing', {} ], $theirs[$i] // [ 'nothing', {}, '' ]);
        my $rmgr = $theirs->[0] =~ s/.* //r;
        my %named = map { $_ => 1 } keys %{ $theirs->[1] };
        if ($version < 9.5)
        {
            my @described = described($theirs->[2]);
            $named{$_} = 1 for @described;
            # That kind of record is nothing but an image: none is listed below it.
            $theirs->[1]{$_} = 1 for grep { $theirs->[2] =~ /^full-page image: / } @described;
        }
        my @missing = grep { !exists $ours->[1]{$_} } sort keys %named;
        my @other_image = grep { !!$ours->[1]{$_} != !!$theirs->[1]{$_} } sort keys %{ $ours->[1] };
        my @too_many = $version < 9.5 ? () : grep { !$named{$_} } sort keys %{ $ours->[1] };
        $count->{$rmgr}[0]++;
        $count->{$rmgr}[1] += keys %named;
        $count->{$rmgr}[2] += keys %{ $ours->[1] };
        next if $ours->[0] eq $theirs->[0] && !@missing && !@other_image && !@too_many;
        push @wrong, "ours: $ours->[0], blocks " . join(', ', sort keys %{ $ours->[1] })
            . "; theirs: $theirs->[0] $theirs->[2], blocks " . join(', ', sort keys %named);
    }
    ok(!@wrong && @ours > 1000, "the $side: all records are those of pg_xlogdump");
    diag(join("\n", @wrong > 10 ? (@wrong[ 0 .. 9 ], @wrong . ' in all') : @wrong)) if @wrong;
    return;
}

for my $version (qw(9.3 9.4 9.5 9.6))
{
    subtest($version, sub {
        my $dir = work_dir() . "/$version";
        mkdir $dir or die "$dir: $!";
        must_run([ 'sh', '-c', 'zstd -q -d --long=27 <"$0" | tar -x -C "$1"', "$fixtures/$version/pair-tiny.tar.zst",
            $dir ]);
        my %count;
        same_records($version, "$dir/$_", $_, \%count) for qw(source target);
        is_deeply([ grep { !$count{$_} } qw(XLOG Transaction Storage MultiXact Standby Heap2 Heap Btree Gin Gist
            Sequence SPGist), $version >= 9.5 ? 'BRIN' : () ], [],
            'all kinds of records are there');
        note("$_: $count{$_}[0] records, $count{$_}[1] blocks named, $count{$_}[2] by us") for sort keys %count;
        must_run([ 'rm', '-rf', $dir ]);
    });
}
done_testing();
