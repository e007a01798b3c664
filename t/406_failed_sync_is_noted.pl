# The kernel tells once that it could not write a page of a file to the disk. That is noted in the target, and the
# next run reads all files from the disk and compares all blocks, whatever its options are: what was lost comes from
# the source, also in files that no WAL names. (Rule I27.)
#
#   a sync fails        before the commit (status 1), or in a run that finishes an interrupted rewind (killed then)
#   a page is lost      the test takes it from a table that neither side has changed
#   the next run        status 0, the page is there again, and the note is gone

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my $still;    # path of a table that no rewind changes
my @fault;
my $note = 'pg_rewind.unsynced';

sub lose_page
{
    my ($target) = @_;
    my $path = $target->path($still);
    open(my $file, '+<', $path) or die "$path: $!";
    syswrite($file, "\0" x 8192) == 8192 or die;
    close $file or die;
    return;
}

sub is_noted
{
    my ($target) = @_;
    like(slurp($target->path($note)), qr/^could not fsync file .*may be lost/s, 'the target has a note');
    lose_page($target);
    return;
}

sub is_cured
{
    my ($name, $target, $source, $result) = @_;
    is($result->{status}, 0, "$name: the next run succeeds") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: warning: a file of the target may be lost/m, 'it says that it compares');
    ok(!-e $target->path($note), 'and the note is gone');
    rejoins($target, $source, quick => 1, no_promotion => 1);
    is($target->query('SELECT count(*) FROM still'), 100, 'the page is there');
    $target->stop;
    return;
}

