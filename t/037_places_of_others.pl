# A report, saved WAL and rows, and a dry run's files go only where no other account can put something else in their
# place: every directory on the way and what is there belongs to root or to us, others cannot write to it, and no other
# account's symbolic link is followed. A work directory that somebody else has made is not believed. A report can be
# read by its owner alone. (The attacker: a second account of the host.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳
# (Rules T6, T8, T15.)

use strict;
use warnings;
use lib 't/lib';
use Cwd ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

my ($source, $target, $dir);

sub mode { my ($path) = @_; return sprintf('%04o', (stat $path)[2] & 07777) }

sub try_rewind
{
    my ($umask, @options) = @_;
    my $program = sprintf('umask %s; exec "$@"', $umask);
    return run([ 'sh', '-c', $program, 'sh', rewind_argv($target->data, '-n', '--source-server', $source->conninfo,
        @options) ]);
}

sub is_refused
{
    my ($what, $reason, @options) = @_;
    my $result = try_rewind('022', @options);
    is($result->{status}, 1, "$what: refused");
    like($result->{stderr}, qr/^pg_rewind: error: $reason$/m, "$what: it says why");
    like($result->{stderr}, qr/^pg_rewind: hint: /m, "$what: and what helps");
    return $result;
}

sub is_taken
{
    my ($what, @options) = @_;
    my $result = try_rewind('022', @options);
    is($result->{status}, 0, "$what: taken") or diag($result->{stderr});
    return;
}

# Own directories, by their modes.
sub by_mode
{
    my $sticky = 'it lacks the sticky bit';
    for my $option ('--report-file=%s/report', '--save-diverged-wal=%s', '--save-lost-rows=%s',
        '--save-diverged-wal=%s/new')
    {
        my $place = sprintf($option, "$dir/own");
        chmod 0777, "$dir/own";
        is_refused("$option, for everybody", qr/every user may rename files in directory "\Q$dir\E\/own": $sticky/,
            $place);
        chmod 0755, "$dir/own";
        is_taken("$option, for us", $place);
        chmod 0777, $dir;
        is_refused("$option, a directory above for everybody",
            qr/every user may rename files in directory "\Q$dir\E": $sticky/, $place);
        chmod 0755, $dir;
        is_taken("$option, by a relative path", sprintf($option, Cwd::abs_path("$dir/own") =~ s{^/}{'../' x 40}er));
        unlink glob("$dir/own/*");
    }
    chmod 01777, "$dir/own";
    is_taken('a report beside the files of others', "--report-file=$dir/own/report");
    chmod 0666, "$dir/own/report";
    is_refused('a report that everybody may write', qr/other users may write to file "\Q$dir\E\/own\/report"/,
        "--report-file=$dir/own/report");
    chmod 0755, "$dir/own";
    unlink "$dir/own/report";
    return;
}

sub mode_of_report
{
    for my $umask ('000', '022', '077', '277')
    {
        is(try_rewind($umask, "--report-file=$dir/own/report")->{status}, 0, "umask $umask: a report is made");
        is(mode("$dir/own/report"), '0600', "umask $umask: for its owner alone");
        unlink "$dir/own/report";
    }
    spew("$dir/own/report", 'former');
    chmod 0640, "$dir/own/report";
    is_taken('a report that is there', "--report-file=$dir/own/report");
    is(mode("$dir/own/report"), '0640', 'has the mode that its owner has given it');
    unlink "$dir/own/report";
    return;
}

