# The server of a rewound target is a hot standby, which does not start with fewer connections, processes, locks or
# prepared transactions than the source has. The configuration that it will have is looked at before: its own that is
# kept, or the source's with a change that the source's server has not seen. From 12 on -R writes what the source has;
# before, --rejoin refuses, with both numbers. (Where settings of recovery are: 10. Where the server only pauses at a
# later change: 14 and later.)
#
#   source   1 ──┬── 2 ── restarted with higher limits ──▶
#   target       └── 1 ──▶ keeps its configuration
# (Rules I57, S6, S10, S11, S36, S41.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Outcome;

my ($source, $diverged, $target);

sub limits
{
    my ($version) = @_;
    return (max_connections => 150, max_worker_processes => 12, $version >= 12 ? (max_wal_senders => 12)
        : (), max_prepared_transactions => 20, max_locks_per_transaction => 150);
}

sub own { my ($version, $name) = @_; return { max_connections => 100, max_worker_processes => 8, max_wal_senders => 8,
    max_prepared_transactions => 8, max_locks_per_transaction => $version >= 19 ? 128 : 64 }->{$name} }

sub fresh { my ($name) = @_; $target->discard if $target; $target = $diverged->copy($name); $target->{starts} = 1;
    return $target }

sub of_target
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]);
}

sub rejoin { return of_target(qw(--rejoin --no-sync --rejoin-timeout=60 -B), $target->bindir, @_) }

# Each limit with both its numbers.
sub pairs { my ($version, $form) = @_; my %limit = limits($version); return join ', ',
    map { sprintf $form, $_, own($version, $_), $limit{$_} } grep { exists $limit{$_} } qw(max_connections
    max_worker_processes max_wal_senders max_prepared_transactions max_locks_per_transaction) }

sub finding
{
    my ($name, @options) = @_;
    my $check = of_target('--check', '--report=json', @options);
    my ($found) = grep { $_->{name} eq $name } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} };
    return $found // { state => 'none', text => '' };
}

sub has_limits
{
    my ($version, $what) = @_;
    my %limit = limits($version);
    is($target->query("SELECT current_setting('$_')"), $limit{$_}, "$what: $_ is the source's") for sort keys %limit;
    return;
}

my $follows = qr/^pg_rewind: the target follows the source: standby /m;
my $low =
    qr/^pg_rewind: error: the target's server would not start as a standby: its limits are lower than the source's$/m;

