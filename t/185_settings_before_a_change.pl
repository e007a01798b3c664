# The first parameter change in the target's WAL does not show what the settings were before. They are known if nothing
# was done that could matter, or if the source has made no change since: a target is not refused for what it did not do.
# Otherwise the error says that nothing proves it.
#
#   source       ┌──── 2 ────────────────────────▶
#   target   1 ──┴── killed ── max_connections changed ── rows that are lost ──╳
# (Rules U10, U11, U12.)

use strict;
use warnings;

use RewindTest;

my %more = (max_connections => 300);

sub change { my ($server) = @_; $server->sql('ALTER SYSTEM SET max_connections = 300'); return $server->restart }

# The settings of the target were changed after it was stopped, opened again by mistake, and killed; $work is what it
# did in between.
sub killed
{
    my ($version, %option) = @_;
    my $target = make_cluster('target', $version, %{ $option{cluster} })->start;
    $target->sql("CREATE TABLE t AS SELECT i AS a, 'common' AS b FROM generate_series(1, 1000) i");
    my $source = $target->standby('source');
    $target->stop;
    $source->promote;
    $source->sql('CHECKPOINT');
    change($source) if $option{source_changes};
    $source->sql("UPDATE t SET b = 'kept' WHERE a % 3 = 0");
    $target->start;
    $target->sql($option{work}) if $option{work};
    $target->kill_all_processes;
    $target->start(settings => \%more);
    $target->sql("UPDATE t SET b = 'lost' WHERE a % 5 = 0");
    $target->stop;
    return ($source, $target);
}

# A standby with a higher limit than its primary's, which a standby may have, was promoted by mistake.
sub promoted
{
    my ($version, %option) = @_;
    my $source = make_cluster('source', $version, %{ $option{cluster} })->start;
    $source->sql("CREATE TABLE t AS SELECT i AS a, 'common' AS b FROM generate_series(1, 1000) i");
    my $target = $source->standby('target');
    if ($option{work})
    {
        # Its list of running transactions would tell the level.
        stop_in_system_call($source->restart->background_writer_pid);
        $target->wait_for_replay_of($source);
    }
    $target->stop->start(settings => \%more);
    $source->sql($option{work} // 'CHECKPOINT; SELECT txid_current()');    # no image for a hint, which would be a proof
    $target->wait_for_replay_of($source);
    $target->promote;
    kill 'CONT', $source->background_writer_pid;
    $target->sql("UPDATE t SET b = 'lost' WHERE a % 5 = 0");
    change($source) if $option{source_changes};
    $source->sql("UPDATE t SET b = 'kept' WHERE a % 3 = 0");
    $target->stop;
    return ($source, $target);
}

my %with_checksums = (checksums => 1);
my %hints_only = (checksums => 0, settings => 'wal_log_hints = on');
my $work = "SELECT pg_logical_emit_message(true, 'work', '')";    # with a commit, and no image for a hint

each_version(sub {
    my ($version) = @_;
    my @rows = (
        [ 'killed without work, checksums', \&killed, cluster => \%with_checksums ],
        [ 'killed without work, both sides changed', \&killed, cluster => \%hints_only, source_changes => 1 ],
        [ 'killed after some work', \&killed, cluster => \%hints_only, work => $work ],
        [ 'promoted by mistake', \&promoted, cluster => \%hints_only ],
        [ 'promoted by mistake, both sides changed', \&promoted, cluster => \%hints_only, source_changes => 1 ],
    );
    @rows = grep { "@$_" !~ / work / } @rows if $version < 9.6;    # which has no such messages
    for my $row (@rows)
    {
        my ($name, $pair, %option) = @$row;
        subtest($name, sub {
            my ($source, $target) = $pair->($version, %option);
            rewinds($target, $source, options => ['-N'])->{status} == 0 or return;
            rejoins($target, $source, quick => 1);
        });
        RewindTest::Cluster::discard_all();
    }
    return if $version < 9.6;
    my $refused = sub {
        my ($name, $source, $target, $error, $detail) = @_;
        subtest($name, sub {
            my $result = rewind($target, $source, options => ['-N']);
            is($result->{status}, 1, 'an error');
            like($result->{stderr}, qr/^pg_rewind: error: $error$/m, 'that says what matters');
            like($result->{stderr}, qr/^pg_rewind: detail: Parameters were changed at .* nothing proves $detail/m,
                'and what is not known') or diag($result->{stderr});
        });
        RewindTest::Cluster::discard_all();
    };
    $refused->('killed after some work, both sides changed', killed($version, cluster => \%hints_only, work => $work,
        source_changes => 1),
        'target server needs to use either data checksums or "wal_log_hints = on"',
        'that "wal_log_hints" was on before');
    $refused->('work that both have, both sides changed', promoted($version, cluster => \%with_checksums, work => $work,
        source_changes => 1),
        'target server may have run with "wal_level = minimal"', 'what "wal_level" was before');
});
