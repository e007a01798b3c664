# A target that ran without logging hint bits is refused also when the setting was put right before it was stopped: the
# WAL tells.  Switched on before the divergence, all is well.  wal_level minimal does no harm after the divergence: what
# it leaves out of WAL is in storage that is removed, or fetched whole.  Where it may have been before, it is refused.
# While it is minimal, no record tells of wal_log_hints: entries of an index that were marked as dead without WAL are
# looked for then.
# (Hints must have been logged the whole time. What is checked does not depend on the source's kind.)
#
#   source       ┌──── 2 ────────────────────────────▶
#   target   1 ──┴── off, commit, hints set ── on ──▶      2,000 rows of a lost transaction would become visible
# (Rules C2, C5, U8, U9.)

use strict;
use warnings;

use RewindTest;

my %without_hints = (checksums => 0, settings => 'wal_log_hints = off');
my %minimal = (wal_level => 'minimal', max_wal_senders => 0);

sub set
{
    my ($server, $setting, $value) = @_;
    $server->sql("ALTER SYSTEM SET $setting = $value");
    $server->restart;
    return;
}

sub is_refused
{
    my ($target, $source, $message) = @_;
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'it is refused') or diag($result->{stderr});
    like($result->{stderr}, $message, 'with the reason');
    like($result->{stderr}, qr/^pg_rewind: hint: Compare all blocks instead with --compare/m,
        'and the way that is left');
    ok(!-e $target->path('pg_rewind.work'), 'nothing is left in the target');
    RewindTest::Cluster::discard_all();
    return;
}

# Loses the rows of a transaction that began before the divergence; their hints are not logged.
sub lose_a_transaction
{
    my ($target, $session) = @_;
    $session->sql('COMMIT');
    $session->end;
    $target->sql('SELECT count(*) FROM lost');
    $target->sql('CHECKPOINT');
    return;
}

sub open_a_transaction
{
    my ($primary) = @_;
    my $session = $primary->session;
    $session->sql("BEGIN; INSERT INTO lost SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i");
    $primary->sql('CHECKPOINT');
    return $session;
}

sub hints_were_off
{
    my ($version, $switch) = @_;
    my $session;
    my ($source, $target) = split_brain($version,
        cluster => \%without_hints,
        before => sub { $_[0]->sql('CREATE TABLE lost (a int, b text)') },
        together => sub { $session = open_a_transaction($_[0]) },
        target => sub { lose_a_transaction($_[0], $session); $switch->($_[0]) });
    return ($source, $target);
}

sub by_index
{
    my ($cluster) = @_;
    return $cluster->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE a BETWEEN 1 AND 1000');
}

