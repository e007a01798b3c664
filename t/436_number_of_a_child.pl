# The number of a process that has ended may be given to another one. A signal that is handed on to the child must not
# reach that: signals wait from before the number is given back until it is forgotten. (Nothing here depends on a
# server.)
#
#   waitid ── the child has ended, and keeps its number ── signals are blocked ── wait4: the number is free ── it is forgotten ── signals
# (Rule I35.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $trace = work_dir() . '/trace';
my @rewind = rewind_argv(work_dir() . '/nothing', '--source-pgdata', work_dir() . '/nothing');
my $result = run([ 'strace', '-qq', '-o', $trace, '-e', 'trace=waitid,wait4,rt_sigprocmask,kill,tgkill', '-e',
    'signal=none', @rewind ], env => { ASAN_OPTIONS => without_search_for_leaks() });
is($result->{status}, 1, 'a rewind of a directory that is not there') or diag($result->{stderr});
my ($waits) = slurp($trace) =~ /^(waitid.*)\z/ms;
like($waits // slurp($trace),
    qr/\A(?:waitid\(.*WNOWAIT.*\n)+rt_sigprocmask\(SIG_BLOCK, \[HUP INT TERM\], .*\n(?:wait4\(.*\n)+rt_sigprocmask\(SIG_SETMASK, /,
    'its child is reaped while signals are blocked');
like(slurp($trace), qr/^wait4\(\d+, \[\{WIFEXITED/m, 'it was reaped');
done_testing();
