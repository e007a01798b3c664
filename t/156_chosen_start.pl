# Where recovery starts is chosen by what it would cost: where much was written to little, it starts late, and the
# source's WAL before that is read once, a window at a time, and not kept. (Where recovery starts. Both sources.)
#
#   source   1 ──●──┬── 2 ── hot: 300 MB of WAL, a few MB of blocks ── S ── new tablespace ──▶    recovery starts at S, or later
#   target          └── 1 ──▶                                                                    ● the last common checkpoint
#
#   source   1 ──●──┬── 2 ── hot ── then many blocks by little WAL ── S ──▶                       early: it is decided when all is read
#
#   source   1 ──●──┬── 2 ── new: as many bytes of blocks as of WAL ── S ──▶                      the link decides
# (Rules C36, C37, C62, C99.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Hot;
use RewindTest::Privileged;
use RewindTest::Tree;

sub settings
{
    my ($version) = @_;
    my $kept = $version >= 13 ? 'wal_keep_size = 2GB' : 'wal_keep_segments = 128';
    return "$kept\nmax_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\nallow_in_place_tablespaces = on\n";
}

sub segments { my ($cluster) = @_; return map { m{/([0-9A-F]{24})\z} } glob($cluster->path('pg_wal/*')) }

# What the report says of the start.
sub start_of
{
    my ($result) = @_;
    return JSON::PP->new->decode($result->{stdout})->{recovery_start};
}

# The rewinds differ from those of the harness in that stdout has the report.
sub is_chosen
{
    my ($target, $source, $kind, $expected, @options) = @_;
    my $result = rewind($target, $source, kind => $kind, options => [ '--no-sync', '--report=json', @options ]);
    is($result->{signal} || $result->{status}, 0, "pg_rewind succeeds with a $kind as source (@options)")
        or diag($result->{stderr});
    my $start = start_of($result);
    is(($start->{late} ? 'late' : 'early') . ", $start->{reason}", $expected, 'the start is as expected')
        or diag($result->{stdout});
    return ($start, $result);
}

# How many segments there are before the redo position that are not the target's own.
sub segments_before
{
    my ($target, $start, $own) = @_;
    my ($high, $low) = map { hex } split m{/}, $start->{redo};
    my $first = ($high << 8) + ($low >> 24);
    my %own = map { $_ => 1 } @$own;
    return scalar grep { !$own{$_} && (hex(substr $_, 8, 8) << 8) + hex(substr $_, 16) < $first } segments($target);
}

sub hot
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16, settings => settings($version) },
        before => sub {
            make_hot($_[0]);
            $_[0]->sql("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i; CREATE TABLE u_0 AS TABLE t; CREATE TABLE u_1 AS TABLE t");
        },
        source => sub {
            my ($source) = @_;
            $source->sql('CREATE TABLE made AS SELECT i FROM generate_series(1, 1000) i');
            write_hot($source, 310);
            $source->sql("CHECKPOINT; UPDATE t SET a = -a WHERE a % 3 = 0");    # S
        },
        target => sub { $_[0]->sql('UPDATE t SET a = 0 WHERE a % 2 = 0; UPDATE hot SET v = -1 WHERE a % 7 = 0') });
    my @own = segments($target);

    my $copy = $target->copy('early');
    my ($start) = is_chosen($copy, $source, 'server', 'early, asked', '--early-start');
    cmp_ok(segments_before($copy, { redo => $source->lsn }, \@own), '>=', 15, 'its WAL is there');
    rejoins($copy, $source, quick => 1);
    $copy->discard;
    for my $kind (qw(server directory))
    {
        my $copy = $target->copy("late_$kind");
        $source->stop if $kind eq 'directory';
        # A standby of such a version should not start at the checkpoint of a stopped source.
        my $late = $version >= 12 || $kind eq 'server';
        my ($start, $result) = is_chosen($copy, $source, $kind, $late ? 'late, estimate' : 'early, no choice');
        is(segments_before($copy, $start, \@own), 0, 'no WAL before it was kept');
        like(slurp($copy->path('backup_label')), qr/^CHECKPOINT LOCATION: \Q$start->{checkpoint}\E$/m,
            'there it starts');
        if ($late)
        {
            cmp_ok($start->{estimate}{wal}, '>', 200e6, 'not before enough was read');
            cmp_ok($start->{estimate}{blocks}, '<', 50e6, 'the blocks are few');
            my $bytes = JSON::PP->new->decode($result->{stdout})->{bytes};
            cmp_ok($bytes->{fetched_by_kind}{wal}, '>', $kind eq 'server' ? 200e6 : 0, 'the WAL that was read counts');
            cmp_ok($bytes->{fetched}, '<=', $bytes->{planned} + $bytes->{planned_wal}, 'and was planned');
        }
        $source->start if $kind eq 'directory';
        rejoins($copy, $source, quick => 1);
        $copy->discard;
    }
    return ($source, $target);
}

