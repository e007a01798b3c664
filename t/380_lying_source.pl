# A source that answers nonsense can never write outside of the target, and what it says either makes a rewind or
# changes nothing. (Invariants 1 and 9. The lies do not depend on the version.)
#
#   pg_rewind ──▶ liar ──▶ source        dice choose which rows of its answers the liar changes, and how
#
# PG_REWIND_TEST_LIES=500 tells more of them (PG_REWIND_TEST_POINTS=all as many), also to other versions;
# PG_REWIND_TEST_SEED is the first.
# (Rule C84.)

use strict;
use warnings;
use lib 't/lib';
use File::Find ();
use RewindTest;
use RewindTest::Dice;
use RewindTest::Liar;
use RewindTest::Proxy;

my $all = ($ENV{PG_REWIND_TEST_POINTS} // '') eq 'all';
my $lies = $ENV{PG_REWIND_TEST_LIES} // ($all ? 500 : 30);
my $first_seed = test_seed();

# path => what shows that anything about it has changed: only looking does not change it.
sub state_of
{
    my (@directories) = @_;
    my %state;
    my $visit = sub {
        my ($inode, $mode, $links, $size, $changed) = (lstat)[1, 2, 3, 7, 10];
        $state{$_} = -d _ ? "directory $inode $mode" : "$inode $mode $links $size $changed";
    };
    File::Find::find({ no_chdir => 1, wanted => $visit }, @directories);
    return \%state;
}

sub changes
{
    my ($before, $after) = @_;
    my %path = (%$before, %$after);
    return join ', ', grep { ($before->{$_} // '') ne ($after->{$_} // '') } sort keys %path;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $original) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            $primary->sql("CREATE TABLE t TABLESPACE space AS SELECT i, 'common' AS v FROM generate_series(1, 2000) i");
        },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target' WHERE i < 100; CREATE TABLE u AS SELECT 1 AS a") });
    my $outside = work_dir() . '/outside';
    -d $outside or mkdir $outside or die "could not create $outside: $!";
    spew("$outside/kept", 'keep');
    symlink($outside, $original->path('link_out')) or die "could not create a link: $!";

    my ($target, $before);

    # A lie that is told in each row, what the query and the row look like, and what pg_rewind says of it.
    my @chosen = (
        [ 'a path out of the target', qr/tablespace_location/, qr{^PG_VERSION$},
            sub { [ '../../outside/kept', @_[ 1 .. 4 ] ] },
            qr{target file path is unsafe for open: "\.\./\.\./outside/kept"} ],
        [ 'an absolute path', qr/tablespace_location/, qr{^PG_VERSION$},
            sub { [ "$outside/kept", @_[ 1 .. 4 ] ] }, qr/target file path is unsafe for open/ ],
        [ 'a link that is no tablespace', qr/tablespace_location/, qr{^base$},
            sub { \@_, [ 'base/liar', 4096, 't', $outside, undef ], [ 'base/liar/kept', 4, 'f', undef, undef ] },
            qr/unexpected result set while fetching file list/ ],
        [ 'a directory deeper than asked for', qr/tablespace_location/, qr{^base$},
            sub { \@_, [ 'base/liar/deep/deeper', 4096, 't', undef, undef ] },
            qr/unexpected result set while fetching file list/ ],
        [ 'a file behind a link of the target', qr/tablespace_location/, qr{^base$},
            sub { \@_, [ 'link_out/kept', 4, 'f', undef, undef ] },
            qr{source file "link_out/kept" is not in a directory that was listed} ],
        [ 'a size below zero', qr/tablespace_location/, qr{^PG_VERSION$},
            sub { [ $_[0], -1, @_[ 2 .. 4 ] ] }, qr/unexpected result set while fetching file list/ ],
        [ 'a size of exabytes', qr/tablespace_location/, qr{^PG_VERSION$},
            sub { [ $_[0], '9223372036854775807', @_[ 2 .. 4 ] ] },
            qr/file "PG_VERSION" cannot be 9223372036854775807 bytes long/ ],
        [ 'NULL for a size', qr/tablespace_location/, qr{^PG_VERSION$},
            sub { [ $_[0], undef, @_[ 2 .. 4 ] ] }, qr/unexpected result set while fetching file list/ ],
        [ 'nothing but PG_VERSION', qr/tablespace_location/, qr{^(?!PG_VERSION$)}, sub { },
            qr/source file list lacks "base"/ ],
        [ 'no WAL', qr/tablespace_location/, qr{^pg_(?:wal|xlog)}, sub { },
        qr/source file list lacks "pg_(?:wal|xlog)"/ ],
        [ 'another file than was asked for', qr/AS zeros\b/, qr{^base/},
            sub { [ '../../outside/kept', @_[ 1 .. 3 ] ] },
            qr{received data for file "\.\./\.\./outside/kept", when requested for "base/} ],
        [ 'another place of the file', qr/AS zeros\b/, qr{^base/},
            sub { [ $_[0], pack('q>', 3 << 30), @_[ 2, 3 ] ] }, qr/received data at offset 3221225472 of file "base/ ],
        [ 'more than was asked for', qr/AS zeros\b/, qr{^base/},
            sub { [ @_[ 0, 1 ], 'x' x (2 << 20), undef ] }, qr/received more than requested for file "base/ ],
        [ 'more zeros than bytes were asked for', qr/AS zeros\b/, qr{^base/},
            sub { [ @_[ 0, 1 ], '', pack('q>', 2 << 20) ] }, qr/received more than requested for file "base/ ],
        [ 'zeros less than none', qr/AS zeros\b/, qr{^base/},
            sub { [ @_[ 0, 1 ], '', pack('q>', -1) ] }, qr/unexpected result length while fetching remote files/ ],
        [ 'zeros behind the bytes', qr/AS zeros\b/, qr{^base/},
            sub { [ @_[ 0, 1 ], 'x', pack('q>', (5 << 32) + 1) ] }, qr/unexpected result length while fetching remote files/ ],
        [ 'more pieces than were asked for', qr/AS zeros\b/, qr{^},
            sub { \@_, \@_ },
            qr/received data for file|received data at offset|received more data chunks than requested/ ],
        [ 'no pieces', qr/AS zeros\b/, qr{^}, sub { }, qr/unexpected number of data chunks received/ ],
        [ 'a position behind all WAL', qr/ AS standby /, qr{^},
        sub { [ @_[ 0, 1 ], 'FFFFFFFF/FFFFFFFF 00000002', @_[ 3 .. 5 ] ] }, qr{unrecognized result "FFFFFFFF/FFFFFFFF} ],
        [ 'a position far behind', qr/ AS standby /, qr{^},
        sub { [ @_[ 0, 1 ], '7FFFFFFF/FFFFFFFF 00000002', @_[ 3 .. 5 ] ] }, qr/not enough space on the file system/ ],
    );
    for my $chosen (@chosen)
    {
        my ($what, $query, $first, $lie, $message) = @$chosen;
        my $copy = $original->copy('chosen');
        my $before = state_of($copy->dir, $outside);
        my $proxy = RewindTest::Proxy->new('liar', $source, filter => RewindTest::Liar::chosen(sub {
            my ($sql, $row) = @_;
            return $sql =~ $query && ($row->[0] // '') =~ $first ? $lie->(@$row) : $row;
        }));
        my $result = rewind($copy, $proxy, options => ['--retry-timeout=20']);
        $proxy->end;
        is($result->{status}, 1, "$what: exit status 1") or diag($result->{stderr});
        like($result->{stderr}, $message, "$what: it is said");
        is(changes($before, state_of($copy->dir, $outside)), '', "$what: nothing has changed");
        $copy->discard;
    }

    # Directories that are to be filled are made anew where the source does not have them.
    my $without = $original->copy('without');
    my $forgetful = RewindTest::Proxy->new('liar', $source, filter => RewindTest::Liar::chosen(sub {
        my ($sql, $row) = @_;
        return $sql =~ /tablespace_location/ && $row->[0] =~ m{^pg_(?:wal|xlog)/archive_status} ? () : $row;
    }));
    rewinds($without, $forgetful);
    $forgetful->end;
    rejoins($without, $source);
    $without->discard;

    # The position is asked for once more when all has been fetched.
    my $asked = 0;
    my $copy = $original->copy('chosen');
    my $copy_before = state_of($copy->dir, $outside);
    my $proxy = RewindTest::Proxy->new('liar', $source, filter => RewindTest::Liar::chosen(sub {
        my ($sql, $row) = @_;
        return $sql =~ / AS standby / && $asked++
            ? [ @$row[ 0, 1 ], '7FFFFFFF/FFFFFFFF 00000002', @$row[ 3 .. 5 ] ] : $row;
    }));
    my $result = rewind($copy, $proxy);
    $proxy->end;
    is($result->{status}, 1, 'a position far behind, at the end: exit status 1') or diag($result->{stderr});
    like($result->{stderr}, qr/Missing: .*, \.\.\./, 'the first segments that are missing are named');
    is(changes($copy_before, state_of($copy->dir, $outside)), '', 'nothing has changed');
    $copy->discard;

    my $around = state_of($outside);
    my %ended;
    for my $seed ($first_seed .. $first_seed + $lies - 1)
    {
        if (!$target)
        {
            $target = $original->copy("target.$seed");
            $before = state_of($target->dir);
        }
        my $log = work_dir() . "/lies.$seed";
        my $proxy = RewindTest::Proxy->new('liar', $source,
            filter => RewindTest::Liar::filter($seed, outside => $outside, log => $log));
        my $result = rewind($target, $proxy, options => [ '--retry-timeout=2', '--jobs=2' ]);
        $proxy->end;
        my $told = -e $log ? slurp($log) : 'nothing';
        my $report = "seed $seed, exit status $result->{status}, signal $result->{signal}\nlies: "
            . substr($told, 0, 2000)
            . "\n" . substr($result->{stderr}, -2000);
        my $ended_well = $result->{signal} == 0 && grep { $_ == $result->{status} } 0, 1, 3;
        ok($ended_well, "lie $seed: it ends with exit status 0, 1 or 3") or diag($report);
        my $outside_changed = changes($around, state_of($outside));
        is($outside_changed, '', "lie $seed: nothing outside of the target has changed") or diag($report);
        $ended{ $told eq 'nothing' ? 'no lie' : $result->{status} }++;
        if ($result->{status} != 0)
        {
            my $changed = changes($before, state_of($target->dir));
            is($changed, '', "lie $seed: the target is untouched") or diag($report);
            next if $changed eq '' && $ended_well;
        }
        $target->discard;
        $target = undef;
    }
    note(join ', ', map { "$_: $ended{$_}" } sort keys %ended);
    cmp_ok($ended{1} // 0, '>', $lies / 5, 'many lies were noticed') if $lies >= 20;
}, $all || $ENV{PG_REWIND_TEST_LIES} ? () : (only => [15]));
