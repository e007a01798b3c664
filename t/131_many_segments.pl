# A relation of 67 segments: block numbers beyond 2^23, changed on both sides at its end and at its beginning.
# (Invariant 7. Both sources. Block numbers are no matter of the server's version: one version.)
#
# All but the ends is sparse: a block of zeros is a valid empty page. Nothing here may read the whole relation, so that
# what is compared are its ends.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $segment_size = 1 << 30;
my $segment_blocks = $segment_size / 8192;
my $full_segments = 65;
my $blocks = ($full_segments + 1) * $segment_blocks - 4;    # as both sides begin with
my $path;

# Let the table have that many blocks; rows are in the first ones.
sub lengthen
{
    my ($primary) = @_;
    $primary->sql("CREATE TABLE long (a int, b text); INSERT INTO long SELECT i, 'before' FROM generate_series(1, 1000) i");
    $path = $primary->query(q{SELECT pg_relation_filepath('long')});
    $primary->stop;
    for my $segment (0 .. $full_segments)
    {
        must_run([ 'truncate', '-s', $segment < $full_segments ? $segment_size : $segment_size - 4 * 8192,
            $primary->path($segment == 0 ? $path : "$path.$segment") ]);
    }
    $primary->start;
    return;
}

# New rows go behind the last block, updated ones into free space at the beginning.
sub write_apart
{
    my ($server, $side, $count) = @_;
    my $remainder = $side eq 'source' ? 0 : 1;
    $server->sql("INSERT INTO long SELECT i, '$side ' || repeat('x', 1000) FROM generate_series(1, $count) i;
        UPDATE long SET b = '$side' WHERE ctid IN (SELECT ctid FROM long WHERE ctid < '(20,0)' AND a % 3 = $remainder)");
    return;
}

# Rows, and where they are.
sub ends_of
{
    my ($server) = @_;
    my $behind = $blocks - 10;
    return $server->query("SELECT ctid, xmin, a, b FROM long WHERE ctid < '(40,0)'
        UNION ALL SELECT ctid, xmin, a, b FROM long WHERE ctid > '($behind,0)' ORDER BY 1");
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => \&lengthen,
        source => sub { write_apart($_[0], 'source', 15) },
        target => sub { write_apart($_[0], 'target', 100) });
    my $last = $full_segments + 1;
    cmp_ok(-s $target->path("$path.$last") // 0, '>', 0, 'the target has a segment that the source lacks');
    is(-s $source->path("$path.$last") // 0, 0, 'the source lacks it');
    for my $kind (qw(server directory))
    {
        my $rewound = $target->copy("from_$kind");
        $source->stop if $kind eq 'directory';
        rewinds($rewound, $source, kind => $kind, options => ['--no-sync']);
        $source->start if $kind eq 'directory';
        is(-s $rewound->path("$path.$last") // 0, 0, 'the segment of the target alone is gone');
        $rewound->follow($source)->start;
        $rewound->wait_for_replay_of($source);
        my $ends = ends_of($rewound);
        is($ends, ends_of($source), "rewound from a $kind, both ends of the relation are those of the source");
        like($ends, qr/^\($blocks,/m, 'rows behind block 2^23 are among them');
        unlike($ends, qr/target/, 'none of the target is');
        log_is_clean($rewound);
        $rewound->discard;
    }
}, only => [18], left => 1);