sub of_another_account
{
    mkdir "$dir/theirs" or die;
    privileged('change-owner', 'nobody', "$dir/theirs");
    my $theirs = qr/"\Q$dir\E\/theirs" belongs to another user/;
    is_refused("another account's directory: $_", $theirs, sprintf($_, "$dir/theirs")) for '--report-file=%s/report',
        '--save-diverged-wal=%s', '--save-lost-rows=%s', '--save-lost-rows=%s/new';
    privileged('change-owner', scalar(getpwuid($>)), "$dir/theirs");
    spew("$dir/theirs/report", 'precious');
    privileged('change-owner', 'nobody', "$dir/theirs/report");
    is_refused("another account's file", qr/"\Q$dir\E\/theirs\/report" belongs to another user/,
        "--report-file=$dir/theirs/report");
    is(slurp("$dir/theirs/report"), 'precious', 'it stays');

    # Links, where everybody may make some: to what is ours.
    mkdir "$dir/shared" or die;
    chmod 01777, "$dir/shared";
    spew("$dir/own/victim", 'precious');
    symlink("$dir/own/victim", "$dir/shared/report") or die;
    symlink("$dir/own", "$dir/shared/directory") or die;
    privileged('change-owner-of-link', 'nobody', "$dir/shared/$_") for qw(report directory);
    is_refused("another account's link to a file", qr/"\Q$dir\E\/shared\/report" belongs to another user/,
        "--report-file=$dir/shared/report");
    is_refused("another account's link to a directory", qr/"\Q$dir\E\/shared\/directory" belongs to another user/, $_)
        for "--report-file=$dir/shared/directory/report", "--save-diverged-wal=$dir/shared/directory",
            "--save-lost-rows=$dir/shared/directory/../own";
    is(slurp("$dir/own/victim"), 'precious', 'what it leads to stays');
    symlink("$dir/own", "$dir/shared/ours") or die;
    is_taken('a link of our own', "--report-file=$dir/shared/ours/report");

    # A dry run's files.
    privileged('change-owner', 'nobody', "$dir/theirs");
    my $result = run([ rewind_argv($target->data, '-n', '--source-server', $source->conninfo) ],
        env => { TMPDIR => "$dir/theirs" });
    like($result->{stderr}, qr/^pg_rewind: error: $theirs$/m, "TMPDIR of another account");
    return;
}

# Kubernetes gives the files of a volume a group that may write, each time that a pod begins (fsGroup): only root and
# the owner can do that. What else has become of the directory of a committed rewind is no reason to remove it.
sub work_directory_of_a_committed_rewind
{
    my $copy = $target->copy('copy');
    my $work = $copy->path('pg_rewind.work');
    end_by_kill(hold($copy, $source, 'apply'));
    privileged('change-owner', 'nobody', $work);
    my $result = run([ rewind_argv($copy->data, '--source-server', $source->conninfo) ]);
    is($result->{status}, 2, 'it belongs to another user now: refused');
    like($result->{stderr}, qr/^pg_rewind: hint: It may be that of an interrupted rewind\b/m, 'no hint to remove it');
    privileged('change-owner', getpwuid($>) . ':nogroup', $work);
    chmod 0770, $work or die;
    like(rewinds($copy, $source)->{stderr}, qr/the interrupted rewind is finished/,
        'a group may write there: the rewind is finished');
    $copy->discard;
    return;
}

sub work_directory
{
    my $copy = $target->copy('copy');
    mkdir $copy->path('pg_rewind.work') or die;
    spew($copy->path('pg_rewind.work/journal'), 'x');
    privileged('change-owner', 'nobody', $copy->path('pg_rewind.work'));
    my $before = tree($copy);
    my $result = run([ rewind_argv($copy->data, '--source-server', $source->conninfo) ]);
    is($result->{status}, 1, 'a work directory of another account: refused');
    like($result->{stderr}, qr/^pg_rewind: error: ".*\/pg_rewind\.work" belongs to another user$/m, 'it says why');
    is_same_tree(tree($copy), $before, 'the target is unchanged');
    privileged('change-owner', scalar(getpwuid($>)), $copy->path('pg_rewind.work'));
    chmod 0777, $copy->path('pg_rewind.work');
    like(run([ rewind_argv($copy->data, '--source-server', $source->conninfo) ])->{stderr},
        qr/^pg_rewind: error: every user may rename files in directory ".*\/pg_rewind\.work"/m,
        'nor one that everybody can write to');
    unlink $copy->path('pg_rewind.work/journal');
    rmdir $copy->path('pg_rewind.work');
    mkdir "$dir/elsewhere";
    symlink("$dir/elsewhere", $copy->path('pg_rewind.work')) or die;
    like(run([ rewind_argv($copy->data, '--source-server', $source->conninfo) ])->{stderr},
        qr/^pg_rewind: error: ".*\/pg_rewind\.work" is (?:a symbolic link|not a directory)$/m, 'nor a link');
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $dir = work_dir() . "/places.$version";
    mkdir $_ or die "$_: $!" for $dir, "$dir/own";
    subtest('by mode', \&by_mode);
    subtest('the mode of a report', \&mode_of_report);
    return if !is_privileged();
    subtest('of another account', \&of_another_account);
    subtest('a work directory', \&work_directory);
    subtest('the work directory of a committed rewind', \&work_directory_of_a_committed_rewind);
}, only => [ 10, 15, 18 ]);
