# Too little space is said with numbers before anything is written, and no more is needed than was said. A disk that another process
# fills at any time leaves a target that is untouched, or is finished as soon as there is room.  (Invariants 1 to 4. Small file systems
# of their own; nothing here depends on the server's version.)
#
#   on a small file system   is too small              the disk is full at any time
#   all                      numbers, status 1         untouched; or waits, and finishes when there is room;
#   a tablespace             numbers, status 1         or is killed while it waits, and the same command finishes it
#   pg_wal                   numbers, status 1

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use Time::HiRes ();
use RewindTest;
use RewindTest::Dice;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

my $fills = $ENV{PG_REWIND_TEST_FILLS} // 8;    # of each file system
my $megabyte = 1024 * 1024;
my ($source, $target, $sparse, $linked);
my %mount = (all => '', tablespace => '/tablespace', pg_wal => '/wal');

# A copy of the target of which that part is on a file system of its own.
sub make_small
{
    my ($part) = @_;
    my $copy = $target->copy('small');
    if ($part eq 'pg_wal')
    {
        mkdir $copy->dir . '/wal' or die;
        must_run([ 'mv', $copy->path('pg_wal'), $copy->dir . '/wal/pg_wal' ]);
        symlink($copy->dir . '/wal/pg_wal', $copy->path('pg_wal')) or die;
    }
    # One more name for a file that is patched: it needs a copy.
    link($copy->path($linked), $copy->dir . '/linked') or die;
    my $small = { part => $part, copy => $copy, mount => $copy->dir . $mount{$part}, pristine => work_dir() . '/pristine' };
    must_run([ 'cp', '-a', $copy->dir, $small->{pristine} ]);
    must_run([ 'find', $small->{mount}, '-mindepth', 1, '-delete' ]);
    $small->{type} = privileged('make-file-system', 240, $small->{mount});
    return reset_small($small);
}

# As it was, with nothing else on the file system.
sub reset_small
{
    my ($small) = @_;
    must_run([ 'find', $small->{copy}->dir, '-mindepth', 1, '!', '-path', $small->{mount}, '-delete' ]);
    must_run([ 'cp', '-a', "$small->{pristine}/.", $small->{copy}->dir ]);
    return $small;
}

sub discard_small
{
    my ($small) = @_;
    $small->{copy}->stop('immediate');
    privileged('unmount', $small->{mount});
    $small->{copy}->discard;
    must_run([ 'rm', '-rf', $small->{pristine} ]);
    return;
}

sub filler { my ($small) = @_; return "$small->{mount}/filler" }

sub free_bytes
{
    my ($small) = @_;
    return must_run([ 'df', '--output=avail', '-B1', $small->{mount} ]) =~ s/.*\n//r;
}

# Have so many bytes free.
sub leave_free
{
    my ($small, $bytes) = @_;
    unlink filler($small);
    must_run([ 'fallocate', '-l', free_bytes($small) - $bytes, filler($small) ]);
    # What the file system takes for a file so large.
    truncate(filler($small), (-s filler($small)) - ($bytes - free_bytes($small))) if free_bytes($small) < $bytes;
    return;
}

sub rewind_small
{
    my ($small, %option) = @_;
    return rewind($small->{copy}, $source, kind => 'directory', seconds => 60, %option);
}

# ---------------------------------------------------------------- before anything is written

