# The configuration to come names where the server listens: with the port of another server on this host, as the
# source's own, or with addresses that this host does not have, it would not start. --rejoin refuses before the stop;
# without it there is a step. And a delay of replay is named where it is waited for. (Where recovery is configured: 10.)
#
#   source   1 ──┬── 2 ──▶  its files say: port, listen_addresses, unix_socket_directories
#   target       └── 1 ──▶ running elsewhere
# (Rules I65, S12.)

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET ();
use RewindTest;
use RewindTest::Outcome;

my ($source, $diverged, $target);

# Only options that are given here win over the files.
sub fresh
{
    my ($name, $options) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    $target->configure("unix_socket_directories = '.'");
    must_run([ "$target->{bindir}/pg_ctl", '-D', $target->data, '-w', '-l', "$target->{dir}/log.1", defined $options
        ? ('-o', $options) : (), 'start' ]);
    return;
}

sub of_target { my (@options) = @_;
    return run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]) }

sub rejoin { return of_target(qw(--rejoin --no-sync --rejoin-timeout=30 -B), $target->bindir, @_) }

# Settings in the source's last file, or in another one, for this time; its server does not read them.
sub with_settings
{
    my ($settings, $test, $name) = @_;
    my $file = $source->path($name // 'postgresql.auto.conf');
    my $before = slurp($file);
    append($file, $settings);
    $test->();
    spew($file, $before);
    return;
}

# While the server runs, which goes on, and when it is stopped; --check -R has it as a warning, and a rewind as a step.
sub is_refused
{
    my ($name, $error, $hint) = @_;
    fresh($name);
    my $pid = $target->postmaster_pid;
    ends(rejoin(), 1, $name, qr/^pg_rewind: error: $error$/m, $hint,
        qr/The target is unchanged, and its server is running\.$/m);
    is($target->postmaster_pid, $pid, "$name: the server goes on");
    like(of_target(qw(--check -R))->{stdout}, qr/^warning  standby +the target's server/m, "$name: --check -R warns");
    $target->stop;
    ends(rejoin(), 1, "$name, stopped", qr/^pg_rewind: error: $error$/m);
    ends(of_target(qw(-R --no-sync)), 0, "$name, -R", qr/^pg_rewind: hint: Before the server starts: the target's server could not listen/m,
        qr/ Once it is rewound, correct them in its postgresql\.conf or postgresql\.auto\.conf\.$/m);
    return;
}

sub free_port
{
    my $listening = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1)
        or die "could not listen: $!";
    return ($listening, $listening->sockport);
}

sub listens
{
    my ($listening, $port) = free_port();
    my $own = qr/^pg_rewind: hint: .*--keep-config/m;
    with_settings("listen_addresses = '127.0.0.1'\nport = $port\n", sub {
        is_refused('port', "the target's server could not listen on port $port: another server on this host does",
            $own);
        fresh('kept');
        ends(rejoin('--keep-config'), 0, 'the port that the target has',
            qr/^pg_rewind: the target follows the source/m);
        fresh('command_line', "-p 5432 -c listen_addresses='' -c unix_socket_directories=.");
        ends(rejoin(), 0, 'the port of its command line', qr/^pg_rewind: the target follows the source/m);
        fresh('free');
        close $listening;
        ends(rejoin(), 0, 'once the port is free', qr/^pg_rewind: the target follows the source/m);
        my $pid = $target->postmaster_pid;
        ends(rejoin(), 0, 'its own port',
            qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
        $target->stop;
    });
    # The port is the target's own.
    fresh('own');
    append($target->path('postgresql.auto.conf'), "listen_addresses = '127.0.0.1'\nport = $port\n");
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1)
        or die "could not listen: $!";
    my $kept = rejoin('--keep-config');
    ends($kept, 1, 'a port of its own', qr/^pg_rewind: error: the target's server could not listen on port $port: /m,
        qr/^pg_rewind: hint: Correct port and listen_addresses where the target's configuration sets them\.$/m);
    unlike($kept->{stderr}, qr/--keep-config/, 'a port of its own: an option that is given already is no advice');
    close $taken;
    $target->stop;
    # Another server has libpq's default port; the target's environment names its own one.
    my $address = join '.', 127, 1, $$ >> 8 & 255, ($$ & 255) | 1;
    my $other = IO::Socket::INET->new(LocalAddr => $address, LocalPort => 5432, Listen => 1)
        or die "could not listen: $!";
    with_settings("listen_addresses = '$address'\n", sub {
        local $ENV{PGPORT} = $port;
        fresh('variable');
        delete $ENV{PGPORT};
        ends(rejoin(), 0, 'the port of its environment', qr/^pg_rewind: the target follows the source/m);
    });
    # The main file is not the source's where the server was started with one elsewhere, although a rewind does not find
    # that.
    with_settings("listen_addresses = '198.51.100.1'\nport = $port\n", sub {
        fresh('elsewhere');
        my $file = "$target->{dir}/elsewhere.conf";
        $target->stop;
        spew($file, slurp($target->path('postgresql.conf')));
        must_run([ "$target->{bindir}/pg_ctl", '-D', $target->data, '-w', '-l', "$target->{dir}/log.1", '-o',
            "-c config_file=$file", 'start' ]);
        my $found = of_target(qw(--check -R --verbose))->{stdout};
        unlike($found, qr/could not listen/, 'a main file elsewhere: --check -R looks at that');
        like($found, qr/^warning  configuration +The server was started with/m,
            'and says that a rewind does not find it');
        ends(rejoin(), 0, 'a main file elsewhere', qr/^pg_rewind: the target follows the source/m);
    }, 'postgresql.conf');
    with_settings("unix_socket_directories = '/nonexistent, $source->{dir}'\n",
        sub { is_refused('socket',
        "the target's server could not listen on port 5432: the source's server has it in \"\Q$source->{dir}\E\"",
        $own) });
    with_settings("listen_addresses = '198.51.100.1, 198.51.100.2'\nport = $port\n",
        sub { is_refused('addresses',
        'the target\'s server could not listen: this host has none of its listen_addresses, "198\.51\.100\.1, 198\.51\.100\.2"',
        $own) });
    with_settings("listen_addresses = '127.0.0.1, 198.51.100.1'\nport = $port\n", sub {
        fresh('some');
        ends(rejoin(), 0, 'an address of another host', qr/^pg_rewind: the target follows the source/m,
            qr/^pg_rewind: hint: Change listen_addresses: this host does not have 198\.51\.100\.1, so the server does not listen there\.$/m);
    });
    return;
}

# A standby that is up to date but for what it delays.
sub delay
{
    my ($version) = @_;
    $target->discard;
    $target = $source->standby('late');
    my $file = $target->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    $target->stop;
    append($file, "recovery_min_apply_delay = '1h'\n");
    $target->start;
    $source->sql("INSERT INTO t VALUES ('late')");
    my @keep = $version < 12 ? '--keep=recovery.conf' : ();
    for my $what ('a delay', 'the same again')
    {
        my $result = rejoin('--rejoin-timeout=4', @keep);
        ends($result, 2, $what,
            qr/^pg_rewind: warning: the target's server replays WAL with a delay: recovery_min_apply_delay = 1h$/m,
            qr/^pg_rewind: error: the target's server does not follow the source yet$/m,
            qr/^pg_rewind: detail: Replay waits for recovery_min_apply_delay = 1h\.$/m,
                qr/^pg_rewind: hint: .*recovery_min_apply_delay/m);
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source')") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    listens();
    delay($version);
    undef $target;
}, only => [ 10, 13, 15, 18, 19 ]);
