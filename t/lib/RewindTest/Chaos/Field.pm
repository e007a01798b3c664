# The clusters of a run of RewindTest::Chaos and what is done with one of them: work, load, crashes, new timelines.
#
# A run: { choice, round => its number, writer => the primary, base => a stopped cluster that standbys are copied from,
#          nodes => [ all clusters ], target => the one that was rewound last }

package RewindTest::Chaos::Field;

use strict;
use warnings;

use Exporter 'import';
use Fcntl ':flock';
use POSIX ();
use RewindTest::Chaos::Cluster;
use RewindTest::Cluster;
use RewindTest::Command;
use RewindTest::Dice;
use RewindTest::Workload;
use Time::HiRes ();

our @EXPORT = qw(
    begin_run next_field add_standby drop_nodes work in_background start_load end_load start_operations start_copies
    settle keep_wal
    make_safe_to_crash crash restart_with archive_of
);

# ---------------------------------------------------------------- the first primary

sub settings
{
    my ($choice) = @_;
    my $kept_mb = $choice->{short_wal} ? 4 * $choice->{wal_segment_mb} : 2048;
    my $kept = $choice->{version} >= 13 ? "wal_keep_size = ${kept_mb}MB" : 'wal_keep_segments = '
        . int($kept_mb / $choice->{wal_segment_mb});
    my $settings = "$kept\nshared_buffers = $choice->{shared_buffers}\n";
    $settings .= "autovacuum = on\nautovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 10\n"
        if $choice->{autovacuum};
    $settings .= "wal_compression = on\n" if $choice->{wal_compression};
    $settings .= "summarize_wal = on\n" if $choice->{summarize_wal};
    $settings .= "track_commit_timestamp = on\n" if $choice->{commit_timestamps};
    # A server runs this in its data directory. What ends with more than 125 is not tried again for a while, nor waited
    # for.
    my %command = (
        stuck => 'exit 126',
        own => 'cp %p ../archive/%f',
        own_gzip => 'gzip -c %p > ../archive/%f.gz',
        shared => 'test -f ../../archive/%f || (cp %p ../../archive/%f.new && mv ../../archive/%f.new ../../archive/%f)',
    );
    $settings .= "archive_mode = on\narchive_command = '$command{ $choice->{archive} }'\n"
        if $choice->{archive} ne 'off';
    return $settings;
}

# Where a cluster's WAL was archived, or undef.
sub archive_of
{
    my ($choice, $cluster) = @_;
    return work_dir() . '/archive' if $choice->{archive} eq 'shared';
    return $cluster->dir . '/archive' if $choice->{archive} =~ /^own/;
    return;
}

