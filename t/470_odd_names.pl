# Names of files and of directories may be anything that the file system takes: blanks, newlines, bytes that are no
# UTF-8, paths as long as the kernel allows. (Invariants 1 and 9. Both sources; servers before 9.5 are asked in other
# words.)
#
#   data directory at a path of 4,000 bytes      rewound
#   of one byte more                             a clear error, nothing is changed
# (Rule C84.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

my @names = ("a blank", " leading and trailing ", "new\nline", "tab\tand\rreturn", "\xff\xfe no UTF-8 \xc3",
    "\xc3\xa4 UTF-8", "%s%n %d",
    "'quoted' \"twice\" \$HOME `id` \\ back", '-D', '*', 'x' x 255, "\x01\x7f control", "e\xcc\x81");

sub make_names
{
    my ($cluster, $side, $own) = @_;
    for my $directory ('', 'names', "names/\xff\n d", $own)
    {
        my $path = $cluster->path($directory);
        mkdir $path or die "$path: $!" if $directory ne '';
        spew("$path/$_", "$side, $directory, $_") for @names;
    }
    return;
}

# A server takes no name that is invalid in its encoding: such a file cannot be asked for.
sub can_be_fetched
{
    my ($name, $by_server) = @_;
    return !$by_server || utf8::decode(my $copy = $name);
}

sub names_are_right
{
    my ($rewound, $source, $result) = @_;
    my $by_server = $source->is_running;
    my $wrong = 0;
    for my $directory ('', 'names', "names/\xff\n d", 'of source')
    {
        for my $name (@names)
        {
            next if !can_be_fetched("$directory/$name", $by_server);
            my $content = eval { slurp($rewound->path("$directory/$name")) } // 'nothing';
            $wrong++, diag("$directory/$name: $content") if $content ne "source, $directory, $name";
        }
    }
    like($result->{stderr},
        qr/^pg_rewind: warning: "names\/\xff\xfe no UTF-8 \xc3" cannot be fetched and is left alone: its name is /m,
        'what a server does not take as a name is left alone, with a warning') if $by_server;
    is($wrong, 0, 'all files with odd names are the source\'s');
    ok(!-e $rewound->path('of target'), 'those of the target alone are gone');
    return;
}

# A directory whose path has so many bytes.
sub long_directory
{
    my ($bytes, $number) = @_;
    my $path = work_dir() . "/long$number";
    my $left = $bytes - length $path;
    while ($left > 0)
    {
        my $size = $left > 256 ? ($left - 201 < 2 ? 100 : 200) : $left;
        $path .= '/' . 'd' x ($size - 1);
        $left -= $size;
    }
    die length $path if length $path != $bytes;
    must_run([ 'mkdir', '-p', $path =~ s{/[^/]*$}{}r ]);
    return $path;
}

sub paths_may_be_long
{
    my ($source, $target, $kind) = @_;
    for my $bytes (4000, 4001)
    {
        my $copy = $target->copy('copy');
        my $before = tree($copy);
        my $long = long_directory($bytes, 1);
        my $result;
        must_run([ 'mv', $copy->data, $long ]);
        if ($kind eq 'server')
        {
            $result = run([ rewind_argv($long, '--source-server', $source->conninfo) ]);
        }
        else
        {
            # The source has a long path as well.
            my $from = long_directory(4000, 2);
            must_run([ 'mv', $source->data, $from ]);
            $result = run([ rewind_argv($long, '--source-pgdata', $from) ]);
            must_run([ 'mv', $from, $source->data ]);
        }
        must_run([ 'mv', $long, $copy->data ]);
        if ($bytes == 4000)
        {
            is($result->{status}, 0, 'a path of 4,000 bytes') or diag($result->{stderr});
            nothing_is_left($copy);
            $source->start if $kind eq 'directory';
            rejoins($copy, $source, no_promotion => 1);
            $source->stop if $kind eq 'directory';
        }
        else
        {
            is($result->{status}, 1, "a path that leaves no room for those of files") or diag($result->{stderr});
            like($result->{stderr}, qr/^pg_rewind: error: path of directory ".*" is too long$/m, 'it says why');
            is_same_tree(tree($copy), $before, 'nothing was changed');
        }
        $copy->discard;
        must_run([ 'rm', '-rf', glob(work_dir() . '/long*') ]);
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1); CREATE TABLE s AS TABLE t') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2); CREATE TABLE u AS TABLE t') });
    subtest('long paths, source is a server', sub { paths_may_be_long($source, $target, 'server') });
    $source->stop;
    subtest('long paths, source is a directory', sub { paths_may_be_long($source, $target, 'directory') });
    $source->start;

    make_names($source, 'source', 'of source');
    make_names($target, 'target', 'of target');
    rewinds_from_both_kinds($source, $target, rewound => \&names_are_right, no_promotion => 1);
}, only => [15]);
