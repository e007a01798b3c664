# A primary that crashes while a record of several segments is written has only the first part of it. After its crash
# recovery the server says so in its first record, and goes on behind that part (XLOG_OVERWRITE_CONTRECORD, in all minor
# releases since November 2021); a standby that is promoted goes on before it. With the first part on both sides, or
# on the old primary alone, either one can be rewound to the other.
#
#   source       ┌──── 2 ──▶
#   target   1 ──┴╍─── 1 ──▶      ╍ the first part of a record
# (Rule C16.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub write_rows
{
    my ($server, $text) = @_;
    $server->sql("INSERT INTO t SELECT g, '$text' FROM generate_series(1, 500) g;"
            . " UPDATE t SET v = '$text' WHERE a % 7 = 0; CHECKPOINT; UPDATE t SET v = v || '$text' WHERE a % 11 = 0");
    return;
}

# Cut a server's WAL after this segment, as a crash does before the segments that follow are on the disk.
sub cut_after
{
    my ($server, $segment) = @_;
    unlink grep { m{/([0-9A-F]{24})$} && $1 gt $segment } glob($server->path('pg_wal/*'));
    return;
}

# Emit a record of several segments; returns the segment in which it begins.
sub write_long_record
{
    my ($server) = @_;
    $server->sql('SELECT pg_switch_wal()');
    $server->sql("UPDATE t SET v = 'last of both' WHERE a % 5 = 0");
    my $segment = $server->query('SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
    my $size = 2.5 * ($server->version < 11 ? 16 : 1) * 2**20;
    $server->sql("SELECT pg_logical_emit_message(true, '', repeat('x', $size))");
    return $segment;
}

# Does the server's WAL go on behind the first part? XLP_FIRST_IS_OVERWRITE_CONTRECORD of the page that follows it.
sub overwrites
{
    my ($server, $segment) = @_;
    my ($next) = grep { /([0-9A-F]{8})([0-9A-F]{16})$/ && $2 gt substr $segment, 8 } glob($server->path('pg_wal/*'));
    my (undef, $info) = unpack 'SS', slurp($next);
    ok($info & ($server->version < 19 ? 8 : 4), "the $server->{name} has overwritten the rest of the record");
    return;
}

sub pair
{
    my ($version, $both) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql("CREATE TABLE t AS SELECT g AS a, 'common' AS v FROM generate_series(1, 3000) g");
    $target->sql('CREATE INDEX ON t (v)');
    my $source = $target->standby('source');
    $target->sql("UPDATE t SET v = 'both' WHERE a % 3 = 0; CHECKPOINT");
    $source->wait_for_replay_of($target);
    $source->sql('CHECKPOINT');
    $source->stop('immediate') if !$both;
    my $segment = write_long_record($target);
    $source->wait_for_replay_of($target) if $both;
    $target->stop('kill');
    cut_after($target, $segment);
    if ($both)
    {
        $source->stop('immediate');
        cut_after($source, $segment);
    }
    $source->start->promote;
    write_rows($source, 'source');
    $target->start;
    overwrites($target, $segment);
    write_rows($target, 'target');
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    for my $both (1, 0)
    {
        my $who = $both ? 'both sides have' : 'the target has';
        my ($source, $target) = pair($version, $both);
        my $end = $target->stop->copy('crashed');
        subtest("$who the first part, the target is the old primary", sub {
            rewinds($target, $source);
            rejoins($target, $source);
        });
        subtest("$who the first part, the source is the old primary", sub {
            $source->stop;
            $target->discard;
            $end->start;
            rewinds($source, $end);
            rejoins($source, $end);
        });
        RewindTest::Cluster::discard_all();
    }
}, only => [ 10, 15, 18, 19 ]);
