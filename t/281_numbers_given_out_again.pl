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

# Both sides give out numbers from this one on, and the source has done so.
sub source_from_number
{
    my ($target, $number) = @_;
    $target->stop;
    my $program = $target->version < 10 ? $target->bindir . '/pg_resetxlog' : program('pg_resetwal');
    must_run([ $program, '-f', '-o', $number, $target->data ]);
    $target->start;
    my $source = $target->standby('source');
    $target->sql('CHECKPOINT');
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    $source->sql('CREATE TABLE next (a int)');
    return $source;
}

sub make_tables
{
    my ($cluster) = @_;
    $cluster->sql('CREATE DATABASE d');
    $cluster->sql("\\c d\nCREATE TABLE idle AS SELECT generate_series(1, 1000) AS a");
    $cluster->sql("\\c d\nCREATE TABLE busy AS TABLE idle; CHECKPOINT");
    return;
}

# A target that has an old relation no more, and has given its number to one of its own, has a file of that number, too.
# The statements lose the one and make the other. (The first database has the number 16384.)
sub number_given_again
{
    my ($version, $what, $before, @statements) = @_;
    my $target = make_cluster('target', $version)->start;
    make_tables($target);
    my ($idle, $number) = path_of($target, 'idle');
    my $source = source_from_number($target, $number + $before);
    if ($what eq 'lost without WAL')
    {
        $target->stop('kill');
        unlink $target->path($idle) or die "$idle: $!";
        $target->start;
    }
    my $space = work_dir() . '/space';
    mkdir $space;
    $target->sql(s/DIRECTORY/$space/r) for @statements;
    my $own = "SELECT 'own: ' || relname FROM pg_class WHERE relfilenode = $number AND relname <> 'idle'";
    like($target->try_sql("\\c d\n$own")->{stdout}, qr/^own: /m, 'the number is given again');
    $target->stop;
    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        rewound => sub { ok(-e $_[0]->path($idle), 'the file of a table that nobody changes is there') });
    RewindTest::Cluster::discard_all();
    return;
}

my @given_again = (
    [ 'truncated', -1, "\\c d\nTRUNCATE idle; CHECKPOINT; TRUNCATE busy" ],
    [ 'its database dropped', 0, 'DROP DATABASE d', 'CREATE DATABASE d OID = 16384',
        "\\c d\nCREATE TABLE own (a int)" ],
    [ 'its database moved', -1, "CREATE TABLESPACE space LOCATION 'DIRECTORY'", 'ALTER DATABASE d SET TABLESPACE space',
        "\\c d\nALTER TABLE busy SET TABLESPACE pg_default" ],
    [ 'lost without WAL', -1, "\\c d\nTRUNCATE busy; TRUNCATE busy" ],
);

each_version(sub {
    my ($version) = @_;
    for my $row (@given_again)
    {
        my ($what, @how) = @$row;
        subtest("a number given again: $what", sub { number_given_again($version, $what, @how) });
    }
    my $target = make_cluster('target', $version)->start;
    make_tables($target);
    my ($idle, $number) = path_of($target, 'idle');
    my ($busy) = path_of($target, 'busy');
    my $source = source_from_number($target, $number - 1);
    $source->sql("\\c d\nDELETE FROM busy WHERE a > 500");
    $target->sql('CREATE TABLE lost (a int)');
    $target->stop('kill');
    unlink $target->path($_) or die "$_: $!" for $idle, $busy;    # as far as it came

    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        rewound => sub { ok(-e $_[0]->path($idle), 'the file of a table that nobody changes is there') });
}, only => [15]);
