# A crashed primary whose WAL has a hole of several segments after its last checkpoint: what lies after the hole shows
# that WAL went on. An archive fills the hole; without one, or without the end, the run is refused. (Invariant 7.)
#
#   source       ┌──── 2 ──▶
#   target   1 ──┴──── 1 ─●──╌╌gone╌╌──✕      ● its last checkpoint   ✕ killed, with newer pages on the disk
#
# The same for one that was promoted, crashed before its first checkpoint had ended, and was stopped in the recovery
# that pg_auto_failover starts: "shut down in recovery" does not make it a standby.
# (Rules C29, C108, C109, D9.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Few buffers: a round's scan of the table writes the pages that it has changed.
my $settings = "shared_buffers = 128kB\ncheckpoint_timeout = 1h\nmax_wal_size = 10GB\nwal_log_hints = on\n"
    . "autovacuum = off\n";
my $round = 0;

# Change rows of other blocks in each of these segments, and return the segments' names.
sub change_rows
{
    my ($server, $rounds) = @_;
    return map {
        $server->sql("UPDATE t SET v = 'target' WHERE i / 500 = $round; SELECT count(*) FROM t");
        $round++;
        my $name = $server->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
        $server->sql('SELECT pg_switch_wal()');
        $name;
    } 1 .. $rounds;
}

sub make_checkpoint { $_[0]->sql('SELECT pg_switch_wal()'); return $_[0]->sql('CHECKPOINT') }

sub without
{
    my ($target, $name, @segments) = @_;
    my $copy = $target->copy($name);
    unlink $copy->path("pg_wal/$_") or die "$_: $!" for @segments;
    return $copy;
}

sub is_refused
{
    my ($copy, $source, $error, %option) = @_;
    my $result = rewind($copy, $source, %option);
    is($result->{status}, 1, 'it is an error') or diag($result->{stderr});
    like($result->{stderr}, $error, 'with the reason');
    return $result->{stderr};
}

my $not_known = qr/error: it is not known whether the rewind would discard more committed transactions than /;

# Transactions in the hole count, too: with --compare the WAL is read for their number alone.
sub counts_all
{
    my ($copy, $source, $archive) = @_;
    my @options = ('-n', '--compare', '--max-lost-transactions=50');
    my $said = is_refused($copy, $source, $not_known, options => \@options);
    like($said, qr/^pg_rewind: detail: The target's WAL since the divergence cannot be counted: could not open file /m,
        'they cannot be counted');
    my $result = rewind($copy, $source, options => [ @options, $archive ]);
    is($result->{status}, 0, 'with the archive their number is within the limit') or diag($result->{stderr});
    my ($count) = $result->{stderr} =~ /^pg_rewind: the rewind discards (\d+) committed transactions/m;
    cmp_ok($count, '>=', 9, 'and all are counted');
    return;
}

sub create_table
{
    my ($server) = @_;
    $server->sql('CREATE TABLE t (i int, v text) WITH (fillfactor = 40)');
    $server->sql("INSERT INTO t SELECT i, repeat('common', 10) FROM generate_series(0, 5999) i");
    return $server->sql('VACUUM FREEZE t');
}

sub pair
{
    my ($version, %option) = @_;
    $round = 0;
    return split_brain($version, cluster => { settings => $settings }, before => \&create_table, stop => 'kill',
        %option);
}

