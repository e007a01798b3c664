# The counter of numbers for relations goes round. A target that was killed amid DROP DATABASE lacks files of relations
# without a word in its WAL, and the source has just given out numbers up to past theirs: that looks like a relation
# that becomes unlogged while pg_rewind works, whose files replay would make. A file whose pages were logged before the
# start is of an old relation, and so is one whose blocks the source's WAL names. (Nothing here depends on the version;
# pg_resetwal is 15's.)
# (Rules C76, C77.)

use strict;
use warnings;

use RewindTest;

sub path_of
{
    my ($cluster, $table) = @_;
    my $said = $cluster->try_sql("\\c d\nSELECT pg_relation_filepath('$table')")->{stdout};
    return $said =~ m{^(base/(\d+)/(\d+))$}m ? ($1, $3) : die "no path: $said";
}

sub set_next_number
{
    my ($cluster, $number) = @_;
    $cluster->stop;
    my $program = $cluster->version < 10 ? $cluster->bindir . '/pg_resetxlog' : program('pg_resetwal');
    must_run([ $program, '-f', '-o', $number, $cluster->data ]);
    $cluster->start;
    return;
}

sub make_tables
{
    my ($cluster) = @_;
    $cluster->sql('CREATE DATABASE d');
    $cluster->sql("\\c d\nCREATE TABLE idle AS SELECT generate_series(1, 1000) AS a");
    $cluster->sql("\\c d\nCREATE TABLE busy AS TABLE idle; CHECKPOINT");
    return;
}

# A target that has dropped an old relation, and has given its number to one of its own, has a file of that number, too.
sub number_given_again
{
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    make_tables($target);
    my ($idle, $number) = path_of($target, 'idle');
    set_next_number($target, $number - 1);
    my $source = $target->standby('source');
    $target->sql('CHECKPOINT');
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $source->sql("\\c d\nCREATE TABLE next (a int)");
    $target->sql("\\c d\nTRUNCATE idle; CHECKPOINT; TRUNCATE busy");
    is((path_of($target, 'busy'))[1], $number, 'the number is given again');
    $target->stop;
    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        rewound => sub { ok(-e $_[0]->path($idle), 'the file of a table that nobody changes is there') });
    RewindTest::Cluster::discard_all();
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('a number given again', sub { number_given_again($version) });
    my $target = make_cluster('target', $version)->start;
    make_tables($target);
    my ($idle, $number) = path_of($target, 'idle');
    my ($busy) = path_of($target, 'busy');
    set_next_number($target, $number - 1);
    my $source = $target->standby('source');
    $target->sql('CHECKPOINT');
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $source->sql('CREATE TABLE next (a int)');
    $source->sql("\\c d\nDELETE FROM busy WHERE a > 500");
    $target->sql('CREATE TABLE lost (a int)');
    $target->stop('kill');
    unlink $target->path($_) or die "$_: $!" for $idle, $busy;    # as far as it came

    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        rewound => sub { ok(-e $_[0]->path($idle), 'the file of a table that nobody changes is there') });
}, only => [15]);
