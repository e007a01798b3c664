# A directory as source in which a file changes its size, or vanishes, while it is copied: refused, and the target stays
# as it was.
#
#   source directory   listed ──▶ file map ──┬── copied ──▶ ✕
#                                            └ a file grows, shrinks, or is no longer empty
# (Rule C53.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

sub write_file
{
    my ($path, $mode, $text) = @_;
    open(my $file, $mode, $path) or die "could not open $path: $!";
    print $file $text;
    close $file or die "could not write $path: $!";
    return;
}

my @changes = (
    [ 'a file that is copied grows', 'differs', sub { write_file($_[0], '>>', 'more') }, 2_000_000, 2_000_004 ],
    [ 'a file that is equal grows', 'equal', sub { write_file($_[0], '>>', 'more') }, 6, 10 ],
    [ 'an empty file grows', 'empty', sub { write_file($_[0], '>>', 'more') }, 0, 4 ],
    [ 'a file shrinks', 'differs', sub { truncate($_[0], 1) or die "could not truncate $_[0]: $!" }, 2_000_000, 1 ],
    [ 'a table shrinks', 'table', sub { truncate($_[0], 8192) or die "could not truncate $_[0]: $!" }, 'size', 8192 ],
    [ 'a table vanishes', 'table', sub { unlink($_[0]) or die $! }, 'vanished' ],
    [ 'a file that is copied vanishes', 'differs', sub { unlink($_[0]) or die $! }, 'vanished' ],
    [ 'a log grows', 'log/server.log', sub { write_file($_[0], '>>', 'more') } ],
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 10000) i') },
        target => sub { $_[0]->sql('UPDATE t SET i = -i') });
    my $table = $source->query("SELECT pg_relation_filepath('t')");
    $source->stop;
    for my $cluster ($source, $target)
    {
        mkdir $cluster->path('log');
        write_file($cluster->path('log/server.log'), '>', "started\n");
        write_file($cluster->path('equal'), '>', 'equal!');
        write_file($cluster->path('empty'), '>', '');
    }
    write_file($source->path('differs'), '>', 'x' x 2_000_000);
    for my $change (@changes)
    {
        my ($name, $file, $does, $expected, $copied) = @$change;
        my $copy = $target->copy('rewound');
        my $path = $source->path($file eq 'table' ? $table : $file);
        my $before = slurp($path);
        $expected = length $before if ($expected // '') eq 'size';
        # Held when the first file is copied.
        my $held = hold($copy, $source, 'create@*/pg_rewind.work/*', '--no-sync', '--debug', '--source-pgdata',
            $source->data);
        like(slurp($held->{errors}), qr/^pg_rewind: differs \(COPY\)$/m, "$name: it comes when all files are listed");
        $does->($path);
        my ($status, $said) = @{ go_on($held) }{qw(status stderr)};
        write_file($path, '>', $before);
        if (!defined $expected)
        {
            is($status, 0, "$name: nothing is wrong") or diag($said);
        }
        elsif ($expected eq 'vanished')
        {
            is($status, 1, "$name: refused") or diag($said);
            like($said, qr/^pg_rewind: error: source file "\Q$path\E" has vanished$/m, "$name: what is said");
            ok(!-e $copy->path('differs'), "$name: the target is as it was");
        }
        else
        {
            is($status, 1, "$name: refused") or diag($said);
            like($said,
                qr/^pg_rewind: error: size of source file "\Q$path\E" changed concurrently: $expected bytes expected, $copied copied$/m,
                "$name: what is said");
            ok(!-e $copy->path('differs'), "$name: the target is as it was");
        }
        $copy->discard;
    }
}, sample => 1);
