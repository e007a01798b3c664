# A transaction prepared on a timeline that the source left in the same WAL segment: while replay is on that timeline,
# the server reads it from that timeline's file.  (Invariant 7. Both sources.)
#
#   source       ┌── 2 ──P──┬── 3 ──▶    P prepared, all in one segment; replay of the shutdown checkpoint that ends
#   target   1 ──┴── 1 ──▶               timeline 2 reads P from the segment's file of timeline 2
# (Rules C70, C79.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a text)') },
        source => sub {
            my ($source) = @_;
            $source->sql("BEGIN; INSERT INTO t VALUES ('prepared'); PREPARE TRANSACTION 'p'");
            $source->switch_timeline;    # through a standby's recovery, without a primary
        },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('lost')") });
    rewinds_from_both_kinds($source, $target);
}, sample => 1);
