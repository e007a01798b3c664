# --rejoin starts a cluster of Debian's layout as it was: by pg_ctlcluster only if that starts the server with the
# configuration that is checked, and with all options, else by pg_ctl. It is started by pg_ctlcluster with its limits,
# too.
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ──▶   in each case anew
# (Rules I53, I58, I59.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::DebianCluster;
use RewindTest::Outcome;

my ($source, $target, $saved);

my $follows = qr/^pg_rewind: the target follows the source: standby /m;
my $by_pg_ctlcluster = qr/^pg_rewind: starting the target's server: pg_ctlcluster /m;
my $by_pg_ctl = qr{^pg_rewind: starting the target's server: (?:/\S+/)?pg_ctl }m;

# The target as it was when it had diverged, and no server runs.
sub fresh
{
    $target->stop;
    must_run([ 'rm', '-rf', $target->data ]);
    must_run([ 'cp', '-a', $saved, $target->data ]);
    return;
}

# Any command before is one of a shell.
sub start_by_pg_ctlcluster
{
    my ($before, @options) = @_;
    fresh();
    must_run([ 'sh', '-c', "$before exec pg_ctlcluster \"\$@\"", 'sh', @options, $target->version, $target->{name},
        'start' ]);
    return;
}

# By -D of the configuration, as it is in many old scripts.
sub start_by_pg_ctl
{
    my ($options) = @_;
    fresh();
    must_run([ $target->bindir . '/pg_ctl', '-D', $target->configuration, '-w', '-l', "$target->{dir}/log.1", '-o',
        $options, 'start' ]);
    return;
}

sub argv { return rewind_argv($target->data, qw(--rejoin -N --keep-config --source-server), $source->conninfo, @_) }

sub rejoin { return run([ argv(@_) ]) }

sub setting { my ($name) = @_; return $target->query("SHOW $name") }

# What the source writes from now on comes to the target, which stays a standby.
sub stays_a_standby
{
    my ($what) = @_;
    $source->sql('CREATE TABLE later()');
    wait_until("$what: it has what the source writes, or is promoted", sub {
        $target->query("SELECT NOT pg_is_in_recovery() OR to_regclass('later') IS NOT NULL") eq 't' });
    is($target->query('SELECT pg_is_in_recovery()'), 't', "$what: it stays a standby");
    $source->sql('DROP TABLE later');
    return;
}

# A recovery target has no effect on a primary, and may be left there from a restore.
sub another_main_file
{
    my $own = "$target->{dir}/own.conf";
    my $conf_d = $target->configuration . '/conf.d/test.conf';
    my $before = slurp($conf_d);
    spew($own, join '', map { slurp($_) =~ s/^include_dir.*//mr } $target->configuration . '/postgresql.conf', $conf_d);
    append($conf_d, "recovery_target = 'immediate'\nrecovery_target_action = 'promote'\n");
    for my $row ([ 'of the last start' ], [ 'of --config-file', "--config-file=$own" ])
    {
        my ($what, @options) = @$row;
        start_by_pg_ctl("-c config_file=$own");
        ends(rejoin(@options), 0, "a main file $what", $by_pg_ctl, $follows);
        is(setting('config_file'), $own, "a main file $what: it is the server's");
        stays_a_standby("a main file $what");
    }
    # It is kept out only where it counts.
    start_by_pg_ctlcluster('');
    ends(rejoin(), 1, 'the main file with a recovery target',
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
    start_by_pg_ctlcluster('');
    ends(rejoin("--config-file=$own"), 0, 'another one of --config-file', $by_pg_ctl, $follows);
    is(setting('config_file'), $own, 'another one of --config-file: it is the server\'s');
    spew($conf_d, $before);
    return;
}

# Its options override what the cluster's files say.
sub files_and_sockets
{
    my $hba = "$target->{dir}/lock_hba.conf";
    my $sockets = "$target->{dir}, $target->{dir}/sockets";
    spew($hba, "local all postgres trust\n");
    mkdir "$target->{dir}/sockets";
    start_by_pg_ctlcluster('', '-o', join ' ', map { "-c $_" } "hba_file=$hba", "unix_socket_directories='$sockets'",
        "external_pid_file=$target->{dir}/other.pid", 'work_mem=5MB');
    ends(rejoin(), 0, 'files and sockets of the last start', $by_pg_ctlcluster, $follows);
    is(setting('hba_file'), $hba, 'its rules for clients are those that it had');
    is(setting('unix_socket_directories'), $sockets, 'and its sockets');
    is(setting('external_pid_file'), "$target->{dir}/other.pid", 'and its file for the PID');
    is(setting('work_mem'), '5MB', 'and other options');
    return;
}

# pg_ctlcluster would name the cluster's pg_hba.conf, which no setting names; the server has that of its data directory.
sub rules_of_data_directory
{
    my $main = $target->configuration . '/postgresql.conf';
    my $before = slurp($main);
    spew($main, $before =~ s/^(hba|ident)_file.*//mgr);
    fresh();
    spew($target->path('pg_ident.conf'), '');
    spew($target->path('pg_hba.conf'), slurp($target->configuration . '/pg_hba.conf'));
    must_run([ $target->bindir . '/pg_ctl', '-D', $target->data, '-w', '-l', "$target->{dir}/log.1", '-o',
        "-c config_file=$main", 'start' ]);
    is(setting('hba_file'), $target->path('pg_hba.conf'), 'the rules of the data directory');
    ends(rejoin(), 0, 'the rules of the data directory', $by_pg_ctl, $follows);
    is(setting('hba_file'), $target->path('pg_hba.conf'), 'they are the server\'s still');
    start_by_pg_ctlcluster('');
    is(setting('hba_file'), $target->configuration . '/pg_hba.conf', 'the rules that pg_ctlcluster names');
    ends(rejoin(), 0, 'the rules that pg_ctlcluster names', $by_pg_ctlcluster, $follows);
    is(setting('hba_file'), $target->configuration . '/pg_hba.conf', 'these are the server\'s still');
    spew($main, $before);
    return;
}

# pg_ctlcluster stops such a cluster, and does not start it.
sub disabled
{
    my $start_conf = $target->configuration . '/start.conf';
    my $before = slurp($start_conf);
    start_by_pg_ctlcluster('');
    spew($start_conf, "# of a manager's\n\n  disabled # as it starts the server\n");
    ends(rejoin(), 0, 'a cluster that is disabled', $by_pg_ctl, $follows);
    is(setting('hba_file'), $target->configuration . '/pg_hba.conf', 'a cluster that is disabled: as it was');
    fresh();
    unlink $target->path('postmaster.opts');
    ends(rejoin(), 0, 'a cluster that is disabled, and whose last start is not known', $by_pg_ctl, $follows);
    is(setting('config_file'), $target->configuration . '/postgresql.conf', 'it has the configuration of the cluster');
    spew($start_conf, $before);
    return;
}

# pg_ctlcluster takes the first line only.
sub newline
{
    start_by_pg_ctl("-c my.lines='one\ntwo' -c work_mem=6MB");
    ends(rejoin(), 0, 'an option of two lines', $by_pg_ctl, $follows);
    is($target->query(q{SELECT current_setting('my.lines') || current_setting('work_mem')}), "one\ntwo6MB",
        'an option of two lines: and what comes after it');
    return;
}

sub limits
{
    my $ends = sub {
        my ($what, $says) = @_;
        my $pid = $target->postmaster_pid;
        my ($files) = process_file($pid, 'limits') =~ /^Max open files +(\d+)/m;
        return "$files " . process_file($pid, 'oom_score_adj');
    };
    start_by_pg_ctlcluster('ulimit -S -n 333; echo 300 >/proc/self/oom_score_adj;');
    is($ends->(), "333 300\n", 'a limit and a score');
    my $result = rejoin();
    ends($result, 0, 'a limit and a score', $by_pg_ctlcluster, $follows);
    is($ends->(), "333 300\n", 'a limit and a score: they are kept');
    unlike($result->{stderr}, qr/will not have what it has now/, 'nothing is said of them');
    start_by_pg_ctlcluster('ulimit -S -n 333;');
    $result = run([ 'sh', '-c', 'ulimit -n 256; exec "$@"', 'sh', argv() ]);
    ends($result, 0, 'a limit that is higher than ours', $by_pg_ctlcluster, $follows,
        qr/^pg_rewind: warning: if this command starts .*: the limit of open files$/m);
    return;
}

each_version(sub {
    $target = RewindTest::DebianCluster->new('target')->start;
    $source = $target->standby('source')->promote;
    $_->sql('CREATE TABLE t()') for $source, $target;
    $target->stop;
    $saved = "$target->{dir}/saved";
    must_run([ 'cp', '-a', $target->data, $saved ]);
    subtest('another main file', \&another_main_file);
    subtest('files and sockets', \&files_and_sockets);
    subtest('rules of the data directory', \&rules_of_data_directory);
    subtest('disabled', \&disabled);
    subtest('an option of two lines', \&newline);
    subtest('limits', \&limits);
}, only => [15]);
