# Files that no server made, on either side, neither stop a rewind nor let it hang, and lose nothing outside the
# data directory.  (Both sources; nothing here depends on the server's version.)
#
#   in the target                     afterwards
#   socket, fifo                      left alone
#   link, dangling or not             gone where the source has no such file, without what it points to
#   file without write permission     the source's, like any other file
#   anything else                     as in the source
# (Rule C87.)

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX;
use POSIX ();
use RewindTest;
use RewindTest::Held;

sub make_socket
{
    my ($path) = @_;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 1) or die "$path: $@";
    close $socket;
    return;
}

# What both sides have, each its own.
sub make_odd_files
{
    my ($cluster, $side) = @_;
    my $outside = $cluster->dir . '/outside';
    mkdir $outside or die;
    spew("$outside/file", "outside of $side");
    mkdir $cluster->path("odd of $side") or die;
    mkdir $cluster->path("odd of $side/empty directory") or die;
    mkdir $cluster->path('common') or die;
    for my $directory ("odd of $side", 'common')
    {
        my $path = $cluster->path($directory);
        mkdir "$path/nested" or die;
        spew("$path/nested/file with blanks", "$directory, $side");
        spew("$path/nested/ \$HOME '\"\\;*?.conf", "strange, $side");
        spew("$path/no bytes", '');
        make_socket("$path/socket");
        POSIX::mkfifo("$path/fifo", 0600) or die;
        symlink('nowhere', "$path/dangling") or die;
        symlink("$outside/file", "$path/to_file") or die;
        symlink($outside, "$path/to_directory") or die;
    }
    # The same size on both sides, and not.
    spew($cluster->path('server.key'), "key of $side");
    spew($cluster->path('server.crt'), "certificate of $side" . '!' x ($side eq 'source' ? 100 : 9000));
    chmod 0400, $cluster->path('server.key'), $cluster->path('server.crt');
    return;
}

# A server says of them what it says of an empty file, and opening a fifo would block it: all that can be done is to say
# so.
sub odd_files_of_source
{
    my ($source, $new, $result) = @_;
    for my $name (qw(fifo socket))
    {
        if ($source->is_running)
        {
            ok(-f "$new/$name" && -z "$new/$name", "a $name of a source server is an empty file");
            like($result->{stderr},
                qr/^pg_rewind: warning: "odd of source\/$name" is copied as an empty file: the source server does not distinguish it from a fifo, socket or device$/m,
                'with a warning');
        }
        else
        {
            ok(!-e "$new/$name", "a $name of a source directory is not there");
            like($result->{stderr},
                qr/^pg_rewind: warning: "odd of source\/$name" in the source is not a regular file and is left alone$/m,
                'there is a warning');
        }
    }
    is(() = $result->{stderr} =~ /is copied as an empty file/g, $source->is_running ? 3
        : 0, 'there is one for each empty file that is new');
    return;
}

sub odd_files_are_right
{
    my ($target, $source, $result) = @_;
    my $own = $target->path('odd of target');
    my $new = $target->path('odd of source');

    ok(-S "$own/socket", 'a socket of the target is left alone');
    ok(-p "$own/fifo", 'a fifo of the target is left alone');
    like($result->{stderr}, qr/^pg_rewind: warning: .*odd of target\/$_" /m, "there is a warning of the $_")
        for qw(socket fifo);
    is(join(' ', grep { -l || -e } map { "$own/$_" } qw(dangling to_file to_directory nested empty\
        directory), 'no bytes'), '',
        'all else that only the target had is gone');
    is(slurp($target->dir . '/outside/file'), 'outside of target', 'a file outside the data directory is as it was');

    is(slurp("$new/nested/file with blanks"), 'odd of source, source', 'a file of an unknown directory is copied');
    is(slurp("$new/nested/ \$HOME '\"\\;*?.conf"), 'strange, source', 'a file with a strange name is copied');
    is(-s "$new/no bytes", 0, 'an empty file is copied');
    odd_files_of_source($source, $new, $result);
    ok(-d "$new/empty directory", 'an empty directory is made');

    is(slurp($target->path('common/nested/file with blanks')), 'common, source', 'a common file is copied');
    ok(-p $target->path('common/fifo'), 'a fifo on both sides is a fifo');
    # A server does not tell of a link that dangles.
    ok($source->is_running || -l $target->path('common/dangling'),
        'a dangling link on both sides is a link where it can be seen');
    is(slurp($target->path('server.key')), 'key of source', 'a file without write permission is copied: same size');
    is(slurp($target->path('server.crt')), slurp($source->path('server.crt')),
        'a file without write permission is copied: other size');
    is((stat $target->path('server.key'))[2] & 07777, 0400, 'it keeps its permissions');
    return;
}

# A file of a stopped source's directory that grows or shrinks while it is copied, or has since it was listed.
sub changes_concurrently
{
    my ($source, $target) = @_;
    my $file = $source->path('changing');
    for my $size (0, 5000, 20000)
    {
        spew($file, 'x' x 10000);
        my $copy = $target->copy('concurrently');
        my $held = hold($copy, $source, 'create@*/pg_rewind.work/*', '--source-pgdata', $source->data);
        spew($file, 'y' x $size);
        my $result = go_on($held);
        is($result->{status}, 1, "a file that had 10000 bytes has $size: refused");
        like($result->{stderr},
            qr/^pg_rewind: error: size of source file "\Q$file\E" changed concurrently: 10000 bytes expected, $size copied$/m,
            'as the original says it');
        like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\.$/m, 'and nothing was changed');
        $copy->discard;
    }
    unlink $file;
    return;
}

# A container's engine makes a directory where a file is to be mounted that is missing.
sub directory_in_the_way
{
    my ($source, $target) = @_;
    my $copy = $target->copy('in_the_way');
    my $path = $copy->path($source->version < 12 ? 'recovery.conf' : 'standby.signal');
    mkdir $path or die;
    my $result = rewind($copy, $source, options => ['-R']);
    is($result->{status}, 1, 'a directory where -R writes a file: refused');
    like($result->{stderr}, qr/^pg_rewind: error: cannot replace "\Q$path\E": it is a directory$/m, 'it says so')
        or diag($result->{stderr});
    rmdir $path or die;
    rewinds($copy, $source, options => ['-R']);
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    make_odd_files($source, 'source');
    rewinds_from_both_kinds($source, $target,
        prepare => sub { my ($copy) = @_; make_odd_files($copy, 'target') },
        rewound => \&odd_files_are_right,
        no_promotion => 1);
    directory_in_the_way($source, $target);
    $source->stop;
    changes_concurrently($source, $target);
}, only => [ 10, 15, 18 ]);
