# The rewind in a round of RewindTest::Chaos: with options, kills and work on the source as the dice say, and what is
# true after it: refused, the target is as it was; done, it is a standby equal to its source.

package RewindTest::Chaos::Attempt;

use strict;
use warnings;

use Exporter 'import';
use RewindTest;
use RewindTest::Chaos::Field;
use RewindTest::Indexes;

our @EXPORT = qw(attempt);

# ---------------------------------------------------------------- options

my $help;

sub knows
{
    my ($option) = @_;
    $help //= must_run([ $ENV{PG_REWIND}, '--help' ]);
    return $help =~ /\Q$option\E\b/;
}

sub is_directory { my ($round) = @_; return $round->{kind} =~ /directory/ }

# Where a target finds WAL that neither side has any more.
sub options_for_missing_wal
{
    my ($run, $round, $target) = @_;
    my $choice = $run->{choice};
    my $archive = archive_of($choice, $target) // return;
    my $command = $choice->{archive} eq 'own_gzip' ? "gunzip -c $archive/%f.gz > %p" : "cp $archive/%f %p";
    my $how = $round->{missing_wal};
    return "--wal-archive=$archive" if $how eq 'wal_archive' && knows('--wal-archive');
    return "--restore-command=$command" if $how eq 'restore_command' && knows('--restore-command');
    return if $how ne 'configured';
    configure_restore_command($target, $command);
    return ('-c', '-B', $target->bindir);
}

