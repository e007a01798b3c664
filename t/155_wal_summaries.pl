# The source no longer has the WAL before its last checkpoint, and an archive has but the segment of the divergence: the
# source's summaries of WAL say what it changed there, if they say it all. Without that segment nothing proves that both
# have one history, and they are not believed. (17 and later. Both sources.)
#
#   source       ┌──── 2 ── changes ── [its WAL is gone up to here] ── S, its checkpoint ──▶
#   target   1 ●─┴──── 1 ── changes ──▶                                      ● the last common checkpoint
# (Rules K4, W1, W2, W3, W4, W5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use File::Copy qw(copy);

# Its summaries reach its last checkpoint.
sub wait_for_summaries
{
    my ($cluster) = @_;
    my $end = '(SELECT redo_lsn FROM pg_control_checkpoint())';
    wait_until("$cluster->{name} summarizes its WAL",
        sub { $cluster->query("SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= $end") > 0 });
    return;
}

sub before
{
    my ($primary) = @_;
    $primary->sql(<<'END');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'common' FROM generate_series(1, 20000) i;
CREATE TABLE untouched AS SELECT i FROM generate_series(1, 5000) i;
CREATE TABLE shrinks AS SELECT i FROM generate_series(1, 20000) i;
CREATE TABLE cut AS SELECT i FROM generate_series(1, 20000) i;
CREATE TABLE emptied AS SELECT i FROM generate_series(1, 5000) i;
CREATE TABLE dropped AS SELECT i FROM generate_series(1, 5000) i;
CREATE TABLE points AS SELECT point(i, i) AS p FROM generate_series(1, 5000) i;
CREATE INDEX ON points USING spgist (p);
CREATE UNLOGGED TABLE unlogged AS SELECT i FROM generate_series(1, 500) i;
CREATE SEQUENCE counter;
CREATE DATABASE dropped_there;
CREATE DATABASE mould;
CHECKPOINT;
INSERT INTO t SELECT i, 'common, since the checkpoint' FROM generate_series(20001, 20100) i;
DELETE FROM shrinks WHERE i > 19990;
END
    wait_for_summaries($primary);
    return;
}

# All its WAL before its last checkpoint is gone.
sub lose_wal
{
    my ($source) = @_;
    my $first = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $source->sql('SELECT pg_switch_wal(); CHECKPOINT') for 1 .. 2;
    wait_for_summaries($source);
    $source->sql('CHECKPOINT');
    wait_for_summaries($source);
    wait_until('WAL is removed', sub { $source->sql('CHECKPOINT'); !-e $source->path("pg_wal/$first") });
    wait_for_summaries($source);
    return;
}

# What both have since the last common checkpoint: the target's own WAL and the source's summary of it say the same.
sub together
{
    my ($primary) = @_;
    $primary->sql(<<'END');
UPDATE t SET b = 'together' WHERE a < 100;
DELETE FROM shrinks WHERE i > 19000;
VACUUM shrinks;
INSERT INTO shrinks SELECT 19000 FROM generate_series(1, 2000);
CREATE TABLE short_lived AS SELECT 1 AS a;
DROP TABLE short_lived;
BEGIN; CREATE TABLE rolled_back AS SELECT 1 AS a; ROLLBACK;
CREATE TABLE kept (a int PRIMARY KEY, b text);
INSERT INTO kept SELECT i, repeat('x', 3000) FROM generate_series(1, 100) i;
CREATE UNLOGGED TABLE unlogged_too (a int PRIMARY KEY);
TRUNCATE kept;
ALTER TABLE kept ALTER a TYPE bigint;
CREATE INDEX ON t USING hash (b);
CREATE INDEX ON t USING brin (a);
CREATE INDEX ON points USING gist (p);
VACUUM FULL pg_attribute;
VACUUM t;
CREATE DATABASE together STRATEGY wal_log;
END
    return;
}

sub archive_of { my ($cluster) = @_; return $cluster->dir . '/archive' }

