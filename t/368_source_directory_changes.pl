# A directory as source in which a file changes its size while it is copied: refused, and the target stays as it was.
#
#   source directory   listed ──▶ file map ──┬── copied ──▶ ✕
#                                            └ a file grows, shrinks, or is no longer empty

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

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
    [ 'a log grows', 'log/server.log', sub { write_file($_[0], '>>', 'more') } ],
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version);
    $source->stop;
    for my $cluster ($source, $target)
    {
        mkdir $cluster->path('log');
        write_file($cluster->path('log/server.log'), '>', "started\n");
        write_file($cluster->path('equal'), '>', 'equal!');
        write_file($cluster->path('empty'), '>', '');
    }
    # Slow enough that the change comes before the end.
    write_file($source->path('differs'), '>', 'x' x 2_000_000);
    for my $change (@changes)
    {
        my ($name, $file, $does, $expected, $copied) = @$change;
        my $copy = $target->copy('rewound');
        my $path = $source->path($file);
        my $before = slurp($path);
        my @argv = rewind_argv($copy->data, '--no-sync', '--source-pgdata', $source->data, '--debug', '--max-rate=8M');
        open(my $errors, '-|', 'exec ' . join(' ', map { "'$_'" } @argv) . ' 2>&1') or die "could not start pg_rewind: $!";
        my $said = '';
        while (my $line = <$errors>)
        {
            $said .= $line;
            $does->($path) if $line =~ /^pg_rewind: differs \(COPY\)$/;
        }
        close $errors;
        my $status = $? >> 8;
        write_file($path, '>', $before);
        if (!defined $expected)
        {
            is($status, 0, "$name: nothing is wrong") or diag($said);
        }
        else
        {
            is($status, 1, "$name: refused") or diag($said);
            like($said, qr/^pg_rewind: error: size of source file "\Q$path\E" changed concurrently: $expected bytes expected, $copied copied$/m, "$name: what is said");
            ok(!-e $copy->path('differs'), "$name: the target is as it was");
        }
        $copy->discard;
    }
}, sample => 1);
