# A second call of pg_rewind waits while the first one works, and then goes on as the same command does once more:
# nothing is left to be done, or what the first one left is finished. (Servers have no part in it.)
# (Rules I8, I21, I82.)

use strict;
use warnings;

use RewindTest;
use POSIX ();
use RewindTest::Background qw(run_in_background end_of_rewind start_rewind);
use RewindTest::Held;
use RewindTest::Tree;

# Start a second one, and wait until it waits.
sub begin_second
{
    my ($copy, $source, @options) = @_;
    my $second = start_rewind($copy, $source, errors => $copy->dir . '/second', options => \@options);
    wait_until('the second one waits',
        sub { slurp($second->{errors})
        =~ /^pg_rewind: waiting for another pg_rewind that is working on directory ".*"$/m });
    return $second;
}

# The second one makes a standby of what the first has rewound. It has a lock file only while it writes, since the first
# one's caller may be starting the server. Its last change is on the disk before that file is removed.
sub removal_is_synced
{
    my ($copy, $source) = @_;
    my $log = $copy->dir . '/calls';
    my $errors = $copy->dir . '/second';
    my $first = hold($copy, $source, 'control');
    spew($copy->path('recovery.signal'), '');
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(STDERR, '>', $errors) or POSIX::_exit(126);
        @ENV{qw(LD_PRELOAD PG_REWIND_FAULT_LOG)} = ($ENV{PG_REWIND_FAULTS}, $log);
        { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($copy->data, ONCE, '-R', '--source-server',
            $source->conninfo); }
        POSIX::_exit(127);
    }
    my $second = run_in_background($pid, $errors);
    wait_until('the second one waits',
        sub { -e $errors && slurp($errors) =~ /^pg_rewind: waiting for another pg_rewind /m });
    is(go_on($first)->{status}, 0, 'the first one succeeds');
    my $result = end_of_rewind($second);
    is($result->{status}, 0, 'the second one succeeds') or diag($result->{stderr});
    my $data = quotemeta($copy->data);
    my $locked = qr{(?:(?!\d+ unlink $data/postmaster\.pid$).*\n)*}m;
    like(slurp($log), qr{ link $data/postmaster\.pid\n$locked\d+ rename $data/postgresql\.auto\.conf\n}m,
        'its lock file is there before it writes');
    like(slurp($log), qr{ unlink $data/recovery\.signal\n$locked\d+ sync $data$}m,
        'the directory is synced after recovery.signal was removed');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1') });

    # What the second one says, by what the first has come to, and whether that goes on or is killed.
    my %says = (
        'link go on' => qr/no rewind required/,
        'link kill' => qr/rewinding from last common checkpoint/,
        'apply go on' => qr/no rewind required/,
        'apply kill' => qr/the interrupted rewind is finished/,
        'control go on' => qr/no rewind required/,
        'control kill' => qr/the interrupted rewind is finished/,
    );
    for my $case (sort keys %says)
    {
        my ($point, $end) = split ' ', $case, 2;
        my $copy = $target->copy('copy');
        my $first = hold($copy, $source, $point);
        my $second = begin_second($copy, $source);
        $end eq 'kill' ? end_by_kill($first) : is(go_on($first)->{status}, 0, "$case: the first one succeeds");
        my $result = end_of_rewind($second);
        is($result->{status}, 0, "$case: the second one succeeds") or diag($result->{stderr});
        like($result->{stderr}, $says{$case}, 'and says what it did');
        nothing_is_left($copy);
        rejoins($copy, $source, no_promotion => 1) if $case eq 'apply kill';
        $copy->discard;
    }

    subtest('the second one writes what makes a standby', sub {
        my $copy = $target->copy('copy');
        removal_is_synced($copy, $source);
        $copy->discard;
    }) if $version >= 12;

    subtest('the second one is told to stop', sub {
        my $copy = $target->copy('copy');
        my $first = hold($copy, $source, 'apply');
        my $second = begin_second($copy, $source);
        kill 'TERM', $second->{pid};
        my $result = end_of_rewind($second);
        is($result->{status}, 2, 'exit status 2');
        unlike($result->{stderr}, qr/unchanged/, 'it does not say that the target is unchanged');
        is(go_on($first)->{status}, 0, 'the first one goes on');
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
