# Recovery that begins at the source's own last checkpoint comes to what the source is: what the source changed before
# that checkpoint is fetched, as it is on its disk, what it changed after is replayed. (Where recovery starts. Both
# sources.)
#
#   source       ┌──── 2 ── changes ── S, its checkpoint ── changes ──▶      recovery begins at S
#   target   1 ●─┴──── 1 ── changes ──▶                                      ● the last common checkpoint
# (Rule C35.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub before
{
    my ($primary) = @_;
    $primary->sql(<<'END');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'common' FROM generate_series(1, 5000) i;
CREATE TABLE shrinks AS SELECT i FROM generate_series(1, 20000) i;
CREATE TABLE emptied AS SELECT i FROM generate_series(1, 5000) i;
CREATE TABLE dropped AS SELECT i FROM generate_series(1, 5000) i;
CREATE TABLE locked AS SELECT i AS a FROM generate_series(1, 500) i;
CREATE TABLE ends (what text, kind text);
CREATE SEQUENCE counter;
CREATE UNLOGGED TABLE unlogged AS SELECT i FROM generate_series(1, 500) i;
CREATE DATABASE dropped_there;
CREATE DATABASE mould;
END
    $primary->sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 2000) i', 'mould');
    make_tablespace($primary) if $primary->version < 10;
    $primary->sql("BEGIN; INSERT INTO ends VALUES ('prepared before all', ''); PREPARE TRANSACTION 'before_all'");
    return;
}

sub make_tablespace { my ($cluster) = @_; return $cluster->sql("CREATE TABLESPACE empty_before LOCATION '"
    . $cluster->location_in_place('empty_before') . "'") }

# Subtransactions, more than a snapshot holds, in a transaction that stays open.
sub with_subtransactions
{
    my ($source, $what, $count) = @_;
    my $session = $source->session;
    $session->sql('BEGIN');
    $session->sql("SAVEPOINT s$_; INSERT INTO ends VALUES ('$what', '$_')") for 1 .. $count;
    return $session;
}

sub change_source
{
    my ($source) = @_;
    my $version = $source->version;
    my $files = $version >= 15 ? 'STRATEGY file_copy' : '';
    $source->sql(<<"END");
UPDATE t SET b = 'before S' WHERE a % 3 = 0;
DELETE FROM shrinks WHERE i > 3000;
VACUUM shrinks;
INSERT INTO shrinks SELECT generate_series(1, 8000);
TRUNCATE emptied;
INSERT INTO emptied SELECT generate_series(1, 100);
DROP TABLE dropped;
CREATE TABLE dropped AS SELECT 'again' AS v FROM generate_series(1, 2000);
CREATE TABLE made AS SELECT i FROM generate_series(1, 3000) i;
CREATE INDEX ON made (i);
SELECT nextval('counter') FROM generate_series(1, 40);
INSERT INTO unlogged SELECT generate_series(1, 900);
VACUUM FULL pg_class;
VACUUM FULL pg_database;
END
    make_tablespace($source) if $version >= 10;
    $source->sql("CREATE DATABASE copied TEMPLATE mould $files");
    $source->sql('DROP DATABASE dropped_there');
    $source->sql("BEGIN; INSERT INTO ends VALUES ('prepared before S', ''); PREPARE TRANSACTION 'before_s'");
    $source->sql("BEGIN; INSERT INTO ends VALUES ('resolved after S', ''); SAVEPOINT a; INSERT INTO ends VALUES ('and its child', ''); PREPARE TRANSACTION 'resolved'");
    $source->sql('BEGIN; SELECT * FROM locked WHERE a < 200 FOR KEY SHARE; SAVEPOINT a; UPDATE locked SET a = a + 1 WHERE a < 100; COMMIT');
    my $commits = with_subtransactions($source, 'committed after S', 80);
    my $aborts = with_subtransactions($source, 'aborted after S', 80);
    my $few = with_subtransactions($source, 'few', 5);

    $source->sql('CHECKPOINT');    # S

    $source->sql(<<"END");
UPDATE t SET b = 'after S' WHERE a % 5 = 0;
CREATE TABLE used_after TABLESPACE empty_before AS SELECT i FROM generate_series(1, 1000) i;
DELETE FROM made WHERE i % 2 = 0;
SELECT nextval('counter') FROM generate_series(1, 40);
COMMIT PREPARED 'resolved';
END
    $source->sql('INSERT INTO t SELECT generate_series(1, 3000)', 'mould');
    $source->sql("BEGIN; INSERT INTO ends VALUES ('prepared after S', ''); PREPARE TRANSACTION 'after_s'");
    $commits->sql('COMMIT');
    $aborts->sql('ROLLBACK');
    $few->sql('COMMIT');
    $_->end for $commits, $aborts, $few;
    $source->sql('SELECT a FROM locked WHERE a < 150 FOR SHARE');
    return;
}

sub change_target
{
    my ($target) = @_;
    $target->sql(<<'END');
UPDATE t SET b = 'lost' WHERE a % 2 = 0;
DELETE FROM shrinks WHERE i > 10;
VACUUM shrinks;
INSERT INTO shrinks SELECT -i FROM generate_series(1, 30000) i;
DROP TABLE emptied;
CREATE TABLE lost AS SELECT i FROM generate_series(1, 3000) i;
TRUNCATE dropped;
ROLLBACK PREPARED 'before_all';
END
    $target->sql('CREATE TABLE t AS SELECT 1 AS a', 'dropped_there');
    $target->sql('DELETE FROM t', 'mould');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "allow_in_place_tablespaces = on\ntrack_commit_timestamp = on" },
        before => \&before, no_checkpoint => 1, source => \&change_source, target => \&change_target, stop => 'kill');
    rewinds_from_both_kinds($source, $target,
        options => [ '--late-start', '--debug' ],
        rewound => sub {
            my ($rewound, $from, $result) = @_;
            my ($checkpoint) =
                $result->{stderr}
                =~ /^pg_rewind: recovery starts late, at the source's checkpoint ([0-9A-F]+\/[0-9A-F]+)$/m;
            ok(defined $checkpoint, 'recovery starts late');
            like(slurp($rewound->path('backup_label')), qr/^CHECKPOINT LOCATION: \Q$checkpoint\E$/m, 'there it begins');
            # The running transactions that S logged overflow a snapshot. A standby opens when others are logged: by the
            # background writer, from 9.4 on.
            $from->sql('CHECKPOINT') if $version < 9.4 && $from->is_running;
        },
        check => sub {
            my ($rewound) = @_;
            is($rewound->query("SELECT string_agg(what || ' ' || n, ', ' ORDER BY what) FROM (SELECT what, count(*) AS n FROM ends GROUP BY 1) e"),
                'and its child 1, committed after S 80, few 5, resolved after S 1',
                'transactions ended as on the source');
            is($rewound->query('SELECT count(*) FROM t', 'copied'), 2000,
                'the copied database holds the rows of its time');
        });
}, only => [ 10, 12, 14, 15, 17, 18 ]);
