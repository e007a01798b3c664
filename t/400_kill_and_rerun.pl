# A rewind that is killed anywhere costs nothing, and the same command run again finishes it.  (Invariants 1 to 5.
# Both sources. What happens on the disk depends on the version in few places: the oldest, one between, the newest.)
#
#   killed before the commit     the target is as it was, byte by byte; its old server starts
#   killed after it              no server starts, with or without backup_label; the source is needed no more
#   at every instant             pg_control is whole
#   run again                    the same directory as without a kill

use strict;
use warnings;
use lib 't/lib';
use Digest::MD5;
use File::Find ();
use RewindTest;

my $kills = 6;    # spread over the time before the commit, and over that after it

# Every file of a cluster: path => type, permissions, content, time of change. What is ours is left out, and
# postmaster.opts: every server that tries to start writes it.
sub tree
{
    my ($cluster) = @_;
    my $dir = $cluster->dir;
    my %tree;
    my $visit = sub {
        my $path = substr($_, length($dir) + 1);
        if ($path =~ m{(^|/)(pg_rewind\.work|postmaster\.(pid|opts))}) { $File::Find::prune = 1; return }
        my ($mode, $changed) = (lstat)[2, 9];
        if (-l _) { $tree{$path} = 'link ' . readlink =~ s/^\Q$dir\E//r }
        elsif (-d _) { $tree{$path} = sprintf('directory %o', $mode) }
        else { $tree{$path} = sprintf('file %o %s %s', $mode, Digest::MD5::md5_hex(slurp($_)), $changed) }
    };
    File::Find::find({ no_chdir => 1, wanted => $visit }, "$dir/data", "$dir/tablespace");
    return \%tree;
}

# The same after a rewind: what differs from run to run is left out, the times of files, and of label and pg_control.
sub rewound_tree
{
    my ($cluster) = @_;
    my $tree = tree($cluster);
    s/(?<=[0-9a-f]{32}) \d+$// for values %$tree;
    $tree->{'data/backup_label'} = slurp($cluster->path('backup_label')) =~ s/^START TIME.*$//mr;
    my $control = slurp($cluster->path('global/pg_control'));
    substr($control, $_->[0], $_->[1]) = '' for [ crc_offset($control), 4 ], [ 24, 8 ];
    $tree->{'data/global/pg_control'} = Digest::MD5::md5_hex($control);
    return $tree;
}

sub crc32c
{
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    for my $byte (unpack 'C*', $bytes)
    {
        $crc ^= $byte;
        $crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
    }
    return $crc ^ 0xFFFFFFFF;
}

# Where a pg_control of any version has its checksum, behind all fields; undef if there is none that is right.
my $known_offset;
sub crc_offset
{
    my ($control) = @_;
    for my $offset ($known_offset // (), map { 4 * $_ } 60 .. 80)
    {
        next if unpack('V', substr($control, $offset, 4)) != crc32c(substr($control, 0, $offset));
        return $known_offset = $offset;
    }
    return;
}

sub control_is_whole
{
    my ($target) = @_;
    my $control = slurp($target->path('global/pg_control'));
    ok(length $control == 8192 && defined crc_offset($control), 'pg_control is whole');
    if ($target->version == 15)
    {
        my $shown = run([ program('pg_controldata'), $target->data ]);
        ok($shown->{status} == 0 && $shown->{stderr} eq '' && $shown->{stdout} !~ /WARNING/, 'pg_controldata reads it')
            or diag($shown->{stdout}, $shown->{stderr});
    }
    return $control;
}

sub no_server_starts
{
    my ($target, $how) = @_;
    my $single = run([ $target->bindir . '/postgres', '--single', '-D', $target->data, 'postgres' ], stdin => "SELECT 1;\n");
    isnt($single->{status}, 0, "no single-user server starts $how");
    isnt($target->try_start->{status}, 0, "no server starts $how") or $target->stop;
    return;
}

sub old_server_starts
{
    my ($target) = @_;
    is($target->try_start->{status}, 0, 'the old server starts') or do { diag($target->log); return };
    is($target->query('SELECT count(*), min(b), max(b) FROM t'), '2000|before|target', 'and reads what it had');
    log_is_clean($target);
    $target->stop;
    return;
}

# Out of everybody's sight.
sub hide { my ($path) = @_; rename($path, "$path.hidden") or die; return }
sub show { my ($path) = @_; rename("$path.hidden", $path) or die; return }

# Test that two trees are the same; says which files are not.
sub is_same_tree
{
    my ($found, $expected, $name) = @_;
    my %path = (%$found, %$expected);
    my @different = grep { ($found->{$_} // 'nothing') ne ($expected->{$_} // 'nothing') } sort keys %path;
    is(join("\n", map { "$_: " . ($found->{$_} // 'nothing') . ', expected ' . ($expected->{$_} // 'nothing') } @different), '', $name);
    return;
}

# Kill at one point, look, run again, look. Returns whether the rewind had been committed.
sub kill_at
{
    my ($context, $point, $rejoin) = @_;
    my $old_server_ran = 0;
    my ($source, $kind) = @$context{qw(source kind)};
    my $target = $context->{target}->copy('killed');
    my %command = (kind => $kind, options => $context->{options}, program => $ENV{PG_REWIND_WITH_FAULTS});

    my $killed = rewind($target, $source, %command, env => { PG_REWIND_FAULT => "kill:$point" });
    is($killed->{signal}, 9, 'pg_rewind is killed') or diag($killed->{stderr});
    my $control = control_is_whole($target);
    my $poisoned = $control ne $context->{old_control};
    my $committed = $poisoned || (-e $target->path('backup_label') && slurp($target->path('backup_label')) !~ /^START WAL/);
    my $finished = $poisoned && -e $target->path('backup_label') && slurp($target->path('backup_label')) =~ /^START WAL/
        && ord(substr($control, 16, 1)) == 5;    # state "in archive recovery": the new one

    if (!$committed)
    {
        is_same_tree(tree($target), $context->{tree}, 'the target is as it was');
        $old_server_ran = $context->{starts}++ % 3 == 0;
        old_server_starts($target) if $old_server_ran;
        rewinds($target, $source, %command, options => []);
    }
    else
    {
        my $way_to_source = $kind eq 'server' ? "$source->{dir}/.s.PGSQL.5432" : $source->data;
        no_server_starts($target, 'before it is finished') if !$finished;
        if ($poisoned && !$finished)
        {
            unlink $target->path('backup_label');
            no_server_starts($target, 'without backup_label either');
        }
        # When the journal is gone, nothing is left to be finished.
        my $pending = -e $target->path('pg_rewind.work/journal');
        ok($pending, 'there is a journal') if !$finished;
        hide($way_to_source) if $pending;
        my $again = rewind($target, $source, %command, env => { PG_REWIND_FAULT => 'kill:' . (3 + $point % 11) });
        is($again->{signal}, 9, 'the run that would finish it is killed as well') if !$finished;
        control_is_whole($target);
        rewinds($target, $source, %command, options => []);
        show($way_to_source) if $pending;
    }
    # Where the old server has run or the source runs, there is another end of WAL.
    is_same_tree(rewound_tree($target), $context->{rewound_tree}, 'the rewound directory is as without a kill')
        if $kind eq 'directory' && !$old_server_ran;
    ok(!-e $target->path($_), "no $_ is left") for qw(pg_rewind.work pg_rewind.work.wal postmaster.pid);
    if ($rejoin)
    {
        $source->start if $kind eq 'directory';
        rejoins($target, $source);
    }
    $target->discard;
    return $committed;
}

# The points of a run, by an undisturbed one: how many, and which is the commit.
sub count_points
{
    my ($context) = @_;
    my $target = $context->{target}->copy('undisturbed');
    my $log = work_dir() . '/points';
    my $result = rewind($target, $context->{source}, kind => $context->{kind}, options => $context->{options},
        program => $ENV{PG_REWIND_WITH_FAULTS}, env => { PG_REWIND_FAULT_LOG => $log });
    is($result->{status}, 0, 'without a kill pg_rewind succeeds') or diag($result->{stderr});
    my ($last) = slurp($log) =~ /^(\d+) .*\n\z/m or die 'pg_rewind was not built with fault points';
    my ($commit) = slurp($log) =~ /^(\d+) commit$/m;
    unlink $log;
    $context->{rewound_tree} = rewound_tree($target) if $context->{kind} eq 'directory';
    $target->discard;
    return ($commit, $last);
}

sub spread { my ($first, $last, $count) = @_; return map { int($first + ($last - $first) * $_ / $count) } 0 .. $count - 1 }

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            $primary->sql("CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, 'before' FROM generate_series(1, 1000) i;
                CREATE TABLE in_space TABLESPACE space AS SELECT * FROM t");
        },
        source => sub { my ($source) = @_; $source->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 3000) i;
            CREATE TABLE made_on_source AS SELECT * FROM t; DELETE FROM in_space") },
        target => sub { my ($target) = @_; $target->sql("INSERT INTO t SELECT i, 'target' FROM generate_series(1, 1000) i;
            CREATE TABLE made_on_target AS SELECT * FROM t; UPDATE in_space SET b = 'target'") });
    my $kind = $version == 15 ? 'server' : 'directory';
    $source->stop if $kind eq 'directory';
    # One worker, so that the points come in the same order each time.
    my $context = { source => $source, target => $target, kind => $kind, options => [ '--jobs', 1 ], starts => 0,
        tree => tree($target), old_control => slurp($target->path('global/pg_control')) };

    my ($commit, $last) = count_points($context);
    my %point = map { $_ => 1 } spread(2, $commit, $kills), $commit .. $commit + 3,
        spread($commit + 4, $last, $kills), $last - 4, $last - 2, $last;
    my @points = ((sort { $a <=> $b } keys %point), int(($commit + $last) / 2));
    my $commits = 0;
    for (0 .. $#points)
    {
        subtest("killed at point $points[$_] of $last, the commit being $commit", sub { $commits++ if kill_at($context, $points[$_], $_ == $#points) });
    }
    cmp_ok($commits, '>=', $kills, 'some runs were killed after the commit');
    cmp_ok($commits, '<', @points, 'and some before it');
}, only => [ 10, 15, 18 ]);
