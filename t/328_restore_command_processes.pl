# A restore command works, whatever the signals are that pg_rewind was started with, and ends with pg_rewind, with all
# that it has started. At a terminal it may ask there, and Ctrl-C ends it too.
# (Rules C61, I30, I31.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $segment;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        target => sub {
            my ($target) = @_;
            $segment = $target->query('INSERT INTO t VALUES (3); SELECT pg_walfile_name(pg_current_wal_lsn())');
            $target->sql('SELECT pg_switch_wal(); INSERT INTO t VALUES (4)');
        });
    my $archive = work_dir() . "/archive.$version";
    mkdir $archive;
    rename($target->path("pg_wal/$segment"), "$archive/$segment") or die "$segment: $!";
    my @command = rewind_argv($target->data, '--source-server', $source->conninfo);

    # Stopped while a command runs.
    my $pid_file = "$archive/pid";
    my $script = q{"$@" & rewind=$!; while ! [ -s } . $pid_file
        . q{ ]; do sleep 0.05; done; kill -TERM $rewind; wait $rewind};
    my $result =
        run([ 'sh', '-c', $script, 'sh', @command, "--restore-command=sleep 600 & echo \$! >$pid_file; wait" ]);
    is($result->{status}, 1, 'a stop ends it') or diag($result->{stderr});
    like($result->{stderr}, qr/terminated by signal 15/, 'with that reason');
    my ($child) = slurp($pid_file) =~ /(\d+)/;
    wait_until('what the command has started is gone', sub { process_file($child, 'stat') !~ /\) [^Z] / });

    # At a terminal. What it says goes to a file: script(1) leaves ten milliseconds after its child has ended, and what
    # the terminal has not passed on until then is lost.
    my $said = "$archive/said";
    my $at_terminal = sub {
        my ($restore, $typed) = @_;
        my $quoted = join ' ', map { s/'/'\\''/gr =~ s/.*/'$&'/sr } @command, '--dry-run', "--restore-command=$restore";
        my $result =
            run([ 'sh', '-c',
            "(while ! [ -e $archive/asks ]; do sleep 0.05; done; printf '$typed'; sleep 2) | script -qec \"\$1\" /dev/null",
            'sh', "$quoted 2>$said" ]);
        return { %$result, stderr => slurp($said) };
    };
    my $stopped = $at_terminal->("sleep 601 & echo \$! >$pid_file; touch $archive/asks; wait", '\\003');
    like($stopped->{stderr}, qr/terminated by signal 2/, 'Ctrl-C ends it');
    my ($second) = slurp($pid_file) =~ /(\d+)/;
    isnt($second, $child, 'another command was run');
    wait_until('what it has started is gone', sub { process_file($second, 'stat') !~ /\) [^Z] / });
    unlink "$archive/asks";
    # WAL is read in several threads: a segment that is nowhere may be asked for as well, and first.
    my $asked = $at_terminal->("touch $archive/asks; read answer </dev/tty && test \$answer = yes && cp $archive/%f %p",
        'yes\\nyes\\nyes\\n');
    is($asked->{signal} || $asked->{status}, 0, 'a command that asks gets an answer')
        or diag($asked->{stdout}, $asked->{stderr});

    # Started with SIGCHLD ignored. (And the command does not get the options that are meant for pg_rewind.)
    my $ignoring = run([ $^X, '-e', '$SIG{CHLD} = "IGNORE"; exec @ARGV', @command,
        "--restore-command=echo \${PG_REWIND_OPTIONS-none} >$archive/options; cp $archive/%f %p" ],
        env => { PG_REWIND_OPTIONS => '--no-sync' });
    is(slurp("$archive/options"), "none\n", 'PG_REWIND_OPTIONS is for pg_rewind alone');
    is($ignoring->{signal} || $ignoring->{status}, 0, 'SIGCHLD is ignored by who started it')
        or diag($ignoring->{stderr});
    rejoins($target, $source, no_promotion => 1, quick => 1);
}, only => [ 10, 15, 18 ]);