# An archive of the source that was away from its second segment on.
sub archive_divergence
{
    my ($source) = @_;
    my $segment = $source->query('SELECT pg_walfile_name(pg_switch_wal())');
    mkdir archive_of($source) or die "archive: $!";
    copy($source->path("pg_wal/$segment"), archive_of($source) . "/$segment") or die "$segment: $!";
    return;
}

# Blocks at the end that the server cuts off, and makes again without WAL: they are all zero.
sub cut_and_extend
{
    my ($source) = @_;
    my $path = $source->path($source->query("SELECT pg_relation_filepath('cut')"));
    my $size = -s $path;
    $source->sql('DELETE FROM cut WHERE i > 3000; VACUUM cut');
    cmp_ok(-s $path, '<', $size, 'blocks are cut off');
    append($path, "\0" x ($size - -s $path));
    return;
}

sub change_source
{
    my ($source) = @_;
    archive_divergence($source);
    cut_and_extend($source);
    $source->sql(<<'END');
UPDATE t SET b = 'source' WHERE a % 3 = 0;
DELETE FROM shrinks WHERE i > 3000;
VACUUM shrinks;
INSERT INTO shrinks SELECT generate_series(1, 8000);
CHECKPOINT;
TRUNCATE emptied;
INSERT INTO emptied SELECT generate_series(1, 100);
DROP TABLE dropped;
CREATE TABLE dropped AS SELECT 'again' AS v FROM generate_series(1, 2000);
CREATE TABLE made AS SELECT i FROM generate_series(1, 3000) i;
CREATE INDEX ON made (i);
INSERT INTO points SELECT point(i, -i) FROM generate_series(1, 5000) i;
SELECT nextval('counter') FROM generate_series(1, 40);
INSERT INTO unlogged SELECT generate_series(1, 900);
VACUUM FULL pg_class;
CREATE DATABASE copied TEMPLATE mould STRATEGY file_copy;
CREATE DATABASE logged TEMPLATE mould STRATEGY wal_log;
DROP DATABASE dropped_there;
BEGIN; INSERT INTO t VALUES (-1, 'prepared'); PREPARE TRANSACTION 'before_s';
END
    lose_wal($source);
    $source->sql(<<'END');
UPDATE t SET b = 'source, after S' WHERE a % 7 = 0;
INSERT INTO points SELECT point(-i, i) FROM generate_series(1, 500) i;
END
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
INSERT INTO points SELECT point(2 * i, -i) FROM generate_series(1, 5000) i;
END
    $target->sql('CREATE TABLE t AS SELECT 1 AS a', 'dropped_there');
    return;
}

sub names
{
    my ($source) = @_;
    return sort map { s{.*/}{}r } glob($source->path('pg_wal/summaries') . '/*.summary');
}

my $compared =
    qr/^pg_rewind: comparing all blocks with the source's, \d+ MB: some of its WAL since the last common checkpoint no longer exists$/m;

# What becomes of the rewind when a summary is another: what the source changed is found by comparing, as without
# summaries.
sub compares
{
    my ($target, $source, $why, $name, $change) = @_;
    my $path = $source->path("pg_wal/summaries/$name");
    my $bytes = slurp($path);
    $change->($path, $bytes);
    my $result = rewind($target, $source, options => [ '--dry-run', '--debug', '--wal-archive='
        . archive_of($source) ]);
    is($result->{status}, 0, "$why: there is another way") or diag($result->{stderr});
    like($result->{stderr}, $compared, 'all blocks are compared');
    spew($path, $bytes);
    return;
}