# Replay of what the source does after that start would go wrong, so a later one is made, as if the first had not been
# there; where that was asked for, what was changed between the two is fetched as well.
sub later
{
    my ($source, $target) = @_;
    for my $asked (0, 1)
    {
        $source->sql("UPDATE t SET a = a + 10000 WHERE a % 5 = 0; UPDATE u_$asked SET a = a + 10000 WHERE a % 5 = 0; CREATE TABLE between_$asked AS SELECT i FROM generate_series(1, 500) i");
        my $location = $source->dir . "/space_$asked";
        mkdir $location;
        $source->sql("CREATE TABLESPACE later_$asked LOCATION '$location'");
        my $copy = $target->copy("later_$asked");
        my @options = ('--checkpoint', $asked ? '--late-start'
            : (), map { ('-T', $source->dir . "/space_$_=" . $copy->dir . "/space_$_") } 0 .. $asked);
        my ($start) = is_chosen($copy, $source, 'server', 'late, hazard', @options);
        rejoins($copy, $source, quick => 1);
        $copy->discard;
    }
    goes_on_meanwhile($source, $target);
    return;
}

# The source writes some segments between the first reading of its WAL, which ends inside one, and the later start. What
# it makes and lengthens so is in no list of files that is older than that start.
sub goes_on_meanwhile
{
    my ($source, $target) = @_;
    my $location = $source->dir . '/space_2';
    mkdir $location;
    $source->sql("CREATE TABLESPACE later_2 LOCATION '$location'");
    my $copy = $target->copy('goes_on');
    my $run = hold($copy, $source, 'create@*/source.*', '--no-sync', '--checkpoint',
        map { ('-T', $source->dir . "/space_$_=" . $copy->dir . "/space_$_") } 0 .. 2);
    write_hot($source, 60);
    $source->sql('CREATE TABLE made_meanwhile AS SELECT i FROM generate_series(1, 500) i');
    my $result = go_on($run);
    is($result->{status}, 0, 'pg_rewind succeeds while the source writes') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: running CHECKPOINT on the source$/m, 'which made a checkpoint after that');
    rejoins($copy, $source, quick => 1);
    $copy->discard;
    return;
}

