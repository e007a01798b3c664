# --rejoin does not stop a server that would refuse to start again: with a recovery.conf (12 and later), its own or the
# source's; with limits that were lowered since its start and that nothing raises (up to 11); or with a restore_command
# whose program does not exist. --check -R finds it.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──▶       or a standby that needs no rewind, and follows another server
# (Rules S11, S40, S43.)

use strict;
use warnings;
use lib 't/lib';
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
    my ($diverged, $version, $name, $command) = @_;
    my $text = "restore_command = '$command'\n";
    $target = $diverged->copy($name);
    $target->{starts} = 1;
    $target->start if $name ne 'stopped';
    $version < 12 ? spew($target->path('recovery.conf'), "standby_mode = on\n$text")
        : append($target->path('postgresql.auto.conf'), $text);
    return $version < 12 ? () : ('--keep-config');
}

# A server that does not find the program of its restore_command ends, and so it does when the program is killed.
sub failing_command
{
    my ($diverged, $version) = @_;
    my $failing = q{the target's server would not start with its "restore_command"};
    my $detail = sub {
        "The command has failed: $_[0]. A server ends if its command ends with a status above 125 or by a signal. "
            . 'Only a status of 1 to 125 means that the archive does not have the file.' };
    my @keep = with_command($diverged, $version, 'command', '/nonexistent/restore %f %p');
    is_refused('a program that does not exist', $failing, $detail->('command not found'), @keep);
    is_refused('the same, a dry run', $failing, $detail->('command not found'), @keep, '-n');
    like(finds(@keep), qr/^\Q$failing\E/m, '--check -R finds it');
    $target->discard;
    with_command($diverged, $version, 'killed', 'kill -9 $$');
    my $killed = $detail->('child process was terminated by signal 9: Killed');
    is_refused('a program that is killed', $failing, $killed, @keep, '--retry-timeout=0');
    $target->discard;

    with_command($diverged, $version, 'stopped', '/nonexistent/restore %f %p');
    ends(of_target('-R', '--no-sync', @keep), 0, 'a rewind',
        qr/^pg_rewind: hint: Before the server starts: \Q$failing\E\. The command has failed: command not found\./m);
    isnt($target->try_start->{status}, 0, 'its server does not start');
    like($target->log, qr/FATAL: +could not restore file "\w+\.history" from archive/, 'because of that command');
    $target->discard;

    with_command($diverged, $version, 'lacks', 'exit 125');
    follows('a command that has no file', @keep);
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
    lowered_limit($version);
    undef $target;
}, only => [ 10, 12, 15, 18 ]);
