# --rejoin does not stop a server that would refuse to start again: with a recovery.conf (12 and later), its own or the
# source's; with limits that were lowered since its start and that nothing raises (up to 11); or with a restore_command
# whose program does not exist. --check -R finds it. The command is judged by how it ends in the server's environment.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──▶       or a standby that needs no rewind, and follows another server
# (Rules S7, S11, S40, S43.)

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET ();
use JSON::PP ();
use RewindTest;
use RewindTest::Outcome;

my ($source, $target);

sub of_target { return run([ rewind_argv($target->data, @_, '--source-server', $source->conninfo) ]) }

sub rejoin { return of_target(qw(--rejoin --no-sync --rejoin-timeout=60 -B), $target->bindir, @_) }

sub is_refused
{
    my ($what, $error, $detail, @options) = @_;
    my $pid = $target->postmaster_pid;
    ends(rejoin(@options), 1, $what, qr/^pg_rewind: error: \Q$error\E$/m, qr/^pg_rewind: detail: \Q$detail\E$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
    is($target->postmaster_pid, $pid, "$what: the server goes on");
    return;
}

sub finds
{
    my (@options) = @_;
    my $check = of_target(qw(--check -R --report=json), @options);
    return join "\n", map { $_->{text} } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
}

sub follows { my ($what, @options) = @_;
    return ends(rejoin(@options), 0, $what, qr/^pg_rewind: the target follows the source/m) }

my $error = q{the target's server would not start with recovery.conf};

sub detail
{
    my ($whose) = @_;
    return "The file of the $whose will be in its data directory, "
        . 'and from version 12 on no server starts with it.';
}

sub before_a_rewind
{
    my ($diverged) = @_;
    $target = $diverged->copy('diverged');
    $target->start;
    spew($target->path('recovery.conf'), '');
    is_refused('kept', $error, detail('target'), '--keep=recovery.conf');
    like(finds('--keep=recovery.conf'), qr/^\Q$error\E/m, '--check -R finds it');
    unlike(finds($_), qr/recovery\.conf/, "$_: the rewind removes it") for '--keep-config', '--keep=nothing';
    spew($source->path('recovery.conf'), '');
    is_refused("of the source @$_", $error, detail('source'), @$_) for [], ['--keep-config'];
    unlink $source->path('recovery.conf') or die;
    follows('removed by the rewind', '--keep-config', '--demote=1');
    $target->discard;
    return;
}

sub start_by_pg_ctl { return "$target->{bindir}/pg_ctl -D @{[ $target->data ]} -l $target->{dir}/log.1 -w"
        . " -o '-k $target->{dir}' start" }

sub standby_of { my ($server, $name) = @_; $target = $server->standby($name); return }

sub without_a_rewind
{
    standby_of($source->standby('other'), 'further');
    spew($target->path('recovery.conf'), '');
    is_refused('no rewind is required', $error, detail('target'));
    $target->stop;
    like(finds(), qr/^\Q$error\E/m, '--check -R of the stopped target finds it');
    ends(rejoin(), 1, 'nor is it started', qr/^pg_rewind: error: \Q$error\E$/m);
    unlink $target->path('recovery.conf') or die;
    follows('without the file');
    $target->discard;
    return;
}

# Files and a port that the server has had since its start, and would not have at the next one.
sub gone_since_its_start
{
    my $outside = work_dir() . '/gone.conf';
    standby_of($source->standby('former_of_gone'), 'gone');
    $target->stop;
    spew($outside, "work_mem = '5MB'\n");
    $target->configure("include '$outside'");
    $target->start;
    unlink $outside or die;
    my $unread = qq{could not read "$outside", which the configuration of the target's server names};
    my $unknown = 'It is not known what it sets. With a recovery target the server would not follow the source, and '
        . 'may open for writing; without the file it may not start.';
    is_refused("an included file @$_", $unread, $unknown, @$_) for [], ['-n'], ['--keep-config'];
    like(finds(), qr/^"\Q$outside\E", which the configuration names, cannot be read/m, '--check -R finds the file');
    spew($outside, '');

    my $other = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
        or die "could not listen: $!";
    my $port = $other->sockport;
    my $pid = $target->postmaster_pid;
    spew($outside, "listen_addresses = '127.0.0.1'\nport = $port\n");
    ends(rejoin(), 1, 'a port that another server has',
        qr/^pg_rewind: error: the target's server could not listen on port $port: another server on this host does$/m);
    is($target->postmaster_pid, $pid, 'the server goes on');
    spew($outside, '');
    follows('with the file, and its former port');
    $target->discard;
    return;
}

# In a container a server may have an included file that does not exist here, and its --start-command starts it there.
sub not_here
{
    my $inside = work_dir() . '/inside.conf';
    standby_of($source->standby('former_of_contained'), 'contained');
    $target->stop;
    spew($inside, '');
    $target->configure("include '$inside'");
    $target->start;
    unlink $inside or die;
    ends(rejoin('--start-command=false'), 2, 'a start command that fails once');
    follows('an included file that the server has where it is started',
        "--start-command=touch $inside && " . start_by_pg_ctl());
    unlink $inside or die;
    $target->discard;
    return;
}

# The server has the former limit until it is started again.
sub lowered_limit
{
    my ($version) = @_;
    standby_of($source->standby('former'), 'lowered');
    my $limit = $source->query('SHOW max_connections');
    $target->configure('max_connections = 20');
    is_refused('a lower limit',
        q{the target's server would not start as a standby: its limits are lower than the source's},
        "max_connections (20, needed: $limit).") if $version < 12;
    $target->configure("max_connections = $limit") if $version < 12;
    follows($version < 12 ? 'with the limit that is needed' : 'a limit that -R raises');
    return;
}

sub with_command
{
    my ($diverged, $version, $name, $command, $path) = @_;
    local $ENV{PATH} = $path // $ENV{PATH};
    my $text = "restore_command = '$command'\n";
    $target = $diverged->copy($name);
    $target->{starts} = 1;
    $target->start if $name ne 'stopped';
    $version < 12 ? spew($target->path('recovery.conf'), "standby_mode = on\n$text")
        : append($target->path('postgresql.auto.conf'), $text);
    return $version < 12 ? () : ('--keep-config');
}

my $reason = 'A server ends if its command ends with a status above 125 or by a signal. '
    . 'Only a status of 1 to 125 means that the archive does not have the file.';
my $failing = q{the target's server would not start with its "restore_command"};
my $may_fail = q{the target's server may not start with its "restore_command"};
my $later = 'The server runs it later, and may have another environment, such as another PATH.';

# A server that does not find the program of its restore_command ends, and so it does when the program is killed.
sub failing_command
{
    my ($diverged, $version) = @_;
    my $detail = sub { "The command has failed: $_[0]. $reason" };
    my @keep = with_command($diverged, $version, 'command', '/nonexistent/restore %f %p');
    is_refused('a program that does not exist', $failing, $detail->('command not found'), @keep);
    is_refused('the same, a dry run', $failing, $detail->('command not found'), @keep, '-n');
    like(finds(@keep), qr/^\Q$may_fail\E/m, '--check -R, which does not know the start, finds it');
    $target->discard;
    with_command($diverged, $version, 'killed', 'kill -9 $$');
    my $killed = $detail->('child process was terminated by signal 9: Killed');
    is_refused('a program that is killed', $failing, $killed, @keep, '--retry-timeout=0');
    $target->discard;

    with_command($diverged, $version, 'stopped', '/nonexistent/restore %f %p');
    ends(of_target('-R', '--no-sync', @keep), 0, 'a rewind',
        qr/^pg_rewind: hint: Before the server starts: \Q$may_fail. @{[ $detail->('command not found') ]} $later\E/m);
    isnt($target->try_start->{status}, 0, 'its server does not start');
    like($target->log, qr/FATAL: +could not restore file "\w+\.history" from archive/, 'because of that command');
    $target->discard;

    with_command($diverged, $version, 'lacks', 'exit 125');
    follows('a command that has no file', @keep);
    $target->discard;
    return;
}

sub is_warned
{
    my ($what, $outcome, @options) = @_;
    return ends(rejoin(@options), 0, $what, qr/^pg_rewind: warning: \Q$may_fail\E$/m,
        qr/^pg_rewind: detail: The command has failed: \Q$outcome. $reason $later\E$/m,
        qr/^pg_rewind: the target follows the source/m);
}

# The server's start has a PATH that pg_rewind does not have, or the other way round.
sub command_of_another_path
{
    my ($diverged, $version) = @_;
    my $programs = work_dir() . '/programs.' . $version;
    mkdir $programs;
    spew("$programs/fetch_wal", "#!/bin/sh\nexit 1\n");
    chmod 0755, "$programs/fetch_wal" or die;
    my $path = "$programs:$ENV{PATH}";
    my @command = ($diverged, $version, 'path', 'fetch_wal %f %p');

    my @keep = with_command(@command, $path);
    unlike(finds(@keep), qr/restore_command/, '--check -R runs it in the environment of the server that runs');
    my $result = follows('a program that only the server finds', @keep);
    unlike($result->{stderr}, qr/restore_command" (?:failed|for)/, 'it is run in the environment of the start');
    $target->discard;

    with_command(@command);
    {
        local $ENV{PATH} = $path;
        is_refused('a program that only pg_rewind finds', $failing,
            "The command has failed: command not found. $reason", @keep);
    }
    is_warned('the same, with a start command that may set it', 'command not found', @keep,
        "--start-command=PATH=$path " . start_by_pg_ctl());
    $target->discard;
    return;
}

# After the stop such a failure ends nothing: the archive may be back at the start.
sub archive_away_after_the_stop
{
    my ($diverged, $version) = @_;
    my $away = work_dir() . '/archive_is_away';
    my @keep = with_command($diverged, $version, 'away', "rm $away 2>/dev/null && exit 255; exit 1");
    is_warned('an archive that is away after the stop', 'child process exited with exit code 255', @keep,
        '--retry-timeout=0',
        "--stop-command=$target->{bindir}/pg_ctl -D @{[ $target->data ]} -m fast stop && touch $away");
    ok(!-e $away, 'it was asked after the stop');
    $target->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $diverged;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    if ($version >= 12)
    {
        before_a_rewind($diverged);
        without_a_rewind();
    }
    failing_command($diverged, $version);
    command_of_another_path($diverged, $version);
    archive_away_after_the_stop($diverged, $version);
    gone_since_its_start();
    not_here();
    lowered_limit($version);
    undef $target;
}, only => [ 10, 12, 15, 18 ]);
