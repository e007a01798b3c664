# Replication origins that the source has dropped before its last checkpoint: the rewound target begins with those of that checkpoint, and
# has no place for the others, which replay from before it needs. So recovery starts there.  (Where recovery starts. Both sources.)
#
#   source       ┌── 2 ── origins 1, 2 ── dropped ── 3, 4 ── S, its last checkpoint ──▶
#   target   1 ──┴── 1 ──▶                                        could not find free replication state slot

use strict;
use warnings;

use RewindTest;

# A transaction that came from there.
sub apply
{
    my ($server, $origin) = @_;
    $server->sql(<<"END");
SELECT pg_replication_origin_session_setup('$origin');
BEGIN; SELECT pg_replication_origin_xact_setup('0/100', now()); INSERT INTO t VALUES (1); COMMIT;
SELECT pg_replication_origin_session_reset();
END
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => ($version >= 18 ? 'max_active_replication_origins' : 'max_replication_slots') . ' = 2' },
        before => sub { $_[0]->sql("CREATE TABLE t (a int); SELECT pg_replication_origin_create('origin_' || i) FROM generate_series(1, 2) i") },
        source => sub {
            my ($primary) = @_;
            apply($primary, "origin_$_") for 1, 2;
            $primary->sql("SELECT pg_replication_origin_drop('origin_' || i) FROM generate_series(1, 2) i; SELECT pg_replication_origin_create('origin_' || i) FROM generate_series(3, 4) i");
            apply($primary, "origin_$_") for 3, 4;
            $primary->sql('CHECKPOINT');
            apply($primary, "origin_$_") for 3, 4;
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $early = rewind($target, $source, options => [qw(--early-start --dry-run)]);
    like($early->{stderr}, qr/^pg_rewind: warning: the target's server may end during recovery with the source's present settings$/m, '--early-start warns');
    like($early->{stderr}, qr/^pg_rewind: detail: .* or replication origins that were dropped since\.$/m, 'with the reason');
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [ 10, 12, 15, 18, 19 ]);
