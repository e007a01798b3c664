# --rejoin does not take a standby that streams from another standby for one of the source, though its configuration
# names the source by now, the timeline is the source's, and the source has another standby of the same name: it is
# stopped and started. One whose command line names the other standby is refused.
#
#   source ──▶ other ──▶ target      both standbys have one name, as all of Debian's have
#        ╰───── then ─────╯
# (Rules I55, S7, S31.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Outcome;

my ($source, $other, $target);

sub rejoin
{
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --keep-config -B), $target->bindir, '--source-server',
        $source->conninfo . ' application_name=one_name') ]);
}

sub settings { return $target->path($target->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf') }

sub configure_primary
{
    my ($conninfo) = @_;
    spew(settings(), slurp(settings()) =~ s/^primary_conninfo = .*$/primary_conninfo = '$conninfo'/mr);
    return;
}

sub sender_of { my ($standby) = @_;
    return $standby->query(q{SELECT substring(conninfo FROM 'host=(\S+)') FROM pg_stat_wal_receiver}) }

sub becomes_standby_of_source
{
    my ($what) = @_;
    my $pid = $target->postmaster_pid;
    ends(rejoin(), 0, $what, qr/^pg_rewind: the target follows the source: standby /m);
    isnt($target->postmaster_pid, $pid, "$what: the server was started again");
    is($source->query(q{SELECT count(*) FROM pg_stat_replication WHERE application_name = 'one_name'}), 2,
        "$what: it streams from the source");
    $pid = $target->postmaster_pid;
    ends(rejoin(), 0, "$what, and again",
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    return;
}

# What -R writes would not count. No rewind is required, so only the stop and the start judge the command line.
sub is_refused_on_command_line
{
    my $conninfo = $other->conninfo . ' application_name=one_name';
    $target->stop;
    $target->start(settings => { primary_conninfo => "'$conninfo'" })->wait_for_stream_from($other);
    my $pid = $target->postmaster_pid;
    my $says = qr/^pg_rewind: error: with "primary_conninfo" on its command line the target's server would not follow/m;
    ends(rejoin(), 1, 'on the command line', $says);
    is($target->postmaster_pid, $pid, 'on the command line: the server goes on');
    $target->stop;
    ends(rejoin(), 1, 'on the command line, stopped', $says);
    ok(!$target->is_running, 'on the command line, stopped: it is not started');
    return;
}

each_version(sub {
    my ($version) = @_;
    $source = make_cluster('source', $version)->start;
    $source->sql('CREATE TABLE t ()');
    $other = $source->standby('one_name');
    $target = $other->standby('target');
    my $of_source = $source->conninfo . ' application_name=one_name';
    configure_primary($other->conninfo . ' application_name=one_name');
    $target->stop;
    $target->start->wait_for_stream_from($other);

    configure_primary($of_source);
    is(sender_of($target), $other->dir, 'the target streams from the other standby');
    becomes_standby_of_source('a string that is not in effect');
    is(sender_of($target), $source->dir, 'a string that is not in effect: it is in effect now');

    # libpq connects to hostaddr: only the other standby listens there, on the port that all have. No server of another
    # run has this address.
    my $address = sprintf '127.%d.%d.%d', 1 + ($$ >> 14) % 250, ($$ >> 7) % 128, 2 + $$ % 128;
    append($other->path('pg_hba.conf'), "host replication all 127.0.0.0/8 trust\n");
    $other->stop;
    $other->start(settings => { listen_addresses => $address });
    configure_primary("$of_source hostaddr=$address");
    $target->stop;
    $target->start->wait_for_stream_from($other);
    becomes_standby_of_source('a hostaddr');
    is_refused_on_command_line() if $version >= 12;
}, only => [ 10, 15, 18 ]);
