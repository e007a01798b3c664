# The target's pg_wal has the history file of a promoted server that was then given up. The winner was promoted to a
# timeline of the same number at another position. The target needs no rewind, but its server would take the file in its
# own pg_wal for the winner's: it does not start, or never leaves the old timeline. -R and --rejoin remove the file,
# other runs tell of it.
#
#   given up    1 ──┬── 2 ──▶               later: it was promoted at a later position than the winner
#   source      1 ──┴──┬── 2 ──▶
#   target      1 ─────┘
# (Rule C104.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $name = '00000002.history';

# The target's walreceiver fetches the history file when it connects, and then cannot follow.
sub fetched
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my ($target, $given_up, $source) = map { $primary->standby($_) } 'target', 'given_up', 'source';
    $given_up->stop;
    append($given_up->path('postgresql.auto.conf'), "primary_conninfo = 'host=/nonexistent port=1'\n");
    $given_up->start;
    $primary->sql("INSERT INTO t VALUES ($_)"), $primary->sql('CHECKPOINT') for 0, -1;
    $_->wait_for_replay_of($primary) for $target, $source;
    $primary->stop('immediate');
    $given_up->promote;
    $target->follow($given_up)->restart;
    wait_until('the target has fetched the history file', sub { -e $target->path("pg_wal/$name") });
    $given_up->stop;
    return ($source, $target);
}

# As of a tool that lays WAL of an archive out, or of a hand.
sub later
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my ($target, $given_up, $source) = map { $primary->standby($_) } 'target', 'given_up', 'source';
    $_->wait_for_replay_of($primary) for $target, $source;
    $_->stop for $target, $source;
    $primary->sql('INSERT INTO t VALUES (0)');
    $given_up->wait_for_replay_of($primary);
    $primary->stop('immediate');
    $given_up->promote;
    $_->start for $target, $source;
    spew($target->path("pg_wal/$name"), slurp($given_up->path("pg_wal/$name")));
    $given_up->stop;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    for my $case ([ 'the given up server was promoted earlier', \&fetched ], [ 'and later', \&later ])
    {
        subtest($case->[0], sub {
            my ($source, $target) = $case->[1]->($version);
            $source->promote->sql('CHECKPOINT');
            $target->stop;
            isnt(slurp($target->path("pg_wal/$name")), slurp($source->path("pg_wal/$name")), 'the files differ');
            my $told = qr/^pg_rewind: hint: Before the server starts, remove "pg_wal\/$name" from the target, as -R does/m;
            like(rewinds($target, $source)->{stderr}, $told, 'a run without -R tells of it');
            like(rewinds($target, $source, options => [ '-n', '-R' ])->{stderr},
                qr/^pg_rewind: would remove "pg_wal\/$name", the history of a timeline that was given up$/m,
                'a dry run says that it would be removed');
            ok(-e $target->path("pg_wal/$name"), 'it is still there');
            my $rejoined = $target->copy('rejoined');
            $rejoined->listen_apart;
            like(rewinds($target, $source, options => ['-R'])->{stderr}, qr/^pg_rewind: no rewind required$/m,
                'no rewind is required');
            my $result = run([ rewind_argv($rejoined->data, qw(--rejoin --no-sync --rejoin-timeout=20 -B),
                $rejoined->bindir, '--source-server', $source->conninfo) ]);
            is($result->{signal} || $result->{status}, 0, '--rejoin succeeds') or diag($result->{stderr});
            $rejoined->discard;
            rejoins($target, $source, recovery_written => 1, no_promotion => 1);
            RewindTest::Cluster::discard_all();
        });
    }
}, from => 12);
