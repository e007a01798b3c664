# --rejoin finishes an interrupted rewind that was begun without -R, and then cannot go on: it does not call the target
# unchanged, does not advise to start its server, which would open for writing on the source's timeline, and ends with
# status 2. The same command succeeds when the cause is removed. (Invariant 3. 15 stands for all.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ finished ── no standby yet ── the same command again ──▶
# (Rule I40.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;
use RewindTest::Outcome;
use RewindTest::Proxy;

my ($source, $target);

sub rejoin
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '--retry-timeout=1', '--report=json', '-B',
        $target->bindir,
        '--source-server', $source->conninfo . ' application_name=target', @options) ]);
}

sub cannot_go_on
{
    my ($what, $error, @options) = @_;
    subtest($what, sub {
        my $result = rejoin(@options);
        is($result->{signal} || $result->{status}, 2, 'exit status 2') or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: the interrupted rewind is finished$/m,
            'the interrupted rewind is finished');
        like($result->{stderr}, $error, 'the cause is named');
        like($result->{stderr},
            qr/^pg_rewind: hint: The interrupted rewind is finished, but the target could not be set up as a standby of the source: do not start its server\. Remove the cause and run the same pg_rewind command again\.$/m,
            'the last line says that the server is not to be started');
        unlike($result->{stderr}, qr/unchanged|pg_ctl/,
            'nothing calls the target unchanged, or has the command that starts its server');
        is(JSON::PP->new->decode($result->{stdout})->{result}, 'unfinished', 'the report says so');
        ok(!-e $target->path('postmaster.pid'), 'no server runs');
    });
    return;
}

sub succeeds
{
    my $result = rejoin();
    is($result->{signal} || $result->{status}, 0, 'the same command succeeds when the cause is removed')
        or diag($result->{stderr});
    is($target->query('SELECT pg_is_in_recovery()'), 't', 'the target is a standby');
    $target->wait_for_replay_of($source);
    return;
}

# While that run waits for the source, another program starts the server, which opens for writing: it is not called a
# standby.
sub started_by_another
{
    my ($diverged) = @_;
    $target = $diverged->copy('started');
    end_by_kill(hold($target, $source, 'apply'));
    my $proxy = RewindTest::Proxy->new('proxy', $source)->hang;
    my $run = start_rewind($target, $proxy,
        options => [ '--rejoin', '--no-sync', '--retry-timeout=10', '-B', $target->bindir ]);
    wait_until('the rewind is finished',
        sub { slurp($run->{errors}) =~ /the interrupted rewind is finished/ || has_ended($run) });
    $target->start;
    is($target->query('SELECT pg_is_in_recovery()'), 'f', 'the server is a primary');
    ends(end_of_rewind($run), 2, 'a server that another program has started',
        qr/ could not be set up as a standby of the source: another program has started its server, which may be a/m);
    $proxy->end;
    $target->stop;
    $target->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, my $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    for my $case ('its slot is missing', 'the source is stopped')
    {
        $target = $diverged->copy('again');
        # It listens where the options of its last start say.
        my $options = $target->path('postmaster.opts');
        spew($options, slurp($options) =~ s/\Q$diverged->{dir}\E/$target->{dir}/gr);
        end_by_kill(hold($target, $source, 'apply'));
        if ($case eq 'the source is stopped')
        {
            $source->stop;
            cannot_go_on($case,
                qr/^pg_rewind: error: the target is not a standby of the source yet\npg_rewind: detail: The interrupted rewind was started without --write-recovery-conf/m);
            $source->start;
        }
        else
        {
            cannot_go_on($case, qr/^pg_rewind: error: the source has no replication slot "missing"/m, '--slot=missing');
        }
        succeeds();
        $target->stop;
        $target->discard;
    }
    started_by_another($diverged);
}, only => [15]);
