# The rows that --save-lost-rows writes do not depend on what else WAL has: images of pages may be compressed in each
# way, come with each record, or be missing; then some are not known, which is said, and none is wrong. The files of a
# target that was shut down tell more of them.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my @workload = qw(rows.sql keyless.sql deferred.sql);

sub variants
{
    my ($server) = @_;
    my $version = $server->version;
    my %settings = map { $_ => "wal_compression = $_" } grep { $version >= 15
        && $server->try_sql("SET wal_compression = $_")->{status} == 0 } qw(pglz lz4 zstd);
    $settings{on} = 'wal_compression = on' if $version < 15;
    return (%settings, checked => "wal_consistency_checking = 'all'", without_images => 'full_page_writes = off',
        shut_down_without_images => 'full_page_writes = off');
}

each_version(sub {
    my ($version) = @_;
    my $replica = make_cluster('replica', $version);
    my ($source, $logical, $empty) = diverged_copies($replica, qw(source logical empty));
    $logical->configure('wal_level = logical');
    $logical->start->sql(q{SELECT pg_create_logical_replication_slot('judge', 'test_decoding')});
    my %settings = variants($logical);
    run_workload($logical, @workload);
    my $decoded = decoded_rows($logical, 'judge');
    $logical->discard;

    for my $variant (sort keys %settings)
    {
        my $target = $empty->copy($variant);
        $target->configure($settings{$variant});
        run_workload($target->start, @workload);
        $target->stop($variant =~ /^shut_down/ ? 'fast' : 'immediate');
        my $file = save_lost_rows($target, $source)->{jsonl} // next;
        my ($saved, $others) = saved_rows($file);
        if ($variant =~ /without_images$/) { none_is_wrong($saved, $decoded,
            "$settings{$variant}: what is known is right", version => $version) }
        else                              { are_same_rows($saved, $decoded,
            "$settings{$variant}: the rows are the same", version => $version) }
        note(join '; ', map { "$_->{reason}: $_->{changes} changes, $_->{values} values" } @{ $others->[-1]{unknown} });
        $target->discard;
    }
}, only => [ 10, 14, 15, 18 ]);
