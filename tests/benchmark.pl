#!/usr/bin/perl
# Time and bytes against the original of version 15, side by side in one run: two copies of one target, one rewound by
# each program. Run by `make benchmark`; SCALE=100 is pgbench's scale, SECONDS_OF_WRITING=60 how long both sides write.
#
# Nothing is asserted but that both end well: a benchmark is no test.

use strict;
use warnings;

use JSON::PP;
use RewindTest;
use Time::HiRes 'time';

my $scale = $ENV{SCALE} // 100;
my $seconds = $ENV{SECONDS_OF_WRITING} // 60;
my $original_bindir = '/usr/lib/postgresql/15/bin';
$ENV{PG_BINDIR_15} //= $original_bindir;

sub say_line { printf "%s\n", join '', @_; return }

sub pgbench
{
    my ($cluster, @options) = @_;
    must_run([ program('pgbench'), '-n', @options, $cluster->conninfo ], seconds => 3600);
    return;
}

sub timed
{
    my ($name, $target, @command) = @_;
    must_run([ 'sync' ], seconds => 600);
    my $begin = time;
    my $result = run([ @command, '-D', $target->data ], seconds => 3600);
    my $elapsed = time - $begin;
    die "$name failed:\n$result->{stderr}" if $result->{status} != 0;
    return ($elapsed, $result);
}

sub copied_by_original
{
    my ($stderr) = @_;
    my @lines = $stderr =~ m{(\d+)/\d+ kB \(\d+%\) copied}g;
    return ($lines[-1] // 0) * 1024;
}

my $target = make_cluster('target', 15, checksums => 1,
    settings => "fsync = on\nshared_buffers = 256MB\nmax_wal_size = 4GB\nwal_keep_size = 8GB\nautovacuum = on\n");
$target->start;
pgbench($target, '-i', '-q', '-s', $scale);
my $source = $target->standby('source');
pgbench($target, '-c', '4', '-T', int($seconds / 4) + 1);
$source->wait_for_replay_of($target);
$source->promote;
$source->sql('CHECKPOINT');
pgbench($source, '-c', '4', '-T', $seconds);
pgbench($target, '-c', '4', '-T', $seconds);
$target->stop;

my @source = ('--source-server', $source->conninfo);
my $original_target = $target->copy('original');
my ($original_seconds, $original) =
    timed('the original', $original_target, "$original_bindir/pg_rewind", @source, '-P');
my $original_bytes = copied_by_original($original->{stderr});

my $our_target = $target->copy('ours');
my ($our_seconds, $ours) = timed('pg_rewind', $our_target, $ENV{PG_REWIND}, @source, '--report=json');
my $report = decode_json($ours->{stdout});
my $our_bytes = $report->{bytes}{fetched} // die "no bytes in the report:\n$ours->{stdout}";

say_line(sprintf('pgbench scale %d, %d s of writing on each side, server 15, source a server', $scale, $seconds));
say_line(sprintf('%-10s %10s %14s', '', 'seconds', 'bytes'));
say_line(sprintf('%-10s %10.2f %14d', 'original', $original_seconds, $original_bytes));
say_line(sprintf('%-10s %10.2f %14d', 'pg_rewind', $our_seconds, $our_bytes));
say_line(sprintf('%-10s %10.2f %14.2f  (original / pg_rewind)', 'ratio', $original_seconds / $our_seconds,
    $original_bytes / $our_bytes));
say_line('pg_rewind by phase, in seconds: ',
    join ', ', map { "$_ $report->{seconds}{$_}" } qw(identify scan plan stage apply));
say_line('bytes by kind: ',
    join ', ', map { "$_ $report->{bytes}{fetched_by_kind}{$_}" } sort keys %{ $report->{bytes}{fetched_by_kind} });
