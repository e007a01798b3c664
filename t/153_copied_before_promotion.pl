# A database that the source copied as a standby, before it was promoted a moment ago, is replayed where that is right:
# it need not complete a checkpoint first. (Copied databases. Source is a server.)
#
#   source       ─ R ── copy ──┬──── 2 ─▶      R its last restartpoint: recovery begins there, and replays the copy
#   target   1 ──────── copy ──┴──── 1 ─▶
#
# What it copied from may be dropped as soon as it is promoted. But before a primary removes files it completes a
# checkpoint, and while it does so it holds a lock.
# (Rules C31, C33, C34, C59.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;

# The checkpoint that follows a promotion takes an hour, and is held when it has begun; standbys make no restartpoint.
my $slow =
    "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0";
my $meanwhile =
    qr/^pg_rewind: the source has copied a database, created a tablespace, dropped a replication origin or logged changes without page images in the meantime: starting again$/m;

sub before
{
    my ($primary) = @_;
    for my $name (qw(mould other unrelated))
    {
        $primary->sql("CREATE DATABASE $name");
        $primary->sql("CREATE TABLE t AS SELECT g, 'old' AS v FROM generate_series(1, 3000) g", $name);
    }
    $primary->sql('CREATE TABLE t (a int, b text)');
    return;
}

sub together
{
    my ($primary, $standby) = @_;
    my $files = $primary->version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    $primary->sql("CREATE DATABASE copy_of_$_ TEMPLATE $_ $files") for qw(mould other);
    $primary->sql(q{INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i});
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version, cluster => { settings => $slow }, before => \&before,
        together => \&together,
        no_checkpoint => 1,
        source => sub {
        $_[0]->hold_first_checkpoint->sql(q{INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100) i}) },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target' WHERE g % 3 = 0; INSERT INTO t SELECT g, 'target' FROM generate_series(1, 2000) g",
                $_) for qw(mould copy_of_mould);
        });
    my $has_no_checkpoint = sub {
        is($source->query('SELECT timeline_id FROM pg_control_checkpoint()'), 1,
            'the source has not completed a checkpoint meanwhile');
    };
    my $holds_old_rows = sub {
        my ($rewound) = @_;
        is($rewound->query('SELECT count(*), min(v), max(v) FROM t', "copy_of_$_"), '3000|old|old',
            "copy_of_$_ holds the rows of its time") for qw(mould other);
    };

    # (Reading a table of the template would change it: the source logs the hints.)
    my %rewound = map { $_ => $target->copy($_) } qw(harmless locked dropped);
    my $result = rewinds($rewound{harmless}, $source, options => [ '--no-sync', '--wait-timeout=2' ]);
    unlike($result->{stderr}, qr/waiting for a checkpoint/, 'no checkpoint is waited for');
    $has_no_checkpoint->();

    my $session = $source->session;
    $session->sql('BEGIN; ALTER DATABASE mould RENAME TO mould_renamed');
    $session->send('SELECT pg_sleep(1000)');    # one that is idle removes nothing
    my $refused = rewind($rewound{locked}, $source, options => ['--wait-timeout=2'],
        not_foretold => 'nothing is fetched');
    is($refused->{status}, 1, 'while the template is locked, as for a removal, the rewind is refused');
    like($refused->{stderr}, qr/^pg_rewind: error: a database of the source is being dropped, moved or renamed$/m,
        'with the reason');
    my $waiting = start_rewind($rewound{locked}, $source, options => ['--retry-timeout=0']);
    wait_until('it waits for the lock', sub {
        slurp($waiting->{errors}) =~ /^pg_rewind: waiting for the source to drop, move or rename a database$/m
            || has_ended($waiting);
    });
    $source->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'");
    $session->end;
    my $waited = end_of_rewind($waiting);
    is($waited->{status}, 0, 'once it is no longer locked it succeeds: --retry-timeout is for connections')
        or diag($waited->{stderr});
    $has_no_checkpoint->();

    my $held = hold($rewound{dropped}, $source, 'create@*/pg_rewind.work/*');
    kill 'CONT', $source->checkpointer_pid;
    $source->sql('DROP DATABASE unrelated');
    my $dropped = go_on($held);
    is($dropped->{status}, 0,
        'a database is dropped while files are fetched, as the template could be: pg_rewind succeeds')
        or diag($dropped->{stderr});
    like($dropped->{stderr}, $meanwhile, 'and recovery begins behind the checkpoint that came before');
    $source->sql('DROP DATABASE mould');

    for my $how (qw(harmless dropped))
    {
        subtest($how, sub { rejoins($rewound{$how}, $source, check => $holds_old_rows) });
    }
}, sample => 1);
