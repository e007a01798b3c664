# --compare: a lost transaction leaves no hint behind that no WAL knows of, a dry run foretells what is fetched, a
# second run finds all equal, and what was compared before the source copied a database is compared again. (Invariants
# 1, 7. Both sources.)
#
#   source   1 ──┬──── 2 ─── ● ───────▶     ● the source's own last checkpoint: recovery starts there
#   target       └──── 1 ─ x                x killed; hints of a transaction that is lost were not logged
# (Rules K3, K7.)

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use RewindTest;
use RewindTest::Held;

# Hints are set on all pages; on the target also for a transaction that is lost. Equal numbers, other relations.
sub write_apart
{
    my ($server, $side, $remainder) = @_;
    $server->sql("CREATE TABLE made_$_ AS SELECT i AS a, '$side'::text AS b FROM generate_series(1, $_ * 500 * $remainder) i")
        for 1 .. 3;
    $server->sql("UPDATE t SET b = repeat('$side', 10) WHERE a % 40 = $remainder; DELETE FROM t WHERE a % 50 = $remainder;
        DELETE FROM cut WHERE a > 2000 * $remainder; VACUUM cut; INSERT INTO cut SELECT i, '$side' FROM generate_series(1, 700) i;
        CREATE UNLOGGED TABLE unlogged AS SELECT * FROM made_1");
    $server->sql('SELECT count(*) FROM t; SELECT count(*) FROM cut; SELECT count(*) FROM only_hints; CHECKPOINT');
    $server->sql("UPDATE t SET b = 'last of $side' WHERE a % 900 = $remainder");
    return;
}

sub pair
{
    my ($version, $stop) = @_;
    my $open;
    return split_brain($version,
        cluster => { checksums => 0, settings => 'wal_log_hints = off' },
        stop => $stop,
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT i AS a, repeat('together', 10) AS b FROM generate_series(1, 20000) i; CREATE INDEX ON t (a);
                CREATE TABLE cut AS SELECT * FROM t LIMIT 8000; CREATE TABLE only_hints (a int, b text)");
        },
        together => sub {
            $open = $_[0]->session;
            $open->sql("BEGIN; INSERT INTO only_hints SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i");
            $_[0]->sql('CHECKPOINT');
        },
        source => sub { write_apart($_[0], 'source', 1) },
        target => sub { $open->sql('COMMIT'); $open->end; write_apart($_[0], 'target', 2) });
}

sub lost_rows_are_gone
{
    my ($rewound) = @_;
    is($rewound->query('SELECT count(*) FROM only_hints'), '0', 'no row of the lost transaction is visible');
    return;
}

my @rejoins = (check => \&lost_rows_are_gone);

sub empty_wal { my ($copy) = @_; unlink grep { -f } glob($copy->path('pg_wal/*')); return }

# The report of a run that must succeed.
sub report
{
    my ($name, $copy, $source, @options) = @_;
    my $run = rewind($copy, $source, options => [ '--compare', '--report=json', @options ]);
    is($run->{status}, 0, "$name: succeeds") or diag($run->{stderr});
    my $report = decode_json($run->{stdout});
    is($report->{mode}, 'compare', "$name: the report says how");
    my $discarded = $report->{discarded};
    is($discarded->{transactions}, $name eq 'again' ? 0
        : undef, "$name: how much is lost is only known of a target that has nothing of its own");
    ok(defined $discarded->{transactions} || $discarded->{transactions_unknown}, "$name: or why not");
    cmp_ok($report->{bytes}{compared}, '>', 2_000_000, "$name: all tables were compared");
    return $report;
}

# What a dry run says is done; and a target that has nothing to get is cheap.
sub dry_run_and_again
{
    my ($source, $target) = @_;
    my $copy = $target->copy('dry');
    empty_wal($copy);
    my $dry = report('dry run', $copy, $source, '-n');
    my $done = report('after it', $copy, $source);
    is($done->{bytes}{$_}, $dry->{bytes}{$_}, "$_ as the dry run said") for qw(planned compared);
    cmp_ok($done->{bytes}{fetched_by_kind}{relations}, '<', $done->{bytes}{compared} / 2,
        'blocks that are equal were not fetched');
    my $again = report('again', $copy, $source);
    is($again->{bytes}{fetched_by_kind}{relations}, 0, 'the second time nothing differs');
    rejoins($copy, $source, @rejoins);
    $copy->discard;
    return;
}

sub database_copied_meanwhile
{
    my ($source, $target) = @_;
    my $copy = $target->copy('copied');
    my $held = hold($copy, $source, 'create@*/pg_rewind.work/*', '--compare');
    # Equal when it was compared, and no longer rebuilt by the replay that begins behind the copy.
    $source->sql("UPDATE t SET b = 'compared before' WHERE a % 60 = 7");
    my $strategy = $source->version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    $source->sql("CREATE DATABASE copied TEMPLATE template1 $strategy");
    $source->sql('CREATE TABLE later AS SELECT generate_series(1, 5000) AS a', 'template1');
    my $result = go_on($held);
    is($result->{status}, 0, 'a database is copied meanwhile') or diag($result->{stderr});
    like($result->{stderr}, qr/: starting again$/m, 'all was compared again');
    rejoins($copy, $source, @rejoins);
    $copy->discard;
    $source->sql('DROP TABLE later', 'template1');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = pair($version, 'immediate');

    rewinds_from_both_kinds($source, $target, options => ['--compare'], @rejoins);
    subtest('its WAL is gone', sub { dry_run_and_again($source, $target) });
    subtest('copied', sub { database_copied_meanwhile($source, $target) }) if $version > 10;
}, only => [ 10, 15 ]);
