# Are the pages of a standby those of its primary? The judge is tests/same_pages.c, which compares what lies on the
# disks of both.
#
# Rows are compared by RewindTest::Comparison. That does not see entries of indexes that no query looks for, visibility
# maps, or what an image mends that a primary logs when it is read. So pages are compared first: between the last writes
# and that, nothing reads a table of the primary.

package RewindTest::Pages;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;
use Test::More;

our @EXPORT = qw(pages_are_those_of compare_pages judge_is_there hints_are_without_images);

# Offsets in pg_control, alike in all versions: the location of the last checkpoint's record. (9.3 and 9.4: one of 64
# bits as well.)
sub checkpoint_of
{
    my ($cluster) = @_;
    my $location = unpack 'Q<', substr(slurp($cluster->path('global/pg_control')), 32, 8);
    return sprintf '%X/%X', $location >> 32, $location & 0xFFFFFFFF;
}

# The standby has replayed the record of that checkpoint, and writes down all that it knows.
sub restartpoint_at
{
    my ($standby, $checkpoint) = @_;
    wait_until(
        sub { "$standby->{name} replays the checkpoint at $checkpoint; its log:\n" . $standby->log },
        sub { $standby->query("SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '$checkpoint') > 0, false)")
            eq 't' });
    $standby->sql('CHECKPOINT');
    return;
}

# It is not where only the program was built.
sub judge_is_there { return -x ($ENV{PG_REWIND_SAME_PAGES} // '') }

# From now on a page of the primary may have a newer LSN: it has full_page_writes = off. It logs hints then without an
# image of the page, and such a record is not replayed.
my @judged_by;
sub hints_are_without_images { @judged_by = '--hints-without-images'; return }

# What the judge says of two clusters, as run does.
sub compare_pages { my ($standby, $primary) = @_;
    return run([ $ENV{PG_REWIND_SAME_PAGES}, $standby->data, $primary->data, @judged_by ]) }

# Test that every page of a running standby is that of its primary, whose last command is a checkpoint: another query
# might set hints in catalogs. Of one that is stopped this was the shutdown.
sub pages_are_those_of
{
    my ($standby, $primary) = @_;
    return if !judge_is_there();
    $primary->sql('CHECKPOINT') if $primary->is_running;
    restartpoint_at($standby, checkpoint_of($primary));
    my $result = compare_pages($standby, $primary);
    note($result->{stdout} =~ /^(\d+ blocks in .*)/m);
    is($result->{status}, 0, 'every page of ' . $standby->name . ' is that of ' . $primary->name)
        or diag($result->{stdout} . $result->{stderr});
    return;
}

1;
