# Pairs of clusters for the benchmark: a target, and a source that was its standby.

package Pairs;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(sum);
use RewindTest;
use Table;

our @EXPORT = qw(pgbench new_cluster part wal_size wal_text check_standby in_network start_in_network);

# No vacuum when it likes: one in the wrong moment is a gigabyte of WAL. Where a standby is to follow later, WAL is
# kept.
my $settings = <<'END';
shared_buffers = 512MB
wal_keep_size = 2GB
max_wal_size = 4GB
checkpoint_timeout = 1h
maintenance_work_mem = 256MB
END

sub pgbench
{
    my ($cluster, @options) = @_;
    push @options, '-n' if !grep { $_ eq '-i' } @options;    # but new tables are vacuumed: no vacuum comes later
    must_run([ program('pgbench'), @options, $cluster->conninfo ]);
    return;
}

# A running cluster. Others connect to it by a network only in the workloads `link` and `latency`.
sub new_cluster
{
    my ($name, $version, $more) = @_;
    my $cluster = make_cluster($name, $version, checksums => 1, wal_segment_mb => 16, settings => $settings
        . ($more // ''));
    append($cluster->path('pg_hba.conf'), "host all,replication all 198.18.0.0/15 trust\n");
    return $cluster->start;
}

# Let a running cluster have a standby, which becomes a primary as well: the source. The cluster itself is stopped: the
# target.
#   together, source, target   subs as in RewindTest::split_brain
sub part
{
    my ($target, %option) = @_;
    my $source = $target->standby("$target->{name}-source");
    $option{together}->($target) if $option{together};
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $option{source}->($source) if $option{source};
    $option{target}->($target) if $option{target};
    $target->stop;
    return { source => $source, target => $target };
}

# Bytes in a pg_wal, files that wait for their use included.
sub wal_size { my ($cluster) = @_;
    return sum(0, map { -s } grep { m{/[0-9A-F]{24}\z} } glob($cluster->path('pg_wal/*'))) }

sub wal_text
{
    my ($pair) = @_;
    my ($source, $target) = map { bytes_text(wal_size($_)) } @{$pair}{qw(source target)};
    return "WAL in pg_wal: source $source, target $target.";
}

# A standby that is back gets what is written now.
sub check_standby
{
    my ($standby, $source) = @_;
    $source->sql('CREATE TABLE IF NOT EXISTS written_after_rewind (a int); INSERT INTO written_after_rewind VALUES (1)');
    $standby->wait_for_replay_of($source);
    my $state = $standby->query('SELECT status FROM pg_stat_wal_receiver');
    die "$standby->{name} does not stream but \"$state\":\n" . $standby->log if $state ne 'streaming';
    return;
}

# ---------------------------------------------------------------- another network

# Have a shell of the other network run a command; see tests/bench.sh.
sub in_network
{
    my ($command) = @_;
    my $done = work_dir() . '/done';
    unlink $done;
    append($ENV{BENCH_NETWORK}, "$command >$done.out 2>&1; echo \$? >$done.new; mv $done.new $done\n");
    wait_until('the other network answers', sub { -e $done });
    die "failed: $command\n" . slurp("$done.out") if slurp($done) != 0;
    return;
}

# Start a stopped cluster's server there, where it listens at these addresses.
sub start_in_network
{
    my ($cluster, $addresses, @settings) = @_;
    my $options = join ' ', map { "-c $_" } "listen_addresses=$addresses", "unix_socket_directories=$cluster->{dir}", @settings;
    in_network("$cluster->{bindir}/pg_ctl -w -D " . $cluster->data . " -l $cluster->{dir}/log.network -o '$options' start");
    return;
}

1;