# Where they do not say it all, nothing of them is believed.
sub does_not_believe
{
    my ($target, $source, @names) = @_;
    my @second = grep { /^00000002/ } @names;
    cmp_ok(scalar @second, '>=', 4, 'there are some summaries');
    my $middle = $second[1];

    compares($target, $source, 'a summary is missing', $middle, sub { unlink $_[0] or die });
    compares($target, $source, 'the first one is missing', $second[0], sub { unlink $_[0] or die });
    compares($target, $source, 'one is cut', $middle, sub { spew($_[0], substr($_[1], 0, -1)) });
    compares($target, $source, 'one has a bit that is flipped', $middle,
        sub { my ($path, $bytes) = @_; substr($bytes, 20, 1) ^= "\x10"; spew($path, $bytes) });
    compares($target, $source, 'one is of another timeline', $middle,
        sub { my ($path) = @_; my $other = $path =~ s{/00000002}{/00000003}r; rename $path, $other or die; });
    unlink glob($source->path('pg_wal/summaries/00000003*'));
    my $unproven = rewind($target, $source, options => [ '--dry-run', '--debug' ]);
    like($unproven->{stderr}, $compared, 'all blocks are compared where no bytes prove that both have one history');
    like($unproven->{stderr},
        qr{^pg_rewind: the source's WAL summaries are not read: no WAL proves that both have the same history before [0-9A-F/]+$}m,
        'and it says why');

    my $refused = rewind($target, $source, options => [ '--early-start', '--dry-run' ]);
    like($refused->{stderr}, qr/the source no longer has WAL that the rewound target needs/,
        'with --early-start there is no way');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => {
        settings => "summarize_wal = on\nwal_keep_size = 0\nmin_wal_size = 32MB\nmax_wal_size = 48MB\ncheckpoint_timeout = 1h" },
        before => \&before, together => \&together, source => \&change_source, target => \&change_target,
            stop => 'kill');
    my @names = names($source);
    does_not_believe($target, $source, @names) if $version == 18;

    my $check = run([ rewind_argv($target->data, '--check', '--report=json', '-B', $target->bindir, '--source-server',
        $source->conninfo, '--wal-archive=' . archive_of($source)) ]);
    like($check->{stdout}, qr/"The source no longer has segment \w+; its WAL summaries tell what it changed since\./,
        '--check knows that they do');
    unlike($check->{stdout}, qr/compar\w+ all blocks/, 'so it does not say that all is compared');

    # One that overlaps others does no harm.
    my ($middle) = (grep { /^00000002/ } @names)[1];
    my ($start, $end) = $middle =~ /^.{8}(.{16})(.{16})/;
    spew($source->path('pg_wal/summaries/' . sprintf('00000002%s%016X.summary', $start, hex($end) - 8)), 'no summary');
    rewinds_from_both_kinds($source, $target,
        options => [ '--debug', '--wal-archive=' . archive_of($source) ],
        rewound => sub {
            my ($rewound, $from, $result) = @_;
            like($result->{stderr}, qr/^pg_rewind: the source's WAL summaries tell what it changed/m,
                'summaries tell what the source changed');
        },
        check => sub {
            my ($rewound, $from) = @_;
            # Its own summaries go on: it does not look for WAL that it never had.
            $from->sql('CHECKPOINT') for 1 .. 2;
            my $redo = $from->query('SELECT redo_lsn FROM pg_control_checkpoint()');
            $from->sql('CHECKPOINT');
            $rewound->wait_for_replay_of($from);
            wait_until('the rewound target summarizes its WAL',
                sub {
                $rewound->query("SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= '$redo'") > 0 });
            is($rewound->query('SELECT count(*) FROM points WHERE p <@ box(point(-10000, -10000), point(10000, 10000))'),
                10500, 'the index finds all');
        });

    # The WAL is there, but there is much of it.
    return if $version != 18;
    RewindTest::Cluster::discard_all();
    ($source, $target) = split_brain($version,
        cluster => { settings => "summarize_wal = on\nwal_keep_size = 1GB\ncheckpoint_timeout = 1h" },
        before => \&before, target => \&change_target,
        source => sub {
            my ($primary) = @_;
            $primary->sql("UPDATE t SET b = 'source' WHERE a % 3 = 0; SELECT pg_logical_emit_message(false, 'much', repeat('x', 1000000)) FROM generate_series(1, 100); CHECKPOINT");
            wait_for_summaries($primary);
            $primary->sql("UPDATE t SET b = 'source, after S' WHERE a % 7 = 0");
        });
    my $result = rewinds($target, $source, options => ['--debug']);
    like($result->{stderr}, qr/^pg_rewind: the source's WAL summaries tell what it changed/m,
        'summaries spare the WAL where it is much');
    rejoins($target, $source);
}, only => [ 17, 18, 19 ]);
