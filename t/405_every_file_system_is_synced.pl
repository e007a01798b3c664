# What the result relies on is on the disk before there is a journal, on each file system that holds a part of the
# target, be it one where nothing is changed; an error there ends the run, and the target is unchanged. (Invariants 1
# and 2. Small file systems; nothing depends on the version.)
#
#   data            global, base: changed
#   pg_wal          a link
#   base/N          a mount; no table of that database has changed
#   pg_tblspc/N     a tablespace that no entry of the plan is in
# (Rules I25, I26, I27, I80.)

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

sub device { my ($path) = @_; return (stat $path)[0] // die "$path: $!" }

# Have what is in the directory on a file system of its own.
sub move_to_file_system
{
    my ($directory) = @_;
    my $aside = work_dir() . '/aside';
    must_run([ 'cp', '-a', $directory, $aside ]);
    must_run([ 'find', $directory, '-mindepth', 1, '-delete' ]);
    privileged('make-file-system', 160, $directory);
    must_run([ 'cp', '-a', "$aside/.", $directory ]);
    must_run([ 'rm', '-rf', $aside ]);
    return $directory;
}

# The paths that were synced before the journal was written, by the record of a run: how => [ paths ].
sub synced_before_journal
{
    my ($record) = @_;
    my (%path, %synced);
    for (map { [ split /\t/ ] } split /\n/, slurp($record))
    {
        my ($kind, $handle, $path, $how) = @$_;
        last if $kind eq 'open' && $how eq 'created' && $path =~ m{/journal[^/]*$};
        $path{$handle} = $path if $kind eq 'open';
        push @{ $synced{$kind} }, $path{$handle} if $kind =~ /^sync/;
    }
    unlink $record, "$record.data";
    return %synced;
}

# The work directories on other file systems that a recorded run has removed: PATH => how often the directory that held
# it was synced after that, and before the data directory's own work directory went, which names it.
sub synced_before_own_work
{
    my ($record, $data) = @_;
    my (%path, %removed, %synced);
    for (map { [ split /\t/ ] } split /\n/, slurp($record))
    {
        my ($kind, $name, $path) = @$_;
        $path{$name} = $path if $kind eq 'open';
        %removed = () if $kind eq 'rmdir' && $name eq "$data/pg_rewind.work";
        $removed{ $name =~ s{/[^/]*$}{}r } = $name
            if $kind eq 'rmdir' && $name =~ m{/pg_rewind\.work(?:\.PG_\w+)?$};
        next if $kind ne 'sync' || !defined $path{$name};
        my $work = delete $removed{ $path{$name} };
        $synced{$work}++ if defined $work;
    }
    delete $synced{"$data/pg_rewind.work"};
    return \%synced;
}

# Programs that this runs are told by uname that the kernel is one of before 5.8, whose syncfs tells no error.
sub on_old_kernel
{
    my ($run) = @_;
    my $personality = (POSIX::uname())[4] eq 'aarch64' ? 92 : 135;
    my $is_2_6 = 0x0020000;
    die "personality: $!" if syscall($personality, $is_2_6) < 0;
    my @result = $run->();
    syscall($personality, 0);
    return @result;
}

# Unchanged but for the note that a sync has failed, which is removed.
sub is_unchanged
{
    my ($target, $before) = @_;
    ok(unlink($target->path('pg_rewind.unsynced')), 'it is noted');
    return is_same_tree(tree($target), $before, 'and the target is unchanged');
}

my $still;    # path of a file of the target that no rewind changes
my %part;     # directories on file systems of their own

sub is_named
{
    my ($result) = @_;
    return like($result->{stderr}, qr{could not fsync file ".*/\Q$still\E": Input/output error}, 'it is named');
}

# Each file is synced by itself there, so that an error of any is seen.
sub old_kernel_syncs_each_file
{
    my ($target, $source, $before) = @_;
    my @fault = (fault => "fail:sync\@*/$still:EIO");
    for my $options ([], ['--sync-method=syncfs'])
    {
        my ($failed) = on_old_kernel(sub { rewind($target, $source, @fault, options => $options) });
        is($failed->{status}, 1, "where syncfs tells no error, that of a file ends the run: pg_rewind @$options");
        is_named($failed);
        is_unchanged($target, $before);
    }
    return;
}

# Kill a rewind amid its apply, and have another one, which is disturbed, finish it.
sub finish
{
    my ($target, $source, $run) = @_;
    $target->sql('INSERT INTO t VALUES (3); CHECKPOINT');
    $target->stop;
    $source->sql('INSERT INTO t VALUES (4); CHECKPOINT');
    end_by_kill(hold($target, $source, 'patch'));
    my ($result) = $run->();
    is($result->{status}, 0, 'an interrupted rewind is finished') or diag($result->{stderr});
    rejoins($target, $source, quick => 1);
    return $result;
}

# A run that finishes the rewind of another syncs all that it finds in the same way: the directory may have been copied
# to another disk in between. After an error it compares all blocks.
sub is_synced_by_finisher
{
    my ($target, $source) = @_;
    for my $old (0, 1)
    {
        my $run = sub {
            # A file system is synced by the first of its directories that are found: a work directory, if one is there.
            my ($work) = glob("$part{'a tablespace'}/pg_rewind.work*/");
            my $first = $work ? 'tablespace/quiet/pg_rewind.work*' : 'pg_tblspc/*';
            return rewind($target, $source, fault => 'fail:sync@*/' . ($old ? $still : $first) . ':EIO');
        };
        my $result = finish($target, $source, sub { $old ? on_old_kernel($run) : $run->() });
        $old ? is_named($result) : like($result->{stderr},
            qr{could not synchronize file system .*/(?:tablespace/quiet/|pg_tblspc/)}, 'an error is named');
        like($result->{stderr}, qr/^pg_rewind: warning: a file of the target may be lost/m, 'all blocks are compared');
    }
    my $result = finish($target, $source, sub { rewind($target, $source, fault => 'fail:open@pg_tblspc:ENOMEM') });
    like($result->{stderr}, qr/warning: could not .*Cannot allocate memory\n.*pg_rewind retries this/,
        'a directory that cannot be listed for a while is listed later');
    unlike($result->{stderr}, qr/may be lost/, 'nothing was lost by that');
    return;
}

sub diverged
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('quiet');
            $primary->sql("CREATE TABLESPACE quiet LOCATION '$location'");
            $primary->sql('CREATE DATABASE calm');
            $primary->sql('CREATE TABLE still (a int) TABLESPACE quiet; INSERT INTO still VALUES (1); CREATE TABLE t (a int)');
        },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1); CHECKPOINT') },
        target => sub {
            my ($target) = @_;
            $still = $target->query("SELECT pg_relation_filepath('still')");
            $target->sql('INSERT INTO t VALUES (2)');
            $part{'a mount'} =
                $target->path('base/' . $target->query("SELECT oid FROM pg_database WHERE datname = 'calm'"));
        });
    mkdir $target->dir . '/wal' or die;
    $part{'a link of pg_wal'} = $target->dir . '/wal';
    $part{'a tablespace'} = $target->dir . '/tablespace/quiet';
    my $wal = $target->path('pg_wal');
    must_run([ 'cp', '-a', "$wal/.", $part{'a link of pg_wal'} ]);
    must_run([ 'rm', '-rf', $wal ]);
    symlink($part{'a link of pg_wal'}, $wal) or die;
    move_to_file_system($_) for values %part;
    $part{'the data directory'} = $target->data;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    %part = ();
    my ($source, $target) = diverged($version);
    my $record = work_dir() . '/record';
    my $before = tree($target);

    my $failed = rewind($target, $source, fault => 'fail:sync@*/pg_tblspc/*:EIO');
    is($failed->{status}, 1, 'an error of a file system where nothing is changed ends the run');
    like($failed->{stderr}, qr{could not synchronize file system for file ".*/pg_tblspc/\d+": Input/output error},
        'it is named');
    is_unchanged($target, $before);
    old_kernel_syncs_each_file($target, $source, $before);

    # Killed before the commit.
    rewind($target, $source, fault => 'kill:rename@*/backup_label', env => { PG_REWIND_FAULT_RECORD => $record },
        options => ['--sync-method=fsync']);
    my %synced = synced_before_journal($record);
    my %each = map { $_ => 1 } @{ $synced{sync} };
    is(join(' ', grep { !$each{"$target->{dir}/$_"} } grep { $before->{$_} =~ /^(?:file|directory) /
        && !m{lost\+found|^tablespace$} } sort keys %$before), '',
        'each file and directory is synced with --sync-method=fsync');
    is($synced{syncfs}, undef, 'and no file system as a whole');

    rewinds($target, $source, fault => '', env => { PG_REWIND_FAULT_RECORD => $record });
    is_deeply(synced_before_own_work($record, $target->data),
        { map { ("$part{$_}/pg_rewind.work" => 2) } 'a link of pg_wal', 'a mount' },
        'what a killed run and this one have staged elsewhere is gone for good before the file that names it');
    %synced = synced_before_journal($record);
    my %times;
    $times{ device(s{/pg_rewind\.work$}{}r) }++ for @{ $synced{syncfs} };
    is($times{ device($part{$_}) }, 2, "$_: synced before the staging, and before the journal") for sort keys %part;
    rejoins($target, $source, quick => 1);
    is_synced_by_finisher($target, $source);
    $target->stop;

    privileged('unmount', $part{$_}) for 'a tablespace', 'a mount', 'a link of pg_wal';
    $_->discard for $target, $source;
}, only => [ 10, 18 ]);
