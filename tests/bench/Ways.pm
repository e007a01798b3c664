# Ways to make a standby of what a cluster has become. Each is { name, run => sub (run) }, where run has: program, source, copy (of the
# target), conninfo (of the source), directory (1: the source is stopped, and only its directory can be read); it returns what measured()
# returns.
# Others than pg_rewind have
#
#   from_nothing => 1            the copy's data directory is not there yet
#   rounds => 1                  they are slow
#   disturbs => 1                they make a checkpoint on the source, which others would begin with: they come last
#   prepare => sub (source)      done before the clock runs
#   finish => sub ()             removes what that left

package Ways;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(sum);
use Measure;
use RewindTest;

our @EXPORT = qw(rewinding pg_basebackup rsync pgbackrest);

# ---------------------------------------------------------------- pg_rewind, ours and the original

sub rewinding
{
    my ($name, $path, @options) = @_;
    return { name => $name, path => $path, options => \@options, run => \&run_rewind };
}

sub run_rewind
{
    my ($run) = @_;
    my @source = $run->{directory} ? ('--source-pgdata', $run->{source}->data) : ('--source-server', $run->{conninfo}, '-R');
    my $measured = measured($run->{program}, @source, '-D', $run->{copy}->data);
    $run->{copy}->follow($run->{source}) if $run->{directory};
    return $measured;
}

# ---------------------------------------------------------------- pg_basebackup

# It begins with a checkpoint that it does not have to wait for. It is one process with `-X fetch`, which is counted whole.
sub pg_basebackup
{
    my ($path) = @_;
    return {
        name => 'pg_basebackup', path => $path, options => [qw(-X fetch -c fast -R)], from_nothing => 1, disturbs => 1,
        run => sub {
            my ($run) = @_;
            return measured($run->{program}, '-d', $run->{conninfo}, '-D', $run->{copy}->data);
        },
    };
}

# ---------------------------------------------------------------- rsync

# What a base backup leaves out. What the target has of it goes.
my @left_out = (qw(/postmaster.pid /postmaster.opts pg_internal.init),
    map { "/$_/*" } qw(pg_wal pg_replslot pg_dynshmem pg_notify pg_serial pg_snapshots pg_stat_tmp pg_subtrans));

# With --no-whole-file it does what it would do between two machines.
sub rsync
{
    return { name => 'rsync', rounds => 1, disturbs => 1, run => \&run_rsync };
}

sub run_rsync
{
    my ($run) = @_;
    my ($source, $copy) = @{$run}{qw(source copy)};
    my ($start, $stop) = $source->version < 15
        ? ("pg_start_backup('rsync', true, false)", 'pg_stop_backup(false, false)')
        : ("pg_backup_start('rsync', true)", 'pg_backup_stop(false)');
    return measured_steps(sub {
        my $session = $source->session;
        $session->sql("SELECT $start");
        my $said = must_run([ 'rsync', '-a', '--checksum', '--inplace', '--no-whole-file', '--delete', '--delete-excluded', '--stats',
            (map { "--exclude=$_" } @left_out), $source->data . '/', $copy->data . '/' ], seconds => 3600);
        spew($copy->path('backup_label'), $session->sql("SELECT labelfile FROM $stop") . "\n");
        $session->end;
        $copy->follow($source);
        must_run([ 'sync', '-f', $copy->data ]);
        return { received => $said =~ /^Total bytes sent: ([\d,]+)/m ? $1 =~ tr/,//dr : die "rsync printed:\n$said" };
    });
}

# ---------------------------------------------------------------- pgBackRest

# Its repository is of the same machine, and its backup was made a moment ago: WAL that it does not have streams from the source.
sub pgbackrest
{
    my $directory = work_dir() . '/pgbackrest';
    my @command = (qw(pgbackrest --stanza=bench --log-level-file=off), "--repo1-path=$directory/repository",
        "--lock-path=$directory/lock", '--config=/dev/null');
    return {
        name => 'pgBackRest', rounds => 1, disturbs => 1,
        prepare => sub {
            my ($source) = @_;
            mkdir $directory;
            my @server = ('--pg1-path=' . $source->data, '--pg1-socket-path=' . $source->dir, '--pg1-user=postgres');
            must_run([ @command, @server, @$_ ], seconds => 3600)
                for ['stanza-create'], [qw(backup --type=full --start-fast --no-archive-check --compress-type=lz4 --process-max=2)];
        },
        finish => sub { system('rm', '-rf', $directory) },
        run => sub {
            my ($run) = @_;
            my $conninfo = $run->{conninfo} =~ s/^/primary_conninfo=/r;
            return measured_steps(sub {
                my $said = must_run([ @command, '--pg1-path=' . $run->{copy}->data,
                    qw(--delta --type=standby --process-max=2 --log-level-console=detail),
                    "--recovery-option=$conninfo", '--recovery-option=restore_command=', 'restore' ], seconds => 3600);
                my ($backup) = glob("$directory/repository/backup/bench/*F");
                my $base = $run->{copy}->data;
                my @restored = $said =~ /restore file \Q$base\E\/(\S+) \([^)]*\)(?! exists|.*(?:zeroed|match))/g;
                return { received => sum(0, map { -s "$backup/pg_data/$_.lz4" // 0 } @restored) };
            });
        },
    };
}

1;
