# A target whose WAL ends before its minRecoveryPoint is refused: its pages hold changes that no WAL names any more.
# (A target that was not shut down cleanly, or lost WAL. What is checked does not depend on the source's kind.)
#
#   source            ┌── 2 ──▶
#   target   1 ───────┴── 1 ──╳╌╌╌▶      ╳ where its WAL ends, ▶ minRecoveryPoint: how new its pages are
# (Rule C29.)

use strict;
use warnings;

use RewindTest;

my $segment_size;

# Zero the last segment from a page on.
sub cut_wal_short
{
    my ($cluster, $segment, $offset) = @_;
    my $wal = slurp($cluster->path("pg_wal/$segment"));
    substr($wal, $offset) = "\0" x (length($wal) - $offset);
    spew($cluster->path("pg_wal/$segment"), $wal);
    unlink grep { m{/pg_wal/[0-9A-F]{24}$} && (split m{/})[-1] gt $segment } glob($cluster->path('pg_wal/*'));
    return;
}

each_version(sub {
    my ($version) = @_;
    $segment_size = ($version < 11 ? 16 : 1) << 20;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a');
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    $source->promote;
    $source->sql('CHECKPOINT');
    $primary->sql('SELECT pg_switch_wal()');
    $primary->sql('DELETE FROM t');
    $target->wait_for_replay_of($primary);
    my ($high, $low) = split m{/}, $primary->lsn;
    my $segment = sprintf '00000001%08X%08X', hex $high, hex($low) / $segment_size;
    my $offset = hex($low) % $segment_size;
    cmp_ok($offset, '>', 10 * 8192, 'the rows were deleted in one segment');
    $target->stop;
    $primary->stop('immediate');

    cut_wal_short($target, $segment, ($offset - $offset % 8192) / 2 - ($offset - $offset % 8192) / 2 % 8192);
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'it is refused') or diag($result->{stderr});
    like($result->{stderr},
        qr/detail: The target's WAL is damaged or incomplete there: its data files contain later changes\.$/m,
        'with the reason');
}, only => [ 15, 18 ]);
