# A process that is stopped amid the rewind (Ctrl-Z, SIGSTOP, storage that hangs) does nothing with another directory
# that has taken the target's place in the meantime, here a copy of the source, whose server streams. (Invariant 3. The
# same on all versions.)
#
#   target   ── rewind: committed, held ── moved away
#   copy of the source                         └── in its place, streams ── the rewind goes on ──▶  unchanged
# (Rules I37, I77.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my @tables = map { "t$_" } 1 .. 6;

sub contents { my ($server) = @_; return join ', ', map { $server->query("SELECT count(*), sum(v) FROM $_") } @tables }

# The directory is moved away, and a copy of the source is there.
sub replace
{
    my ($target, $source) = @_;
    rename($target->data, $target->dir . '/former') or die;
    $source->stop;
    must_run([ 'cp', '-a', $source->data, $target->data ]);
    $source->start;
    $target->follow($source)->start;
    $target->wait_for_stream_from($source);
    $target->wait_for_replay_of($source);
    $target->sql('CHECKPOINT');
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $point (qw(apply patch))
    {
        subtest("held before '$point'", sub {
            my ($source, $target) = split_brain($version,
                before => sub { my ($p) = @_;
                    $p->sql("CREATE TABLE $_ AS SELECT g, 0 AS v FROM generate_series(1, 2000) g") for @tables },
                source => sub { my ($p) = @_; $p->sql('CREATE TABLE s AS SELECT 1 AS a; CHECKPOINT') },
                target => sub { my ($p) = @_; $p->sql("UPDATE $_ SET v = 2") for @tables });
            my $held = hold($target, $source, $point, '--jobs=1');
            $source->sql("UPDATE $_ SET v = 7; INSERT INTO $_ SELECT g, 7 FROM generate_series(2001, 9000) g")
                for @tables;
            replace($target, $source);
            my $result = go_on($held);
            is($result->{status}, 1, 'exit status 1: the directory that is there is as it was');
            like($result->{stderr}, qr/^pg_rewind: error: directory ".*" was replaced by another one$/m, 'it says why');
            unlike($result->{stderr}, qr/again/, 'and asks for no other run');
            $target->stop('immediate');
            is($target->try_start->{status}, 0, 'its server starts again') or do { diag($target->log); return };
            $target->wait_for_stream_from($source);
            is(contents($target), contents($source), 'and has all rows');
            $_->discard for $target, $source;
        });
    }
}, only => [ 10, 18 ]);
