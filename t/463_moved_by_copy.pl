# Where a file cannot be renamed into its directory (EXDEV) it is copied there in an order that a kill and a power cut
# may break at any instant, and nothing of that is left. (Invariants 2 and 3. Nothing here depends on the server's
# version or on the source. t/400 and t/401 interrupt such a run everywhere.) Nor is anything left where the name of a
# file that is open cannot be removed, as on NFS.
# (Rules I23, I24, I70.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

# With a late start blocks are patched.
my %rewind = (kind => 'directory', options => ['--late-start']);

# Each file is on the disk before it gets its name, and that before the staged file goes: as long as it is there,
# another run copies again.
sub order_is_right
{
    my ($copy, $source) = @_;
    my $log = work_dir() . '/calls';
    my $result = rewind($copy, $source, %rewind, fault => '',
        env => { PG_REWIND_FAULT_LOG => $log, PG_REWIND_FAULT_APART => '*' });
    is($result->{status}, 0, 'a rewind whose renames are refused');
    my @calls = grep { /^\d/ } split /\n/, slurp($log);
    s/^\d+ // for @calls;
    my $copied = 0;
    for my $start (grep { $calls[$_] =~ /^create .*pg_rewind\.work\.copy$/ } 0 .. $#calls)
    {
        my ($directory) = $calls[$start] =~ m{^create (.*)/};
        my ($to) = $calls[ $start - 2 ] =~ /^rename (.*)/;
        my $did = join "\n", grep { !/^(?:copy|write|set mode)/ } @calls[ $start .. $start + 10 ];
        like($did, qr{\Acreate (\S+)\nsync \1\nrename \Q$to\E\nsync \Q$directory\E\nunlink \S+},
            "$to is synced, gets its name, which is synced, and the staged file goes")
            if $copied++ < 3 || $to =~ m{/(?:backup_label|pg_control)$};
    }
    cmp_ok($copied, '>', 10, 'files were copied');
    return;
}

# Killed before a copy gets its name; the run that finishes it may rename.
sub no_copy_is_left
{
    my ($copy, $source) = @_;
    my $result = rewind($copy, $source, %rewind, fault => 'kill:rename@*/base/*;rename@*/base/*',
        env => { PG_REWIND_FAULT_APART => '*' });
    is($result->{signal}, 9, 'a run is killed amid a move');
    my ($left) = glob $copy->path('base/*/pg_rewind.work.copy');
    ok($left, 'it leaves a copy');
    rewinds($copy, $source, %rewind);
    nothing_is_left($copy);
    return;
}

# Two runs on NFS, of which the first fails before its commit.
sub no_open_file_is_removed
{
    my ($copy, $source) = @_;
    my $removed = work_dir() . '/removed_while_open';
    my %nfs = (%rewind, env => { PG_REWIND_FAULT_NFS => $removed });
    my $failed = rewind($copy, $source, %nfs, fault => 'fail:sync@*/pg_rewind.work/data:EIO');
    is($failed->{status}, 1, 'a run that fails');
    unlike($failed->{stderr}, qr/warning/, 'it removes its directory');
    nothing_is_left($copy);
    rewinds($copy, $source, %nfs, fault => '');
    nothing_is_left($copy);
    is(slurp($removed), '', 'no file is removed while it is open');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 3000) i") },
        source => sub {
        $_[0]->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 3000) i; CREATE TABLE s AS TABLE t") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS TABLE t") });
    $source->stop;
    my $undisturbed = $target->copy('undisturbed');
    rewinds($undisturbed, $source, %rewind);
    for my $test (\&order_is_right, \&no_copy_is_left, \&no_open_file_is_removed)
    {
        my $copy = $target->copy('copy');
        $test->($copy, $source);
        is(difference(rewound_tree($copy), rewound_tree($undisturbed)), '', 'every file is that of an undisturbed run');
        $copy->discard;
    }
}, only => [15]);
