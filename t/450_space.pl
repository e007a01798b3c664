# Too little space is said with numbers before anything is written, and no more is needed than was said. A disk that
# another process fills at any time leaves a target that is untouched, or is finished as soon as there is room.
# (Invariants 1 to 4. Small file systems of their own; nothing here depends on the server's version.)
#
#   on a small file system   is too small              the disk is full at any time
#   all                      numbers, status 1         untouched; or waits, and finishes when there is room;
#   a tablespace             numbers, status 1         or is killed while it waits, and the same command finishes it
#   pg_wal                   numbers, status 1
# (Rules C90, I29, I73.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use POSIX ();
use Time::HiRes ();
use RewindTest;
use RewindTest::Background;
use RewindTest::Dice;
use RewindTest::Held;
use RewindTest::Outcome;
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
    my ($part, @inodes) = @_;
    my $copy = $target->copy('small');
    if ($part eq 'pg_wal')
    {
        mkdir $copy->dir . '/wal' or die;
        must_run([ 'mv', $copy->path('pg_wal'), $copy->dir . '/wal/pg_wal' ]);
        symlink($copy->dir . '/wal/pg_wal', $copy->path('pg_wal')) or die;
    }
    # One more name for a file that is patched: it needs a copy.
    link($copy->path($linked), $copy->dir . '/linked') or die;
    my $small = { part => $part, copy => $copy, mount => $copy->dir . $mount{$part}, pristine => work_dir()
        . '/pristine' };
    must_run([ 'cp', '-a', $copy->dir, $small->{pristine} ]);
    must_run([ 'find', $small->{mount}, '-mindepth', 1, '-delete' ]);
    $small->{type} = privileged('make-file-system', 240, $small->{mount}, @inodes);
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
    return rewind($small->{copy}, $source, kind => 'directory', %option);
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
        like($result->{stderr}, qr{^pg_rewind: error: not enough space on the file system of "\S+/$directory"$}m,
            'it says where');
        like($result->{stderr},
            qr{^pg_rewind: detail: \d+ MB are for files and blocks that may differ, \d+ MB for WAL, in whole segments; and files will grow by \d+ MB\.$}m,
            'and what for');
        ($needed) = $result->{stderr} =~ /^pg_rewind: detail: Up to (\d+) MB are needed, 0 MB are free\.$/m;
        cmp_ok($needed // 0, '>', 3, 'how much is needed, and how much is free') or diag($result->{stderr});
        is_same_tree(tree($small->{copy}), $before, 'nothing was changed');
        note $1 if $result->{stderr} =~ /detail: (.* files will grow.*)/;
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

# What a dry run asks for is what the rewind takes, but for a margin and for what turns out to be equal (configuration,
# the visibility of rows).
sub takes_what_is_asked
{
    my ($small, @options) = @_;
    reset_small($small);
    leave_free($small, 100_000);
    my $dry = rewind_small($small, kind => 'server', options => [ '--dry-run', @options ]);
    my ($asked) = $dry->{stderr} =~ /^pg_rewind: detail: Up to (\d+) MB are needed, 0 MB are free\.$/m;
    ok($asked, "pg_rewind -n @options asks for space") or diag($dry->{stderr});
    reset_small($small);
    leave_free($small, $asked * $megabyte);
    my $held = hold($small->{copy}, $source, 'commit', @options);
    cmp_ok(free_bytes($small), '<', 7 * $megabyte, "nearly all of it is taken, of $asked MB");
    is(end_of_rewind(release($held))->{status}, 0, 'and it is enough');
    return;
}

# Inodes, too, are said beforehand: one for each directory that is made after the commit, and for each WAL segment and
# its marker.
sub inodes_are_counted
{
    my ($small) = @_;
    my @directories = ('many', map { "many/$_" } 1 .. 1000);
    mkdir $source->path($_), 0700 or die for @directories;
    my $free = sub { must_run([ 'df', '--output=iavail', $small->{mount} ]) =~ s/.*\n//r };
    my $leave = sub {
        my ($inodes) = @_;
        reset_small($small);
        my $fillers = $small->{mount} . '/fillers';
        mkdir $fillers or die;
        spew("$fillers/$_", '') for 1 .. $free->() - $inodes;
        return;
    };
    $leave->(10);
    my @options = (not_foretold => 'a look does not count inodes');
    my $refused = rewind_small($small, @options);
    is($refused->{status}, 1, 'too few inodes');
    like($refused->{stderr}, qr{^pg_rewind: error: not enough inodes on the file system of "\S+/data"$}m,
        'it says where');
    my ($needed) = $refused->{stderr} =~ /^pg_rewind: detail: Up to (\d+) files are needed, \d can be created\.$/m;
    cmp_ok($needed // 0, '>', @directories, 'and how many are needed') or return diag($refused->{stderr});
    $leave->($needed);
    is(rewind_small($small, @options)->{status}, 1, 'a file of the run itself less is not enough');
    $leave->($needed + 2);    # and one for its messages
    my $held = hold($small->{copy}, $source, 'commit', '--source-pgdata=' . $source->data);
    my $result = go_on($held);
    is($result->{status}, 0, 'so many are enough') or diag($result->{stderr});
    is(scalar(grep { -d $small->{copy}->path($_) } @directories), scalar @directories, 'each directory is there');
    note("$needed inodes");
    rmdir $source->path($_) or die for reverse @directories;
    return;
}

# ---------------------------------------------------------------- at any time

# A process that takes all space, and whatever gets free afterwards, until it is killed or this test ends. Returns when
# there is none left.
sub fill
{
    my ($small) = @_;
    leave_free($small, $megabyte) if free_bytes($small) > 2 * $megabyte;    # at once: the rest byte by byte
    my $test = $$;
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(my $file, '>>', filler($small)) or POSIX::_exit(1);
        while (getppid() == $test)
        {
            for my $size (1024 * 1024, 65536, 4096)
            {
                1 while syswrite($file, 'x' x $size);
            }
            Time::HiRes::sleep(0.005);
        }
        POSIX::_exit(0);
    }
    wait_until('the disk is full', sub { free_bytes($small) < 4096 });
    return $pid;
}

sub make_room
{
    my ($small, $filling) = @_;
    kill 'KILL', $filling;
    waitpid($filling, 0);
    unlink filler($small);
    return;
}

# The calls of an undisturbed run that change something, before the last step; after that only the work directory is
# removed.
sub count_calls
{
    my ($small) = @_;
    my $log = work_dir() . '/calls';
    unlink $log;
    is(rewind_small($small, fault => '', env => { PG_REWIND_FAULT_LOG => $log })->{status}, 0, 'undisturbed');
    my @calls = grep { !/^r/ } split /\n/, slurp($log);
    my ($last) = grep { $calls[$_] =~ m{ rename \S+/global/pg_control$} } reverse 0 .. $#calls;
    return $last + 1;
}

sub waits_for_space { my ($run) = @_; return slurp($run->{errors}) =~ /retries this/ }

# Let a run that is held go on while the disk is full; returns its end, and what happened.
sub go_on_without_space
{
    my ($small, $held, $filling, $killed) = @_;
    my $run = release($held);
    wait_until('pg_rewind ends, or waits for space', sub { has_ended($run) || waits_for_space($run) });
    my $waits = !has_ended($run);
    is(-s $small->{copy}->path('global/pg_control'), 8192, 'while it waits pg_control is whole') if $waits;
    kill 'KILL', $run->{pid} if $waits && $killed;
    make_room($small, $filling);
    my $result = end_of_rewind($run);
    return ($result, $result->{signal} ? 'killed' : $result->{status} != 0 ? 'untouched' : $waits ? 'waited' : 'done');
}

# The disk is full from any call on.
sub disk_is_filled
{
    my ($small, $dice) = @_;
    my $before = tree(reset_small($small)->{copy});
    my $calls = count_calls($small);
    my $after = rewound_tree($small->{copy});
    my %count;

    for my $fill (1 .. $fills)
    {
        reset_small($small);
        my $number = 1 + $dice->number($calls);
        my $held = hold($small->{copy}, $source, $number, '--source-pgdata', $source->data);
        my ($result, $what) = go_on_without_space($small, $held, fill($small), $dice->chance(50));
        $count{$what}++;
        is($result->{status}, { done => 0, waited => 0, untouched => 1, killed => 137 }->{$what},
            "the disk is full from call $number of $calls on: $what")
            or diag($result->{stderr});
        is_same_tree(tree($small->{copy}), $before, 'untouched') if $what eq 'untouched';
        is(rewind_small($small)->{status}, 0, 'the same command finishes it') if $what =~ /^(?:untouched|killed)$/;
        is_same_tree(rewound_tree($small->{copy}), $after, 'as if nothing had been');
    }
    note "$small->{part}: " . join ', ', map { "$count{$_} $_" } sort keys %count;
    return;
}

sub checks
{
    my ($small) = @_;
    my $result = run([ rewind_argv($small->{copy}->data, '--check', '--report=json', '--source-server',
        $source->conninfo) ]);
    my $said = JSON::PP->new->utf8->decode($result->{stdout});
    my ($space) = grep { $_->{name} eq 'space' } @{ $said->{findings} };
    return ($said, $space, join ', ', $result->{status}, $said->{verdict}{state}, $space->{state});
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
    like($result->{stderr},
        qr{^pg_rewind: error: not enough space on the file system of "\S+/data/pg_rewind\.work\.wal"$}m,
        'it says where');
    like($result->{stderr},
        qr{^pg_rewind: detail: At least \d+ MB of the source's WAL must be fetched to it, 0 MB are free\.$}m,
        'and how much');
    is_same_tree(tree($small->{copy}), $before, 'nothing was changed');

    my ($said, $space, $short) = checks($small);
    is($short, '1, not possible, problem', '--check foretells it');
    like($said->{verdict}{errors}[0]{message}, qr{^not enough space on the file system of "\S+/data"$},
        'with the same error');
    like($space->{text},
        qr{^not enough space on .*\nAt least \d+ MB of the source's WAL must be fetched to it, 0 MB are free\.$},
        'in both places');
    # An interrupted rewind has left files, which the next one removes first.
    mkdir $small->{copy}->path('pg_rewind.work.wal') or die;
    like((checks($small))[2], qr/^1, needed, problem$/, '--check does not tell what it cannot know');
    rmdir $small->{copy}->path('pg_rewind.work.wal') or die;
    unlink filler($small);
    return;
}

# After the commit: the disk is full at a known step. Where somebody takes what the run itself makes free, as its
# ballast, it waits for room; where nobody does, it needs no more than that. ("patch" is after the ballast, and in a
# hole.)
sub disk_is_full_after_commit
{
    my ($small) = @_;
    for my $point (qw(commit poison patch label))
    {
        my $waits = $point =~ /^(?:patch|label)$/;
        reset_small($small);
        my $file = $small->{copy}->path($sparse);
        my $inode = (stat $file)[1];
        my $held = hold($small->{copy}, $source, $point);
        my $filling = fill($small);
        kill 'STOP', $filling if !$waits;
        my ($result, $what) = go_on_without_space($small, $held, $filling);
        is($what, $waits ? 'waited' : 'done', "full at '$point': "
            . ($waits ? 'it waits' : 'it has all that it needs'));
        is($result->{status}, 0, 'and finishes') or diag($result->{stderr});
        is((stat $file)[1], $inode, 'the file with holes was patched, not replaced');
        like($result->{stderr}, qr/warning: could not .*: No space left on device$/m, 'it says why it waits') if $waits;
        nothing_is_left($small->{copy});
        rejoins($small->{copy}, $source, no_promotion => 1) if $point eq 'patch';
        $small->{copy}->stop;
    }
    return;
}

# A run is killed at a known step, and then the disk is full: the same command needs no more than what the first has
# reserved, or staged and moved into its place.
sub disk_is_full_when_run_again
{
    my ($small) = @_;
    for my $point (qw(poison cleanup))
    {
        reset_small($small);
        end_by_kill(hold($small->{copy}, $source, $point));
        my $filling = fill($small);
        kill 'STOP', $filling;
        my $result = rewind_small($small, kind => 'server', not_foretold => 'a full disk', until => qr/retries this/);
        is($result->{signal} || $result->{status}, 0, "killed at '$point', then a full disk: the same command finishes")
            or diag($result->{stderr});
        unlike($result->{stderr}, qr/No space/, 'without waiting for space');
        nothing_is_left($small->{copy});
        make_room($small, $filling);
    }
    return;
}

# Killed before the poison, with the ballast in place, and then a full disk: --rejoin needs no space before the rewind
# is finished, and starts the server in what that has made free.
sub disk_is_full_when_rejoined
{
    my ($small) = @_;
    reset_small($small);
    end_by_kill(hold($small->{copy}, $source, 'poison', '-R'));
    my $filling = fill($small);
    kill 'STOP', $filling;
    my $result = run([ rewind_argv($small->{copy}->data, qw(--rejoin --no-sync --keep-config -B),
        $small->{copy}->bindir, '--source-server', $source->conninfo) ], until => qr/retries this/);
    make_room($small, $filling);
    ends($result, 0, 'killed, then a full disk: --rejoin', qr/^pg_rewind: the interrupted rewind is finished$/m,
        qr/^pg_rewind: the target follows the source: standby /m);
    is(join(' ', grep { -e } glob($small->{copy}->path('pg_rewind.work*'))), '', 'no file of the rewind is left');
    $small->{copy}->stop;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $dice = RewindTest::Dice->new(test_seed());
    ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 4 },
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location';
                CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i;
                CREATE TABLE in_space TABLESPACE space AS TABLE t; CREATE TABLE sparse WITH (fillfactor = 10) AS SELECT i, repeat(md5(i::text), 22) AS v FROM generate_series(1, 3000) i;
                SELECT count(*) FROM sparse;
                CREATE TABLE linked AS SELECT i, 'common' AS v FROM generate_series(1, 100000) i");
            ($sparse, $linked) = map { $primary->query("SELECT pg_relation_filepath('$_')") } qw(sparse linked);
        },
        source => sub { $_[0]->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100000) i;
            INSERT INTO in_space SELECT i, 'source' FROM generate_series(1, 100000) i; CREATE TABLE s TABLESPACE space AS TABLE t") },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target'; UPDATE in_space SET v = 'target' WHERE i % 3 = 0; UPDATE linked SET v = 'target' WHERE i = 77;
                UPDATE sparse SET v = repeat(md5(v), 22) WHERE i <= 2000; CHECKPOINT");
        });
    # Two thirds of a table, a row in each block, are fetched, into holes, as if the target had crashed before it wrote
    # them: 16 MB, far more than anything makes free that goes on at the same time. (Were nearly all of it fetched, the
    # file would be replaced: so its hints were set before.)
    must_run([ 'fallocate', '--punch-hole', '--offset', 0, '--length', 2000 * 8192, $target->path($sparse) ]);

    my $small = make_small('all');
    subtest('no space for the WAL of a server', sub { lack_for_wal_is_said($small) });
    subtest("what is asked for @$_", sub { takes_what_is_asked($small, @$_) }) for [], ['--compare'];
    subtest('the disk is full after the commit', sub { disk_is_full_after_commit($small) });
    subtest('the disk is full when it is run again', sub { disk_is_full_when_run_again($small) });
    subtest('the disk is full at --rejoin', sub { disk_is_full_when_rejoined($small) });
    discard_small($small);

    $source->stop;
    subtest('inodes', sub { $small = make_small('all', 4096); inodes_are_counted($small); discard_small($small) });
    for my $part (qw(all tablespace pg_wal))
    {
        subtest("$part on a file system of its own", sub {
            $small = lack_is_said($part);
            disk_is_filled($small, $dice);
            discard_small($small);
        });
    }
    RewindTest::Cluster::discard_all();

    ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 4, settings => "autovacuum = off\n" },
        before => sub {
            $_[0]->sql('CREATE TABLE t (i int, v text) WITH (fillfactor = 40);
                INSERT INTO t SELECT i, 1 FROM generate_series(1, 5000) i');
            $linked = $_[0]->query("SELECT pg_relation_filepath('t')");
        },
        source => sub { $_[0]->sql('UPDATE t SET v = 2') },
        target => sub { $_[0]->sql('UPDATE t SET v = 3') });
    # It has the source's history file, too, which would take a new name.
    must_run([ 'cp', '-p', $source->path('pg_wal/00000002.history'), $target->path('pg_wal') ]);
    subtest('no file grows', sub {
        $small = make_small('all');
        disk_is_full_when_run_again($small);
        discard_small($small);
    });
}, only => [15]);