sub lack_is_said
{
    my ($part) = @_;
    my $small = make_small($part);
    leave_free($small, 100_000);
    my $before = tree($small->{copy});
    my $directory = { all => 'data', tablespace => 'data/pg_tblspc/\d+', pg_wal => 'data/pg_(?:wal|xlog)' }->{$part};
    my $needed;
    for my $options ([], ['--dry-run'])
    {
        my $result = rewind_small($small, options => $options);
        is($result->{status}, 1, "no space for $part: pg_rewind @$options fails");
        like($result->{stderr}, qr{^pg_rewind: error: not enough space on the file system of "\S+/$directory"$}m, 'it says where');
        like($result->{stderr}, qr{^pg_rewind: detail: \d+ MB must be fetched, and files will grow by \d+ MB\.$}m, 'and what for');
        ($needed) = $result->{stderr} =~ /^pg_rewind: detail: Up to (\d+) MB are needed, 0 MB are free\.$/m;
        cmp_ok($needed // 0, '>', 3, 'how much is needed, and how much is free') or diag($result->{stderr});
        is_same_tree(tree($small->{copy}), $before, 'nothing was changed');
        note $1 if $result->{stderr} =~ /detail: (.* must be fetched.*)/;
    }

    leave_free($small, ($needed - 2) * $megabyte);
    is(rewind_small($small, options => ['--dry-run'])->{status}, 1, 'less than that is not enough');
    leave_free($small, $needed * $megabyte);
    is(rewind_small($small, options => ['--dry-run'])->{status}, 0, 'that is enough, says a dry run');
    my $result = rewind_small($small);
    is($result->{status}, 0, 'and it is');
    unlike($result->{stderr}, qr/No space/, 'without waiting for more') or diag($result->{stderr});
    unlink filler($small);
    note "$part on $small->{type}: $needed MB";
    return $small;
}

# ---------------------------------------------------------------- at any time

# Takes all space when the condition is true, and whatever gets free afterwards, until it is killed.
sub begin_to_fill
{
    my ($small, $condition) = @_;
    my $pid = fork() // die;
    return $pid if $pid;
    Time::HiRes::sleep(0.001) until $condition->();
    open(my $file, '>', filler($small)) or POSIX::_exit(1);
    for (;;)
    {
        for my $size (1024 * 1024, 65536, 4096)
        {
            1 while syswrite($file, 'x' x $size);
        }
        Time::HiRes::sleep(0.005);
    }
}

sub make_room
{
    my ($small, $filling) = @_;
    kill 'KILL', $filling;
    waitpid($filling, 0);
    unlink filler($small);
    return;
}

# Begin pg_rewind: its process, and the file with its messages.
sub begin_rewind
{
    my ($small) = @_;
    my $errors = work_dir() . '/errors';
    my $pid = fork() // die;
    return ($pid, $errors) if $pid;
    open(STDERR, '>', $errors) or POSIX::_exit(126);
    { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($small->{copy}->data, ONCE, '--source-pgdata', $source->data); }
    POSIX::_exit(127);
}

sub work_bytes
{
    my ($small) = @_;
    my $bytes = 0;
    $bytes += (-s $_) // 0 for glob("$small->{mount}/{,*/,*/*/,*/*/*/}pg_rewind.work/*");
    return $bytes;
}

# One run during which the disk gets full; returns what happened.
sub fill_during_run
{
    my ($small, $condition, $killed) = @_;
    my $filling = begin_to_fill($small, $condition);
    my ($pid, $errors) = begin_rewind($small);
    my ($ended, $status) = (0, undef);

    wait_until('pg_rewind ends, or waits for space', sub {
        $ended = waitpid($pid, POSIX::WNOHANG()) == $pid;
        $status = $?;
        return $ended || (-e $errors && slurp($errors) =~ /pg_rewind retries this/);
    });
    if ($ended)
    {
        make_room($small, $filling);
        return $status == 0 ? 'done' : $status == 256 ? 'untouched' : "status $status: " . slurp($errors);
    }
    is(-s $small->{copy}->path('global/pg_control'), 8192, 'while it waits pg_control is whole');
    kill 'KILL', $pid if $killed;
    make_room($small, $filling);
    waitpid($pid, 0);
    return 'killed' if $killed;
    return $? == 0 ? 'waited' : "status $?: " . slurp($errors);
}

sub disk_is_filled
{
    my ($small, $dice) = @_;
    my $before = tree(reset_small($small)->{copy});
    my $began = Time::HiRes::time();
    is(rewind_small($small)->{status}, 0, 'undisturbed');
    my $duration = Time::HiRes::time() - $began;
    my $after = rewound_tree($small->{copy});
    my %count;

    for my $fill (1 .. $fills)
    {
        reset_small($small);
        my $delay = Time::HiRes::time() + $duration * $dice->number(1000) / 1000;
        my $bytes = $dice->number(12 * $megabyte);
        my $journal = $small->{copy}->path('pg_rewind.work/journal');
        my ($name, $condition) = @{ $dice->pick(
            [ 'after some time', sub { Time::HiRes::time() > $delay } ],
            [ "when $bytes bytes are staged", sub { work_bytes($small) >= $bytes } ],
            [ 'when there is a journal', sub { -e $journal } ]) };
        my $what = fill_during_run($small, $condition, $dice->chance(50));
        $count{$what}++;
        like($what, qr/^(?:done|untouched|killed|waited)$/, "the disk is full $name: $what");
        is_same_tree(tree($small->{copy}), $before, 'untouched') if $what eq 'untouched';
        is(rewind_small($small)->{status}, 0, 'the same command finishes it') if $what =~ /^(?:untouched|killed)$/;
        is_same_tree(rewound_tree($small->{copy}), $after, 'as if nothing had been');
    }
    note "$small->{part}: " . join ', ', map { "$count{$_} $_" } sort keys %count;
    return;
}

# The source's WAL is brought before all else is known: that has a check of its own.
sub lack_for_wal_is_said
{
    my ($small) = @_;
    reset_small($small);
    leave_free($small, 100_000);
    my $before = tree($small->{copy});
    my $result = rewind($small->{copy}, $source);
    is($result->{status}, 1, 'no space for the WAL of a server: pg_rewind fails');
    like($result->{stderr}, qr{^pg_rewind: error: not enough space on the file system of "\S+/data/pg_rewind\.work\.wal"$}m, 'it says where');
    like($result->{stderr}, qr{^pg_rewind: detail: At least \d+ MB of the source's WAL must be fetched to it, 0 MB are free\.$}m, 'and how much');
    is_same_tree(tree($small->{copy}), $before, 'nothing was changed');
    unlink filler($small);
    return;
}

# After the commit, for certain: the disk is full at a known step, and somebody makes room while it waits.
sub disk_is_full_after_commit
{
    my ($small) = @_;
    for my $point (qw(poison patch label))
    {
        reset_small($small);
        my $held = hold($small->{copy}, $source, $point);
        my $filling = begin_to_fill($small, sub { 1 });
        wait_until('the disk is full', sub { free_bytes($small) < 4096 });
        my $helper = fork() // die;
        if ($helper == 0)
        {
            Time::HiRes::sleep(0.02) until slurp($held->{errors}) =~ /retries this/;
            make_room($small, $filling);
            POSIX::_exit(0);
        }
        my $result = go_on($held);
        kill 'KILL', $helper, $filling;
        waitpid($_, 0) for $helper, $filling;
        is($result->{status}, 0, "full at '$point': waits for space, and finishes") or diag($result->{stderr});
        # The next step after the poison frees the ballast: who is faster then decides whether it has to wait.
        like($result->{stderr}, qr/warning: could not .*: No space left on device$/m, "full at '$point': it says why it waits")
            if $point ne 'poison';
        nothing_is_left($small->{copy});
        unlink filler($small);
        rejoins($small->{copy}, $source, no_promotion => 1) if $point eq 'patch';
        $small->{copy}->stop;
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my $seed = $ENV{PG_REWIND_TEST_SEED} // time;
    diag("the disk is filled at random: PG_REWIND_TEST_SEED=$seed");
    my $dice = RewindTest::Dice->new($seed);
    ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 4 },
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location';
                CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i;
                CREATE TABLE in_space TABLESPACE space AS TABLE t; CREATE TABLE sparse (v text) WITH (fillfactor = 10);
                CREATE TABLE linked AS SELECT i, 'common' AS v FROM generate_series(1, 100000) i");
            ($sparse, $linked) = map { $primary->query("SELECT pg_relation_filepath('$_')") } qw(sparse linked);
            $primary->stop;
            truncate($primary->path($sparse), 24 * $megabyte) or die;    # new pages, all of them holes
            $primary->start;
        },
        source => sub { $_[0]->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100000) i;
            INSERT INTO in_space SELECT i, 'source' FROM generate_series(1, 100000) i; CREATE TABLE s TABLESPACE space AS TABLE t") },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target'; UPDATE in_space SET v = 'target' WHERE i % 3 = 0; UPDATE linked SET v = 'target' WHERE i = 77;
                VACUUM sparse; INSERT INTO sparse SELECT repeat(md5(i::text), 22) FROM generate_series(1, 3000) i; CHECKPOINT");
        });
    # The target's blocks, one row in each, are fetched, and lie in holes again: as if it had crashed before it wrote them.
    # (With more rows the WAL that goes first would make room for them, and so would segments made in advance.)
    my $last = $target->start->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $target->stop;
    unlink grep { m{/(0{7}1[0-9A-F]{16})$} && $1 gt $last } glob($target->path('pg_wal/*'));
    truncate($target->path($sparse), 0) or die;
    truncate($target->path($sparse), 24 * $megabyte) or die;

    my $small = make_small('all');
    subtest('no space for the WAL of a server', sub { lack_for_wal_is_said($small) });
    subtest('the disk is full after the commit', sub { disk_is_full_after_commit($small) });
    discard_small($small);

    $source->stop;
    for my $part (qw(all tablespace pg_wal))
    {
        subtest("$part on a file system of its own", sub {
            $small = lack_is_said($part);
            disk_is_filled($small, $dice);
            discard_small($small);
        });
    }
}, only => [15]);
