# --report-file harms nothing: the report gets its name when it is whole, and has no place where a server's files are.
# (Rules D1, T8.)

use strict;
use warnings;

use JSON::PP ();
use POSIX ();
use RewindTest;
use RewindTest::Tree;

sub is_refused
{
    my ($target, $source, $file, @options) = @_;
    my $before = -e $file ? slurp($file) : undef;
    my $result = run([ rewind_argv($target->data, '--source-pgdata', $source->data, "--report-file=$file", @options) ]);
    is($result->{status}, 1, "refused: $file @options");
    like($result->{stderr}, qr/error: report file "\Q$file\E" must not be inside "\//, 'with that reason');
    ok((-e $file ? slurp($file) : '') eq ($before // ''), 'and what is there stays');
    is(join(' ', glob("$file*new")), '', 'nothing is left beside it');
    return;
}

# A wrong command line names no directories that could be looked at, or too late: then no file is touched at all.
sub is_not_touched
{
    my ($target, $source, $file) = @_;
    spew($file, 'former');
    my @wrong = ([ '--nonsense', '-D', $target->data ], [ '-D', $target->data, '--jobs=none' ], [ '-D', $target->data ],
        [ '-D', $target->data, '--source-pgdata', $source->data, 'more' ]);
    for my $arguments (map { my $wrong = $_;
        ([ "--report-file=$file", @$wrong ], [ @$wrong, "--report-file=$file" ]) } @wrong)
    {
        my $inode = (stat $file)[1];
        is(run([ (rewind_argv(''))[0], @$arguments ])->{status}, 1, "a wrong command line: @$arguments");
        is(slurp($file), 'former', 'leaves the file');
        is((stat $file)[1], $inode, 'which is no new one');
    }
    is(join(' ', glob("$file.*")), '', 'and makes none');
    return;
}

# What the program was started with may be a file that others write to as well: it stays that file, with what it has.
sub to_open_descriptors
{
    my ($target, $source) = @_;
    my $all = work_dir() . '/all';
    for my $name (qw(/dev/stdout /dev/fd/1 /proc/self/fd/1 /dev/stderr))
    {
        spew($all, "former\n");
        my $inode = (stat $all)[1];
        my @command = rewind_argv($target->data, '--source-pgdata', $source->data, '-n', "--report-file=$name");
        is(run([ 'sh', '-c', 'exec "$@" >> "$0" 2>&1', $all, @command ])->{status}, 0, "$name is a file");
        like(slurp($all), qr/\Aformer\n.*servers diverged at.*^pg_rewind: dry run: the target would be rewound$/ms,
            'that has all: what it had, messages, report');
        is((stat $all)[1], $inode, 'it is the same file');
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my $location;
    my ($source, $target) = split_brain($version,
        before => sub {
            $location = $_[0]->tablespace_location('space');
            $_[0]->sql("CREATE TABLESPACE space LOCATION '$location'; CREATE TABLE t (a int) TABLESPACE space");
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    $source->stop;
    my ($wal, $link) = map { work_dir() . "/$_.$version" } qw(wal link);
    must_run([ 'mv', $target->path('pg_wal'), $wal ]);
    symlink($wal, $target->path('pg_wal')) or die "$wal: $!";
    symlink($target->data, $link) or die "$link: $!";
    my $state = tree($target);
    my $other = $target->copy('other');

    for my $options ([], ['-n'])
    {
        is_refused($target, $source, $_, @$options)
            for $target->path('postgresql.conf'), $target->path('report'), "$link/log", $target->path('base/1/1259'),
                $source->path('PG_VERSION'),
            "$location/report", "$wal/report", map { $other->path($_) } qw(report base/1/1259);
    }
    $other->discard;
    is_deeply(tree($target), $state, 'the target is unchanged');
    is_not_touched($target, $source, "$wal/000000010000000000000099");
    unlink "$wal/000000010000000000000099" or die;

    my $file = work_dir() . "/report.$version";
    spew($file, 'former');
    chmod 0604, $file;
    symlink("report.$version", "$file.link") or die "$file.link: $!";
    my $fault = rewind($target->copy('killed'), $source, kind => 'directory', fault => 'kill:rename@*/backup_label',
        options => ["--report-file=$file.link"]);
    is($fault->{signal}, 9, 'a run is killed');
    is(slurp($file), 'former', 'the former report is still there');
    my $result = rewind($target, $source, kind => 'directory', options => [ "--report-file=$file.link", '--report=json',
        '-n' ]);
    is($result->{status}, 0, 'a dry run with a report') or diag($result->{stderr});
    is(JSON::PP->new->decode(slurp($file))->{result}, 'would_rewind', 'is in the file that the link leads to');
    ok(-l "$file.link", 'which is still a link');
    is((stat $file)[2] & 07777, 0604, 'with the permissions that it had');
    is(join(' ', glob("$file*new")), '', 'nothing else is left');

    # Pipes and devices are written to.
    POSIX::mkfifo("$file.fifo", 0600) or die "$file.fifo: $!";
    open(my $fifo, '+<', "$file.fifo") or die "$file.fifo: $!";
    rewind($target, $source, kind => 'directory', options => [ "--report-file=$file.fifo", '-n' ]);
    sysread($fifo, my $text, 65536);
    like($text, qr/^pg_rewind: /, 'a pipe');
    my $printed = rewind($target, $source, kind => 'directory', options => [ '--report-file=/dev/stdout', '-n' ]);
    like($printed->{stdout}, qr/^pg_rewind: /, '/dev/stdout');
    to_open_descriptors($target, $source);
}, only => [ 10, 13, 15, 18 ]);
