# pg_wal may be a link on either side, to another file system too; it stays what it was.  (Both sources
# for links on both sides, one for each of the others. No version is different: the oldest, one between, the newest.)

use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use RewindTest;

# Move pg_wal of a stopped cluster and leave a link.
sub link_wal
{
    my ($cluster, $place) = @_;
    $place //= $cluster->dir . '/wal';
    must_run([ 'mv', $cluster->path('pg_wal'), $place ]);
    symlink($place, $cluster->path('pg_wal')) or die "could not make a link: $!";
    return;
}

sub stays_a_link
{
    my ($target) = @_;
    ok(-l $target->path('pg_wal') && -d $target->path('pg_wal'), 'pg_wal is the link it was');
    is(join(' ', grep { !/\/(archive_status|summaries|\d{8}\.history|[0-9A-F]{24})$/ } glob($target->path('pg_wal')
        . '/{*,.[!.]*}')), '',
        'nothing of ours is left there');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => $version < 11 ? 16 : 1 },
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });

    subtest('a link on the target', sub {
        my $copy = $target->copy('linked');
        link_wal($copy);
        rewinds($copy, $source);
        stays_a_link($copy);
        rejoins($copy, $source, no_promotion => 1);
        $copy->discard;
    });

    $source->stop;
    link_wal($source);
    subtest('a link on the source', sub {
        my $copy = $target->copy('not_linked');
        rewinds($copy, $source, kind => 'directory');
        ok(!-l $copy->path('pg_wal'), 'pg_wal is the directory it was');
        $source->start;
        rejoins($copy, $source, no_promotion => 1);
        $copy->discard;
    });

    # /dev/shm is another file system than the one the tests run in, as a rule.
    my $other = File::Temp::tempdir('pg_rewind.XXXXX', DIR => -w '/dev/shm' ? '/dev/shm' : work_dir(), CLEANUP => 1);
    subtest('links on both sides, the target\'s to another file system', sub {
        my $copies = 0;
        rewinds_from_both_kinds($source, $target,
            prepare => sub { my ($copy) = @_; link_wal($copy, "$other/wal" . $copies++) },
            rewound => \&stays_a_link, no_promotion => 1);
    });

    subtest('a link to the source\'s own directory', sub {
        my $copy = $target->copy('copy');
        $source->stop;
        my $wal = readlink $source->path('pg_wal');
        must_run([ 'rm', '-r', $copy->path('pg_wal') ]);
        symlink($wal, $copy->path('pg_wal')) or die;
        my @files = sort glob("$wal/*");
        my $result = rewind($copy, $source, kind => 'directory');
        isnt($result->{status}, 0, 'is refused');
        like($result->{stderr}, qr/^pg_rewind: error: /m, 'with an error');
        is_deeply([ sort glob("$wal/*") ], \@files, 'the source\'s WAL is as it was');
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
