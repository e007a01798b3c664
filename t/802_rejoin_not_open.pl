# A standby that receives and replays, and takes no connections yet, since a transaction with more than 64
# subtransactions runs on the source since before the checkpoint where its recovery starts: --rejoin succeeds and says
# so, and does again. A late start that would do this is not chosen where the early one opens at once. (Where recovery
# starts.)
#
#   source   1 ── p ── c ──┬── 2 ──▶         p  a prepared transaction with 70 subtransactions     c  the last common checkpoint
#   target                 └── 1 ──▶
#
#   source   1 ── c ──┬── 2 ── hot: 110 MB of WAL, a few MB of blocks ── p ── S ──▶                S  the source's last checkpoint
#   target            └── 1 ──▶
# (Rule C37.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Hot;

my $warned = join '',
    "pg_rewind: warning: the target will take no connections when it starts\n",
    "pg_rewind: detail: A transaction with more than 64 subtransactions, which may be prepared, runs on the source since before the checkpoint where ",
    "the target's recovery starts. The target replays WAL, and takes connections once that transaction has ended.\n";
$warned = qr/^\Q$warned\E/m;
my $not_open = join '',
    "pg_rewind: warning: the target's server takes no connections yet\n",
    "pg_rewind: detail: As a rule, a transaction with more than 64 subtransactions, which may be prepared, runs on the source since before the ",
    "checkpoint where the target's recovery began: the server takes connections once that has ended.\n";
$not_open = qr/^\Q$not_open\E/m;
my $early =
    qr/^pg_rewind: recovery starts at the last common checkpoint: from the source's last one the target would take no connections at first$/m;

sub prepare
{
    my ($cluster, $gid) = @_;
    my $session = $cluster->session;
    $session->sql('BEGIN');
    $session->sql("SAVEPOINT s; INSERT INTO held VALUES (1)") for 1 .. 70;
    $session->sql("PREPARE TRANSACTION '$gid'");
    $session->end;
    return;
}

sub rejoin
{
    my ($target, $source, $what, $status) = @_;
    my $result = run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--source-server',
        $source->conninfo . ' application_name=target') ]);
    is($result->{signal} || $result->{status}, $status, "$what: exit status $status") or diag($result->{stderr});
    return $result->{stderr};
}

sub prepared_at_the_common_checkpoint
{
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE held (a int)');
    my $source = $target->standby('source');
    prepare($target, 'p');
    $target->sql('CHECKPOINT');
    $source->wait_for_replay_of($target);
    $source->promote->sql('CHECKPOINT');    # until then recovery would start at its last restartpoint
    $target->sql('INSERT INTO held VALUES (2)');
    $target->stop;

    my $said = rejoin($target, $source, 'not open yet', 0);
    like($said, $warned, 'it is said before');
    like($said, qr/^pg_rewind: the target follows the source: standby "target" is streaming/m,
        'the source shows that it follows');
    like($said, $not_open, 'it is said that it takes no connections yet');
    isnt($target->try_sql('SELECT 1')->{status}, 0, 'it does not');
    my $pid = $target->postmaster_pid;

    $said = rejoin($target, $source, 'again', 0);
    like($said, qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m,
        'again: it is not stopped');
    like($said, $not_open, 'again: it is said as well');
    is($target->postmaster_pid, $pid, 'again: the server is the same');

    $source->sql("COMMIT PREPARED 'p'");
    $source->sql('CHECKPOINT');
    wait_until('it takes connections', sub { $target->takes_connections });
    unlike(rejoin($target, $source, 'open', 0), $not_open, 'open: nothing is said of it');
    $target->wait_for_replay_of($source);
    is($target->query('SELECT count(*) FROM held'), 70, 'open: it has what was committed');
    $_->discard for $target, $source;
    return;
}

sub kept { my ($version) = @_; return $version >= 13 ? 'wal_keep_size = 2GB' : 'wal_keep_segments = 128' }

sub is_chosen
{
    my ($target, $source, $expected, $what, @options) = @_;
    my $result = rewind($target, $source, options => [ '--no-sync', '--report=json', @options ]);
    is($result->{signal} || $result->{status}, 0, "$what: pg_rewind succeeds") or diag($result->{stderr});
    my $start = JSON::PP->new->decode($result->{stdout})->{recovery_start};
    is(($start->{late} ? 'late' : 'early') . ", $start->{reason}", $expected, "$what: the start")
        or diag($result->{stdout});
    return $result->{stderr};
}

sub prepared_before_a_late_start
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16, settings => kept($version)
        . "\nmax_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\n" },
        before => sub {
            make_hot($_[0]);
            $_[0]->sql('CREATE TABLE held (a int)');
        },
        source => sub {
            my ($source) = @_;
            write_hot($source, 150);
            $source->sql('CHECKPOINT');
        },
        target => sub { $_[0]->sql('UPDATE hot SET v = -1 WHERE a % 7 = 0') });
    my $copy = $target->copy('whole');
    unlike(is_chosen($copy, $source, 'late, estimate', 'nothing runs'), $warned, 'nothing runs: nothing is said of it');
    $copy->discard;

    prepare($source, 'p');
    $source->sql('CHECKPOINT');
    $copy = $target->copy('early');
    my $said = is_chosen($copy, $source, 'early, no choice', 'many subtransactions run');
    like($said, $early, 'many subtransactions run: it is said why');
    unlike($said, $warned, 'many subtransactions run: the early start opens at once');
    rejoins($copy, $source, quick => 1);
    $copy->discard;

    $copy = $target->copy('late');
    like(is_chosen($copy, $source, 'late, asked', 'with --late-start', '--late-start'), $warned,
        'with --late-start: it is said');
    $copy->discard;
    $_->discard for $target, $source;
    return;
}

each_version(sub {
    my ($version) = @_;
    prepared_at_the_common_checkpoint($version);
    prepared_before_a_late_start($version);
}, only => [ 10, 15, 18 ]);
