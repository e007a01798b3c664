# A postmaster.pid that a crashed server has left hinders nobody, whatever process has its number by now: another user's
# (process 1 in a container, root's after a reboot), or one of ours that is younger than the file. One that may be the
# server is respected, and how to go on is said. A run that does not come to its commit leaves the file as it was: it
# names the shared memory that the next server asks for.
# (Rules I11, I14.)

use strict;
use warnings;

use POSIX ();
use RewindTest;
use RewindTest::Held;

sub make_pid_file
{
    my ($target, $pid, $time) = @_;
    spew($target->path('postmaster.pid'), join("\n", $pid, $target->data, $time, 5432, $target->dir, 'localhost',
        '  5432001    123456', 'ready   ') . "\n");
    return;
}

# A process that works in this directory, which does not show where it works if it is hidden.
sub start_process
{
    my ($directory, %option) = @_;
    pipe(my $end, my $held) or die "could not make a pipe: $!";
    my $pid = fork() // die;
    if ($pid != 0)
    {
        close $held;
        readline $end;    # ends when it has closed or executed all
        return $pid;
    }
    chdir $directory;
    if ($option{hidden})
    {
        # prctl(PR_SET_DUMPABLE, 0), as it is of a program with rights of its own: only root may look.
        syscall((POSIX::uname())[4] eq 'aarch64' ? 167 : 157, 4, 0, 0, 0, 0) == 0 or POSIX::_exit(1);
        close $_ for *STDOUT, *STDERR, $held;
        sleep 600;
        POSIX::_exit(0);
    }
    close $_ for *STDOUT, *STDERR;    # whoever reads these would wait for it
    my $program = '/bin/sleep';
    if ($option{program})
    {
        must_run([ 'cp', $program, work_dir() . "/$option{program}" ]) if !-e work_dir() . "/$option{program}";
        $program = work_dir() . "/$option{program}";
    }
    exec { $program } $option{program} // 'sleep', 600;
}

# Held when the first segment of the target's WAL is opened, when something is staged, and when the file was put aside.
my $put_aside = 'rename@*/postmaster.pid.pg_rewind.server;link@*/postmaster.pid';

sub it_stays
{
    my ($source, $target) = @_;
    my $file = $target->path('postmaster.pid');
    my @stale = (slurp($file), (stat $file)[1, 9]);
    my $same = sub { is_deeply([ -e $file ? (slurp($file), (stat _)[1, 9]) : () ], \@stale,
        "$_[0]: the file is as it was") };

    for my $point ('link@*/postmaster.pid;open@*/pg_[wx]*/00000001*', 'create@*/pg_rewind.work/*')
    {
        my $held = hold($target, $source, $point);
        like(slurp($file), qr/\A-$held->{pid}\n/, 'while pg_rewind runs it has its own');
        kill 'TERM', $held->{pid};
        is(go_on($held)->{status}, 1, "a stop at $point ends it");
        $same->('stopped');

        end_by_kill(hold($target, $source, $point));
        end_by_kill(hold($target, $source, 'send@'));
        $same->('killed, and the next one has begun');
    }
    end_by_kill(hold($target, $source, $put_aside));
    ok(!-e $file, 'killed when the file was put aside: it is missing');
    end_by_kill(hold($target, $source, 'send@'));
    $same->('and the next one has begun');
    # The claim may fail as long as no server is there; that there is nothing to do without it is found later.
    my $failed = rewind($target, $source, fault => "fail:$put_aside:EIO", options => ['--keep=PG_VERSION']);
    is($failed->{status}, 1, 'the lock file cannot be made after that, and the run fails');
    $same->('failed');
    rewinds($target, $source);
    is(join(' ', glob("$file*")), '', 'a rewind removes it');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') }, stop => 'kill');
    my $process = start_process('/');
    my $server = start_process($target->data);

    my @stale = (
        [ 'of another user' => 1, time ],
        [ 'that is younger than the file' => $process, time - 3600 ],
    );
    for (@stale)
    {
        my ($what, $pid, $time) = @$_;
        my $copy = $target->copy('stale');
        make_pid_file($copy, $pid, $time);
        rewinds($copy, $source);
        rejoins($copy, $source, no_promotion => 1, quick => 1);
        $copy->discard;
    }

    my $copy = $target->copy('stays');
    subtest('a run that does not come to its commit', sub { it_stays($source, $copy) });
    $copy->discard;

    # To remove the file is advised only where no server can be meant: not by one that works here, also seen on another
    # mount, where its directory has other numbers but the same file, nor where nobody can tell.
    my $hidden = start_process($target->data, hidden => 1);
    my $elsewhere = $target->dir . '/elsewhere';
    mkdir $elsewhere or die;
    my $twin = start_process($elsewhere);
    my @live = (
        [ 'that is older than the file' => $process, time + 3600,
        qr/^pg_rewind: hint: If no server runs in that directory, .* has left the file: remove it\.$/m ],
        [ 'that works in the directory' => $server, time - 3600,
        qr/^pg_rewind: hint: It is running\. Stop it, .*: pg_ctl stop -m immediate -D /m ],
        [ 'that cannot be looked at' => $hidden, time + 3600,
        qr/^pg_rewind: hint: Find out what the process is \(ps -fp $hidden\)\./m ],
        [ 'that has the same file' => $twin, time + 3600,
        qr/^pg_rewind: hint: Find out what the process is \(ps -fp $twin\)\./m ],
    );
    for (@live)
    {
        my ($what, $pid, $time, $hint) = @$_;
        make_pid_file($target, $pid, $time);
        must_run([ 'cp', $target->path('postmaster.pid'), $elsewhere ]);
        my $result = rewind($target, $source);
        is($result->{status}, 1, "a process $what is respected");
        like($result->{stderr}, qr/^pg_rewind: error: target server must be shut down cleanly$/m, 'and named');
        like($result->{stderr}, $hint, 'with what to do');
        unlike($result->{stderr}, qr/remove(?! WAL that the rewind needs)/, 'which destroys nothing')
            if $pid != $process;
    }
    spew($target->path('postmaster.pid'), '');
    like(rewind($target, $source)->{stderr}, qr/^pg_rewind: hint: .* If no server is starting, remove the file\.$/m,
        'an empty file without a server');
    my $starting = start_process($target->data, program => 'postgres');
    my $result = rewind($target, $source);
    like($result->{stderr},
        qr/^pg_rewind: error: lock file ".*" is empty\npg_rewind: hint: Process $starting is a server's and works in this directory\. /m,
        'an empty file and a server');
    unlike($result->{stderr}, qr/remove/, 'to remove the file is not advised');
    kill 'KILL', $process, $server, $hidden, $twin, $starting;
    waitpid($_, 0) for $process, $server, $hidden, $twin, $starting;
    unlink $target->path('postmaster.pid');
}, only => [ 10, 13, 15, 18 ]);
