# --report-file harms nothing: the report gets its name when it is whole, and has no place where a server's files are.

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
    like($result->{stderr}, qr/(?:error|warning: there is no report): report file "\Q$file\E" must not be inside "\//, 'with that reason');
    ok((-e $file ? slurp($file) : '') eq ($before // ''), 'and what is there stays');
    is(join(' ', glob("$file*new")), '', 'nothing is left beside it');
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
    my ($wal, $link) = map { work_dir() . "/$_" } qw(wal link);
    must_run([ 'mv', $target->path('pg_wal'), $wal ]);
    symlink($wal, $target->path('pg_wal')) or die "$wal: $!";
    symlink($target->data, $link) or die "$link: $!";
    my $state = tree($target);

    for my $options ([], ['-n'], ['--nonsense'])
    {
        is_refused($target, $source, $_, @$options)
            for $target->path('postgresql.conf'), $target->path('report'), "$link/log", $target->path('base/1/1259'), $source->path('PG_VERSION'),
            "$location/report", "$wal/report";
    }
    is_deeply(tree($target), $state, 'the target is unchanged');

    my $file = work_dir() . '/report';
    spew($file, 'former');
    chmod 0604, $file;
    symlink('report', "$file.link") or die "$file.link: $!";
    my $fault = rewind($target->copy('killed'), $source, kind => 'directory', fault => 'kill:rename@*/backup_label', options => ["--report-file=$file.link"]);
    is($fault->{signal}, 9, 'a run is killed');
    is(slurp($file), 'former', 'the former report is still there');
    my $result = rewind($target, $source, kind => 'directory', options => [ "--report-file=$file.link", '--report=json', '-n' ]);
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
}, only => [ 10, 13, 15, 18 ]);
