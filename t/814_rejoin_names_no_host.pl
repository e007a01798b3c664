# --rejoin leaves a standby alone that follows the source by a primary_conninfo without a host, as pg_basebackup -R
# writes it: its server's libpq takes that from the environment of the server, or has a directory of sockets of its own.
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ── primary_conninfo by hand ── again ──▶
# (Rules I55, S20.)

use strict;
use warnings;
use lib 't/lib';
use List::Util qw(uniq);
use RewindTest;
use RewindTest::Outcome;

my ($source, $target);
my @sockets;
END { unlink @sockets }

sub rejoin
{
    my ($conninfo, @options) = @_;
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --keep-config -B), $target->bindir,
        '--source-server', "$conninfo user=postgres dbname=postgres application_name=target", @options) ]);
}

# Make it a standby with this primary_conninfo, and start it with these variables.
sub follows_by
{
    my ($conninfo, %variables) = @_;
    my $file = $target->path($target->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    $conninfo .= ' user=postgres application_name=target';
    $target->stop if $target->is_running;
    spew($file, slurp($file) =~ s/^primary_conninfo = .*$/primary_conninfo = '$conninfo'/mr);
    {
        local @ENV{ keys %variables } = values %variables;
        $target->start;
    }
    $target->wait_for_stream_from($source);
    return;
}

sub is_left_alone
{
    my ($what, $conninfo) = @_;
    my $pid = $target->postmaster_pid;
    ends(rejoin($conninfo), 0, $what,
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is($target->postmaster_pid, $pid, "$what: the server goes on");
    return;
}

# Where each libpq looks, that of the servers and that of pg_rewind, the source's socket has another port.
sub by_default_socket
{
    my $port = 20000 + $$ % 40000;
    my $of_server = $source->query(q{SELECT boot_val FROM pg_settings WHERE name = 'unix_socket_directories'});
    my ($ours) = rejoin("port=$port", '-n')->{stderr} =~ m{on socket "(.*)/};
    SKIP: {
        skip('libpq has no directory of sockets', 1) if !$ours;
        for my $directory (uniq($of_server, $ours))
        {
            my $socket = "$directory/.s.PGSQL.$port";
            skip("no socket can be made in $directory", 1) if !symlink($source->dir . '/.s.PGSQL.5432', $socket);
            push @sockets, $socket;
        }
        follows_by("port=$port");
        is_left_alone('by the default directory of sockets', "port=$port");
        is_left_alone('the other libpq\'s directory', "host=$_ port=$port") for uniq($of_server, $ours);
    }
    return;
}

sub by_environment
{
    my $address = join '.', 127, 1, $$ >> 8 & 255, ($$ & 255) | 1;
    append($source->path('pg_hba.conf'), "host all,replication all 127.0.0.0/8 trust\n");
    $source->stop;
    $source->start(settings => { listen_addresses => $address });
    follows_by('port=5432', PGHOST => $address);
    is_left_alone('by PGHOST', "host=$address port=5432");
    follows_by('port=5432', PGHOST => 'nowhere', PGHOSTADDR => $address);
    is_left_alone('by PGHOSTADDR', "host=nowhere hostaddr=$address port=5432");
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    ends(rejoin('host=' . $source->dir), 0, 'a rewind', qr/^pg_rewind: the target follows the source/m);
    by_default_socket();
    by_environment();
}, only => [ 10, 15, 18 ]);
