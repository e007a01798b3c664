# Every file of a cluster, to be compared byte by byte with what it was, or with another cluster's.

package RewindTest::Tree;

use strict;
use warnings;

use Digest::MD5 ();
use Exporter 'import';
use File::Find ();
use RewindTest::Command;
use RewindTest::ControlFile 'find_crc';
use Test::More;

our @EXPORT = qw(tree without_times rewound_tree difference is_same_tree nothing_is_left crc_offset);

# path => type, permissions, content, time of change; the path relative to the cluster's directory. postmaster.opts is
# left out: every server that tries to start writes it.
sub tree
{
    my ($cluster) = @_;
    my $dir = $cluster->dir;
    my %tree;
    my $visit = sub {
        my $path = substr($_, length($dir) + 1);
        return if $path eq 'data/postmaster.opts';
        my ($mode, $changed) = (lstat)[2, 9];
        if (-l _) { $tree{$path} = 'link ' . readlink =~ s/^\Q$dir\E//r }
        elsif (-d _) { $tree{$path} = sprintf('directory %o', $mode) }
        elsif (-f _) { $tree{$path} = sprintf('file %o %s %s', $mode, md5($_), $changed) }
        else { $tree{$path} = sprintf('other %o', $mode) }
    };
    no warnings 'File::Find';    # of directories that may not be read
    File::Find::find({ no_chdir => 1, wanted => $visit }, "$dir/data", "$dir/tablespace");
    return \%tree;
}

# What may not be read has no content here.
sub md5
{
    my ($path) = @_;
    my $content = eval { slurp($path) };
    return defined $content ? Digest::MD5::md5_hex($content) : '-' x 32;
}

# Without the times of change.
sub without_times
{
    my ($tree) = @_;
    s/(?<=[-0-9a-f]{32}) \d+$// for values %$tree;
    return $tree;
}

# The same after a rewind: what differs from run to run is left out, the times of files, and of label and pg_control
# with its checksum.
sub rewound_tree
{
    my ($cluster) = @_;
    my $tree = without_times(tree($cluster));
    $tree->{'data/backup_label'} = slurp($cluster->path('backup_label')) =~ s/^START TIME.*$//mr
        if -e $cluster->path('backup_label');
    my $control = slurp($cluster->path('global/pg_control'));
    substr($control, $_->[0], $_->[1]) = '' for [ crc_offset($control) // 0, 4 ], [ 24, 8 ];
    $tree->{'data/global/pg_control'} = Digest::MD5::md5_hex($control);
    return $tree;
}

# Where a pg_control has its checksum; undef if there is none that is right.
sub crc_offset { my ($control) = @_; return (find_crc($control))[0] }

# Which paths of two trees differ, a line for each; '' if none does.
sub difference
{
    my ($found, $expected) = @_;
    my %path = (%$found, %$expected);
    return join '', map { "$_: " . ($found->{$_} // 'nothing') . ', expected ' . ($expected->{$_} // 'nothing') . "\n" }
        grep { ($found->{$_} // 'nothing') ne ($expected->{$_} // 'nothing') } sort keys %path;
}

# Test that two trees are the same; says which files are not.
sub is_same_tree
{
    my ($found, $expected, $name) = @_;
    return is(difference($found, $expected), '', $name);
}

# Test that nothing of ours is left in a target, nor below its tablespaces.
sub nothing_is_left
{
    my ($cluster) = @_;
    my @left = grep { m{(?:^|/)(?:pg_rewind|postmaster\.pid)} } sort keys %{ tree($cluster) };
    return is("@left", '', 'nothing of pg_rewind is left');
}

1;
