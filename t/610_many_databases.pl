# 2,000 databases on both sides, some of which each side has dropped, some of which it has made since. (Databases;
# copied databases. Invariant 7. Both sources. How many there are is no matter of the server's version: one version.)
#
#   source       ┌── 2 ── some dropped ── others made ──▶
#   target   1 ──┴── 1 ── others dropped ── some made ──▶
#
# They are real, but small: the template's directory has lost most of its files before, and nobody can connect to them.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $count = 2000;
my $dropped_count = 100;

sub make_databases
{
    my ($server, $prefix, $first, $last) = @_;
    $server->sql(join "\n",
        map { "CREATE DATABASE $prefix$_ TEMPLATE small STRATEGY file_copy ALLOW_CONNECTIONS false;" } $first .. $last);
    return;
}

sub drop_databases
{
    my ($server, $first, $last) = @_;
    $server->sql(join "\n", map { "DROP DATABASE d$_;" } $first .. $last);
    return;
}

sub make_small_template
{
    my ($primary) = @_;
    $primary->sql('CREATE DATABASE small ALLOW_CONNECTIONS false');
    my $directory = 'base/' . $primary->query(q{SELECT oid FROM pg_database WHERE datname = 'small'});
    $primary->stop;
    for my $path (glob $primary->path("$directory/*")) { unlink $path
        if $path !~ m{/(PG_VERSION|pg_filenode\.map|2601|2601_vm)$} }
    $primary->start;
    return;
}

sub directories_of { my ($cluster) = @_; return join ' ', sort map { m{/(\d+)$} } glob $cluster->path('base/*') }

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            make_small_template($primary);
            make_databases($primary, 'd', 1, $count);
            $primary->sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 100) i');
        },
        source => sub {
            my ($source) = @_;
            drop_databases($source, 1, $dropped_count);
            make_databases($source, 's', 1, 3);
            $source->sql('DELETE FROM t WHERE i < 10');
        },
        target => sub {
            my ($target) = @_;
            drop_databases($target, $dropped_count + 1, 2 * $dropped_count);
            make_databases($target, 't', 1, 5);
            $target->sql('DELETE FROM t WHERE i > 90');
        });
    my $databases = $source->query('SELECT count(*) FROM pg_database');
    cmp_ok($databases, '>', $count - $dropped_count, "the source has $databases databases");
    rewinds_from_both_kinds($source, $target, check => sub {
        my ($rewound, $source) = @_;
        is(directories_of($rewound), directories_of($source), 'the directories of databases are those of the source');
    });
}, only => [18], left => 1);
