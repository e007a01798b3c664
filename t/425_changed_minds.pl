# Who changes his mind about the source gets what he asked for last: a rewind that was finished, begun, or interrupted
# towards one source is followed by one towards another. (Invariants 2 and 3. Both sources; three versions.)
#
#   first source    1 ───●────┬──── 2 ────┬──── 2 ───▶
#   second source             │           └──── 3 ───▶
#   target                    └──── 1 ──▶
#
#   towards the first source            then towards the second
#   rewound, never started              rewound again
#   killed before the commit            rewound
#   killed after the commit             the first is finished, without the first source; then rewound again
# (Rules C38, I7, I40.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

my ($first, $second, $target);

sub ends_at_second
{
    my ($copy, $kind) = @_;
    $second->stop if $kind eq 'directory';
    my $result = rewinds($copy, $second, kind => $kind);
    $second->start if $kind eq 'directory';
    like($result->{stderr}, qr/servers diverged at WAL location \S+ on timeline \d/, 'it has to be rewound');
    like($result->{stderr}, qr/^pg_rewind: Done!$/m, 'and is');
    nothing_is_left($copy);
    rejoins($copy, $second, no_promotion => 1);
    $copy->discard;
    return $result;
}

each_version(sub {
    my ($version) = @_;
    ($first, $target) = split_brain($version,
        before => sub {
        $_[0]->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 5000) g; CREATE TABLE d (a int)') },
        source => sub { $_[0]->sql('UPDATE t SET v = 1 WHERE g % 2 = 0; CREATE TABLE first AS TABLE t') },
        target => sub {
            $_[0]->sql('UPDATE t SET v = 2 WHERE g % 3 = 0; CREATE TABLE u AS SELECT 1 AS a; DROP TABLE d') });
    $second = $first->standby('second');
    $second->wait_for_replay_of($first);
    $second->promote;
    $second->sql('UPDATE t SET v = 3 WHERE g % 5 = 0; CREATE TABLE second AS SELECT 2 AS a; CHECKPOINT');
    $first->sql('UPDATE t SET v = 4 WHERE g % 7 = 0; CREATE TABLE later AS TABLE t; DELETE FROM first WHERE g % 3 = 0; CHECKPOINT');

    my %towards_first = (
        'rewound to the first source, never started' => sub { rewinds($_[0], $first) },
        # Its recovery would begin behind the point where the second source parted from the first.
        'rewound late to the first source, never started' => sub { rewinds($_[0], $first,
            options => ['--late-start']) },
        'killed before the commit' => sub { end_by_kill(hold($_[0], $first, 'commit')) },
        'killed after the commit' => sub { end_by_kill(hold($_[0], $first, 'apply')) },
    );
    for my $how (sort keys %towards_first)
    {
        for my $kind ($how =~ /never/ ? qw(directory server) : $how =~ /after/ ? 'directory' : 'server')
        {
            subtest("$how; then the second as a $kind", sub {
                my $copy = $target->copy('copy');
                $towards_first{$how}->($copy);
                my $away = $first->dir . '/.s.PGSQL.5432';
                rename($away, "$away.away") or die;
                my $result = ends_at_second($copy, $kind);
                rename("$away.away", $away) or die;
                like($result->{stderr}, qr/the interrupted rewind is finished/, 'the first rewind was finished')
                    if $how =~ /after/;
                unlike($result->{stderr}, qr/interrupted/, 'nothing was to be finished') if $how !~ /after/;
            });
        }
    }

    # The configuration is the source's when the rewind is finished, and the command there is not run.
    subtest('killed after the commit, with a restore command', sub {
        my $copy = $target->copy('copy');
        $copy->configure("restore_command = 'false'");
        my @options = ('-c', '-B', $copy->bindir);
        end_by_kill(hold($copy, $first, 'apply', @options));
        my $result = rewinds($copy, $first, options => \@options);
        my $not_run = q{the "restore_command" of the target's configuration is not run: }
            . q{an interrupted rewind may have put the source's there};
        like($result->{stderr}, qr/^pg_rewind: warning: $not_run$/m, 'with a warning');
        like($result->{stderr}, qr/no rewind required/, 'nothing is left to do');
        nothing_is_left($copy);
        $copy->discard;
    }) if $version >= 12;

    # The journal has decided what is kept and where recovery starts; -R is heeded afterwards.
    subtest('killed after the commit, with other options', sub {
        my $copy = $target->copy('copy');
        my @begun = ('--keep=mine', '--early-start');
        end_by_kill(hold($copy, $first, 'apply', @begun));
        my $told =
            qr/^pg_rewind: warning: the interrupted rewind is finished with the options that it was begun with$/m;
        my @other = ('--early-start', '--keep-config', '-R', '--save-diverged-wal=' . work_dir() . '/saved');
        my $differ = qr{
            \npg_rewind:\ detail:\ Options\ of\ this\ command\ that\ have\ no\ effect\ on\ it:\ --keep-config,\ --save-diverged-wal=\S+/saved\.
            \npg_rewind:\ detail:\ Options\ that\ it\ was\ begun\ with,\ and\ that\ this\ command\ does\ not\ have:\ --keep=mine\.\n}x;
        my $dry = rewind($copy, $first, options => [ '-n', @other ]);
        like($dry->{stderr}, $told, 'a dry run says so');
        like($dry->{stderr}, $differ, 'and which options differ');
        unlike(rewind($copy, $first, options => [ '-n', @begun ])->{stderr}, $told, 'not where none differ');
        my $result = rewinds($copy, $first, options => \@other);
        like($result->{stderr},
            qr/finishing an interrupted rewind.*\n$told$differ.*the interrupted rewind is finished$/ms,
            'the run says it before the work');
        ok(!-e work_dir() . '/saved', 'it has no diverged WAL to save');
        nothing_is_left($copy);
        rejoins($copy, $first, recovery_written => 1, no_promotion => 1);
        $copy->discard;
    });

    # The rewound target is no standby of any source, and its server would open for writing on the source's timeline.
    my %fails = (
        'without the source' => ['--source-server=host=/nonexistent'],
        'without an archive' => [ '--source-server', $first->conninfo, '--wal-archive=/nonexistent' ],
    );
    for my $how (sort keys %fails)
    {
        subtest("killed after the commit, without -R; then -R $how", sub {
            my $copy = $target->copy('copy');
            end_by_kill(hold($copy, $first, 'apply'));
            my $result = run([ rewind_argv($copy->data, '-R', '--retry-timeout=1', @{ $fails{$how} }) ]);
            is($result->{signal} || $result->{status}, 2, 'exit status 2') or diag($result->{stderr});
            like($result->{stderr}, qr/^pg_rewind: the interrupted rewind is finished$/m, 'the rewind is finished');
            like($result->{stderr}, qr/^pg_rewind: error: the target is not a standby of the source yet$/m,
                'the error is that the target is no standby') if $how eq 'without the source';
            like($result->{stderr},
                qr/^pg_rewind: hint: .* could not be set up as a standby .*: do not start its server\. /m,
                'the server is not to be started');
            unlike($result->{stderr}, qr/unchanged|set up as a standby by/, 'nothing says otherwise');
            rewinds($copy, $first, options => ['-R']);
            nothing_is_left($copy);
            rejoins($copy, $first, recovery_written => 1, no_promotion => 1) if $how eq 'without the source';
            $copy->discard;
        });
    }

    subtest('the first source as a directory moves on', sub {
        my $copy = $target->copy('copy');
        $first->stop;
        rewinds($copy, $first, kind => 'directory');
        $first->start->sql('UPDATE t SET v = 5 WHERE g % 11 = 0');
        $first->stop;
        my $again = rewinds($copy, $first, kind => 'directory');
        like($again->{stderr}, qr/no rewind required/, 'it can be followed');
        $first->start;
        rejoins($copy, $first, no_promotion => 1);
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
