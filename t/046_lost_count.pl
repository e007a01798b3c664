# Each run that discards says in one line how many committed transactions go, when they committed and on which timeline,
# before anything is changed: with -n, without a report, and with --compare wherever the target's WAL can be read.
# --max-lost-transactions is a limit that such a run keeps, also where the number is not known. (Invariant 1.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──── three transactions ──▶
# (Rules D3, D4, D8, I52.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my ($source, $target, $crashed);

# A dry run; returns what it has said of the number, and its report.
sub looks
{
    my ($what, $cluster, $from, $status, @options) = @_;
    my $option = ref $options[-1] ? pop @options : {};
    my $result = run([ rewind_argv($cluster->data, '--source-server', $from->conninfo, '-n', @options) ],
        env => $option);
    is($result->{status}, $status, "$what: status $status") or diag($result->{stderr});
    my @lines = $result->{stderr} =~ /^pg_rewind: ((?:the rewind discards|it is not known how many) .*)$/mg;
    is(scalar @lines, 1, "$what: one line says how many") or diag($result->{stderr});
    return ($lines[0] // '', $result);
}

sub discarded
{
    my ($result) = @_;
    return JSON::PP->new->utf8->decode($result->{stdout})->{discarded};
}

my $time = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+/;
my $three = qr/^the rewind discards 3 committed transactions of the target, on timeline 1, from $time to $time/;

sub lines
{
    my ($line) = looks('a dry run', $target, $source, 0);
    like($line, qr/$three; --save-lost-rows=DIR would save their rows$/,
        'number, timeline, times, and how they are saved');
    ($line) = looks('rows are saved', $target, $source, 0, "--save-lost-rows=$target->{dir}/rows",
        "--save-diverged-wal=$target->{dir}/wal");
    like($line,
        qr/$three; --save-lost-rows saves their rows in "\Q$target->{dir}\E\/rows"; --save-diverged-wal saves their WAL in "\Q$target->{dir}\E\/wal"$/,
        'and where');
    ($line, my $result) = looks('by blocks', $target, $source, 0, '--compare', '--report=json');
    like($line, qr/$three; --save-diverged-wal=DIR would save their WAL$/,
        'the same with --compare, which saves no rows');
    my $discarded = discarded($result);
    is("@$discarded{qw(transactions first_timeline last_timeline)}", '3 1 1', 'the report as well');
    ok($discarded->{first_commit} && !defined $discarded->{transactions_unknown}
        && !defined $discarded->{target_wal_bytes_read}, 'and what it knows of their times');
    ($line, $result) = looks('by blocks, as text', $target, $source, 0, '--compare', '--report=text');
    like($result->{stdout}, qr/^To be discarded from the target\n  committed transactions +3\n/m,
        'the text has its section');
    return;
}

sub limits
{
    my $too_many =
        qr/^pg_rewind: error: the rewind would discard more committed transactions than --max-lost-transactions=2 allows$/m;
    for my $mode ([], ['--compare'])
    {
        my (undef, $result) = looks("two at most, @$mode", $target, $source, 1, '--max-lost-transactions=2',
            '--report=json', @$mode);
        like($result->{stderr}, $too_many, 'it says why');
        like($result->{stderr},
            qr/^pg_rewind: detail: It would discard 3 committed transactions of the target, on timeline 1, from $time to $time\.$/m,
            'and what was found');
        like($result->{stderr},
            qr/^pg_rewind: hint: Look at them with --dry-run --report=text, without --max-lost-transactions\.$/m,
            'and how they can be looked at');
        is(discarded($result)->{transactions}, 3, 'the report has the number');
        looks("three at most, @$mode", $target, $source, 0, '--max-lost-transactions=3', @$mode);
    }
    my (undef, $result) = looks('by the environment', $target, $source, 1,
        { PG_REWIND_OPTIONS => '--max-lost-transactions=2' });
    like($result->{stderr}, $too_many, 'it says why');
    looks('the command line has the last word', $target, $source, 0, '--max-lost-transactions=3',
        { PG_REWIND_OPTIONS => '--max-lost-transactions=2' });

    my $copy = $target->copy('limited');
    my $control = slurp($copy->path('global/pg_control'));
    $result = run([ rewind_argv($copy->data, '--source-server', $source->conninfo, '--max-lost-transactions=2', '-R',
        "--save-lost-rows=$copy->{dir}/rows") ]);
    is($result->{status}, 1, 'a rewind') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\.$/m, 'the target is unchanged');
    is(join(' ', glob($copy->path('pg_rewind*')), glob($copy->path('*.signal')), glob("$copy->{dir}/rows/*")), '',
        'nothing is left in it, nor saved');
    is(slurp($copy->path('global/pg_control')), $control, 'pg_control is as it was');
    $copy->discard;
    return;
}

