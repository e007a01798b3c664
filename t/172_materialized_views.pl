# Materialized views that the source refreshed, before the rewind and while the target follows it, are equal on the
# target. (A server writes their rows frozen, and a standby of 9.3 gives them the number of a transaction.)
#
#   source       ┌── 2 ── refresh ──▶ refresh
#   target   1 ──┴── 1 ──▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $refresh = sub { $_[0]->sql('REFRESH MATERIALIZED VIEW v'); return };
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql('CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT * FROM generate_series(1, 1000) AS a') },
        source => $refresh,
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    rewinds($target, $source);
    $refresh->($source);
    rejoins($target, $source, check => sub { is($_[0]->query('SELECT sum(a) FROM v'), 500500, 'it can be read') });
}, only => [ 10, 15 ]);
