# Which timeline recovery_target_timeline means depends on the version. Up to 11 a server without the setting stays on
# the timeline of pg_control, and an empty value is the newest. From 12 on the newest is the default, and an empty value
# is timeline 0, with which no server starts. A standby that would not follow the source is reported.
#
#   source         ┌── 2 ──▶
#   standby  1 ─┤
# (Rule S38. Where recovery is configured: 10, 11.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my ($primary, $source, $behind);

my $name = 'recovery_target_timeline';

# A standby that follows the source as soon as it starts, with a line of its own for recovery.
sub fresh
{
    my ($line) = @_;
    my $standby = $behind->copy('fresh')->follow($source);
    my $file = $standby->path($standby->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    spew($file, (slurp($file) =~ s/^$name.*\n//mgr) . $line);
    return $standby;
}

sub is_told { my ($what, $result, $says) = @_;
    return like($result->{stderr}, qr/^pg_rewind: hint: Before the server starts: $says/m, "$what: it is told") }

sub is_not_told { my ($what, $result) = @_; return unlike($result->{stderr}, qr/$name/, "$what: nothing to tell") }

sub follows
{
    my ($what, $standby) = @_;
    $standby->start->wait_for_stream_from($source);
    $standby->wait_for_replay_of($source);
    is($standby->query('SELECT count(*) FROM t'), 2, "$what: it follows the source");
    $standby->discard;
    return;
}

# (pg_ctl of 18 says that a server has started which ends in recovery.)
sub ends_at_its_start
{
    my ($what, $standby, $says) = @_;
    $standby->try_start;
    wait_until("$what: the server has ended", sub { !$standby->is_running });
    like($standby->log, qr/ FATAL:  $says/, "$what: the server does not start");
    $standby->discard;
    return;
}

# Up to 11.
sub in_recovery_conf
{
    my $without = qr/without "$name" the target's server would not follow .* on timeline 2\. Add $name = 'latest' to /;
    my $standby = fresh('');
    is_told('without it', rewinds($standby, $source), $without);
    my $as_it_was = $standby->copy('as_it_was');
    $standby->start;
    wait_until('the server has asked for its own timeline',
        sub { $standby->log =~ /End of WAL reached on timeline 1/ });
    is($standby->query('SELECT count(*) FROM t'), 1, 'without it: the server does not follow the source');
    $standby->discard;
    append($as_it_was->path('recovery.conf'), "$name = 'latest'\n");
    is_not_told('as the hint says', rewinds($as_it_was, $source));
    follows('as the hint says', $as_it_was);

    $standby = fresh('');
    is_not_told('-R, which writes it', rewinds($standby, $source, options => ['-R']));
    follows('-R, which writes it', $standby);
    $standby = fresh("$name = ''\n");
    is_not_told('an empty one', rewinds($standby, $source));
    follows('an empty one', $standby);

    $standby = fresh("$name = '1'\n");
    is_told('another one', rewinds($standby, $source),
        qr/with "$name" the target's server would not follow .* Set it to 'latest' in recovery\.conf\.$/m);
    $standby->discard;

    # An empty recovery target is none only from 12 on.
    $standby = fresh("$name = 'latest'\nrecovery_target_time = ''\n");
    is_told('an empty time', rewinds($standby, $source),
        qr/with "recovery_target_time" the target's server would not follow/);
    ends_at_its_start('an empty time', $standby, qr/invalid input syntax for type timestamp with time zone/);
    return;
}

sub among_all_settings
{
    my $with = qr/with "$name" the target's server would not follow the source/;
    my $standby = fresh("$name = ''\n");
    my @rejoin = (qw(--rejoin --no-sync -B), $standby->bindir, '--source-server', $source->conninfo);
    is_told('an empty one', rewinds($standby, $source, options => ['-R']), $with);
    my $result = run([ rewind_argv($standby->data, qw(--check -R), '--source-server', $source->conninfo) ]);
    like($result->{stdout} =~ s/\n {3,}/ /gr, qr/^warning  standby +$with/m, 'an empty one: --check tells of it');
    $result = run([ rewind_argv($standby->data, @rejoin) ]);
    is($result->{status}, 1, 'an empty one: --rejoin does not start the server');
    like($result->{stderr}, qr/^pg_rewind: error: $with$/m, 'an empty one: and says why');
    ends_at_its_start('an empty one', $standby, qr/recovery target timeline 0 does not exist/);

    # The source's, which the diverged primary would get.
    append($source->path('postgresql.auto.conf'), "$name = ''\n");
    my $diverged = $primary->copy('diverged')->start;
    $diverged->sql('INSERT INTO t VALUES (-1)');
    my $pid = $diverged->postmaster_pid;
    $result = run([ rewind_argv($diverged->data, @rejoin) ]);
    is($result->{status}, 1, 'that of the source: --rejoin refuses') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: error: $with$/m, 'that of the source: and says why');
    is($diverged->postmaster_pid, $pid, 'that of the source: the server goes on');
    $diverged->discard;
    spew($source->path('postgresql.auto.conf'), slurp($source->path('postgresql.auto.conf')) =~ s/^$name.*\n//mgr);

    # By its number the server must find the timeline's history file before it streams.
    $standby = fresh("$name = '0x2'\n");
    is_told('a number', rewinds($standby, $source, options => ['-R']), $with);
    ends_at_its_start('a number', $standby->copy('by_number'), qr/recovery target timeline 2 does not exist/);
    must_run([ 'cp', $source->path('pg_wal/00000002.history'), $standby->path('pg_wal') ]);
    is_not_told('a number, with the file', rewinds($standby, $source, options => ['-R']));
    follows('a number, with the file', $standby);

    $standby = fresh("$name = 'latest'\nrecovery_target_time = ''\n");
    is_not_told('the newest', rewinds($standby, $source, options => ['-R']));
    follows('the newest', $standby);
    return;
}

each_version(sub {
    my ($version) = @_;
    $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT 1 AS a');
    $source = $primary->standby('source');
    $behind = $primary->standby('behind');
    $behind->stop;
    $source->wait_for_replay_of($primary);
    $source->promote;
    $source->sql('INSERT INTO t VALUES (2)');
    $primary->stop;
    $version < 12 ? in_recovery_conf() : among_all_settings();
}, only => [ 10, 11, 15, 18 ]);
