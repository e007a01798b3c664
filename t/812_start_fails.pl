# A server that does not start after the rewind: what its log says of that, from the FATAL on with its detail and hint,
# is in the error, and the last line names it: the same command alone would not help.
#
#   source   1 ──┬── 2 ── restarted with higher limits ──▶
#   target       └── 1 ──▶ running; it is started with a lower limit on its command line
# (Rule I65.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my ($source, $diverged, $target);

sub rejoin { return run([ rewind_argv($target->data, qw(--rejoin --no-sync --rejoin-timeout=30 --keep-config
    -B), $target->bindir, '--source-server', $source->conninfo, @_) ]) }

sub fresh { my ($name) = @_; $target->discard if $target; $target = $diverged->copy($name); $target->{starts} = 1;
    return $target }

sub fails
{
    my ($what, $options, $cause, @says) = @_;
    my $result = rejoin(@$options);
    is($result->{signal} || $result->{status}, 2, "$what: exit status 2") or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: error: (?:could not start the target's server|the target's server has stopped|the target's server is not running after it was started)$/m,
        "$what: it is not there");
    like($result->{stderr}, $_, "$what: the log's lines") for @says;
    unlike($result->{stderr}, qr/database system is shut down/, "$what: not what follows them");
    like($result->{stderr},
        qr/^pg_rewind: hint: The target is a standby of the source, but its server does not start\. Its log says: "$cause"\. Remove that cause, then run the same pg_rewind command again, it starts the server\. To start it yourself: /m,
        "$what: the last line names the cause");
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql('ALTER SYSTEM SET max_connections = 150'); $_[0]->restart;
        $_[0]->sql("CHECKPOINT; INSERT INTO t VALUES ('source')") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });

    # The command line wins over what -R writes.
    fresh('command_line')->configure('max_connections = 150');
    $target->start;
    my $start =
        "$target->{bindir}/pg_ctl -D @{[ $target->data ]} -w -t 10 -o '-c unix_socket_directories=$target->{dir} -c max_connections=50' start";
    my $detail = 'max_connections = 50 is a lower setting than on the primary server, where its value was 150\.';
    fails('a limit of the command line', [ '--start-command', $start ],
        $version >= 14
        ? "recovery aborted because of insufficient parameter settings: $detail You can restart the server after making the necessary configuration changes\\."
            : 'hot standby is not possible because max_connections = 50 is a lower setting than on the (?:master|primary) server \(its value was 150\)',
        $version >= 14
            ? (qr/FATAL:  recovery aborted because of insufficient parameter settings\n.*DETAIL:  $detail\n.*HINT:  You can restart/)
            : (qr/FATAL:  hot standby is not possible because max_connections = 50 is a lower/));

    # What explains it stands before the FATAL.
    fresh('file')->configure('max_connections = 150');
    $target->start;
    append($target->last_settings, "max_connections = 'many'\n");
    fails('a setting that no server takes', [], 'configuration file ".*postgresql\.auto\.conf" contains errors',
        qr/invalid value for parameter "max_connections": "many"\n.*FATAL:  configuration file/);
    spew($target->last_settings, slurp($target->last_settings) =~ s/^max_connections = 'many'\n//mr);
    my $result = rejoin();
    is($result->{status}, 0, 'and without the cause the same command starts it') or diag($result->{stderr});
    undef $target;
}, only => [ 10, 13, 15, 18, 19 ]);
