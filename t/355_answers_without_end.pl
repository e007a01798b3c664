# A peer cannot hold up the run, or fill its memory, by what it answers: an answer that no statement of ours has
# ends it, notifications are dropped, rows that were not asked for are not collected, and SIGTERM always ends it.
# (Rule T11. The attacker: the source, as a peer. The same for all versions of servers.)
#
#   pg_rewind ── BEGIN, settings ──▶ peer: an error, then COPY without end; notifications without end; rows without end

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX ();
use RewindTest;
use RewindTest::Background;
use Time::HiRes ();

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }

sub error { my ($sqlstate) = @_; return message(E => "SERROR\0VERROR\0C$sqlstate\0Mno\0\0") }

# One column of a row, as text.
my $column = message(T => pack('n', 1) . "a\0" . pack 'NnNnNn', 0, 0, 25, -1, -1, 0);
my $row = message(D => pack('nN', 1, 7000) . 'b' x 7000);
my $taken = message(1 => '') . message(2 => '');

# What each peer answers to the first statements: first once, then without end.
my %answers = (
    copy => [ $taken . error('57014') . message(H => "\0\0\0"), '' ],
    copy_both => [ $taken . message(W => "\0\0\0"), '' ],
    notifications => [ '', message(A => pack('N', 1) . "a\0" . 'b' x 7000 . "\0") x 20 ],
    rows => [ $taken . $column, $row x 20 ],
);

# Messages of runs that end by themselves.
my $unexpected = qr/^pg_rewind: error: unexpected answer from the source server: PGRES_COPY_/m;
my %messages = (
    copy => $unexpected,
    copy_both => $unexpected,
    rows => qr/^pg_rewind: error: unexpected result set from query/m,
);
my $kilobytes_max = 300_000;

# The address sanitizer keeps 256 MB of what was freed, by default: that is none of the program's memory.
local $ENV{ASAN_OPTIONS} = with_asan_option('quarantine_size_mb=16');

sub start_peer
{
    my ($version, $name) = @_;
    my $dir = work_dir() . "/$name.$version";
    mkdir $dir;
    my $server = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 20) or die "could not listen: $!";
    my $pid = fork // die;
    return ($dir, $pid) if $pid;
    $SIG{PIPE} = 'IGNORE';
    my ($first, $endless) = @{ $answers{$name} };
    my @clients;
    while (my $client = $server->accept)
    {
        sysread($client, my $startup, 10000) or next;
        my %parameters = (server_version => "$version.1", server_encoding => 'UTF8', client_encoding => 'UTF8');
        my $parameters = join '', map { message(S => "$_\0$parameters{$_}\0") } sort keys %parameters;
        syswrite($client, message(R => pack 'N', 0) . $parameters . message(K => pack 'NN', 1, 2) . message(Z => 'I'));
        sysread($client, my $asked, 100000) or next;
        syswrite($client, $first);
        while ($endless ne '' && defined syswrite($client, $endless)) { }
        push @clients, $client;
    }
    exit;
}

# Memory of a process and its children, in kB.
sub kilobytes
{
    my ($pid) = @_;
    my $kilobytes = 0;
    for my $process ($pid, split ' ', process_file($pid, "task/$pid/children"))
    {
        my ($resident) = process_file($process, 'status') =~ /VmRSS:\s+(\d+)/;
        $kilobytes += $resident // 0;
    }
    return $kilobytes;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('CREATE TABLE s AS SELECT 1 AS a') },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 3 AS a') });
    for my $name (sort keys %answers)
    {
        my ($dir, $peer) = start_peer($version, $name);
        my $run = start_rewind($target, $source,
            conninfo => "host=$dir dbname=postgres", options => [ '-n', '--retry-timeout=3' ]);
        my ($end, $most) = (Time::HiRes::time() + 2, 0);
        while (!has_ended($run) && Time::HiRes::time() < $end && $most < $kilobytes_max)
        {
            my $now = kilobytes($run->{pid});
            $most = $now if $now > $most;
            Time::HiRes::sleep(0.02);
        }
        cmp_ok($most, '<', $kilobytes_max, "$name: the memory of the run in kB");
        my $ended = has_ended($run);
        kill 'TERM', $run->{pid} if !$ended;
        my $result = end_of_rewind($run);
        isnt($result->{status}, 0, "$name: it fails, by itself or by SIGTERM");
        like($result->{stderr}, $messages{$name}, "$name: it says why") if $messages{$name};
        kill 'KILL', $peer;
        waitpid $peer, 0;
    }
});
