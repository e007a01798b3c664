# All that pg_rewind does to files passes the library by which tests interrupt it: a call that did not would never be
# killed, failed or recorded by any of them. (Upholds the tests of Invariants 1 to 5. Nothing here depends on the
# server's version.)
#
#   one rewind    the kernel, by strace: all changing system calls of all threads
#                 the library, by its log: all that it could have struck
#                 the same numbers of each kind, from both kinds of source
#
# tests/bypasses says the same of what the program could call.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# System calls that change files, and how the library calls them; undef: there should be none.
my %call = (
    (map { $_ => 'create' } qw(creat open openat)),    # those that create or truncate
    pwrite64 => 'write',
    (map { $_ => 'rename' } qw(rename renameat renameat2)),
    (map { $_ => 'link' } qw(link linkat)),
    (map { $_ => 'symlink' } qw(symlink symlinkat)),
    (map { $_ => 'unlink' } qw(unlink unlinkat)),      # with AT_REMOVEDIR: rmdir
    rmdir => 'rmdir',
    (map { $_ => 'mkdir' } qw(mkdir mkdirat)),
    ftruncate => 'truncate',
    fallocate => 'reserve',
    copy_file_range => 'copy',
    ioctl => 'clone',
    fchmod => 'set mode',
    (map { $_ => 'sync' } qw(fsync fdatasync syncfs)),
    (map {
        $_ => "$_, which the library does not know" } qw(openat2 pwritev pwritev2 truncate mknod mknodat chmod fchmodat
        chown fchown lchown fchownat utime utimes futimesat utimensat setxattr lsetxattr fsetxattr removexattr
        lremovexattr
        fremovexattr sendfile splice tee sync msync io_submit io_uring_setup)),
    (map { $_ => "$_ to a file" } qw(write writev)),
    mmap => 'mmap, shared and writable,',
);

# Of a call that strace saw: its kind, or nothing.
sub kind
{
    my ($name, $arguments, $log) = @_;
    return if index($arguments, $log) >= 0;    # the library's own
    return if $name =~ /^open/ && $arguments !~ /O_CREAT|O_TRUNC/;
    return if $name =~ /^writev?$/ && $arguments !~ m{^\d+<(?!/dev/|pipe:|socket:|anon_inode:)} || $name =~ /^writev?$/
        && $arguments =~ /^[012]</;
    return if $name eq 'mmap' && ($arguments !~ /MAP_SHARED/ || $arguments !~ /PROT_WRITE/);
    return if $name eq 'ioctl' && $arguments !~ /FICLONE/;    # is it a terminal?
    return 'rmdir' if $name eq 'unlinkat' && $arguments =~ /AT_REMOVEDIR/;
    return $call{$name};
}

# How often each kind was called, by pg_rewind and its threads; what programs do that it runs is theirs.
sub seen_by_kernel
{
    my ($trace, $log) = @_;
    my (%count, %begun, %ours, @lines);
    for (split /\n/, $trace)
    {
        my ($pid, $line) = /^(\d+)\s+(.*)/ or next;
        if ($line =~ /^(.*) <unfinished \.\.\.>$/) { $begun{$pid} = $1; next }
        $line = delete($begun{$pid}) . $1 if $line =~ /^<\.\.\. \w+ resumed>(.*)/;
        $ours{$pid} = 1 if !%ours;
        push @lines, [ $pid, $line ];
        $ours{$1} = 1 if $line =~ /^clone3?\(.*CLONE_THREAD.* = (\d+)/;
    }
    for (@lines)
    {
        my ($pid, $line) = @$_;
        my ($name, $arguments) = $line =~ /^(\w+)\((.*)/ or next;
        my $kind = $ours{$pid} ? kind($name, $arguments, $log) : undef;
        $count{$kind}++ if defined $kind;
    }
    return \%count;
}

sub seen_by_library
{
    my ($log) = @_;
    my %files = map { $_ => 1 } values %call;
    my %count;
    $files{$_} and $count{$_}++ for map { /^\d+ ((?:set )?\S+) / ? $1 : () } split /\n/, $log;
    return \%count;
}

sub nothing_bypasses
{
    my ($source, $target, $kind) = @_;
    my $copy = $target->copy("copy_$kind");
    my ($log, $trace) = map { work_dir() . "/$_.$kind" } qw(log trace);
    my $strace = work_dir() . '/strace';
    # Preloaded into pg_rewind alone.
    spew($strace, <<"END");
#!/bin/sh
exec strace -f -y -s 0 -qq -o '$trace' -e 'trace=?clone,?clone3,execve,${\ join ',', map { "?$_" } sort keys %call}' \\
    -E LD_PRELOAD='$ENV{PG_REWIND_FAULTS}' -E PG_REWIND_FAULT_LOG='$log' '$ENV{PG_REWIND}' "\$@"
END
    chmod 0700, $strace;
    my $result = rewind($copy, $source, kind => $kind, program => $strace, options => [ ONCE, '--jobs', 3 ]);
    is($result->{status}, 0, 'a rewind under strace succeeds') or diag($result->{stderr});

    my $kernel = seen_by_kernel(slurp($trace), $log);
    my $library = seen_by_library(slurp($log));
    is_deeply($kernel, $library, 'the library stood before every call that changed files');
    cmp_ok($library->{$_} // 0, '>', 0, "among them some '$_'")
        for qw(create write rename link unlink rmdir mkdir truncate reserve sync), 'set mode';
    note(join ', ', map { "$kernel->{$_} $_" } sort keys %$kernel);
    $copy->discard;
    return;
}

# A sanitizer's library makes calls of its own, and looks for leaks where strace does not let it.
plan(skip_all => 'it is about the program that is shipped, not one with a sanitizer')
    if $ENV{PG_REWIND_FAULTS} =~ /lib[at]san/;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i; CREATE TABLE shrinks AS TABLE t") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS TABLE t; INSERT INTO shrinks TABLE shrinks");
            mkdir $target->path('only_on_target') or die;
        });
    subtest('source is a server', sub { nothing_bypasses($source, $target, 'server') });
    $source->stop;
    subtest('source is a directory', sub { nothing_bypasses($source, $target, 'directory') });
}, only => [15]);