# Minimal, also with a table that is in no WAL, and back.
sub be_minimal
{
    my ($server, $way_back) = @_;
    $server->stop->start(settings => \%minimal);
    $server->sql('CREATE TABLE in_no_wal (a int)');
    $server->sql("BEGIN; TRUNCATE in_no_wal; INSERT INTO in_no_wal SELECT generate_series(1, 3000); COMMIT");
    $server->restart if $way_back;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $hints = qr/error: target server needs to use either data checksums or "wal_log_hints = on"$/m;
    my $minimal = qr/error: target server ran with "wal_level = minimal"$/m;

    subtest('wal_log_hints is off', sub {
        is_refused(reverse(hints_were_off($version, sub { })), $hints);
    });
    subtest('wal_log_hints was switched on after the divergence', sub {
        is_refused(reverse(hints_were_off($version, sub { set($_[0], 'wal_log_hints', 'on') })), $hints);
    });
    subtest('wal_log_hints was switched on, and logged a hint since', sub {
        is_refused(reverse(hints_were_off($version, sub {
            set($_[0], 'wal_log_hints', 'on');
            $_[0]->sql('CREATE TABLE new AS SELECT generate_series(1, 1000) AS a; CHECKPOINT; SELECT count(*) FROM new');
        })), $hints);
    });

    # Recovery starts at the checkpoint with which the server went down to be switched. (9.3 has no such setting.)
    subtest('wal_log_hints was switched on before the divergence', sub {
        return pass('it cannot be') if $version < 9.4;
        my $session;
        my ($source, $target) = split_brain($version,
            cluster => \%without_hints,
            before => sub { $_[0]->sql('CREATE TABLE lost (a int, b text)') },
            together => sub {
                my ($primary, $standby) = @_;
                $_->sql('ALTER SYSTEM SET wal_log_hints = on') for $primary;
                $primary->restart;
                $session = $primary->session;
                $session->sql("BEGIN; INSERT INTO lost SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i");
            },
            target => sub { lose_a_transaction($_[0], $session) });
        rewinds($target, $source, options => ['-N']);
        rejoins($target, $source,
            check => sub { is($_[0]->query('SELECT count(*) FROM lost'), 0, 'no lost row shows') });
        RewindTest::Cluster::discard_all();
    });

    # The same kind of record, but nothing in it that matters. A checkpoint, or a server's writer every 15 seconds,
    # writes down before it what proves the level.
    subtest('other settings were changed on both sides', sub {
        my ($source, $target) = split_brain($version,
            cluster => { checksums => 1 },
            source => sub { set($_[0], 'max_connections', 90) },
            target => sub { $_[0]->sql('CHECKPOINT'); set($_[0], 'max_connections', 80) });
        rewinds($target, $source, options => ['-N']);
        rejoins($target, $source);
        RewindTest::Cluster::discard_all();
    });

    for my $way_back (0, 1)
    {
        subtest($way_back ? 'wal_level was minimal, and is not any more' : 'wal_level is minimal', sub {
            my ($source, $target) = split_brain($version,
                cluster => { checksums => 1 },
                before => sub {
                $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a; CREATE TABLE emptied AS TABLE t') },
                # its list of running transactions proves the level until then
                together => sub { $_[0]->sql('CHECKPOINT') },
                source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 100); UPDATE emptied SET a = -a') },
                target => sub {
                    my ($target) = @_;
                    be_minimal($target, $way_back);
                    $target->sql('UPDATE t SET a = a + 1; BEGIN; TRUNCATE emptied; INSERT INTO emptied SELECT generate_series(1, 9000);
                        CREATE INDEX ON emptied (a); COMMIT; VACUUM FULL t; DELETE FROM t WHERE a % 2 = 0; CHECKPOINT; SELECT count(*) FROM t');
                });
            rewinds_from_both_kinds($source, $target);
            RewindTest::Cluster::discard_all();
        });
    }

    # The record of the start before says that hints are logged, and no record says that they are not any more.
    for my $way_back (0, 1)
    {
        subtest('wal_log_hints was off at level minimal, and is on again' . ($way_back ? ', at another level' : ''),
            sub {
            return pass('it cannot be') if $version < 9.4;
            my ($source, $target) = split_brain($version,
                cluster => { checksums => 0 },
                before => sub { $_[0]->sql('CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000);
                    CREATE TABLE hinted AS SELECT generate_series(1, 1000) AS a; CHECKPOINT') },
                together => sub { $_[0]->sql('CHECKPOINT') },
                target => sub {
                    my ($target) = @_;
                    $target->sql('SELECT count(*) FROM hinted');    # an image proves that hints were logged until here
                    $target->stop->start(settings => \%minimal);
                    $target->stop->start(settings => { %minimal, wal_log_hints => 'off' });
                    $target->sql('DELETE FROM t WHERE a > 200');
                    is(by_index($target), 200, 'the index is scanned, and entries are marked') for 1, 2;
                    $target->stop->start(settings => $way_back ? {} : \%minimal);
                    $target->sql('CREATE TABLE after (a int)');
                });
            rewinds_from_both_kinds($source, $target, no_promotion => 1,
                check => sub {
                    $_[0]->promote;
                    is(by_index($_[0]), 1000, 'the index finds all rows');
                });
            RewindTest::Cluster::discard_all();
        });
    }

    # A copied volume: nothing was ever replicated, so nothing in WAL needs to say so.
    subtest('wal_level of the target always was minimal', sub {
        my $target = make_cluster('target', $version, checksums => 1,
            settings => "wal_level = minimal\nmax_wal_senders = 0")->start;
        $target->sql('CREATE TABLE in_no_wal (a int)');
        my $source = $target->stop->copy('source');
        $source->configure('wal_level = replica');
        $source->start->sql('CREATE TABLE t (a int)');
        my $unneeded = rewind($target, $source);
        is($unneeded->{status}, 1, 'it is refused also where no rewind is required');
        like($unneeded->{stderr}, $minimal, 'since no server starts as a standby then');
        $target->start->sql('BEGIN; TRUNCATE in_no_wal; INSERT INTO in_no_wal SELECT generate_series(1, 3000); COMMIT');
        is_refused($target->stop, $source, $minimal);
    });

    # Nothing that was not in WAL reaches a standby of that source either.
    subtest('wal_level of the source was minimal, and is not any more', sub {
        my ($source, $target) = split_brain($version,
            source => sub { be_minimal($_[0], 1) },
            target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
        for my $kind (qw(server directory))
        {
            $source->stop if $kind eq 'directory';
            my $result = rewind($target->copy("from_$kind"), $source, kind => $kind);
            is($result->{status}, 1, "a $kind is refused") or diag($result->{stderr});
            like($result->{stderr}, qr/error: source server ran with "wal_level = minimal"$/m, 'with the reason');
            rewinds($target, $source, kind => $kind, options => [ '--compare', '--dry-run' ]);
        }
        rewinds($target, $source, kind => 'directory', options => ['--compare']);
        $source->start;
        rejoins($target, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });
    subtest('wal_level of the source is minimal', sub {
        my ($source, $target) = split_brain($version,
            source => sub { be_minimal($_[0], 0) },
            target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
        $source->stop;
        my $result = rewind($target, $source, kind => 'directory');
        is($result->{status}, 1, 'it is refused') or diag($result->{stderr});
        like($result->{stderr}, qr/error: source server runs with "wal_level = minimal"$/m, 'with the reason');
        like($result->{stderr}, qr/error: source server ran with "wal_level = minimal"$/m,
            'and why switching it on does not help');
    });
}, only => [ 10, 15, 18 ]);
