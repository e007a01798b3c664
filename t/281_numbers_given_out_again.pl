# The counter of numbers for relations goes round. A target that was killed amid DROP DATABASE lacks files of relations
# without a word in its WAL, and the source has just given out numbers up to past theirs: that looks like a relation
# that becomes unlogged while pg_rewind works, whose files replay would make. A file whose pages were logged before the
# start is of an old relation, and so is one whose blocks the source's WAL names. (Nothing here depends on the version;
# pg_resetwal is 15's.)
# (Rule C77.)

use strict;
use warnings;

use RewindTest;

sub path_of
{
    my ($cluster, $table) = @_;
    my $said = $cluster->try_sql("\\c d\nSELECT pg_relation_filepath('$table')")->{stdout};
    return $said =~ m{^(base/(\d+)/(\d+))$}m ? ($1, $3) : die "no path: $said";
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE DATABASE d');
    $target->sql("\\c d\nCREATE TABLE idle AS SELECT generate_series(1, 1000) AS a; CREATE TABLE busy AS TABLE idle; CHECKPOINT");
    my ($idle, $number) = path_of($target, 'idle');
    my ($busy) = path_of($target, 'busy');
    $target->stop;
    must_run([ $version < 10 ? $target->bindir . '/pg_resetxlog' : program('pg_resetwal'), '-f', '-o', $number - 1,
        $target->data ]);
    $target->start;
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
