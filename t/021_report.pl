# The report tells what is lost, what was fetched and how it ended; for a dry run and for the rewind itself alike.
# (Rule D1.)

use strict;
use warnings;
use lib 't/lib';
use Fcntl ':flock';
use JSON::PP ();
use RewindTest;

sub report_of
{
    my ($result) = @_;
    return JSON::PP->new->utf8->decode($result->{stdout});
}

# The commits that the target alone has: three, of which one of a prepared transaction; another is only prepared.
sub write_on_target
{
    my ($target) = @_;
    $target->sql("INSERT INTO t VALUES (10)");
    $target->sql("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (11); RELEASE s; INSERT INTO t VALUES (12); COMMIT");
    $target->sql("BEGIN; INSERT INTO t VALUES (13); ROLLBACK");
    $target->sql("BEGIN; INSERT INTO t VALUES (14); PREPARE TRANSACTION 'both'; COMMIT PREPARED 'both'");
    $target->sql("BEGIN; INSERT INTO t VALUES (15); PREPARE TRANSACTION 'only prepared'");
    return;
}

sub seconds_of
{
    my ($cluster, $timestamp) = @_;
    return $cluster->query("SELECT extract(epoch FROM timestamptz '$timestamp')");
}

sub tells_what_is_lost
{
    my ($name, $report, $source, $from, $to) = @_;
    my $discarded = $report->{discarded};
    is($discarded->{transactions}, 3, "$name: transactions that are lost");
    is($discarded->{prepared_transactions}, 1, "$name: prepared transactions that are lost");
    my ($first, $last) = map { seconds_of($source, $discarded->{$_}) } qw(first_commit last_commit);
    ok($from <= $first && $first < $last && $last <= $to, "$name: the times of the first and of the last one")
        or diag("$from $first $last $to");
    is($report->{divergence}{timeline}, 1, "$name: the timeline of the divergence");
    is(join(' ',
        map { $_->{timeline} } @{ $report->{source_history} }), '1 2', "$name: the source's timelines");
    is($report->{source_history}[1]{begin},
        $report->{divergence}{lsn}, "$name: the second one begins at the divergence");
    is(join(' ', map { $_->{timeline} } @{ $report->{target_history} }), '1', "$name: the target's timeline");
    ok($report->{bytes}{saved} > 0 && $report->{bytes}{saved} < $report->{bytes}{source}, "$name: what is saved");
    like($report->{source}, qr{\Q@{[ $source->dir ]}\E}, "$name: the source, by its connection");
    is($report->{server_version}, $source->version, "$name: the version");
    return;
}

# Phases and the rest are the total, and that is the run: milliseconds are rounded.
sub times_agree
{
    my ($name, $report) = @_;
    my %seconds = %{ $report->{seconds} };
    my $total = delete $seconds{total};
    my $sum = 0;
    $sum += $_ for values %seconds;
    cmp_ok(abs($sum - $total), '<', 0.006, "$name: the phases and the rest are the total");
    is($total, $report->{run_seconds}, "$name: which is the time of the run");
    return;
}

# Another pg_rewind has the lock: the time until this one gives up is no less a part of the run.
sub tells_of_a_wait
{
    my ($target, $source) = @_;
    open(my $lock, '<', $target->data) or die;
    flock($lock, LOCK_EX | LOCK_NB) or die 'the directory is locked';
    my $result = rewind($target, $source, options => [qw(--report=json --wait-timeout=1)]);
    close $lock;
    is($result->{status}, 2, 'a wait in vain') or diag($result->{stderr});
    my $report = report_of($result);
    cmp_ok($report->{seconds}{identify}, '>=', 1, 'a wait is in the time of its phase');
    times_agree('a wait', $report);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($from, $to);
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub {
            my ($old) = @_;
            $from = $old->query('SELECT extract(epoch FROM clock_timestamp())');
            write_on_target($old);
            $to = $old->query('SELECT extract(epoch FROM clock_timestamp())');
        });

    my $dry = rewind($target, $source, options => [qw(-n --report=json)]);
    is($dry->{status}, 0, 'a dry run succeeds') or diag($dry->{stderr});
    my $would = report_of($dry);
    is($would->{result}, 'would_rewind', 'the result of a dry run');
    tells_what_is_lost('a dry run', $would, $source, $from, $to);
    is($would->{bytes}{fetched}, 0, 'a dry run fetches nothing');
    times_agree('a dry run', $would);
    tells_of_a_wait($target, $source);

    my $copy = $target->copy('text');
    my $file = work_dir() . '/report';
    my $filed = rewind($copy, $source, options => ["--report-file=$file"], env => { LC_ALL => 'C.UTF-8' });
    is("$filed->{status} $filed->{stdout}",
        '0 ', 'a report into a file leaves stdout empty') or diag($filed->{stderr});
    my $text = slurp($file);
    my $lsn = qr{[0-9A-F]+/[0-9A-F]+};
    like($text, qr{\Apg_rewind: the target was rewound\n}, 'the text says how it ended');
    like($text,
        qr{^  source   1 ──●──┬── 2 ──▶ $lsn     ● last common checkpoint $lsn\n  target          └── 1 ──▶ $lsn     ┬ divergence $lsn\n}m,
        'the text shows both histories');
    like($text,
        qr{^Discarded from the target\n  committed transactions    3\n}m, 'the text counts what is lost');
    is(join("\n",
        grep { my $line = $_; utf8::decode($line); length $line > 100 } split /\n/, $text), '',
        'no line is wider than 100 columns');
    $copy->discard;

    my $result = rewind($target, $source, options => ['--report=json']);
    is($result->{status}, 0, 'the rewind succeeds') or diag($result->{stderr});
    my $report = report_of($result);
    is($report->{result}, 'rewound', 'the result of a rewind');
    tells_what_is_lost('a rewind', $report, $source, $from, $to);
    my $fetched = 0;
    $fetched += $_ for values %{ $report->{bytes}{fetched_by_kind} };
    ok($fetched == $report->{bytes}{fetched} && $fetched > 0, 'bytes fetched by kind sum up');
    cmp_ok($report->{bytes}{fetched}, '<=', $report->{bytes}{planned} + $report->{bytes}{planned_wal},
        'not more than was planned');
    ok($report->{seconds}{stage} > 0 && $report->{seconds}{apply} > 0, 'phases have their times');
    times_agree('a rewind', $report);

    my $again = report_of(rewind($target, $source, options => ['--report=json']));
    like($again->{result}, qr{^(?:not_required|rewound)$}, 'a second run has a report as well');
    rejoins($target, $source);
});
