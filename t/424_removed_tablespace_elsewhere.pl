# A tablespace of the target alone lies on another file system, where it has a work directory of its own, and its link
# is removed while the journal is carried out. Killed before any call from then on, or with an I/O error there, the
# rewind is finished nevertheless, and nothing stays in that place, also where a tablespace of the source takes it.
# (Invariant 3. The same in all versions, for both sources.)
#
#   place      old tablespace, work directory ── files removed ──────────────── work directory removed
#   PGDATA     link to it ──────────────────────────────────── link removed ─── (new link)
# (Rule I6.)

use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use RewindTest;
use RewindTest::Interrupted;
use RewindTest::Tree;

# All that is in a place, and what files contain; not the time of a change.
sub content_of { my ($place) = @_;
    return must_run([ 'sh', '-c', 'cd "$1" && find . -type f -exec md5sum {} + | sort -k 2; find . | sort', '-',
    $place ]) }

# The pair, which can be reset, and a run of it with faults.
sub make_runs
{
    my ($source, $target, $volume, @options) = @_;
    my @pairs = ([ $target->dir, work_dir() . '/pristine' ], [ "$volume/space", "$volume/base" ]);
    must_run([ 'cp', '-a', @$_ ]) for @pairs;
    my $reset = sub { for (@pairs) { must_run([ 'rm', '-rf', $_->[0] ]); must_run([ 'cp', '-a', reverse @$_ ]) } };
    my $run = sub { my ($fault, %env) = @_; return rewind($target, $source, kind => 'directory', fault => $fault,
        env => \%env, options => [ '-j1', @options ]) };
    my $forget = sub { must_run([ 'rm', '-rf', map { $_->[1] } @pairs ]) };
    return ($reset, $run, $forget);
}

sub is_finished
{
    my ($target, $place, $result, $rewound) = @_;
    is($result->{status}, 0, 'it is finished') or diag($result->{stderr});
    is(difference(RewindTest::Interrupted::without_ours(rewound_tree($target)), $rewound->[0]), '',
        'the target is as after an undisturbed run');
    is(content_of($place), $rewound->[1], 'the place of the tablespace as well');
    nothing_is_left($target);
    return;
}

sub survives_all
{
    my ($source, $target, $volume, @options) = @_;
    my $place = "$volume/space";
    my $log = work_dir() . '/calls';
    my ($reset, $run, $forget) = make_runs($source, $target, $volume, @options);
    unlink $log;
    is($run->('', PG_REWIND_FAULT_LOG => $log)->{status}, 0, 'an undisturbed run succeeds');
    my $rewound = [ rewound_tree($target), content_of($place) ];
    unlike($rewound->[1], qr/pg_rewind/, 'and leaves nothing of its own in the place');
    my @calls = map { /^\d+ ((?:set )?\S+) (.*)/ ? { call => $1, path => $2 } : () } split /\n/, slurp($log);
    my ($link) = grep { $calls[ $_ - 1 ]{call} eq 'unlink'
        && $calls[ $_ - 1 ]{path} =~ m{/pg_tblspc/\d+$} } 1 .. @calls;
    ok($link, 'a link was removed') or return;
    # A call that syncs leaves the directory as it was.
    for my $number (RewindTest::Interrupted::commit_number(\@calls),
        grep { $calls[ $_ - 2 ]{call} ne 'sync' } $link .. @calls)
    {
        my $call = $calls[ $number - 1 ];
        subtest("killed before call $number, $call->{call} $call->{path}", sub {
            $reset->();
            is($run->("kill:$number")->{signal}, 9, 'pg_rewind is killed');
            is_finished($target, $place, $run->(''), $rewound);
        });
    }
    subtest('an I/O error after the link was removed', sub {
        $reset->();
        my $result = $run->('fail:' . ($link + 1) . ':EIO');
        like($result->{stderr},
            qr/^pg_rewind: detail: The rewind is committed and must be finished: pg_rewind retries this for \d+ seconds\.$/m,
            'the same run tries again');
        is_finished($target, $place, $result, $rewound);
    });
    $reset->();
    $forget->();
    return;
}

each_version(sub {
    my ($version) = @_;
    my $volume = File::Temp->newdir(DIR => '/var/tmp');
    plan(skip_all => '/var/tmp and the work directory are one file system, so the tablespace would have no work directory of its own')
        if (stat $volume)[0] == (stat work_dir())[0];
    my $place = "$volume/space";
    mkdir $place or die;
    my ($source, $target) = split_brain($version,
        target => sub { $_[0]->sql($_) for "CREATE TABLESPACE space LOCATION '$place'",
        'CREATE TABLE u TABLESPACE space AS SELECT 1 AS a' });
    $source->stop;
    subtest('the place is left empty', sub { survives_all($source, $target, $volume) });
    $source->start;
    my $on_source = $source->tablespace_location('new');
    $source->sql($_) for 'CREATE TABLE first (a int)', "CREATE TABLESPACE new LOCATION '$on_source'",
        'CREATE TABLE s TABLESPACE new AS SELECT 1 AS a';
    $source->stop;
    subtest('a tablespace of the source takes it',
        sub { survives_all($source, $target, $volume, '-T', "$on_source=$place") });
}, only => [16]);
