# A file system without hard links (SMB, VirtualBox's shared folders) is no obstacle, as it is none for a server: the
# lock file is made as a server makes its own. A run may be killed while it does. (Invariants 1 and 3. Nothing here
# depends on the server's version.)
# (Rule I74.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

$ENV{PG_REWIND_FAULT_NO_LINKS} = 1;    # for each run that counts calls
my %no_links = (fault => '');

# Killed when postmaster.pid is there and has no content yet.
sub killed_amid_the_claim
{
    my ($copy, $source, $what) = @_;
    my $file = $copy->path('postmaster.pid');
    end_by_kill(hold($copy, $source, 'write@*/postmaster.pid'));
    is(-s $file, 0, "$what: killed before the lock file gets its text");
    return;
}

# What killed_amid_the_claim has left is nobody's, also for what only looks.
sub is_seen_as_stale
{
    my ($copy, $source, $what, @looks) = @_;
    for my $look (@looks)
    {
        my $result = rewind($copy, $source, not_foretold => 'it only looks', options => $look);
        is($result->{status}, 0, "$what: @$look does not take it for a server's") or diag($result->{stderr});
    }
    return;
}

sub server_was_first
{
    my ($copy, $source) = @_;
    my $file = $copy->path('postmaster.pid');
    my $held = hold($copy, $source, 'create@*/postmaster.pid');
    my $of_server = slurp($copy->start->path('postmaster.pid'));
    my $result = go_on($held);
    is($result->{status}, 1, 'a server that takes the lock file first: pg_rewind gives up');
    like($result->{stderr}, qr/^pg_rewind: error: lock file "\Q$file\E" already exists$/m, 'it says why');
    is(slurp($file), $of_server, "the server's lock file stays");
    $copy->stop;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 3000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS TABLE t") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'") }, stop => 'kill');

    my $copy = $target->copy('copy');
    rewinds($copy, $source, %no_links);
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;

    $copy = $target->copy('killed');
    my $stale = slurp($copy->path('postmaster.pid'));
    my @dry = (['--dry-run'], [ '--rejoin', '--dry-run', '-B', $copy->bindir ]);
    killed_amid_the_claim($copy, $source, 'before the commit');
    is_seen_as_stale($copy, $source, 'before the commit', ['--check'], @dry);
    end_by_kill(hold($copy, $source, 'send@'));
    is(slurp($copy->path('postmaster.pid')), $stale, "the next run puts the crashed server's file back");
    end_by_kill(hold($copy, $source, 'poison'));
    killed_amid_the_claim($copy, $source, 'after the commit');
    is_seen_as_stale($copy, $source, 'after the commit', @dry);
    rewinds($copy, $source, %no_links);
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;

    $copy = $target->copy('started');
    unlink $copy->path('postmaster.pid') or die;
    killed_amid_the_claim($copy, $source, 'without a crashed server');
    end_by_kill(hold($copy, $source, 'send@'));
    is(join(' ', glob($copy->path('postmaster.pid*'))), '', 'the next run removes it');
    server_was_first($copy, $source);
    $copy->discard;
}, only => [15]);
