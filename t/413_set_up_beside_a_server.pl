# Where no rewind is needed, -R commits nothing. It writes its files nevertheless only where no server runs, or has run
# since pg_control was read: otherwise that server is a second primary, and status 0 would call it a standby.
# (Invariant 1. Up to 11 -R writes recovery.conf. 15 and 18 stand for the others.)
#
#   pg_rewind -R is held    when no rewind is found to be needed   while it writes its files
#   a server starts         status 1, nothing is written           status 2
#   it came and went        status 1, nothing is written
# (Rule I82.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

my ($source, $target);

my $decided = 'link@*/postmaster.pid;open@*/pg_replslot';    # the first call after both sides' WAL was compared

# Start the server as a manager does that takes the pid file of pg_rewind for a stale one.
sub start_past_pid_file
{
    my ($copy) = @_;
    unlink $copy->path('postmaster.pid') or die;
    is($copy->try_start->{status}, 0, 'a server starts') or diag($copy->log);
    is($copy->query('SELECT pg_is_in_recovery()'), 'f', 'as a primary');
    return;
}

sub settings_of { my ($copy) = @_; return join '', map { -e $copy->path($_) ? "$_:" . slurp($copy->path($_)) : '' }
    qw(recovery.conf standby.signal postgresql.auto.conf) }

sub writes_nothing
{
    my ($what, $goes, $error, @options) = @_;
    subtest($what, sub {
        my $copy = $target->copy('copy');
        my $before = settings_of($copy);
        my $held = hold($copy, $source, $decided, '-R', @options);
        start_past_pid_file($copy);
        $copy->stop if $goes;
        my $result = go_on($held);
        is($result->{status}, 1, 'exit status 1') or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is needed');
        like($result->{stderr}, $error, 'it says why');
        like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\.$/m, 'the target is unchanged');
        is(settings_of($copy), $before, 'so it is');
        ok($goes || $copy->is_running, 'the server lives');
        $copy->stop if !$goes;
        nothing_is_left($copy);
        $copy->discard;
    });
    return;
}

sub is_noticed_after_writing
{
    my ($version) = @_;
    my $copy = $target->copy('copy');
    my $file = $version < 12 ? 'recovery.conf' : 'standby.signal';
    my $held = hold($copy, $source, "rename\@*/$file", '-R');
    start_past_pid_file($copy);
    my $result = go_on($held);
    is($result->{status}, 2, 'while the files are written: exit status 2') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: another program has used the target while it was set up$/m,
        'it says why');
    like($result->{stderr}, qr/^pg_rewind: hint: If a server .* may be a second primary: stop it\.$/m,
        'and what to do');
    unlike($result->{stderr}, qr/unchanged/, 'and does not call the target unchanged');
    ok($copy->is_running, 'the server lives');
    $copy->stop;
    $copy->discard;
    return;
}

# The run that would follow by itself would find the server, and call the target unchanged.
sub is_not_run_again
{
    my $copy = $target->copy('copy');
    my $result = rewind($copy, $source, options => [ '-R', '--retries=1' ],
        fault => 'fail:rename@*/standby.signal:EIO');
    is($result->{status}, 2, 'a file of -R cannot be written: exit status 2') or diag($result->{stderr});
    is(scalar(() = $result->{stderr} =~ /^pg_rewind: no rewind required$/mg), 1, 'and the run is not repeated');
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    $target = RewindTest::Cluster->new('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT 1 AS a');
    $source = $target->standby('source');
    $source->wait_for_replay_of($target);
    $target->stop;
    $source->promote;
    writes_nothing('a server that runs', 0, qr/^pg_rewind: error: lock file ".*" already exists$/m);
    writes_nothing('a server that came and went', 1,
        qr{^pg_rewind: error: the target's "global/pg_control" has changed while pg_rewind was running$}m);
    is_noticed_after_writing($version);
    is_not_run_again() if $version >= 12;
}, only => [ 10, 15, 18 ]);