# What all sides have in common, made once for each version and set of options: a stopped cluster to be copied.
sub template
{
    my ($choice) = @_;
    my $version = $choice->{version};
    my $dir = ($ENV{TMPDIR} // work_dir()) . '/templates';
    my $template = "$dir/chaos-" . join '-', @$choice{qw(version checksums wal_segment_mb)};
    my $self = bless {
        name => 'template', version => $version, dir => $template, starts => 0,
        bindir => RewindTest::Cluster::bindir_of_version($version)
    }, 'RewindTest::Chaos::Cluster';

    mkdir $dir;
    open(my $lock, '>', "$template.lock") or die "could not create $template.lock: $!";
    flock($lock, LOCK_EX) or die "could not lock $template.lock: $!";
    return $self if -d $template;

    my $no_wal_kept = $version >= 13 ? 'wal_keep_size = 0' : 'wal_keep_segments = 0';
    my $new = RewindTest::Cluster->new('template', $version,
        settings => "$no_wal_kept\n" . ($version >= 9.4 ? "max_replication_slots = 40\n" : '')
        . ($version >= 10 ? "allow_in_place_tablespaces = on\n" : ''),
        map { $_ => $choice->{$_} } qw(checksums wal_segment_mb))->start;
    build_schema($new, RewindTest::Dice->new("schema $choice->{checksums}"));
    $new->sql("CREATE TABLESPACE place LOCATION '" . $new->tablespace_location('place')
            . "'; CREATE TABLE in_place TABLESPACE place AS SELECT generate_series(1, 2000) AS key");
    $new->sql("SELECT pg_switch_wal(); CHECKPOINT");
    my $last = $new->query('SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
    $new->stop;
    # Nothing is copied that nobody reads: old WAL, and files for new one.
    unlink grep { m{/([0-9A-F]{24})$} && $1 ne $last } glob($new->path('pg_wal/*'));
    my ($link) = glob($new->path('pg_tblspc/*'));
    unlink $link;
    symlink("$template/tablespace/place", $link) or die "could not create $link: $!";
    rename($new->dir, $template) or die "could not rename " . $new->dir . ": $!";
    return $self;
}

sub begin_run
{
    my ($choice) = @_;
    my $run = { choice => $choice, round => 0, nodes => [], dice => {}, next_object => {}, base => template($choice) };
    mkdir work_dir() . '/archive';
    my $primary = copy_of_base($run, 'p');
    $primary->start;
    $run->{writer} = $primary;
    return $run;
}

sub copy_of_base
{
    my ($run, $name) = @_;
    my $copy = $run->{base}->copy($name);
    mkdir $copy->dir . '/archive';
    $copy->configure(settings($run->{choice})) if $run->{base}->name eq 'template';
    push @{ $run->{nodes} }, $copy;
    return $copy;
}

# ---------------------------------------------------------------- standbys

# A new standby of a running cluster.  In later rounds the base is a standby that is stopped meanwhile.
sub add_standby
{
    my ($run, $role, $upstream) = @_;
    my $standby = copy_of_base($run, $role . ($run->{round} > 1 ? $run->{round} : ''));
    $standby->follow($upstream)->start;
    return $standby;
}

# The clusters that the next round begins with: the primary and the one that was rewound, its standby.
sub next_field
{
    my ($run, $sides) = @_;
    my ($writer, $target) = @$sides{qw(writer target)};
    if ($sides->{source} != $writer)
    {
        $target->stop;
        $target->follow($writer)->start;
        $target->wait_for_replay_of($writer);
    }
    @$run{qw(writer target)} = ($writer, $target);
    drop_nodes($run, grep { $_ != $writer && $_ != $target } @{ $run->{nodes} });
    return;
}

sub drop_nodes
{
    my ($run, @nodes) = @_;
    for my $node (@nodes)
    {
        $node->discard;
        $run->{nodes} = [ grep { $_ != $node } @{ $run->{nodes} } ];
    }
    return;
}

# ---------------------------------------------------------------- work

# Operations on a cluster. Each cluster has dice of its own, so that a change of one does not change all others, and
# numbers objects from what it had in common with others.
sub work
{
    my ($run, $cluster, $count) = @_;
    return if $count <= 0;
    my $name = $cluster->name;
    my $dice = $run->{dice}{$name} //= RewindTest::Dice->new("$run->{choice}{seed}/$name");
    my $first = $run->{next_object}{$name} //= $run->{next_object}{common} // 1;
    $run->{next_object}{$name} += $count;
    my @names = random_operations($dice, $count);
    $run->{copies} ||= grep { /database|copy_and/ } @names;
    run_operations($cluster, $dice, $first, work_dir() . '/operations.log', @names);
    return;
}

my $load_script = <<'END';
\set id random(1, 2000)
\set sub random(0, 9)
BEGIN;
UPDATE accounts SET balance = balance + 1 WHERE id = :id;
INSERT INTO history (id, delta) VALUES (:id, 1);
\if :sub = 0
SAVEPOINT a;
INSERT INTO history (id, delta) VALUES (:id, 2);
\endif
END;
END

# Run a program and go on.  Returns its pid.
sub in_background
{
    my ($name, $env, @argv) = @_;
    my $log = work_dir() . "/$name.log";
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid != 0;
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>>', $log);
    open(STDERR, '>>', $log);
    local @ENV{ keys %$env } = values %$env;
    { no warnings 'exec'; exec { $argv[0] } @argv; }
    POSIX::_exit(127);
}

# Many short transactions, slow enough to leave the machine to others.
sub start_load
{
    my ($cluster) = @_;
    my $script = work_dir() . '/load.sql';
    spew($script, $load_script);
    my $pid = in_background('load', {}, program('pgbench'), '-n', '-f', $script, '-c', 2, '-T', 100, '-R', 400,
        $cluster->conninfo);
    Time::HiRes::sleep(0.15);
    return $pid;
}

sub end_load
{
    for my $pid (grep { $_ } @_)
    {
        kill 'TERM', $pid;
        waitpid($pid, 0);
    }
    return;
}

# Operations while pg_rewind works.
sub start_operations
{
    my ($run, $cluster) = @_;
    $run->{next_object}{ $cluster->name } += 100;
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid != 0;
    eval { work($run, $cluster, 6) };
    POSIX::_exit(0);
}

# Databases that are copied as files, changed and dropped while pg_rewind works.
sub start_copies
{
    my ($run, $cluster) = @_;
    my $first = $run->{next_object}{ $cluster->name } += 100;
    my $dice = RewindTest::Dice->new("$run->{choice}{seed}/copies $run->{round}");
    my @names = map { $dice->pick(qw(copy_and_change copy_and_drop_template create_database_by_files move_database
        move_database_back)) } 1 .. 4;
    my $pid = fork() // die "could not fork: $!";
    return $pid if $pid != 0;
    eval { run_operations($cluster, $dice, $first, work_dir() . '/operations.log', @names) };
    POSIX::_exit(0);
}

# Wait until nobody writes any more: only then can two sides be compared. The checkpoint tells standbys which
# transactions still run: as long as one takes those of a dead primary for running, amcheck there looks for what vacuum
# has removed.
sub settle
{
    my ($run, $cluster) = @_;
    # What was written since the rewind is not lost as well: no standby could follow.
    keep_wal($cluster, '2GB') if $run->{choice}{short_wal};
    $cluster->sql("ALTER SYSTEM SET autovacuum = off;\nSELECT pg_reload_conf()") if $run->{choice}{autovacuum};
    my $writes = $cluster->version >= 10 ? "backend_type IN ('client backend', 'autovacuum worker')"
        : 'pid NOT IN (SELECT pid FROM pg_stat_replication)';
    wait_until('all others leave ' . $cluster->name, sub {
        $cluster->query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE $writes AND pid <> pg_backend_pid()")
            == 0
    });
    $cluster->sql('CHECKPOINT');
    return;
}

# WAL that a primary keeps from now on; undef: as much as it did at first.
sub keep_wal
{
    my ($cluster, $size) = @_;
    my ($setting, $value) = $cluster->version >= 13 ? ('wal_keep_size', $size) : ('wal_keep_segments', 2048);
    $cluster->sql('ALTER SYSTEM ' . (defined $size ? "SET $setting = '$value'" : "RESET $setting"));
    # A checkpoint that is spread reads the settings when it pauses; no CHECKPOINT may hurry it before.
    $cluster->sql('SELECT pg_reload_conf(); SELECT pg_sleep(0.3)');
    return;
}

# ---------------------------------------------------------------- what happens to servers

# A server that starts recovery before the copy of a database copies it once more: as the template is by then. So one
# that is to crash in recovery, or soon after its promotion, has made a checkpoint first.
sub make_safe_to_crash
{
    my ($run, $cluster) = @_;
    $cluster->sql('CHECKPOINT') if $run->{copies};
    return;
}

# Kill a server and start it again. Its OIDs go on from the next that WAL has set aside, like those of a promoted
# standby.
sub crash
{
    my ($run, $cluster, $with_load) = @_;
    make_safe_to_crash($run, $cluster);
    my $load = $with_load ? start_load($cluster) : 0;
    $cluster->stop('kill');
    end_load($load);
    $cluster->start;
    return;
}

# Start it anew with settings, as lines of the file that is read last, that win over earlier ones.
sub restart_with
{
    my ($cluster, @settings) = @_;
    $cluster->stop;
    append($cluster->last_settings, $cluster->in_its_words(join '', map { "$_\n" } @settings));
    $cluster->start;
    return;
}

1;