# With a copy of the target on a disk of its own that has so many megabytes left.
sub with_small_disk
{
    my ($target, $megabytes, $test) = @_;
    return diag("$0: the part with a small disk is SKIPPED: it needs root, who may mount") if !is_privileged();
    my $copy = $target->copy('small');
    my $pristine = work_dir() . '/pristine';
    must_run([ 'mv', $copy->dir, $pristine ]);
    mkdir $copy->dir or die;
    privileged('make-file-system', int(must_run([ 'du', '-sm', $pristine ]) =~ s/\D.*//rs) + $megabytes, $copy->dir);
    must_run([ 'cp', '-a', "$pristine/.", $copy->dir ]);
    $test->($copy);
    $copy->stop('immediate');
    privileged('unmount', $copy->dir);
    $copy->discard;
    must_run([ 'rm', '-rf', $pristine ]);
    return;
}

# Its WAL since the last common checkpoint does not fit on the disk; what lies before the late start need not.
sub no_room
{
    my ($source, $copy) = @_;
    my $result = rewind($copy, $source, options => [ '--no-sync', '--early-start' ]);
    is($result->{status}, 1, 'an early start is refused');
    like($result->{stderr}, qr/^pg_rewind: error: not enough space on the file system of /m, 'since there is no room');
    is_chosen($copy, $source, 'server', 'late, space');
    rejoins($copy, $source, quick => 1);
    return;
}

# Somebody fills the disk while the WAL is fetched for which there was room when the run began. The next run knows that
# there is none.
sub filled
{
    my ($source, $copy) = @_;
    my $filler = $copy->dir . '/filler';
    my $before = tree($copy);
    my $run = hold($copy, $source, 'create@*/source.*', '--no-sync');
    my ($free) = (split /\n/, must_run([ 'df', '-m', '--output=avail', $copy->dir ]))[1] =~ /(\d+)/;
    must_run([ 'fallocate', '-l', ($free - 200) . 'M', $filler ]);
    my $result = go_on($run);
    is($result->{status}, 1, 'the run fails');
    like($result->{stderr}, qr/^pg_rewind: error: not enough space on the file system of /m, 'for want of space');
    is_same_tree(tree($copy), $before, 'the target is unchanged');
    is_chosen($copy, $source, 'server', 'late, space');
    unlink $filler;
    rejoins($copy, $source, quick => 1);
    return;
}

# The last WAL before S names many more blocks: rows of a kilobyte of which a number is new, on pages of their own.
sub many_blocks_at_last
{
    my ($source, $target) = @_;
    with_small_disk($target, 650, sub { filled($source, @_) });
    $source->sql('BEGIN; ' . ('UPDATE hot SET v = v + 1; ' x 120) . 'COMMIT');
    write_hot($source, 45);
    $source->sql('CHECKPOINT; UPDATE t SET a = 7 WHERE a % 11 = 0');
    my $copy = $target->copy('many_blocks');
    my ($start, $result) = is_chosen($copy, $source, 'server', 'early, estimate', '--max-rate=80M', '--debug');
    unlike($result->{stderr}, qr/recovery starts late/, 'and it was no other before');
    cmp_ok($start->{estimate}{blocks}, '>', 100e6, 'the blocks are many');
    rejoins($copy, $source, quick => 1);
    $copy->discard;
    return;
}

sub new_blocks
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16, settings => settings($version) },
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i') },
        source => sub {
        $_[0]->sql("CREATE TABLE made AS SELECT i, repeat('x', 1000) FROM generate_series(1, 75000) i; CHECKPOINT; UPDATE t SET a = 1") },
        target => sub { $_[0]->sql('UPDATE t SET a = 0 WHERE a % 2 = 0') });
    my $copy = $target->copy('slow');
    my ($start) = is_chosen($copy, $source, 'server', 'early, estimate', '--max-rate=60M');
    cmp_ok($start->{estimate}{bytes_per_second}, '<', 92e6, 'by the rate of the link');
    cmp_ok($start->{estimate}{bytes_per_second}, '>', 0, 'which is known');
    rejoins($copy, $source, quick => 1);
    return;
}

plan(skip_all => 'the start is not chosen when all runs are told which')
    if ($ENV{PG_REWIND_TEST_OPTIONS} // '') =~ /-start\b/;
each_version(sub {
    my ($version) = @_;
    my ($source, $target) = hot($version);
    with_small_disk($target, 200, sub { no_room($source, @_) }) if $version == 18;
    many_blocks_at_last($source, $target) if $version == 15;
    later($source, $target);
    $_->discard for $source, $target;
    new_blocks($version) if $version == 15;
}, only => [ 10, 15, 18 ]);
