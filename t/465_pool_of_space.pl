# Subvolumes of one btrfs are different devices, each of which reports all free space of the pool. What a rewind needs
# on them is weighed together: too little space is found before anything is written. (Invariant 1. Nothing here depends
# on the server's version.)
#
#   data directory      the file system's own subvolume    a table
#   pg_wal              subvolume a
#   a tablespace        subvolume b                        a table
# (Rule C91.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

my $megabyte = 1024 * 1024;

sub free_megabytes { my ($copy) = @_;
    return int(must_run([ 'df', '--output=avail', '-B1', $copy->dir ]) =~ s/.*\n//r / $megabyte) }

# Have so many megabytes free.
sub leave_free
{
    my ($copy, $megabytes) = @_;
    my $filler = $copy->dir . '/filler';
    unlink $filler;
    must_run([ 'sync', '-f', $copy->dir ]);
    must_run([ 'fallocate', '-l', (free_megabytes($copy) - $megabytes) . 'M', $filler ]);
    must_run([ 'sync', '-f', $copy->dir ]);
    note free_megabytes($copy) . " MB are free, $megabytes were asked for";
    return;
}

sub try_dry
{
    my ($copy, $source) = @_;
    my $result = rewind($copy, $source, kind => 'directory', options => ['--dry-run']);
    my @errors = $result->{stderr} =~ /^pg_rewind: error: not enough space on the file system of "(.*)"$/mg;
    my @needed = $result->{stderr} =~ /^pg_rewind: detail: Up to (\d+) MB are needed/mg;
    return ($result->{status}, \@errors, \@needed);
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
        },
        source => sub {
            my ($source) = @_;
            $source->sql("CREATE TABLE t AS SELECT i, repeat('source', 100) FROM generate_series(1, 50000) i; CREATE TABLE s TABLESPACE space AS TABLE t; CHECKPOINT");
        },
        target => sub { $_[0]->sql('CREATE TABLE u AS SELECT 1 AS a') });
    $source->stop;
    my $copy = $target->copy('small');
    my $pristine = work_dir() . '/pristine';
    must_run([ 'cp', '-a', $copy->dir, $pristine ]);
    must_run([ 'find', $copy->dir, '-mindepth', 1, '-delete' ]);
    plan(skip_all => 'this kernel has no btrfs') if privileged('make-pool', $copy->dir) eq 'none';
    my $dir = $copy->dir;
    must_run([ 'cp', '-a', "$pristine/.", $dir ]);
    my ($wal) = grep { -d $copy->path($_) } qw(pg_wal pg_xlog);
    must_run([ 'mv', $copy->path($wal), "$dir/a/wal" ]);
    symlink("$dir/a/wal", $copy->path($wal)) or die;
    must_run([ 'mv', "$dir/tablespace/space", "$dir/b/space" ]);
    my ($link) = glob $copy->path('pg_tblspc/*');
    unlink $link;
    symlink("$dir/b/space", $link) or die;
    my %device = map { (stat $_)[0] => 1 } $copy->data, "$dir/a", "$dir/b";
    is(scalar keys %device, 3, 'they are three devices');

    leave_free($copy, 10);
    my ($status, $errors, $needed) = try_dry($copy, $source);
    is($status, 1, 'hardly any space: a dry run fails');
    is("@$errors", $copy->data, 'all need it from one file system');
    cmp_ok($needed->[0], '>', 2 * 30, 'which is to have all that is needed');
    leave_free($copy, $needed->[0] - 20);
    ($status, $errors) = try_dry($copy, $source);
    is($status, 1, 'enough for each of them, but not for all: a dry run fails');
    leave_free($copy, $needed->[0] + 1);
    my $said =
        JSON::PP->new->utf8->decode(run([ rewind_argv($copy->data, '--check', '--report=json', '--source-pgdata',
        $source->data) ])->{stdout});
    my ($space) = map { $_->{text} } grep { $_->{name} eq 'space' } @{ $said->{findings} };
    unlike($space // "\n", qr/\n/, '--check weighs them together too');
    is((try_dry($copy, $source))[0], 0, 'enough for all: it does not');
    rewinds($copy, $source, kind => 'directory');
    nothing_is_left($copy);
    privileged('unmount', $copy->dir);
    $copy->discard;
}, only => [15]);
