# Relations of several segments and other files of more than 2 GB.  (Both sources.  The sizes of both are no matter
# of the server's version: one version, for these files take time.)
#
# All is sparse: a block of zeros is a valid empty page.
# (Rule C96.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $segment_size = 1 << 30;
my $other_size = 2100 << 20;

sub make_larger { my ($path, $size) = @_; must_run([ 'truncate', '-s', $size, $path ]); return }

# Let a table of a stopped cluster fill a segment, and some of the next.
sub fill_segment
{
    my ($cluster, $path) = @_;
    make_larger($cluster->path($path), $segment_size);
    make_larger($cluster->path("$path.1"), 4 << 20);
    return;
}

sub build
{
    my ($primary) = @_;
    my @tables = qw(kept shrunk_on_source grown_on_target);
    $primary->sql("CREATE TABLE $_ (a int, b text); INSERT INTO $_ SELECT i, 'before' FROM generate_series(1, 1000) i")
        for @tables;
    my %path = map { $_ => $primary->query("SELECT pg_relation_filepath('$_')") } @tables;
    $primary->stop;
    fill_segment($primary, $path{$_}) for qw(kept shrunk_on_source);
    make_larger($primary->path($path{grown_on_target}), $segment_size);
    $primary->start;
    return;
}

# Rows go to the end of the table and to free space at its beginning.
sub write_apart
{
    my ($server, $side) = @_;
    my $remainder = $side eq 'source' ? 0 : 1;
    for my $table (qw(kept shrunk_on_source grown_on_target))
    {
        $server->sql("UPDATE $table SET b = '$side' WHERE a % 3 = $remainder AND a < 1000;
            INSERT INTO $table SELECT i, '$side' FROM generate_series(1, 1000) i") if $table ne 'grown_on_target' || $side eq 'target';
    }
    $server->sql('DELETE FROM shrunk_on_source WHERE b = \'source\' OR a > 10'), $server->sql('VACUUM shrunk_on_source')
        if $side eq 'source';
    return;
}

sub make_other
{
    my ($cluster, $text) = @_;
    mkdir $cluster->path('unknown') or die;
    my $path = $cluster->path('unknown/large');
    must_run([ 'truncate', '-s', $other_size, $path ]);
    open(my $file, '+<:raw', $path) or die;
    for my $offset (0, $other_size / 2, $other_size - 100) { seek($file, $offset, 0); print {$file} "$text at $offset" }
    close($file);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => \&build,
        source => sub { my ($source) = @_; write_apart($source, 'source') },
        target => sub { my ($target) = @_; write_apart($target, 'target') });
    my $grown = $source->query("SELECT pg_relation_filepath('grown_on_target')");
    my $shrunk = $source->query("SELECT pg_relation_filepath('shrunk_on_source')");
    make_other($source, 'source');
    cmp_ok(-s $target->path("$grown.1") // 0, '>', 0, 'the target has a second segment that the source lacks');
    cmp_ok(-s $source->path($shrunk), '<', $segment_size, 'the source has no second segment any more');

    rewinds_from_both_kinds($source, $target,
        rewound => sub {
            my ($rewound, $source) = @_;
            is(-s $rewound->path("$grown.1") // 0, 0, 'the second segment of the target alone is gone');
            is(-s $rewound->path("$shrunk.1") // 0, 0, 'what the source cut off is gone');
            is(-s $rewound->path('unknown/large'), $other_size, 'a file of more than 2 GB has its size');
            is(run([ 'cmp', map { $_->path('unknown/large') } $rewound, $source ])->{status}, 0, 'and its content');
            unlink $rewound->path('unknown/large');
        },
        options => ['--no-sync'], no_promotion => 1);
}, only => [18], left => 1);
