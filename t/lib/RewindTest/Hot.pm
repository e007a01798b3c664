# A small table to which much is written: much WAL of a source, and few blocks.

package RewindTest::Hot;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(make_hot write_hot);

# 2,000 rows of a kilobyte, on pages with room for their next versions.
sub make_hot
{
    my ($cluster) = @_;
    $cluster->sql("CREATE TABLE hot (a int, v int, filler text) WITH (fillfactor = 40);
        INSERT INTO hot SELECT i, 0, repeat('x', 1000) FROM generate_series(1, 2000) i");
    return;
}

# All rows are updated, within their pages, until so much WAL is written.
sub write_hot
{
    my ($cluster, $megabytes) = @_;
    $cluster->sql(join '', map { "UPDATE hot SET filler = repeat(chr(65 + $_ % 26), 1000);\n" } 1 .. $megabytes / 2.2);
    return;
}

1;
