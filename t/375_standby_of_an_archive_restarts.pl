# The source is a standby that has its WAL from an archive alone, and never streams. It is restarted while it is read,
# and nothing tells how much it had replayed before: the run ends with status 1, the target is unchanged, and the same
# command rewinds it.
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
use RewindTest::Outcome;
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

each_version(sub {
    my ($version) = @_;
    my $archive = work_dir() . "/archive.$version";
    mkdir $archive or die "could not create $archive: $!";
    my ($primary, $target) = split_brain($version,
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i");
        },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    $primary->configure("archive_mode = on\narchive_timeout = 1\narchive_command = 'cp %p $archive/%f'");
    my $source = standby_of_archive($primary, 'standby', $archive);
    $primary->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0");
    $source->wait_for_replay_of($primary);

    my $proxy = RewindTest::Proxy->new('proxy', $source);
    $proxy->after(300_000, 'hang');
    my $run = start_rewind($target, $proxy, options => [ '--jobs=1', '--retry-timeout=5' ]);
    $proxy->wait_for('hang');
    $proxy->refuse;
    $source->restart;
    # The source has replayed more than it had when it sent its last page.
    $primary->sql("UPDATE t SET v = 'later' WHERE i % 9 = 2");
    $source->wait_for_replay_of($primary);
    $proxy->pass;
    ends(end_of_rewind($run), 1, 'the source was restarted',
        qr/^pg_rewind: error: source server has not yet replayed the WAL that it had replayed before its restart$/m,
        qr/^pg_rewind: hint: The target is unchanged/m);
    $proxy->end;
    my $again = rewind($target, $source);
    is($again->{status}, 0, 'the same command again') or diag($again->{stderr});
    is($source->query('SELECT pg_last_wal_receive_lsn() IS NULL'), 't', 'the source does not stream');
    rejoins($target, $source, writer => $primary);
}, only => [ 10, 15, 18 ]);
