# The target's server runs in another container: pg_rewind does not see its processes, so the one that postmaster.pid
# names seems to be dead. A file that the server has open for writing gives it away. One that is only read, as by a
# backup, does not matter. (Invariant 1.)
#
#   source   ┌── 2 ──▶   a server
#   target ──┴── 1 ──▶   a server, which runs; pg_rewind, in a PID namespace of its own
# (Rule I75.)

use strict;
use warnings;

use Cwd qw(abs_path);
use lib 't/lib';
use RewindTest;

my @apart = qw(unshare --user --map-current-user --pid --fork --mount-proc);

# A pg_rewind that sees no other processes.
sub program_apart
{
    my $program = work_dir() . '/pg_rewind_apart';
    spew($program, join(' ', '#!/bin/sh', "\nexec", @apart, abs_path($ENV{PG_REWIND} // 'build/pg_rewind'),
        '"$@"') . "\n");
    chmod 0755, $program;
    return $program;
}

sub is_refused
{
    my ($target, $source, $what) = @_;
    my $result = rewind($target, $source, program => program_apart());
    my $where = $target->data . '/(?:pg_wal|global)';
    is($result->{status}, 1, "$what: a rewind is refused") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: target server must be shut down cleanly$/m, 'as where it is seen');
    like($result->{stderr},
        qr{^pg_rewind: detail: A process has file "$where/\w+" open for writing, and no server's is seen here\.$}m,
        'it says how that shows');
    like($result->{stderr}, qr/^pg_rewind: hint: If a server runs on the directory in another container, stop it/m,
        'and what to do');
    is($target->query('SELECT 1'), 1, 'the server runs on');
    return $result->{status} != 0;
}

plan(skip_all => 'an ordinary user can make no PID namespace') if run([ @apart, 'true' ])->{status} != 0;
each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $target->start;
    $target->process_pid('logical replication launcher');    # it has begun
    return if !is_refused($target, $source, 'a server that has only started');
    $target->sql('INSERT INTO t VALUES (3)');
    return if !is_refused($target, $source, 'one that writes');

    $target->kill_all_processes;
    my ($segment) = sort glob($target->path('pg_wal/0000*'));
    open(my $backup, '<', $segment) or die "could not open $segment: $!";
    # An archive's segment, which somebody writes, and a link to it.
    open(my $elsewhere, '>', $target->dir . '/elsewhere') or die;
    symlink($target->dir . '/elsewhere', $target->path('pg_wal/elsewhere')) or die;
    rewinds($target, $source, program => program_apart());
    rejoins($target, $source, no_promotion => 1, quick => 1);
}, only => [ 10, 15, 18 ]);