sub promoted_and_stopped
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version, settings => $settings)->start;
    create_table($primary);
    my ($source, $target) = both_promoted($primary);
    $round = 0;
    my @segments = change_rows($target, 8);
    $target->sql("UPDATE t SET v = 'target' WHERE i = 5999; SELECT count(*) FROM t");
    $target->stop('kill');
    spew($target->path('recovery.signal'), '');
    $target->start(settings => { restore_command => 'false', recovery_target => 'immediate' });
    $target->stop;
    unlink $target->path('recovery.signal');
    my $archive = RewindTest::Command::work_dir() . "/archive.promoted.$version";
    mkdir $archive;
    must_run([ 'cp', (map { $target->path("pg_wal/$_") } @segments), $archive ]);
    my $hole = without($target, 'hole', @segments[ 1 .. 4 ]);
    is_refused($hole, $source, qr/Missing: @{[ join ', ', @segments[ 1 .. 4 ] ]}\./);
    counts_all($hole, $source, "--wal-archive=$archive");
    rewinds($hole, $source, options => [ '-N', "--wal-archive=$archive" ]);
    rejoins($hole, $source, quick => 1);
    $hole->discard;
    rewinds($target, $source, options => ['-N']);
    rejoins($target, $source, quick => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    my @segments;
    my ($source, $target) = pair($version, target => sub {
        make_checkpoint($_[0]);
        @segments = change_rows($_[0], 8);
        $_[0]->sql("UPDATE t SET v = 'target' WHERE i = 5999; SELECT count(*) FROM t");
    });
    my $archive = RewindTest::Command::work_dir() . "/archive.$version";
    mkdir $archive;
    must_run([ 'cp', (grep { m{/(0000000100[0-9A-F]{14})$} && $1 le $segments[-1] } glob($target->path('pg_wal/*'))),
        $archive ]);
    my @hole = @segments[ 1 .. 4 ];

    subtest('the hole is noticed, and an archive fills it', sub {
        my $copy = without($target, 'hole', @hole);
        my $path = $copy->path("pg_wal/$hole[0]");
        my $said = is_refused($copy, $source, qr{error: could not open file "\Q$path\E": No such file or directory\n});
        like($said, qr/Missing: @{[ join ', ', @hole ]}\./, 'all of the hole is listed');
        like($said, qr/The WAL continues in segment "[0-9A-F]{24}"\./, 'and how that is known');
        counts_all($copy, $source, "--wal-archive=$archive");
        rewinds($copy, $source, options => [ '-N', "--wal-archive=$archive" ]);
        rejoins($copy, $source);
        $copy->discard;
    });

    subtest('a hole of one segment is filled, too', sub {
        my $copy = without($target, 'one', $hole[0]);
        is_refused($copy, $source, qr/Missing: $hole[0]\./);
        rewinds($copy, $source, options => [ '-N', "--restore-command=cp $archive/%f %p" ]);
        rejoins($copy, $source, quick => 1);
        $copy->discard;
    });

    subtest('all of pg_wal is lost', sub {
        my $copy = $target->copy('empty');
        unlink grep { -f } glob($copy->path('pg_wal/*'));
        my $said = is_refused($copy, $source,
            qr/error: the end of the target's WAL is lost: segment "$segments[0]" is not in its pg_(?:wal|xlog)\n/,
            options => ["--wal-archive=$archive"]);
        like($said, qr/compare all blocks instead with --compare\.$/m, 'and what remains to be done');
        is_refused($copy, $source, $not_known,
            options => [ '-n', '--compare', '--max-lost-transactions=50', "--wal-archive=$archive" ]);
        rewinds($copy, $source, options => [ '-N', '--compare' ]);
        rejoins($copy, $source);
        $copy->discard;
    });

    subtest('all of pg_wal is lost, and --rejoin compares by itself', sub {
        my $copy = $target->copy('rejoined');
        $source->listen_apart;
        unlink grep { -f } glob($copy->path('pg_wal/*'));
        my $result = run([ rewind_argv($copy->data, '--rejoin', '--no-sync', '-B', $copy->bindir, '--source-server',
            $source->conninfo . ' application_name=rejoined', "--wal-archive=$archive") ]);
        is($result->{status}, 0, 'it succeeds') or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: warning: the end of the target's WAL is lost: .*\n.*No WAL tells what/m,
            'with a warning');
        $copy->stop;
        rejoins($copy, $source, quick => 1, recovery_written => 1);
        $copy->discard;
    });

    subtest('a crash right after the end of a segment', sub {
        my $copy = $target->copy('switched');
        unlink grep { m{/[0-9A-F]{24}$} && (split m{/})[-1] gt $segments[7] } glob($copy->path('pg_wal/*'));
        is(rewind($copy, $source)->{status}, 0, 'its own last segment is whole, and that is the end');
        $copy->discard;
    });

    subtest('the divergence is in the hole', sub {
        $target->discard;
        $source->discard;
        my ($source, $target) = pair($version,
            together => sub { make_checkpoint($_[0]); @segments = change_rows($_[0], 3) },
            target => sub { push @segments, change_rows($_[0], 5) });
        my $copy = without($target, 'early', @segments[ 1 .. 5 ]);
        is_refused($copy, $source, qr/Missing: @{[ join ', ', @segments[ 1 .. 5 ] ]}\./);
    });

    RewindTest::Cluster::discard_all();
    subtest('promoted, and stopped in its recovery', sub { promoted_and_stopped($version) }) if $version >= 12;
}, only => [ 10, 15, 18 ]);