# Its servers shall do without: an archive may hold WAL of a lost history with the same timeline.
sub configure_restore_command
{
    my ($cluster, $command) = @_;
    my $path = $cluster->path($cluster->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    my $settings = -e $path ? slurp($path) : '';
    $settings =~ s/^restore_command.*\n//mg;
    $settings .= "restore_command = '$command'\n" if defined $command;
    spew($path, $settings) if $settings ne '';
    return;
}

sub options
{
    my ($run, $round, $source, $target) = @_;
    my @options = ('--debug', '--retry-timeout', 20, '--wait-timeout', 20, '-j', $round->{jobs},
        options_for_missing_wal($run, $round, $target));
    push @options, '-R' if $round->{write_recovery_conf} && !is_directory($round);
    push @options, '--no-sync' if $round->{sync} eq 'no';
    push @options, '--sync-method=syncfs' if $round->{sync} eq 'syncfs';
    push @options, '--late-start' if $round->{late_start} && knows('--late-start');
    my $place = $round->{place_of_source};
    push @options, '-T', "$place=" . $target->dir . '/tablespace/' . $place =~ s{.*/}{}r if defined $place;
    return @options;
}

# ---------------------------------------------------------------- refusals

# What may be refused, and what must be true for it.
my @refusals = (
    [ 'copied database' => qr/replay would copy database/ ],
    [ 'WAL is gone' => qr/the source no longer has WAL|could not open file ".*\/pg_(?:wal|xlog)\/[0-9A-F]{24}"|could not prove|could not find where.* do not both have enough of it/s,
        sub { my ($run, $round) = @_; $run->{choice}{short_wal} || $round->{started_late} } ],
    [ 'standby is behind' => qr/source has not received all WAL that the target has/ ],
    # Under the names of what the target lacks an archive may have WAL of another history with equal timelines, and so
    # may the source.
    [ 'other WAL of that name' => qr/WAL is damaged|could not find previous WAL record|could not find where|could not read WAL record/,
        sub { my ($run, $round) = @_; $round->{missing_wal} ne 'none' && $run->{choice}{archive} =~ /own|shared/ } ],
    [ 'other WAL of that name' => qr/could not (?:find previous|read) WAL record/, sub {
        my ($run, $round, $stderr) = @_;
        return $run->{choice}{short_wal} && $round->{history} =~ /^opened/
            && $stderr =~ /^pg_rewind: hint: Put an undamaged copy of segment "([0-9A-F]{24})"/m
                && $stderr =~ /using file "$1" of the source/;
    } ],
    [ 'source changed' => qr/source system was modified while pg_rewind was running/ ],
    [ 'settings' => qr/full_page_writes|wal_level|wal_log_hints/, sub { $_[1]{trouble} } ],
    # One in place and one elsewhere, with one number.
    [ 'tablespace in place' => qr/file "pg_tblspc\/\d+" is of different type/ ],
    [ 'tablespace' => qr/replay of CREATE TABLESPACE would use/, sub { $_[1]{tablespace_of_source} } ],
);

# Why a rewind was rightly refused, or undef.
sub refusal
{
    my ($run, $round, $result) = @_;
    return if $result->{status} == 0 || $result->{signal};
    my ($error) = $result->{stderr} =~ /^(pg_rewind: (?:error|fatal): .*)/ms;
    for my $refusal (@refusals)
    {
        my ($name, $message, $condition) = @$refusal;
        return $name if ($error // '') =~ $message && (!$condition || $condition->($run, $round, $result->{stderr}));
    }
    return;
}

# Names, sizes and times of all files; not of the data directory itself, in which pg_rewind works.
sub files_of
{
    my ($cluster) = @_;
    return must_run([ 'find', $cluster->data, $cluster->dir . '/tablespace', '-mindepth', 1, '-printf',
        '%P %y %s %m %T@ %l\n' ]);
}

# The same without what a killed run left, which every other run takes away: a killed server's pid file goes back to its
# place.
sub without_leftover
{
    my ($cluster, $files) = @_;
    $files =~ s{^(\S*/)?pg_rewind\.work\S* .*\n}{}mg;
    my $pid_file = $cluster->path('postmaster.pid');
    $files =~ s{^postmaster\.pid .*\n}{}m if -e $pid_file && slurp($pid_file) =~ /^-/;
    $files =~ s{^postmaster\.pid\.pg_rewind .*\n}{}m;
    $files =~ s{^postmaster\.pid\.pg_rewind\.server }{postmaster.pid }m;
    return $files;
}

sub differences
{
    my ($before, $after) = @_;
    my %before = map { $_ => 1 } split /\n/, $before;
    my %after = map { $_ => 1 } split /\n/, $after;
    return join "\n", (map { "- $_" } grep { !$after{$_} } sort keys %before), map { "+ $_" } grep { !$before{$_} }
        sort keys %after;
}

# ---------------------------------------------------------------- one rewind

# Segments that the target has not archived yet.
sub waiting_for_archiver
{
    my ($cluster) = @_;
    return grep { -e $cluster->path("pg_wal/$_") } map { m{/([0-9A-F]{24})\.ready$} }
        glob($cluster->path('pg_wal/archive_status/*.ready'));
}

# Those of common history must still be there, and wait.
sub still_waiting
{
    my ($run, $cluster, $result, @segments) = @_;
    my ($high, $low, $timeline) =
        $result->{stderr} =~ m{servers diverged at WAL location ([0-9A-F]+)/([0-9A-F]+) on timeline (\d+)} or return;
    my $size = $run->{choice}{wal_segment_mb} * 1024 * 1024;
    my $divergence = hex($high) * 2**32 + hex $low;
    my @lost = grep {
        my ($of, $number, $part) = map { hex } /^(.{8})(.{8})(.{8})$/;
        $of <= $timeline && $number * 2**32 + ($part + 1) * $size <= $divergence
            && !(-e $cluster->path("pg_wal/$_") && -e $cluster->path("pg_wal/archive_status/$_.ready"));
    } @segments;
    is("@lost", '', 'segments that were not archived yet still wait');
    return;
}

# Segments after which pg_wal lacks one, before it has the newest again.
sub segments_before_gap
{
    my ($run, $cluster) = @_;
    my $per_file_id = 4096 / $run->{choice}{wal_segment_mb};
    my %names;    # by number: a segment in which a timeline was left has two
    for my $name (map { m{/([0-9A-F]{24})$} } glob($cluster->path('pg_wal/*')))
    {
        my ($file_id, $part) = map { hex } $name =~ /^.{8}(.{8})(.{8})$/;
        push @{ $names{ $file_id * $per_file_id + $part } }, $name;
    }
    my ($first, @older) = sort { $b <=> $a } keys %names;
    $first = shift @older while @older && $older[0] == $first - 1;
    return map { @{ $names{$_} } } @older;
}

# The WAL summarizer of a server does not get past a gap: WAL before one is there only if it waits to be archived, and
# the warning says so. It is moved away, as the hint says; with it in place replay waits up to 10 seconds for that
# process at each DROP DATABASE.
sub move_wal_before_gap
{
    my ($run, $round, $target, $result) = @_;
    my @segments = segments_before_gap($run, $target) or return;
    my @archived = grep { !-e $target->path("pg_wal/archive_status/$_.ready") } @segments;
    is("@archived", '', 'no WAL stays before a gap but what is not archived yet');
    like($result->{stderr},
        qr/^pg_rewind: warning: WAL of the target that is not archived yet stays, and a gap follows/m,
        'a warning says that WAL stays before a gap')
        if !$round->{kill};
    unlink map { ($target->path("pg_wal/$_"), $target->path("pg_wal/archive_status/$_.ready")) } @segments;
    return;
}

# A run that does not come to its end.
sub kill_rewind
{
    my ($round, $target, $source, @options) = @_;
    my @source = is_directory($round) ? ('--source-pgdata', $source->data) : ('--source-server', $source->conninfo);
    my $where = ($round->{kill} eq 'other' ? 'r' : '') . $round->{killed_at};
    my $pid = in_background('killed', { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => "kill:$where" },
        $ENV{PG_REWIND}, '-D', $target->data, ONCE, @source, @options);
    waitpid($pid, 0);
    return;
}

sub start_disturbance
{
    my ($run, $round, $writer) = @_;
    my $busy = is_directory($round) ? 'idle' : $round->{busy_source};
    return start_load($writer) if $busy eq 'load';
    return start_operations($run, $writer) if $busy eq 'operations';
    return start_copies($run, $writer) if $busy eq 'copies';
    return 0;
}

# How far a server as the source has come by itself: a standby in the WAL that it has received, a primary in its
# checkpoints. Where that differs, the first of two runs, which may have waited in vain, is no forecast of the other.
sub progress_of_source
{
    my ($round, $source) = @_;
    return '' if is_directory($round);
    return $source->query('SELECT CASE WHEN pg_is_in_recovery() '
        . 'THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END')
        || slurp($source->data . '/global/pg_control');
}

# Rewind, and test what holds however it ends.  Returns the result.
sub rewind_once
{
    my ($run, $round, $source, $target, $writer) = @_;
    my $kind = is_directory($round) ? 'directory' : 'server';
    my @options = options($run, $round, $source, $target);
    my $before = files_of($target);
    my @waiting = waiting_for_archiver($target);
    my $disturbance = start_disturbance($run, $round, $writer);

    my ($dry, $progress);
    if ($round->{dry_run})
    {
        $progress = progress_of_source($round, $source);
        $dry = rewind($target, $source, kind => $kind, options => [ @options, '--dry-run' ]);
        spew(work_dir() . '/dry_run.stderr', $dry->{stderr});
        is(differences($before, files_of($target)), '', '--dry-run changes nothing');
    }
    if ($round->{kill})
    {
        kill_rewind($round, $target, $source, @options) for 0 .. $round->{killed_again};
        # One that was not killed may have replaced the configuration.
        options_for_missing_wal($run, $round, $target);
        $before = without_leftover($target, files_of($target));
    }
    my $result = rewind($target, $source, kind => $kind, options => \@options);
    $round->{busy_source} eq 'load' ? end_load($disturbance) : waitpid($disturbance, 0) if $disturbance;
    append(work_dir() . '/rewind.stderr', "==== round $run->{round}\n$result->{stderr}");
    is($dry->{status}, $result->{status}, '--dry-run predicts how it ends')
        if $dry && !$disturbance && !$round->{kill} && $progress eq progress_of_source($round, $source);
    is($result->{stdout}, '', 'pg_rewind prints nothing on stdout');
    is(differences($before, files_of($target)), '', 'refused, and nothing is changed') if $result->{status} == 1
        || $result->{status} == 3;
    still_waiting($run, $target, $result, @waiting) if $result->{status} == 0 && !$round->{kill};
    move_wal_before_gap($run, $round, $target, $result)
        if $result->{status} == 0 && $run->{choice}{summarize_wal}
            && ($round->{kill} || $result->{stderr} !~ /no rewind required/);
    return $result;
}

# What the hint of a refusal says; a standby needs a restartpoint behind it.
sub make_checkpoints
{
    my ($source, $writer) = @_;
    $writer->sql('CHECKPOINT');
    return if $source == $writer;
    $source->wait_for_replay_of($writer);
    $source->sql('CHECKPOINT');
    return;
}

# Rewind; after a refusal once more, when its reason may be gone.  Returns how it ended.
sub rewind_until_done
{
    my ($run, $round, $source, $target, $writer) = @_;
    $source->stop if is_directory($round);
    my $result = rewind_once($run, $round, $source, $target, $writer);
    $source->start if is_directory($round);
    my $refusal = refusal($run, $round, $result);
    my $end = $refusal ? " at last ($refusal)" : '';
    if ($refusal && $refusal =~ /database|changed|behind|tablespace$/ && !is_directory($round))
    {
        make_checkpoints($source, $writer);
        $result = rewind_once($run, { %$round, dry_run => 0, kill => '', busy_source => 'idle' }, $source, $target,
            $writer);
        $refusal = refusal($run, $round, $result);
    }
    return "refused ($refusal)" if $refusal;
    is($result->{signal} || $result->{status}, 0, 'pg_rewind succeeds')
        or do { diag(tail($result->{stderr})); return 'failed' };
    return 'unneeded' if $result->{stderr} =~ /no rewind required/;
    $round->{started_late} ||= $result->{stderr} =~ /recovery starts late/;
    return 'rewound' . ($result->{stderr} =~ /recovery starts late/ ? ' late' : '') . " from $round->{kind}$end";
}

# ---------------------------------------------------------------- the round

# A target that was rewound and never started is rewound again, to where its source is now, or to another source.
sub rewind_again
{
    my ($run, $round, $sides) = @_;
    my ($source, $target, $writer, $other) = @$sides{qw(source target writer other)};
    work($run, $writer, 3);
    my %again = (%$round, kill => '', dry_run => 0);
    if ($other && $round->{second_kind} eq 'other')
    {
        $source = $other;
        $again{kind} = is_directory($round) ? 'directory' : 'server';
        $sides->{source} = $source;
    }
    $source->wait_for_replay_of($writer) if $source != $writer;
    my $end = rewind_until_done($run, \%again, $source, $target, $writer);
    return $end eq 'unneeded' ? ' and again' : "; again $end";
}

# One that was refused still starts as what it was.
sub starts_as_before
{
    my ($target) = @_;
    my $start = $target->try_start;
    is($start->{status}, 0, 'a refused target starts as before') or diag($target->log);
    $target->stop;
    return;
}

sub prepared_can_be_resolved
{
    my ($cluster) = @_;
    my $end = 0;
    for my $line (split /\n/, $cluster->query('SELECT gid, database FROM pg_prepared_xacts ORDER BY 1'))
    {
        my ($gid, $database) = split /\|/, $line;
        my $how = $end++ % 2 ? 'ROLLBACK' : 'COMMIT';
        is($cluster->try_sql("$how PREPARED '$gid'", $database)->{stderr}, '', "$how PREPARED $gid");
    }
    return;
}

# Tools of the server's version are there for one of them.
sub checksums_are_right
{
    my ($cluster) = @_;
    my $program = '/usr/lib/postgresql/' . $cluster->version . '/bin/pg_checksums';
    return if !-x $program;
    $cluster->stop;
    my $result = run([ $program, '--check', '-D', $cluster->data ]);
    is($result->{status}, 0, 'pg_checksums finds nothing') or diag($result->{stdout} . $result->{stderr});
    return;
}

# Rewind the target of a round, and see it follow.  Returns how it ended.
sub attempt
{
    my ($run, $round, $sides, $is_last) = @_;
    my $target = $sides->{target};
    if ($run->{choice}{keep_target})
    {
        must_run([ 'rm', '-rf', work_dir() . '/target_before' ]);
        must_run([ 'cp', '-a', $target->dir, work_dir() . '/target_before' ]);
    }
    my $end = rewind_until_done($run, $round, @$sides{qw(source target writer)});
    configure_restore_command($target);
    starts_as_before($target) if $end =~ /^refused/ && $round->{start_refused};
    return $end if $end !~ /^rewound|^unneeded/;
    # It would make the source's tablespace at the source's place.
    return "$end, but on the source's host" if $end =~ /^unneeded/ && defined $round->{place_of_source};
    $end .= rewind_again($run, $round, $sides) if $round->{rewound_twice};
    return $end if $end =~ /again (refused|failed)/;
    configure_restore_command($target);

    my $writer = $sides->{writer};
    settle($run, $writer);
    my $has_configuration = $round->{write_recovery_conf} && !is_directory($round) && $end !~ /unneeded/
        && !$round->{rewound_twice};
    rejoins($target, $sides->{source}, writer => $writer, recovery_written => $has_configuration,
        no_promotion => !$is_last, pages => 1,
        quick => !$run->{choice}{compare_all});
    keep_wal($writer, undef) if $run->{choice}{short_wal} && !$is_last;
    return $end if !$is_last || !$target->is_running;
    prepared_can_be_resolved($target);
    indexes_agree($target);
    checksums_are_right($target) if $run->{choice}{checksums};
    return $end;
}

# Its errors, which a list of files may follow, and its end.
sub tail
{
    my ($text) = @_;
    my @lines = grep { !/debug:/ } split /\n/, $text;
    my @last = splice @lines, @lines > 8 ? -8 : 0;
    return join "\n", grep({ /error:|fatal:/ } @lines), @last;
}

1;
