# No server starts on the target from the time on when it is known that it may be rewound: one that is started while WAL
# is read would cost the whole run. Whatever becomes of the run, the pid file does not stay. Where somebody has removed
# it, and a server has started, nothing is fetched any more. (Invariant 1.)
# (Rule I10.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Held;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });

    my $other = $target->copy('other');
    my $other_held = hold($other, $source, 'link@*/postmaster.pid;open@*/pg_[wx]*/00000001*');
    unlink $other->path('postmaster.pid') or die;
    is($other->try_start->{status}, 0, 'a server that finds no pid file starts') or diag($other->log);
    my $given_up = go_on($other_held);
    is($given_up->{status}, 1, 'which is noticed');
    like($given_up->{stderr}, qr/^pg_rewind: error: lock file ".*" already exists$/m, 'before anything is fetched');
    ok($other->is_running, 'the server lives');
    $other->stop;
    $other->discard;

    # Held when the first segment of the target's WAL is opened.
    my $held = hold($target, $source, 'link@*/postmaster.pid;open@*/data/pg_[wx]*/00000001*');
    my $start = $target->try_start;
    isnt($start->{status}, 0, 'no server starts while WAL is read');
    like($target->log, qr/lock file "postmaster\.pid" already exists/, 'its message names the pid file');
    my $result = go_on($held);
    is($result->{status}, 0, 'the rewind succeeds') or diag($result->{stderr});
    ok(!-e $target->path('postmaster.pid'), 'no pid file is left');

    my $copy = $target->copy('again');
    is(rewind($copy, $source)->{status}, 0, 'a run that finds nothing to do');
    ok(!-e $copy->path('postmaster.pid'), 'leaves none either');
    is(rewind($copy, $source, options => ['--wal-archive=/nonexistent'])->{status}, 1, 'nor one that fails');
    ok(!-e $copy->path('postmaster.pid'), 'behind its prerequisites');
    rejoins($target, $source, no_promotion => 1, quick => 1);
}, only => [ 10, 13, 15, 18 ]);
