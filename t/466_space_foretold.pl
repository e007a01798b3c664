# --check, a dry run and the rewind agree on space, however much there is: the same exit status, the same figures, the
# same start. WAL that the source has removed is neither asked for nor counted. (Where recovery starts. A file system of
# its own for the target.)
#
#   source   ┌──── 2 ── gone ── gone ── WAL ── S, its checkpoint ── WAL ──▶     late: the WAL from S on
#   target ●─┴──── 1 ──▶                                                       early: all WAL from ● on, the last common checkpoint
#
#   TMPDIR, where a dry run keeps WAL:   roomy; smaller than the WAL; on the target's own file system
# (Rules C92, C93, C94.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Hot;
use RewindTest::Privileged;

skip_unless_privileged();

my $megabyte = 1024 * 1024;
my ($source, $target, $small, $pristine);

sub segments { my ($cluster) = @_; return map { m{/([0-9A-F]{24})\z} } sort glob($cluster->path('pg_wal/*')) }

sub make_file_system
{
    my ($directory, $megabytes) = @_;
    mkdir $directory;
    privileged('make-file-system', $megabytes, $directory);
    return $directory;
}

sub free_bytes { my ($place) = @_; return must_run([ 'df', '--output=avail', '-B1', $place ]) =~ s/.*\n//r }

# The target as it was, with so many megabytes free.
sub reset_target
{
    my ($megabytes) = @_;
    must_run([ 'find', $small->dir, '-mindepth', 1, '-delete' ]);
    must_run([ 'cp', '-a', "$pristine/.", $small->dir ]);
    my $filler = $small->dir . '/filler';
    must_run([ 'fallocate', '-l', free_bytes($small->dir) - $megabytes * $megabyte, $filler ]);
    # What the file system takes for a file so large.
    my $lack = $megabytes * $megabyte - free_bytes($small->dir);
    truncate($filler, (-s $filler) - $lack) if $lack > 0;
    return;
}

sub call
{
    my ($tmpdir, @options) = @_;
    return run([ rewind_argv($small->data, '--no-sync', '--source-server', $source->conninfo, '--report=json',
        @options) ], env => { TMPDIR => $tmpdir });
}

# What the program says: its status, and how much it lacks, or where recovery starts.
sub said
{
    my ($result) = @_;
    my ($needed) = $result->{stderr} =~ /^pg_rewind: detail: ((?:At least|Up to) \d+ MB)/m;
    return join ', ', $result->{status}, $needed // $result->{stderr} if $result->{status} != 0 || $result->{signal};
    my $start = JSON::PP->new->utf8->decode($result->{stdout})->{recovery_start};
    return join ', ', 0, $start->{late} ? 'late' : 'early', $start->{reason}, $start->{compares} ? 'compares' : 'reads';
}

# Returns what the rewind says.
sub all_agree
{
    my ($megabytes, $tmpdir, @options) = @_;
    reset_target($megabytes);
    my $with = join ' ', "$megabytes MB", @options;
    my $checked = run([ rewind_argv($small->data, '--source-server', $source->conninfo, '--check', '--report=json',
        @options) ]);
    my $verdict = JSON::PP->new->utf8->decode($checked->{stdout})->{verdict};
    my $dry = call($tmpdir, '-n', @options);
    my $done = call($tmpdir, @options);
    my $expected = said($done);
    is(said($dry), $expected, "$with: the dry run foretells it: $expected")
        or diag("dry run:\n$dry->{stderr}rewind:\n$done->{stderr}");
    # The exact space for files only a plan shows.
    my ($lack) = $done->{stderr} =~ /^pg_rewind: detail: (At least \d+ MB)/m;
    is(join(', ', $verdict->{state}, map { $_->{detail} =~ /^(At least \d+ MB)/ } @{ $verdict->{errors} }), $lack
        ? "not possible, $lack" : 'needed', 'and --check');
    return ($expected, $done);
}

# How much WAL is needed, as the message has it where there is no room at all.
sub needed_megabytes
{
    my (@options) = @_;
    my ($expected) = all_agree(1, work_dir(), @options);
    my ($needed) = $expected =~ /^1, At least (\d+) MB$/ or die "there is room: $expected\n";
    return $needed;
}

# Of the ways of a rewind that has room.
sub ways_at
{
    my ($tmpdir, @megabytes) = @_;
    my %ways;
    for my $megabytes (@megabytes)
    {
        my ($expected) = all_agree($megabytes, $tmpdir);
        $ways{$expected}++ if $expected =~ /^0/;
    }
    return \%ways;
}

# The source has removed its oldest WAL: what it has before S is not needed.
sub wal_is_gone
{
    my ($all) = @_;
    my $late = needed_megabytes();
    cmp_ok($late, '<', 60, 'only what follows S is asked for');
    my $ways = ways_at(work_dir(), $late + 1, 64, 96, 112, $all + 60);
    is(join('; ', sort keys %$ways), '0, late, no wal, compares', 'there is one way');
    cmp_ok($ways->{'0, late, no wal, compares'}, '>=', 4, 'for which there is room');

    reset_target(200);
    my $result = call(work_dir(), '--max-rate=30M', '--progress=json');
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    my ($fetched, $report) = (0, JSON::PP->new->utf8->decode($result->{stdout}));
    for my $line (grep { /^\{/ } split /\n/, $result->{stderr})
    {
        my $progress = JSON::PP->new->decode($line);
        $fetched += $progress->{total_bytes} if $progress->{phase} eq 'fetch WAL' && $progress->{finished};
    }
    cmp_ok($fetched, '<=', $late * $megabyte, 'what is gone is in no progress');
    cmp_ok($report->{recovery_start}{estimate}{bytes_per_second} // 0, '<', 36 * $megabyte, 'nor in the rate');
    return;
}

sub wal_is_there
{
    my $early = needed_megabytes('--early-start');
    my $late = needed_megabytes('--late-start');
    cmp_ok($early, '>', $late + 150, 'much WAL lies before S');
    is(needed_megabytes(), $late, 'the late start is what there may be room for');
    # Where there is too little to read what lies before S, a part at a time, it is compared.
    my $ways = ways_at(work_dir(), $late + 20, 112, $late + 85, $early - 2, $early + 2);
    is(join('; ', sort keys %$ways), '0, late, estimate, reads; 0, late, space, compares; 0, late, space, reads',
        'each way is taken');
    my ($expected, $done) = all_agree($late + 40, work_dir(), '--late-start');
    is($expected, '0, late, asked, compares', 'a late start that was asked for likewise');
    like($done->{stderr},
        qr/^pg_rewind: comparing all blocks with the source's, \d+ MB: there is too little space to read its WAL since the last common checkpoint$/m,
        'and so it says');

    my $little = make_file_system(work_dir() . '/little', 100);
    cmp_ok($early, '>', 100, 'a place has less room than the WAL takes');
    (undef, $done) = all_agree($early + 60, $little);
    is(said($done), '0, late, estimate, reads', 'it says nothing of the target');
    all_agree($early + 60, $little, '--early-start');
    reset_target($early + 60);
    my $filler = "$little/filler";
    must_run([ 'fallocate', '-l', free_bytes($little) - 30 * $megabyte, $filler ]);
    my $result = call($little, '-n');
    is($result->{status}, 1, 'one that is too small even for parts of it is an error');
    like($result->{stderr},
        qr{^pg_rewind: error: not enough space on the file system of "\Q$little\E/pg_rewind-dry-run\.\w+"$}m,
        'that names it');
    like($result->{stderr}, qr/^pg_rewind: hint: Set TMPDIR to a directory with more space\.$/m, 'and says what to do');
    privileged('unmount', $little);

    # What a dry run writes there is removed before the rewind.
    ways_at($small->dir, $late + 20, $early - 2, $early + 2);
    all_agree($early + 25, $small->dir, '--early-start');
    return $early;
}

plan(skip_all => 'the start is not chosen when all runs are told which')
    if ($ENV{PG_REWIND_TEST_OPTIONS} // '') =~ /-start\b|--compare/;
each_version(sub {
    my ($version) = @_;
    my $kept = $version >= 13 ? 'wal_keep_size = 2GB' : 'wal_keep_segments = 128';
    my $first;
    ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16,
        settings => "$kept\nmax_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\n" },
        before => sub { make_hot($_[0]);
        $_[0]->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i') },
        source => sub {
            my ($source) = @_;
            $first = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
            write_hot($source, 220);
            $source->sql('CHECKPOINT');    # S
            write_hot($source, 20);
            $source->sql('UPDATE t SET a = -a WHERE a % 3 = 0');
        },
        target => sub { $_[0]->sql('UPDATE t SET a = 0 WHERE a % 2 = 0') });
    $small = $target->copy('small');
    $pristine = work_dir() . '/pristine';
    must_run([ 'mv', $small->dir, $pristine ]);
    make_file_system($small->dir, 500);

    my $all;
    subtest('all WAL is there', sub { $all = wal_is_there() });
    my @gone = (grep { $_ ge $first } segments($source))[ 0 .. 3 ];
    unlink $source->path("pg_wal/$_") or die for @gone;
    subtest('the source has removed some', sub { wal_is_gone($all) });

    all_agree(200, work_dir());
    unlink $small->dir . '/filler';
    rejoins($small, $source, quick => 1);
    $small->stop;
    privileged('unmount', $small->dir);
    $small->discard;
    must_run([ 'rm', '-rf', $pristine, work_dir() . '/little' ]);
}, only => [ 15, 18 ]);
