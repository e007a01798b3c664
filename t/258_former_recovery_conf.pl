# Up to 11 the settings of a standby are in recovery.conf, which a promotion renames to recovery.done. The new
# recovery.conf of a target that had one has what was set there for it as a standby: its archive, and the delay. It
# does not get what belongs to its former primary or would end replay, and nothing of recovery.done, which may be the
# source's: a warning says what that has.
#
#   source   1 ──┬── 2 ── gone ── gone ──▶      the archive has all WAL
#   target       └── 1 ──╳  recovery.conf with its restore_command
# (Rules S13, S39.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my ($source, $diverged, $archive, %own);

sub recovery_text { my (%settings) = @_;
    return join '', map { "$_ = '$settings{$_}'\n" } sort keys %settings }

sub setting { my ($target, $name) = @_;
    my ($value) = slurp($target->path('recovery.conf')) =~ /^$name = '(.*)'$/m; return $value }

sub fresh { my ($name, $file, %settings) = @_; my $target = $diverged->copy($name);
    spew($target->path($file), recovery_text(%settings)) if $file; return $target }

# Nothing of a recovery.done is taken, and this is said.
my $told = qr/^pg_rewind: warning: the restore_command of "recovery\.done" is not in .*\n.*It is: /m;

sub has_nothing
{
    my ($what, $target, $result) = @_;
    is(setting($target, $_), undef, "$what: $_ is not taken") for sort keys %own;
    like($result->{stderr}, $told, "$what: this is said") if $result;
    return;
}

# What is of no use for a standby of the source.
my %gone = (recovery_target_name => 'elsewhere', trigger_file => '/nonexistent/trigger');

sub has_its_own
{
    my ($what, $target) = @_;
    is(setting($target, $_), $own{$_}, "$what: $_ stays") for sort keys %own;
    is(setting($target, $_), undef, "$what: $_ does not") for sort keys %gone;
    is(setting($target, 'standby_mode'), 'on', "$what: it is a standby");
    return;
}

sub continues_from_the_archive
{
    my ($target) = @_;
    my $needed = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    wait_until('the source has removed what the standby needs', sub {
        $source->sql('INSERT INTO t VALUES (9); SELECT pg_switch_wal()');
        $source->sql('CHECKPOINT');
        return !-e $source->path("pg_wal/$needed");
    });
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    return;
}

sub after_a_rewind
{
    my $target = fresh('rewound', 'recovery.conf', %own, %gone, standby_mode => 'on',
        primary_conninfo => 'host=/former');
    rewinds($target, $source, options => ['-R']);
    has_its_own('recovery.conf', $target);
    unlike(setting($target, 'primary_conninfo'), qr/former/, 'recovery.conf: it follows the source');
    continues_from_the_archive($target);
    $target->discard;

    $target = fresh('done', 'recovery.done', %own, standby_mode => 'on');
    has_nothing('recovery.done', $target, rewinds($target, $source, options => ['-R']));
    $target->discard;
    return;
}

# One of a point-in-time recovery was not set for a standby. In a value a line break is an escape.
sub of_other_kinds
{
    my $target = fresh('in_time', 'recovery.conf', %own);
    rewinds($target, $source, options => ['-R']);
    has_nothing('without standby_mode', $target);
    $target->discard;

    $target = fresh('lines', 'recovery.conf', %own, standby_mode => 'on', restore_command => 'echo x;\nfalse');
    rewinds($target, $source, options => ['-R'], not_foretold => 'the archive has nothing');
    is(setting($target, 'restore_command'), 'echo x;\nfalse', 'a line break stays an escape');
    $target->discard;
    return;
}

# Where recovery.conf exists it is what was wanted last.
sub of_two_files
{
    my $target = fresh('two_files', 'recovery.done', %own);
    spew($target->path('recovery.conf'), recovery_text(standby_mode => 'on', restore_command => 'newer %f %p'));
    rewinds($target, $source, options => ['-R'], not_foretold => 'the archive has nothing');
    is(setting($target, 'restore_command'), 'newer %f %p', 'that of recovery.conf counts');
    is(setting($target, 'archive_cleanup_command'), undef, 'and nothing of recovery.done');
    $target->discard;
    return;
}

sub without_a_rewind
{
    my ($standby) = @_;
    rename($standby->path('recovery.conf'), $standby->path('recovery.done')) or die;
    append($standby->path('recovery.done'), recovery_text(%own, %gone));
    my $result = rewinds($standby, $source, options => ['-R']);
    like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is required');
    has_nothing('without a rewind', $standby, $result);
    $standby->discard;
    return;
}

# A rewind copies the source's recovery.done.
sub of_the_source
{
    spew($source->path('recovery.done'), recovery_text(restore_command => "touch $archive.run; false"));
    my $target = fresh('of_source_alone');
    rewinds($target, $source);
    rewinds($target, $source, options => ['-R']);
    is(setting($target, 'restore_command'), undef, 'nor later, where no rewind is required');
    ok(!-e "$archive.run", 'its command is not run');
    $target->discard;

    $target = fresh('of_source');
    rewinds($target, $source, options => ['-R']);
    ok(-e $target->path('recovery.done'), "the source's recovery.done comes along");
    is(setting($target, 'restore_command'), undef, 'its command is not in recovery.conf');
    my $again = rewinds($target, $source, options => [ '-R', '-c' ])->{stderr};
    like($again, qr/^pg_rewind: warning: "restore_command" is not set in the target cluster$/m,
        'nor is it that of the target for -c') or diag($again);
    $target->discard;

    $target = fresh('interrupted');
    end_by_kill(hold($target, $source, 'apply'));
    my $result = rewind($target, $source, options => ['-R'], dry => 0);
    is($result->{status}, 0, 'an interrupted rewind is finished with -R') or diag($result->{stderr});
    ok(-e $target->path('recovery.done'), "the source's recovery.done comes along");
    is(setting($target, 'restore_command'), undef, 'its command is not in recovery.conf');
    ok(!-e "$archive.run", 'nor was it run');
    $target->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    $archive = work_dir() . "/archive_$version";
    mkdir $archive or die "could not create $archive: $!";
    %own = (
        archive_cleanup_command => 'true',
        recovery_end_command    => "echo it''s up",
        restore_command         => "cp $archive/%f %p 2>/dev/null",
        $version >= 9.4 ? (recovery_min_apply_delay => '1ms') : (),
    );
    $gone{primary_slot_name} = 'of_former' if $version >= 9.4;
    my $standby;
    ($source, $diverged) = split_brain($version,
        cluster => { settings => "wal_keep_segments = 0\narchive_mode = on\narchive_command = 'cp %p $archive/%f'" },
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $standby = $source->standby('behind');
    $standby->stop;
    subtest('without a rewind', sub { without_a_rewind($standby) });
    subtest('after a rewind', sub { after_a_rewind() });
    subtest('of two files', sub { of_two_files() });
    subtest('of other kinds', sub { of_other_kinds() });
    subtest('of the source', sub { of_the_source() });
}, to => 11);