# None of the target's WAL since the divergence is there.
sub unknown
{
    my $copy = $target->copy('blind');
    unlink glob($copy->path('pg_wal/0000000*'));
    my ($line, $result) = looks('no WAL', $copy, $source, 0, '--compare', '--report=json');
    like($line,
        qr/^it is not known how many committed transactions of the target the rewind discards: could not open file ".*": No such file or directory$/,
        'it says so, and why');
    my $discarded = discarded($result);
    ok(exists $discarded->{transactions} && !defined $discarded->{transactions}
        && $discarded->{transactions_unknown} =~ /could not open file/, 'the report as well');
    (undef, $result) = looks('no WAL, as text', $copy, $source, 0, '--compare', '--report=text');
    like($result->{stdout}, qr/^  committed transactions +not known: could not open/m, 'and the text');
    (undef, $result) = looks('a limit that cannot be proved', $copy, $source, 1, '--compare',
        '--max-lost-transactions=1000000');
    like($result->{stderr},
        qr/^pg_rewind: error: it is not known whether the rewind would discard more committed transactions than --max-lost-transactions=1000000 allows$/m,
        'it is not kept');
    $copy->discard;

    # The WAL of the divergence is there, and what follows it is not, up to the shutdown.
    $copy = $target->copy('cut_off')->start;
    $copy->sql($_) for 'SELECT pg_switch_wal()', "INSERT INTO t VALUES ('in the next segment')";
    my $last = $copy->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $copy->stop;
    unlink($copy->path("pg_wal/$last")) or die;
    ($line) = looks('WAL is cut off', $copy, $source, 0, '--compare');
    like($line, qr/^it is not known how many committed transactions .*: could not open file "/,
        'what is left of it is not taken for all');
    $copy->discard;

    # Of a target that crashed pg_control does not tell that WAL went on after the divergence: it names the checkpoint
    # before that.
    $copy = $crashed->copy('crashed_blind');
    unlink glob($copy->path('pg_wal/0000000*'));
    my $blind =
        qr/^it is not known how many committed transactions of the target the rewind discards: could not open file "/;
    ($line) = looks('crashed, and no WAL', $copy, $source, 0, '--compare');
    like($line, $blind, 'that is not taken for none');
    (undef, $result) = looks('crashed, no WAL, and a limit', $copy, $source, 1, '--compare',
        '--max-lost-transactions=0');
    like($result->{stderr},
        qr/^pg_rewind: error: it is not known whether the rewind would discard more committed transactions than --max-lost-transactions=0 allows$/m,
        'nor kept by it');
    $copy->discard;

    # One that was rewound and not started since has committed nothing.
    $copy = $target->copy('again');
    rewinds($copy, $source, options => [qw(--compare --no-sync)]);
    ($line) = looks('rewound before', $copy, $source, 0, '--compare', '--max-lost-transactions=0');
    is($line, 'the rewind discards 0 committed transactions of the target, on timeline 2',
        'a target that was rewound has committed nothing since');
    # Nor has a standby.
    rejoins($copy, $source, no_promotion => 1, quick => 1);
    $copy->stop;
    ($line) = looks('a standby', $copy, $source, 0, '--compare', '--max-lost-transactions=0');
    is($line, 'the rewind discards 0 committed transactions of the target, on timeline 2', 'nor has a standby');
    $copy->discard;
    return;
}

sub nothing_lost
{
    my ($other) = @_;
    my ($line, $result) = looks('no transaction', $other, $source, 0, '--max-lost-transactions=0');
    is($line, 'the rewind discards 0 committed transactions of the target, on timeline 1', 'says so');
    return;
}

# The promoted side, stopped, as the target: a warning, and nothing else.
sub promoted_side
{
    my ($primary, $promoted) = @_;
    my ($line, $result) = looks('the promoted side', $promoted, $primary, 0);
    like($line, qr/^the rewind discards \d+ committed transactions? of the target, on timeline 2,/, 'its timeline');
    like($result->{stderr},
        qr/^pg_rewind: warning: the target was promoted from the source's timeline 1: it left that at [0-9A-F]+\/[0-9A-F]+, and is on timeline 2$/m,
        'a warning');
    like($result->{stderr},
        qr/^pg_rewind: detail: A rewind discards all that was written on the target since then\. If the target is the new primary, source and target are swapped\.$/m,
        'and what it means');
    like($result->{stderr},
        qr/^pg_rewind: hint: This was a dry run, nothing was changed: the target was promoted .*: do not run this .*\n\z/m,
        'the last line is no advice to go on');
    ($line, $result) = looks('the promoted side, by blocks', $promoted, $primary, 0, '--compare');
    like($result->{stderr}, qr/^pg_rewind: warning: the target was promoted from the source's timeline 1/m,
        'a warning as well');
    # A problem that is found before the histories are read is printed after the warning.
    (undef, $result) = looks('the promoted side, and another problem', $promoted, $primary, 1, '-c');
    like($result->{stderr}, qr/^pg_rewind: warning: the target was promoted .*^pg_rewind: error: "?restore_command/ms,
        'the warning comes before the other problem');
    ($line, $result) = looks('the other side', $primary, $promoted->start, 0) if !$primary->stop->is_running;
    unlike($result->{stderr}, qr/was promoted|newer/, 'the right way round there is no such warning');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $idle;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common' AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source')") },
        target => sub {
            my ($node) = @_;
            $crashed = $node->stop('immediate')->copy('crashed');
            $node->start;
            $node->sql('CHECKPOINT');
            $idle = $node->stop->copy('idle');
            $node->start;
            $node->sql("INSERT INTO t VALUES ('target $_')") for 1 .. 3;
            $node->sql("BEGIN; INSERT INTO t VALUES ('rolled back'); ROLLBACK");
        });
    lines();
    limits();
    unknown();
    nothing_lost($idle);
    $source->sql("INSERT INTO t VALUES ('source again')");
    promoted_side($target->start, $source->stop);
}, only => [ 10, 15, 18 ]);
