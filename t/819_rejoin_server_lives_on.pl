# The server that --rejoin has started lives on when the command is asked to stop, by SIGTERM or by Ctrl-C, also up to
# 11, where pg_ctl leaves it in its own session; and what the last line says of it is so. A start command may leave the
# server to come later, and a server whose postmaster.pid is still empty is starting. What the environment asks of the
# source is not asked of the target's own socket. (pg_ctl without a session of its own: 10, 11.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ──▶   in each case anew
# (Rules I62, I63.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;

my ($source, $diverged, $target);

sub rejoin_argv
{
    my ($conninfo, @options) = @_;
    return rewind_argv($target->data, qw(--rejoin --keep-config --no-sync
        --rejoin-timeout=60), '--source-server', $conninfo, @options);
}

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return run([ rejoin_argv($option{conninfo} // $source->conninfo, '-B', $option{bindir}
        // $target->bindir, @options) ], env => $option{env} // {});
}

sub follows
{
    my ($result, $what) = @_;
    is($result->{signal} || $result->{status}, 0, "$what: exit status 0") or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: the target follows the source: standby /m, "$what: it follows");
    return;
}

sub fresh
{
    my ($name) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    $target->configure("unix_socket_directories = '$target->{dir}'");
    return;
}

# A pg_ctl that goes on waiting when the server is there.
sub slow_pg_ctl
{
    my $directory = "$target->{dir}/bin";
    mkdir $directory;
    spew("$directory/pg_ctl", <<"END");
#!/bin/sh
$target->{bindir}/pg_ctl "\$@" || exit
case "\$*" in *" start"*) touch $target->{dir}/started; sleep 20 ;; esac
END
    chmod 0755, "$directory/pg_ctl";
    return $directory;
}

sub lives_on
{
    my ($what, $stderr) = @_;
    like($stderr,
        qr/^pg_rewind: hint: The target is a standby of the source and its server is running, but it has not caught up yet: run the same pg_rewind command again, it continues to wait\.$/m,
        "$what: it says that the server is running");
    my $pid = $target->postmaster_pid;
    sleep 2;    # a server that was asked to stop takes its time
    ok($pid && $target->postmaster_pid == $pid, "$what: so it is")
        or diag(map { slurp($_) } glob($target->path('pg_rewind_server.log')));
    follows(rejoin(), "$what, and again");
    is($target->postmaster_pid, $pid, "$what, and again: it is the same server");
    return;
}

sub asked_to_stop
{
    fresh('asked');
    my $run = start_rewind($target, $source, options => [ qw(--rejoin --keep-config --rejoin-timeout=60
        -B), slow_pg_ctl() ]);
    wait_until('the server is started', sub { -e "$target->{dir}/started" || has_ended($run) });
    kill 'TERM', $run->{pid};
    my $result = end_of_rewind($run);
    is($result->{status}, 2, 'SIGTERM: exit status 2');
    lives_on('SIGTERM', $result->{stderr});

    fresh('typed');
    my $said = "$target->{dir}/said";
    my $quoted = join ' ', map { s/'/'\\''/gr =~ s/.*/'$&'/sr } rejoin_argv($source->conninfo, '-B', slow_pg_ctl());
    run([ 'sh', '-c',
        "(while ! [ -e $target->{dir}/started ]; do sleep 0.05; done; printf '\\003'; sleep 2) | script -qec \"\$1\" /dev/null",
        'sh', "$quoted 2>$said" ]);
    lives_on('Ctrl-C', slurp($said));
    return;
}

sub comes_later
{
    my $start =
        sub { "$target->{bindir}/pg_ctl -D @{[ $target->data ]} -l $target->{dir}/log.1 start >/dev/null 2>&1" };
    fresh('later');
    follows(rejoin("--start-command=(sleep 2; @{[ $start->() ]}) &"), 'a server that comes later');
    fresh('empty');
    my $file = $target->path('postmaster.pid');
    follows(rejoin("--start-command=: >$file; (sleep 2; rm $file; @{[ $start->() ]}) &"), 'an empty postmaster.pid');
    fresh('never');
    my $result = rejoin('--start-command=true');
    is($result->{status}, 2, 'a server that does not come') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: error: the target's server is not running after it was started\npg_rewind: detail: It was waited for \d+ s after the command had ended\.\s/m,
        'it says so');
    like($result->{stderr}, qr/but its server is not running: run the same pg_rewind command again/,
        'and so does the last line');
    return;
}

sub environment_of_source
{
    fresh('environment');
    my %env = (PGREQUIREPEER => 'nobody', PGSSLMODE => 'verify-full', PGCHANNELBINDING => 'require',
        PGGSSENCMODE => 'require', PGREQUIREAUTH => 'scram-sha-256',
        PGSSLROOTCERT => '/nonexistent/root.crt', PGOPTIONS => '-c nonexistent.setting=x -c search_path=""',
        PGTARGETSESSIONATTRS => 'read-write');
    # What the string says is the source's.
    my $conninfo = $source->conninfo
        . q{ requirepeer='' sslmode=prefer channel_binding=prefer gssencmode=prefer sslrootcert=''};
    $conninfo .= q{ require_auth=''} if `psql --version` =~ / (\d+)/ && $1 >= 16;
    my $result = rejoin({ conninfo => $conninfo, env => \%env });
    follows($result, 'an environment that is strict');
    unlike($result->{stderr}, qr/takes no connections/, 'an environment that is strict: the target answers');
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    subtest('asked to stop', \&asked_to_stop);
    subtest('comes later', \&comes_later);
    subtest('environment of the source', \&environment_of_source);
    undef $target;
}, only => [ 10, 11, 15, 18, 19 ]);
