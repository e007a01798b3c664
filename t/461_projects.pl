# Parts of the target have a project of their own, for a quota: a rename into them is refused (EXDEV) although they lie
# on one mount. That is found out before anything is written, and each is rewound as if it were a file system of its
# own. (Invariants 1 and 2. Nothing here depends on the server's version.)
#
#   data directory, all on one mount          project
#   pg_wal                                    42
#   a tablespace                              43
#   a database's directory                    44
#   the rest                                  none
# (Rule I22.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

sub is_refused
{
    my ($from, $to) = @_;
    spew($from, 'x');
    my $renamed = rename($from, $to);
    my $refused = !$renamed && $!{EXDEV};
    unlink $from, $to;
    return $refused;
}

each_version(sub {
    my ($version) = @_;
    my $table;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            $primary->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 3000) i; CREATE TABLE in_space TABLESPACE space AS TABLE t");
            $table = $primary->query("SELECT pg_relation_filepath('t')");
        },
        source => sub {
        $_[0]->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 3000) i; INSERT INTO in_space TABLE t; CREATE TABLE s TABLESPACE space AS TABLE t") },
        target => sub {
            $_[0]->sql("UPDATE t SET v = 'target'; UPDATE in_space SET v = 'target'; CREATE TABLE u AS TABLE t") });
    my $copy = $target->copy('small');
    my $pristine = work_dir() . '/pristine';
    must_run([ 'cp', '-a', $copy->dir, $pristine ]);
    must_run([ 'find', $copy->dir, '-mindepth', 1, '-delete' ]);
    my $type = privileged('make-projects', $copy->dir);
    plan(skip_all => 'this kernel mounts no file system with projects') if $type eq 'none';
    note $type;
    must_run([ 'cp', '-a', "$pristine/.", $copy->dir ]);

    my ($wal) = grep { -d } map { $copy->path($_) } qw(pg_wal pg_xlog);
    my ($space) = glob $copy->dir . '/tablespace/*';
    my ($database) = $copy->path($table) =~ m{(.*)/};
    my %project = (42 => $wal, 43 => $space, 44 => $database);
    privileged('make-project', $_, $project{$_}) for sort keys %project;
    ok(is_refused($copy->path('x'), "$_/x"), "a rename into $_ is refused") for values %project;

    # A run that is killed shows where it stages.
    end_by_kill(hold($copy, $source, 'commit'));
    ok(scalar(grep { -d } glob("$_/pg_rewind.work{,.PG_15_*}")), "files for $_ are staged in it")
        for values %project;
    rewinds($copy, $source);
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
    $copy->stop;
    privileged('unmount', $copy->dir);
    $copy->discard;
}, only => [15]);
