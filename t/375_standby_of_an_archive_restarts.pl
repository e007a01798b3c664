# The source is a standby that has its WAL from an archive alone, and never streams. It is restarted while it is read: the
# run goes on once the source has replayed more than it had before, and does not wait until it streams.
# (Invariant 7. Source is a standby.)
#
#   primary   1 ──┬── 2 ────●──────▶   segments to the archive
#   source        └── 2 ──▶ ●          from the archive; restarted while it is read
#   target        └── 1 ──╳
# (Rule C54.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;

# A standby that is given an archive, and no primary.
sub standby_of_archive
{
    my ($primary, $name, $archive) = @_;
    my $restore = "restore_command = 'cp $archive/%f %p'\n";
    $primary->stop;
    my $standby = $primary->copy($name);
    # A checkpointer looks for archive_timeout when it has awoken.
    $primary->start->sql('CHECKPOINT');
    my $auto = $standby->path('postgresql.auto.conf');
    spew($auto, slurp($auto) =~ s/^primary_conninfo.*\n//mgr) if $standby->version >= 12;
    $standby->configure("archive_mode = off\nwal_retrieve_retry_interval = '100ms'");
    spew($standby->path($standby->version < 12 ? 'recovery.conf' : 'standby.signal'),
        $standby->version < 12 ? "standby_mode = 'on'\nrecovery_target_timeline = 'latest'\n$restore" : '');
    $standby->configure($restore) if $standby->version >= 12;
    return $standby->start;
}

# More WAL, which the primary archives within a second or two.
sub write_on
{
    my ($primary, $source, $n) = @_;
    $primary->sql("UPDATE t SET v = 'later $n' WHERE i % 9 = $n");
    $source->wait_for_replay_of($primary);
    return;
}

# Rewind, restart the source amid its answers, let the function act, and go on.
sub start_and_restart
{
    my ($target, $source, $n, $then) = @_;
    my $proxy = RewindTest::Proxy->new("proxy_$n", $source);
    $proxy->after(300_000, 'hang');
    my $run = start_rewind($target, $proxy, options => [ '--jobs=1', '--retry-timeout=120' ]);
    $proxy->wait_for('hang');
    $proxy->refuse;
    $source->restart;
    $then->($run);
    $proxy->pass;
    return ($run, $proxy);
}

sub ends_well
{
    my ($run, $proxy, $target, $source, $primary) = @_;
    my $result = end_of_rewind($run);
    $proxy->end;
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    is($source->query('SELECT pg_last_wal_receive_lsn() IS NULL'), 't', 'the source does not stream');
    rejoins($target, $source, writer => $primary) if $result->{status} == 0;
    $target->discard;
    return $result;
}

each_version(sub {
    my ($version) = @_;
    my $archive = work_dir() . "/archive.$version";
    mkdir $archive or die "could not create $archive: $!";
    my ($primary, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    $primary->configure("archive_mode = on\narchive_timeout = 1\narchive_command = 'cp %p $archive/%f'");
    my $source = standby_of_archive($primary, 'standby', $archive);
    $primary->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0");
    $source->wait_for_replay_of($primary);

    subtest('the archive has more when the source is back', sub {
        my $copy = $target->copy('rewound');
        my @run = start_and_restart($copy, $source, 1, sub {
            write_on($primary, $source, 2);
        });
        ends_well(@run, $copy, $source, $primary);
    });
    subtest('the archive has more only later', sub {
        my $copy = $target->copy('rewound_later');
        my @run = start_and_restart($copy, $source, 2, sub { });
        wait_until('the run waits',
            sub { slurp($run[0]{errors}) =~ /warning: source server has replayed less WAL than it had before/
            || has_ended($run[0]) });
        write_on($primary, $source, 3);
        ends_well(@run, $copy, $source, $primary);
    });
}, only => [ 10, 15, 18 ]);
