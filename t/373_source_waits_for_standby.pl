# A source whose synchronous standby is away, as after a failover: what its sessions have done is in its WAL, although
# they still wait, with their locks, and nobody sees it. It needs the rewound target to go on, so pg_rewind does not
# wait for them. (Source is a server.)
#
#   source   ─ DROP DATABASE d ─ ─ ─ ─ ─ ─┐ wait for the standby
#            ─ CREATE TABLESPACE space ─ ─┘                     the tablespace has a link, but no row yet
#            ─ DROP DATABASE g ─ ─ ─ ─ ─ ─  waits for these two (15 and later)
#            ─ ALTER DATABASE e RENAME ─ ─  in a transaction that is idle: it removes no files
#            ─ DROP TABLE dropped ─ ─ ─ ─ ─ the table's files are there until the standby has come; the recovery
#                                           of the target starts after the record of the drop
# (Rules C45, C58, C106.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'max_prepared_transactions = 5' },
        before => sub { my ($primary) = @_; $primary->sql($_) for 'CREATE TABLE t (a int)',
        'CREATE TABLE dropped AS SELECT generate_series(1, 1000) AS a', 'VACUUM dropped',
        map { "CREATE DATABASE $_" } qw(d e g) },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $location = $source->tablespace_location('space');
    my $mapped = $target->tablespace_location('mapped');
    my $dropped = $source->query("SELECT pg_relation_filepath('dropped')");
    my $idle = $source->session;
    $idle->sql('BEGIN; ALTER DATABASE e RENAME TO f');
    $source->sql("ALTER SYSTEM SET synchronous_standby_names = 'target'; SELECT pg_reload_conf()");
    my @waiting;
    my $begin = sub {
        my ($sql, $event, $rest) = @_;
        push @waiting, $source->session;
        $waiting[-1]->send($sql . ($rest // ''));
        wait_until("$sql: $event",
            sub {
            $source->query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '$event' AND query LIKE '$sql%'")
            == 1 });
    };
    $begin->('DROP DATABASE d', 'SyncRep');
    $begin->('CREATE TABLESPACE space', 'SyncRep', " LOCATION '$location'");
    $begin->('DROP DATABASE g', 'ProcSignalBarrier') if $version >= 15;
    $begin->('DROP TABLE dropped', 'SyncRep');
    is($source->query('SELECT count(*) FROM pg_tablespace'), 2, 'nobody sees the tablespace');
    my ($link) = map { s{.*/}{}r } glob($source->path('pg_tblspc/*'));
    $source->sql('CHECKPOINT');

    my $copy = $target->copy('rewound');
    my $place = "$copy->{dir}/tablespace/mapped";
    my $result = rewinds($copy, $source, options => [ '-T', "$location=$place", '--wait-timeout=3' ]);
    is(readlink($copy->path("pg_tblspc/$link")), $place, 'the tablespace is where it was mapped');
    $source->sql('ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()');
    $idle->sql('ROLLBACK');
    $_->end for @waiting, $idle;
    wait_until('the sessions go on', sub { $source->query('SELECT count(*) FROM pg_tablespace') == 3 });
    wait_until('the table is gone', sub { !-s $source->path($dropped) });
    $source->sql('CREATE TABLE in_space TABLESPACE space AS SELECT 1 AS a');
    # it has the source's settings, and would wait for the standby as well
    rejoins($copy, $source, no_promotion => 1);
    my @left = grep { -e } glob($copy->path("$dropped\{,[._]*}"));
    is("@left", '', 'the target has no file of the dropped table');
}, sample => 1, from => 10);    # before, nothing tells what a session waits for
