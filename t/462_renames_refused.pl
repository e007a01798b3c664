# A kernel that refuses each rename from one directory into another (EXDEV), for a reason that no look can find out:
# Landlock, by which a service is confined. The rewind copies instead, and what it leaves is the same. (Invariant 2.
# Both sources. Nothing here depends on the server's version.)
# (Rule I23.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

# Confine this process, and run a program: whatever access a set of rules is about, it never lets files go from one
# directory to another.
my $confine = <<'END';
my ($prctl, $create, $restrict) = ((split /-/, `uname -m`)[0] =~ /^aarch64/ ? 167 : 157, 444, 446);
my $make_block = pack('Q', 1 << 11);
syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!\n";
my $rules = syscall($create, $make_block, 8, 0);
exit 99 if $rules < 0;
syscall($restrict, $rules, 0) == 0 or die "landlock_restrict_self: $!\n";
exec { $ARGV[0] } @ARGV;
END

sub confined
{
    my ($cluster, @argv) = @_;
    my $wrapper = $cluster->dir . '/confined';
    spew($wrapper . '.pl', $confine);
    spew($wrapper, qq{#!/bin/sh\nexec $^X "$wrapper.pl" "$ENV{PG_REWIND}" "\$@"\n});
    chmod 0700, $wrapper;
    return $wrapper;
}

sub is_refused
{
    my ($cluster) = @_;
    my $program = confined($cluster);
    mkdir "$cluster->{dir}/to" or die;
    spew("$cluster->{dir}/from", 'x');
    my $result = run([ $^X, "$program.pl", $^X, '-e', 'rename($ARGV[0], $ARGV[1]) and exit 0; exit($!{EXDEV} ? 18 : 1)',
        "$cluster->{dir}/from", "$cluster->{dir}/to/x" ]);
    plan(skip_all => 'this kernel has no Landlock') if $result->{status} == 99;
    return $result->{status} == 18;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            $primary->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 3000) i; CREATE TABLE in_space TABLESPACE space AS TABLE t");
        },
        source => sub {
        $_[0]->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 3000) i; INSERT INTO in_space TABLE t; CREATE TABLE s TABLESPACE space AS TABLE t") },
        target => sub {
            $_[0]->sql("UPDATE t SET v = 'target'; UPDATE in_space SET v = 'target'; CREATE TABLE u AS TABLE t") });
    chmod 0400, $target->path('pg_hba.conf');
    append($source->path('pg_hba.conf'), "# source\n");
    my $copy = $target->copy('copy');
    ok(is_refused($copy), 'a rename into another directory is refused');
    rewinds($copy, $source, program => confined($copy));
    nothing_is_left($copy);
    is(sprintf('%04o', (stat $copy->path('pg_hba.conf'))[2] & 07777), '0400', 'a file keeps its mode');
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;

    $source->stop;
    my $undisturbed = $target->copy('undisturbed');
    rewinds($undisturbed, $source, kind => 'directory');
    $copy = $target->copy('copy');
    rewinds($copy, $source, kind => 'directory', program => confined($copy));
    is(difference(rewound_tree($copy), rewound_tree($undisturbed)), '', 'every file is that of an undisturbed run');
}, only => [15]);
