# A base backup whose recovery has not come to the backup's end is neither target nor source: only its WAL knows where
# it ends, so nothing says which blocks are newer. Once it has, it is as good as any. (Invariant 1. What is said does
# not depend on the version, but for the functions that make the backup.)
#
#   primary    1 ──●── copied ──■──┬── 1 ──▶      ● begin, ■ end of the backup: its last WAL record, which the
#   source                         └── 2 ──▶        copy does not hold until it has streamed
#   target         ●╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶
# (Rules C13, C14.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# What the functions are called; those of an exclusive backup write the label into the data directory, up to 14. Before
# 9.6 there is no other.
sub begin_backup
{
    my ($session, $version, $exclusive) = @_;
    return $session->sql("SELECT pg_start_backup('b', true, true)") if $exclusive;
    return $session->sql($version >= 15 ? "SELECT pg_backup_start('b', true)"
        : "SELECT pg_start_backup('b', true, false)");
}

sub end_backup
{
    my ($session, $version, $exclusive) = @_;
    return $session->sql('SELECT pg_stop_backup()') if $exclusive;
    return $session->sql('SELECT labelfile FROM pg_stop_backup(false)') if $version < 10;
    return $session->sql($version >= 15 ? 'SELECT labelfile FROM pg_backup_stop(false)'
        : 'SELECT labelfile FROM pg_stop_backup(false, false)');
}

# By hand: the pg_basebackup of 15 does not know newer servers.
sub copied_by_hand
{
    my ($primary, $exclusive) = @_;
    my $version = $primary->version;
    my $session = $primary->session;
    begin_backup($session, $version, $exclusive);
    my $copy = RewindTest::Cluster->allocate('target', $version, $primary->bindir);
    must_run([ 'cp', '-a', $primary->data, $copy->data ]);
    unlink $copy->path('postmaster.pid');
    my $label = end_backup($session, $version, $exclusive);
    $session->end;
    spew($copy->path('backup_label'), $label =~ s/\n*\z/\n/r) if !$exclusive;
    return $copy;
}

sub by_pg_basebackup
{
    my ($primary) = @_;
    my $copy = RewindTest::Cluster->allocate('target', $primary->version, $primary->bindir);
    must_run([ program('pg_basebackup'), '-D', $copy->data, '-d', $primary->conninfo, '-c', 'fast', '-X', 'stream' ]);
    return $copy;
}

sub follow_nobody
{
    my ($cluster) = @_;
    my $nobody = bless { %$cluster, dir => '/nonexistent' }, ref $cluster;
    return $cluster->follow($nobody);
}

# Nobody sends the WAL that ends the backup.
sub stopped_in_recovery
{
    my ($primary, $exclusive) = @_;
    my $copy = follow_nobody(copied_by_hand($primary, $exclusive));
    run([ $copy->bindir . '/pg_ctl', '-D', $copy->data, '-l', "$copy->{dir}/log.1", '-W',
        '-o', "-c unix_socket_directories=$copy->{dir}", 'start' ]);
    wait_until('its recovery has begun', sub { -e "$copy->{dir}/log.1"
        && slurp("$copy->{dir}/log.1") =~ /redo starts at/ });
    wait_until('the label is used up', sub { !-e $copy->path('backup_label') });
    must_run([ $copy->bindir . '/pg_ctl', '-D', $copy->data, '-m', 'fast', '-w', 'stop' ]);
    return $copy;
}

sub is_refused
{
    my ($target, $source, $message, $kind) = @_;
    my $result = rewind($target, $source, kind => $kind // 'server');
    is($result->{status}, 1, 'it is refused') or diag($result->{stderr});
    like($result->{stderr}, $message, 'because it is not consistent');
    ok(!-e $target->path('pg_rewind.work'), 'nothing is left in it');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my $source = $primary->standby('source');

    my $exclusive = $version < 9.6;
    my %backups = (
        'copied by hand' => sub { copied_by_hand($_[0], $exclusive) },
        'stopped in recovery' => sub { stopped_in_recovery($_[0], $exclusive) },
        $version == 15 ? ('made by pg_basebackup' => \&by_pg_basebackup) : (),
        $version > 14 || $exclusive ? () : (
            'copied by hand, exclusively' => sub { copied_by_hand($_[0], 1) },
            'stopped in recovery, made exclusively' => sub { stopped_in_recovery($_[0], 1) },
        ),
    );
    my %copy;
    for my $how (sort keys %backups)
    {
        $copy{$how} = $backups{$how}->($primary);
        my $dir = RewindTest::Command::work_dir() . '/copy.' . keys %copy;
        rename($copy{$how}{dir}, $dir) or die "could not rename $copy{$how}{dir}: $!";
        $copy{$how}{dir} = $dir;
    }
    # One that is recovered is a standby like others.
    $copy{recovered} = $copy{'copied by hand'}->copy('recovered');
    $copy{recovered}->follow($primary)->start->wait_for_replay_of($primary);

    $source->promote;
    $primary->sql('INSERT INTO t SELECT g FROM generate_series(1, 1000) g');
    $copy{recovered}->wait_for_replay_of($primary);
    $copy{recovered}->stop;
    $primary->stop;
    for my $how (sort keys %backups)
    {
        subtest("a backup $how, as target",
            sub { is_refused($copy{$how}, $source, qr/error: target is not consistent$/m) });
    }
    subtest('stopped in recovery, as source', sub {
        is_refused($primary, $copy{'stopped in recovery'}, qr/error: source is not consistent$/m, 'directory');
    });
    rewinds($copy{recovered}, $source);
    rejoins($copy{recovered}, $source);
}, only => [ 10, 14, 15, 18 ]);
