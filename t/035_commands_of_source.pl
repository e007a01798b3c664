# No command of the source runs on the target's host before its server starts there: neither a look nor a rewind asks
# the archive by a restore_command that only the source's configuration has. What the target's server would run is told.
# (The attacker: whoever can write to the source's configuration. Up to 11 the command is in recovery.conf.)
#
#   source   1 ──┬── 2 ──────────▶      restore_command, archive_command and more of its own
#   target       └── 1 ──╳
# (Rule S13.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my ($source, $diverged, $marker, $command);

sub fresh { my ($name) = @_; unlink $marker; return $diverged->copy($name) }

sub is_not_run { my ($what) = @_; ok(!-e $marker, "$what: the source's command was not run"); unlink $marker; return }

my $unasked =
    qr/^pg_rewind: hint: The server will have another restore_command: "touch \.\.\."\. It is not the target's own, so pg_rewind has not run it/m;

sub by_hand
{
    my ($version) = @_;
    my %runs = (
        'a dry run'                       => ['-n'],
        'a dry run with --keep-config'    => [ '-n', '--keep-config' ],
        'a dry run with -R'               => [ '-n', '-R' ],
        'with -c'                         => ['-c'],
        'with -R and another command'     => [ '-R', '--restore-command=false' ],
        'with -R'                         => ['-R'],
        'plain'                           => [],
    );
    for my $what (sort keys %runs)
    {
        my @options = @{ $runs{$what} };
        my $target = fresh('by_hand');
        # Of -c it is the target's own that is asked for.
        append($target->path($version < 12 ? 'recovery.done' : 'postgresql.auto.conf'), "restore_command = 'false'\n")
            if grep { /^-c$/ } @options;
        my $result = rewinds($target, $source, options => \@options,
            not_foretold => 'the commands that run are counted');
        is_not_run($what);
        # Up to 11 -R keeps only a command of recovery.conf; -R and --keep-config keep it from 12 on.
        my $will_have_it = grep({ /keep/ } @options) ? $version < 12 : $version >= 12 || !grep { /^-R$/ } @options;
        if ($will_have_it) { like($result->{stderr}, $unasked, "$what: it is told that the archive was not asked") }
        else { unlike($result->{stderr}, $unasked, "$what: there is nothing to tell") }
        unlike($result->{stderr}, qr/secret/, "$what: what follows the program's name is not shown");
        $target->discard;
    }
    return;
}

# The run that finishes a rewind puts the source's configuration in the place of the target's, and then looks on.
sub finishes_an_interrupted_rewind
{
    my ($version) = @_;
    for my $options ([], ['-c'])
    {
        my $target = fresh('interrupted');
        end_by_kill(hold($target, $source, 'apply'));
        is_not_run("killed (@$options)");
        my $result = rewind($target, $source, options => $options, dry => 0);
        is($result->{status}, 0, "the same command with (@$options) finishes it") or diag($result->{stderr});
        like($result->{stderr}, qr/the interrupted rewind is finished/, 'as it says');
        is_not_run("a run that finishes it (@$options)");
        like($result->{stderr}, $unasked, 'it is told that the archive was not asked') if $version >= 12;
        $target->discard;
    }
    return;
}

sub with_the_same_command
{
    my ($version) = @_;
    my $target = fresh('same');
    append($target->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'), "restore_command = '$command'\n"
        . ($version < 12 ? "standby_mode = on\n" : ''));
    unlike(rewinds($target, $source, options => ['-n'], not_foretold => 'it is one')->{stderr}, $unasked,
        'the target has the same command: nothing to tell');
    ok(-e $marker, 'and it is asked');
    $target->discard;
    $target = fresh('option');
    rewinds($target, $source, options => [ '-n', "--restore-command=$command" ], not_foretold => 'it is one');
    ok(-e $marker, 'it is asked too if an option has it');
    $target->discard;
    return;
}

# restore_command is one of the standby's settings from 12 on. From 19 on pg_hosts.conf has commands.
my $names =
    qr/archive_command, plperl\.on_plperlu_init, pltclu\.start_proc, restore_command \("touch \.\.\."\), shared_preload_libraries, ssl_passphrase_command/;

sub told_beforehand
{
    my ($version) = @_;
    my $listed = $version < 12
        ? qr/archive_command, plperl\.on_plperlu_init, pltclu\.start_proc, shared_preload_libraries/
        : $version < 19 ? $names : qr/$names, hosts_file/;
    my $says = qr/the target's server will run what the source's configuration names: $listed/;
    my $target = fresh('told');
    my $check = run([ rewind_argv($target->data, qw(--check -R), '--source-server', $source->conninfo) ]);
    like($check->{stdout} =~ s/\n {3,}/ /gr, qr/^warning  standby_commands +$says/m,
        '--check -R lists what the server will run') or diag($check->{stdout}, $check->{stderr});
    is_not_run('--check -R');
    $check = run([ rewind_argv($target->data, qw(--check -R --keep-config), '--source-server', $source->conninfo) ]);
    unlike($check->{stdout}, qr/standby_commands/, 'with --keep-config there is nothing to list');
    my @rejoin = (qw(--rejoin -n -B), $target->bindir, '--source-server', $source->conninfo);
    my $result = run([ rewind_argv($target->data, @rejoin) ]);
    like($result->{stderr}, qr/^pg_rewind: warning: $says$/m, '--rejoin -n of a stopped target lists it')
        or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: hint: Look at these settings of the source, or keep the target's configuration: --keep-config\.$/m,
        'and says what helps');
    is_not_run('--rejoin -n');
    $target->start;
    $result = run([ rewind_argv($target->data, @rejoin) ]);
    like($result->{stderr}, qr/^pg_rewind: warning: $says$/m, '--rejoin -n of a running target lists it')
        or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: detail: pg_rewind does not run the source's restore_command, so it has not looked for WAL in the archive/m,
        'and what it means')
        if $version >= 12;
    is_not_run('--rejoin -n of a running target');
    $target->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $marker = work_dir() . '/executed';
    $command = "touch $marker; false secret";
    # They lie in files; the running source has other settings.
    my $settings =
        "archive_command = 'touch $marker'\nplperl.on_plperlu_init = 'x'\npltclu.start_proc = 'x'\nshared_preload_libraries = 'pg_stat_statements'\n";
    append($source->path('recovery.conf'), "restore_command = '$command'\n") if $version < 12;
    append($source->path('postgresql.conf'), $version < 12 ? $settings
        : "${settings}ssl_passphrase_command = 'x'\nrestore_command = '$command'\n");
    if ($version >= 19)
    {
        append($source->path('postgresql.conf'), "ssl_sni = on\n");
        append($source->path('pg_hosts.conf'), "example.org host.crt host.key host.ca \"touch $marker\" on\n");
    }
    subtest('by hand', sub { by_hand($version) });
    subtest('an interrupted rewind', sub { finishes_an_interrupted_rewind($version) });
    subtest('the same command', sub { with_the_same_command($version) });
    subtest('told beforehand', sub { told_beforehand($version) });
});