# The target has diverged again.
sub diverge
{
    my ($target, $source) = @_;
    $target->start;
    $target->promote;
    $target->sql('INSERT INTO t VALUES (3); CHECKPOINT');
    $target->stop;
    $source->sql('INSERT INTO t VALUES (4); CHECKPOINT');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql('CREATE TABLE still AS SELECT generate_series(1, 100) AS a; CREATE TABLE t (a int); CHECKPOINT');
        },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1); CHECKPOINT') },
        target => sub {
            $still = $_[0]->query("SELECT pg_relation_filepath('still')");
            $_[0]->sql('INSERT INTO t VALUES (2)');
        });
    spew($source->path($note), "The source was a target once.\n");
    @fault = (fault => "fail:sync\@*/$still:EIO", options => ['--sync-method=fsync']);

    my $failed = rewind($target, $source, @fault);
    is($failed->{status}, 1, 'a failed sync ends a run before the commit');
    like($failed->{stderr}, qr/^pg_rewind: error: could not fsync file ".*\Q$still\E": Input\/output error$/m,
        'the file is named');
    like($failed->{stderr}, qr/^pg_rewind: hint: A file .* may be lost.* next run compares all blocks .*\Q$note\E/m,
        'it says what the next run does');
    is_noted($target);
    my $check = run([ rewind_argv($target->data, '--source-server', $source->conninfo, '--check') ]);
    like($check->{stdout}, qr/A file of this node may be lost/, '--check says so');
    is_cured('before the commit', $target, $source, rewind($target, $source, options => ['-R']));

    diverge($target, $source);
    end_by_kill(hold($target, $source, 'patch'));
    my $ended = rewind($target, $source, @fault, until => qr/pg_rewind retries this/);
    ok($ended->{signal}, 'a run that finishes a rewind is killed when a sync has failed');
    is_noted($target);
    my $nowhere = $source->conninfo . ' port=1';
    my $alone = run([ rewind_argv($target->data, '--source-server', $nowhere, '--retry-timeout=0') ]);
    is($alone->{status}, 2, 'without the source it is finished, but not right');
    like($alone->{stderr}, qr/^pg_rewind: hint: .* is finished, but a file .* may be lost: do not start its server/m,
        'and its server is not to be started');
    is_cured('finishing', $target, $source, rewind($target, $source, options => ['-R']));
    diverge($target, $source);
    end_by_kill(hold($target, $source, 'patch'));
    is_cured('finishing', $target, $source, rewind($target, $source, fault => $fault[1],
        options => [ '--sync-method=fsync', '-R' ]));

    # The note of a run that finishes a rewind stays, though that rewind was begun when there was one.
    diverge($target, $source);
    spew($target->path($note), "An error of the disk.\n");
    end_by_kill(hold($target, $source, 'patch'));
    rewind($target, $source, @fault, until => qr/pg_rewind retries this/);
    lose_page($target);
    is_cured('finishing one with a note', $target, $source, rewind($target, $source, options => ['-R']));

    # On such a disk a sync of another file can take long, and the run is killed meanwhile.
    diverge($target, $source);
    my $hung = rewind($target, $source, fault => "hang:sync\@*/base/*,$fault[1]",
        options => [ '--sync-method=fsync', '--jobs=2' ], until => sub { -s $target->path($note) });
    ok($hung->{signal}, 'a run is killed while another file is synced');
    is_noted($target);
    is_cured('killed amid the syncs', $target, $source, rewind($target, $source, options => ['-R']));

    # Where it cannot be noted, another turn of the same command would find nothing and end with status 0.
    diverge($target, $source);
    end_by_kill(hold($target, $source, 'patch'));
    my $unnoted = run([ rewind_argv($target->data, '--source-server', $source->conninfo, '--sync-method=fsync', '-R') ],
        env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS},
            PG_REWIND_FAULT => $fault[1] . ",fail:create\@*/$note:ENOSPC" x 2 });
    is($unnoted->{status}, 2, 'a failure that cannot be noted ends the run');
    is(scalar(() = $unnoted->{stderr} =~ /^pg_rewind: error: /mg), 1, 'which is not repeated');
    like($unnoted->{stderr}, qr/^pg_rewind: hint: .* restart this host, and then run .* again with --compare\.$/m,
        'it says what to do');
    lose_page($target);
    my $compared = rewind($target, $source, options => [ '-R', '--compare' ]);
    is($compared->{status}, 0, 'comparing succeeds') or diag($compared->{stderr});
    rejoins($target, $source, quick => 1, no_promotion => 1);
    is($target->query('SELECT count(*) FROM still'), 100, 'and the page is there');
    $target->stop;

    # A stop is no failed sync.
    diverge($target, $source);
    my $held = hold($target, $source, "sync\@*/$still", '--sync-method=fsync');
    kill 'TERM', $held->{pid};
    my $stopped = go_on($held);
    ok($stopped->{status} || $stopped->{signal}, 'a stop amid the sync ends the run');
    ok(!-e $target->path($note), 'leaves no note');
    is(rewind($target, $source, options => ['-R'])->{status}, 0, 'and the next run succeeds');

    # A server that follows is not stopped for it.
    $target->start;
    spew($target->path($note), "An error of the disk.\n");
    my $rejoin = run([ rewind_argv($target->data, '--source-server', $source->conninfo, '--rejoin') ]);
    is($rejoin->{status}, 1, 'the target follows, and is not right');
    like($rejoin->{stderr}, qr/^pg_rewind: error: a file of the target may be lost/m, 'a --rejoin says so');

    # What is lost may be WAL, of a standby that has none of its own.
    $target->stop;
    unlink $target->path($note) or die;
    my $second = $source->standby('second');
    diverge($target, $source);
    $second->wait_for_replay_of($source);
    is(rewind($target, $second, options => ['-R'])->{status}, 0, 'a rewind from a standby');
    spew($target->path($note), "An error of the disk.\n");
    for my $segment (grep { /[0-9A-F]{24}$/ } glob $target->path('pg_wal/*'))
    {
        open(my $file, '+<', $segment) or die "$segment: $!";
        syswrite($file, "\0" x 8192) == 8192 or die;
        close $file or die;
    }
    lose_page($target);
    my $again = rewind($target, $second, options => ['-R']);
    is($again->{status}, 0, 'the same command compares though WAL is lost') or diag($again->{stderr});
    rejoins($target, $second, quick => 1, no_promotion => 1, writer => $source);
    is($target->query('SELECT count(*) FROM still'), 100, 'and the page is there');
    $target->stop;

    $_->discard for $target, $second, $source;
}, only => [ 10, 18 ]);
