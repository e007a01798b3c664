# Up to 10 the source's replication slots are copied. One that the source drops while the rewind runs is on the target
# not at all: a server does not start with a slot's directory that lacks the slot's state.
#
#   source   1 ──┬── 2, slots a, b, kept ── a and b are dropped while the rewind runs ──▶
#   target       └── 1, slot b ──╳
# (Rules S23, S34.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)');
            $_[0]->sql("SELECT pg_create_physical_replication_slot('$_')") for qw(a b kept) },
        target => sub { $_[0]->sql("INSERT INTO t VALUES (3); SELECT pg_create_physical_replication_slot('b')") });
    my $held = hold($target, $source, 'create@*/pg_rewind.work/*');
    $source->sql("SELECT pg_drop_replication_slot('$_')") for qw(a b);
    my $result = go_on($held);
    is($result->{status}, 0, 'two slots are dropped meanwhile: pg_rewind succeeds') or diag($result->{stderr});
    is(join(' ', map { s{.*/}{}r } sort glob($target->path('pg_replslot/*'))), 'kept', 'only the other slot is there');
    rejoins($target, $source);
}, only => [10]);