# The target's own configuration.
sub kept
{
    my ($version) = @_;
    my $written = $version >= 12;
    my $numbers = pairs($version, '%s (%d, needed: %d)');

    fresh('kept')->start;
    my $found = finding('standby_limits', '--keep-config');
    is($found->{state}, 'warning', '--check warns of the target\'s own limits');
    like($found->{text}, qr/^\Q$numbers\E\.$/m, 'and has both numbers');
    is(finding('standby_limits')->{state}, 'ok', 'the source\'s configuration has what it needs');
    $found = finding('standby_limits', '--keep-config', '-R');
    is($found->{state}, $written ? 'ok' : 'warning', '--check -R knows whether it writes them');

    # One that raises them itself, from pg_control.
    spew($target->path('patroni.dynamic.json'), '{}');
    is(finding('standby_limits', '--keep-config')->{state}, 'ok', 'under Patroni nothing is said');
    unlink $target->path('patroni.dynamic.json');

    my $pid = $target->postmaster_pid;
    my $writes =
        qr/^pg_rewind: -R writes limits that are at least the source's, since a standby does not start with lower ones: \Q@{[ pairs($version, '%1$s (%2$d, needed: %3$d)') ]}\E$/m;
    ends(rejoin('--keep-config', '-n'), 0, 'a dry run of --rejoin', $writes) if $written;
    my $result = rejoin('--keep-config');
    if ($written)
    {
        ends($result, 0, '--rejoin', $follows, $writes);
        has_limits($version, '--rejoin');
        $pid = $target->postmaster_pid;
        ends(rejoin('--keep-config'), 0, '--rejoin again',
            qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    }
    else
    {
        ends($result, 1, '--rejoin', $low, qr/^pg_rewind: detail: \Q$numbers\E\.$/m,
            qr/The target is unchanged, and its server is running\.$/m);
        is($target->postmaster_pid, $pid, '--rejoin: the server goes on');
        $target->sql("ALTER SYSTEM SET $_ = " . { limits($version) }->{$_}) for sort keys %{ { limits($version) } };
        ends(rejoin('--keep-config'), 0, '--rejoin after they were raised', $follows);
    }

    # The command line wins over what -R writes.
    fresh('command_line')->start(settings => { max_connections => 90 });
    $pid = $target->postmaster_pid;
    ends(rejoin('--keep-config', $_), 1, "a limit of the command line, $_", $low,
        qr/^pg_rewind: detail: max_connections \(90, needed: 150\)/m,
        qr/^pg_rewind: hint: The server was started with such options, which win over what -R writes\. Start it without them, or name a --start-command without them\.$/m)
        for '--no-sync', '-n';
    is($target->postmaster_pid, $pid, 'a limit of the command line: the server goes on');

    # Without -R nothing is written: it is the next step.
    fresh('by_hand');
    my %limit = limits($version);
    ends(of_target('--keep-config', '--no-sync'), 0, 'without -R',
        qr/^pg_rewind: hint: Before the server starts: the target's server would not start as a standby: its limits are lower than the source's\. \Q@{[ pairs($version, '%1$s (%2$d, needed: %3$d)') ]}\E\. Set them/m);
    append($target->last_settings, join '', map { "$_ = $limit{$_}\n" } sort keys %limit);
    rejoins($target, $source, no_promotion => 1, quick => 1);

    fresh('off')->configure('hot_standby = off');
    $result = of_target('--keep-config', '--no-sync', '-R');
    ends($result, 0, 'with hot_standby = off');
    unlike($result->{stderr}, qr/limits/, 'with hot_standby = off: not a word of limits');
    return;
}

# Patroni raises the limits itself, from pg_control, but here pg_rewind starts the server.
sub of_a_manager
{
    my ($version) = @_;
    my $numbers = pairs($version, '%s (%d, needed: %d)');

    fresh('managed')->start;
    spew($target->path('patroni.dynamic.json'), '{}');
    my $result = rejoin('--keep-config', '-n', '--start-command=false');
    ends($result, 0, 'under Patroni, with a command that may start it', qr/^pg_rewind: warning: Patroni may start/m);
    unlike($result->{stderr}, qr/limits/, 'under Patroni, with a command that may start it: not a word of limits');
    if ($version >= 12)
    {
        ends(rejoin('--keep-config'), 0, 'under Patroni, --rejoin', $follows,
            qr/^pg_rewind: -R writes limits that .*: \Q$numbers\E$/m);
        has_limits($version, 'under Patroni, --rejoin');
    }
    else
    {
        ends(rejoin('--keep-config'), 1, 'under Patroni, --rejoin', $low, qr/^pg_rewind: detail: \Q$numbers\E\.$/m);
    }

    # What Patroni has given the server is what pg_rewind gives it.
    fresh('command_line_of_patroni')->start(settings => { max_connections => 90 });
    spew($target->path('patroni.dynamic.json'), '{}');
    my $pid = $target->postmaster_pid;
    ends(rejoin('--keep-config'), 1, 'under Patroni, a limit of the command line', $low,
        qr/^pg_rewind: detail: max_connections \(90, needed: 150\)/m);
    is($target->postmaster_pid, $pid, 'under Patroni, a limit of the command line: the server goes on');
    return;
}

# The source has a configuration that its server has not read.
sub edited
{
    my ($version) = @_;
    my $file = $source->path('postgresql.auto.conf');
    my $before = slurp($file);
    $source->sql('ALTER SYSTEM SET max_connections = 30');
    fresh('edited')->start;
    like(finding('standby_limits')->{text}, qr/^max_connections \(30, needed: 150\)\.$/m,
        'edited: --check has both numbers');
    my $result = rejoin();
    ends($result, 0, 'edited', $follows) if $version >= 12;
    is($target->query('SHOW max_connections'), 150, 'edited: the server has what it needs') if $version >= 12;
    ends($result, 1, 'edited', $low, qr/^pg_rewind: detail: max_connections \(30, needed: 150\)\.$/m)
        if $version < 12;
    spew($file, $before);
    return;
}

# Up to 11 -R writes none of them. Whether a --start-command gives them is not known, so nothing is refused.
sub commanded
{
    my ($version) = @_;
    return if $version >= 12;
    fresh('commanded');
    my %limit = limits($version);
    my $options = join ' ', "-c unix_socket_directories=$target->{dir}", map { "-c $_=$limit{$_}" } sort keys %limit;
    my $start = "$target->{bindir}/pg_ctl -w -D $target->{dir}/data -l $target->{dir}/log -o '$options' start";
    my $result = rejoin('--keep-config', "--start-command=$start");
    ends($result, 0, 'limits of a --start-command', $follows,
        qr/^pg_rewind: warning: the target's server would not start as a standby: its limits are lower than the source's$/m);
    has_limits($version, 'limits of a --start-command');
    $target->stop;
    return;
}

# The server's main file lies outside of the data directory, which may have one as well. Its limits are higher than the
# source's, and -R does not lower them. Where that file is not known, nothing is known of the limits.
sub elsewhere
{
    my ($version) = @_;
    return if $version < 12;
    for my $case ('beside another one', 'alone', 'not known')
    {
        my %own = ($case eq 'not known' ? limits($version) : (), max_connections => 500);
        my $file = fresh($case =~ s/ /_/gr)->dir . '/outside.conf';
        spew($file, join '', slurp($target->path('postgresql.conf')), map { "$_ = $own{$_}\n" } sort keys %own);
        $case eq 'beside another one' ? spew($target->path('postgresql.conf'), '')
            : unlink $target->path('postgresql.conf');
        $target->start(settings => { config_file => $file })->stop;
        unlink $target->path('postmaster.opts') if $case eq 'not known';
        my @options = ('--keep-config', '-R');
        my $found = finding('standby_limits', @options);
        my $result = of_target(@options, '--no-sync');
        ends($result, 0, "a main file outside, $case");
        is($found->{state}, $case eq 'not known' ? 'unknown' : 'ok', "a main file outside, $case: --check");
        unlike(slurp($target->path('postgresql.auto.conf')), qr/max_connections/,
            "a main file outside, $case: nothing is lowered");
        like($result->{stderr},
            qr/^pg_rewind: hint: Before the server starts: limits in .* than max_connections = 150, max_worker/m,
            'what is needed is named') if $case eq 'not known';
        $target->start(settings => { config_file => $file });
        is($target->query('SHOW max_connections'), 500, "a main file outside, $case: the server has its own limit");
    }
    return;
}

# A server that was started with PGDATA in its environment, as in a container, and has stopped.
sub start_and_stop
{
    my ($what, $file) = @_;
    local $ENV{PGDATA} = $target->data;
    my @pg_ctl = ("$target->{bindir}/pg_ctl", '-w', '-l', "$target->{dir}/log");
    my $result = run([ @pg_ctl, '-o', "-c config_file=$file -k $target->{dir}", 'start' ]);
    run([ @pg_ctl, 'stop' ]);
    is($result->{status}, 0, "$what: the server ran") or diag($result->{stderr});
    unlike(slurp($target->path('postmaster.opts')), qr/"-D"/, "$what: its options have no directory");
    return;
}

# Where limits are not known, all that the source needs above their defaults is named.
my $unknown = qr/limits in the configuration of the target's server are not known, since [\w ]+/;
my $needed = qr/A standby does not start with lower ones than max_connections = 150, max_worker/;

# A server whose postmaster.opts names the main file alone. That is the server's if it lies in the data directory or
# names that as its own; otherwise it may be the file of another server, from which the directory was copied. A named
# file may also exist in the container only. The data directory's own postgresql.conf, which initdb has made, then says
# nothing of the limits.
sub without_directory
{
    my ($version) = @_;
    return if $version < 12;
    my %is_known = ('named' => 1, 'inside' => 1, 'of anybody' => 0, 'elsewhere' => 0);
    for my $case (sort keys %is_known)
    {
        fresh("main_file_$case" =~ s/ /_/gr);
        my %own = (limits($version), max_connections => 500);
        my $file = $case eq 'inside' ? $target->path('own.conf') : $target->dir . '/outside.conf';
        spew($file, join '', slurp($target->path('postgresql.conf')), map { "$_ = $own{$_}\n" } sort keys %own);
        append($file, "data_directory = '@{[ $target->data ]}'\n") if $case eq 'named';
        start_and_stop("a main file $case", $file);
        rename $file, "$file.gone" or die if $case eq 'elsewhere';
        my @options = ('--keep-config', '-R');
        is(finding('standby_limits', @options)->{state}, $is_known{$case} ? 'ok' : 'unknown',
            "a main file $case: --check");
        my $result = of_target(@options, '--no-sync');
        ends($result, 0, "a main file $case");
        unlike(slurp($target->path('postgresql.auto.conf')), qr/max_connections/,
            "a main file $case: nothing is lowered");
        my %says = (
            'the needed limits are named' => qr/^pg_rewind: hint: Before the server starts: $unknown\. $needed/m,
            'a former primary_conninfo may be there' =>
                qr/^pg_rewind: warning: the main configuration file that the target's last start named is not here/m,
        );
        for my $what (sort keys %says)
        {
            $is_known{$case} ? unlike($result->{stderr}, $says{$what}, "a main file $case: not that $what")
                : like($result->{stderr}, $says{$what}, "a main file $case: $what");
        }
        unlike($result->{stderr}, qr/file of the target was not found/, "a main file $case: one was found");
        rename "$file.gone", $file or die if $case eq 'elsewhere';
        $target->start(settings => { config_file => $file });
        is($target->query('SHOW max_connections'), 500, "a main file $case: the server has its own limit");
    }
    return;
}

# A --start-command may start the server with the main file of its last start, which exists in the container only: the
# data directory's own postgresql.conf says nothing of the limits.
sub in_a_container
{
    my ($version) = @_;
    return if $version < 12;
    for my $case ('that is stopped', 'that runs')
    {
        my $what = "a server $case in a container";
        fresh("container_$case" =~ s/ /_/gr);
        my %own = (limits($version), max_connections => 500);
        my $file = $target->dir . '/outside.conf';
        spew($file, join '', slurp($target->path('postgresql.conf')), map { "$_ = $own{$_}\n" } sort keys %own);
        $case eq 'that runs' ? $target->start(settings => { config_file => $file }) : start_and_stop($what, $file);
        rename $file, "$file.gone" or die;
        my $pg_ctl = "$target->{bindir}/pg_ctl -w -D @{[ $target->data ]} -l $target->{dir}/log";
        my @options = ('--keep-config',
            "--start-command=mv $file.gone $file; $pg_ctl -o '-c config_file=$file -k $target->{dir}' start");
        my %says = ('that runs' => qr/^pg_rewind: warning: $unknown\npg_rewind: detail: $needed/m,
            'that is stopped' => qr/^pg_rewind: hint: Before the server starts: $unknown\. $needed/m);
        ends(rejoin(@options, '-n'), 0, "$what, in a dry run", $says{$case});
        # The rewind removes postmaster.opts, and the same command again must not take another file for certain.
        ends(rejoin(@options, '--start-command=false'), 2, "$what, and does not start", $says{'that is stopped'});
        ends(rejoin(@options), 0, $what, $follows, $says{'that is stopped'});
        unlike(slurp($target->path('postgresql.auto.conf')), qr/max_connections/, "$what: nothing is lowered");
        is($target->query('SHOW max_connections'), 500, "$what: it has its own limit");
    }
    return;
}

# It starts on the source's WAL as it is.
sub without_divergence
{
    my ($version) = @_;
    $target->discard;
    $target = $source->standby('standby');
    $target->follow($source);
    $target->wait_for_replay_of($source);
    $target->stop;
    append($target->last_settings, "max_connections = 40\n");
    my $result = of_target('-R');
    ends($result, 0, 'no rewind');
    like($result->{stderr}, qr/max_connections \(40, needed: 150\)/, 'no rewind: the number is named');
    append($target->last_settings, "max_connections = 150\n") if $version < 12;
    is($target->try_start->{status}, 0, 'no rewind: the server starts') or diag($target->log);
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub {
            my ($server) = @_;
            my %limit = limits($version);
            $server->sql("ALTER SYSTEM SET $_ = $limit{$_}") for sort keys %limit;
            $server->restart;
            $server->sql("CHECKPOINT; INSERT INTO t VALUES ('source')");
        },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    kept($version);
    of_a_manager($version);
    edited($version);
    commanded($version);
    elsewhere($version);
    without_directory($version);
    in_a_container($version);
    without_divergence($version);
    undef $target;
}, only => [ 10, 12, 15, 18, 19 ]);
