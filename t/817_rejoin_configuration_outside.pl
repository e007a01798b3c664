# What the target's configuration includes from outside of the data directory counts, and so do the options of its
# server's last start: a recovery target there, with which it would be promoted beside the source; the former
# primary_conninfo, whose application_name and sslmode -R keeps. What cannot be read is a finding of --check, and
# --rejoin does not stop the server. (Invariant 3.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──▶ running, with a configuration elsewhere
# (Rules I49, I55, I61, I64, O5, S6, S7, S28, S30, S31, S41.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Outcome;
use RewindTest::Privileged;

my ($source, $diverged, $target, $outside);

sub rejoin
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --rejoin-timeout=60
        -B), $target->bindir, '--source-server', $source->conninfo, @options) ]);
}

sub is_refused
{
    my ($what, $says, @options) = @_;
    my $pid = $target->postmaster_pid;
    ends(rejoin(@options, @$_), 1, "$what @$_", $says,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m) for [], ['-n'];
    is($target->postmaster_pid, $pid, "$what: the server goes on");
    return;
}

sub fresh
{
    my ($name) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    $target->{starts} = 1;
    $outside = "$target->{dir}/outside";
    mkdir $outside;
    return $target;
}

sub check
{
    return run([ rewind_argv($target->data, qw(--check -R
        --verbose), '--source-server', $source->conninfo, @_) ])->{stdout};
}

my $promotes = "recovery_target = 'immediate'\nrecovery_target_action = 'promote'\n";

# By each way to name it.
sub recovery_target_outside
{
    my %by = (
        'an absolute path' => sub { "include '$outside/x.conf'\n" },
        'a path with ..' => sub { "include_if_exists '../outside/x.conf'\n" },
        'a directory' => sub { "include_dir '$outside'\n" },
        'a link' => sub { symlink($outside, $target->path('own')) or die; "include_dir 'own'\n" },
    );
    for my $way (sort keys %by)
    {
        fresh('outside');
        spew("$outside/x.conf", $promotes);
        $target->configure($by{$way}->());
        $target->start;
        is_refused("a recovery target by $way",
            qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m,
            '--keep-config');
        like(check('--keep-config'), qr/^warning  standby +with "recovery_target" the target's server/m,
            "a recovery target by $way: --check tells of it");
    }
    # A link stays, though the source has such a file, and so does what is mounted over one.
    for my $way ('a link', is_privileged() ? 'a mounted file' : ())
    {
        my $path = fresh('stays')->path('postgresql.conf');
        spew("$outside/x.conf", slurp($path) . $promotes);
        if ($way eq 'a link')
        {
            unlink $path or die;
            symlink("$outside/x.conf", $path) or die;
        }
        else { privileged('mount', "$outside/x.conf", $path) }
        $target->start;
        is_refused("a recovery target in $way",
            qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
        $target->stop;
        privileged('unmount', $path) if $way ne 'a link';
    }
    # The source's configuration includes what the target has at that path.
    fresh('of_source')->start;
    spew("$outside/x.conf", $promotes);
    my $before = slurp($source->path('postgresql.conf'));
    append($source->path('postgresql.conf'), "include '$outside/x.conf'\n");
    is_refused('a recovery target that the source names',
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
    spew($source->path('postgresql.conf'), $before);
    # A path in the target's data directory is of a file that comes from the source: as a rule both data directories
    # have one path.
    spew($source->path('same.conf'), $promotes);
    append($source->path('postgresql.conf'), "include '@{[ $target->data ]}/same.conf'\n");
    is_refused('a recovery target in a file of the source',
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
    spew($source->path('postgresql.conf'), $before);
    unlink $source->path('same.conf');
    return;
}

# A server that runs does not notice them.
sub permissions
{
    fresh('permissions')->start;
    chmod 0755, $target->data or die;
    is_refused('permissions for others',
        qr/^pg_rewind: error: the target's server would not start with these permissions$/m);
    like(check(), qr/^warning  standby +the target's server would not start with these permissions/m,
        '--check tells of them');
    chmod 0750, $target->data or die;
    ends(rejoin(), 0, 'permissions for the group', qr/^pg_rewind: the target follows the source/m);
    return;
}

# Each node has its own certificate, by a path that only this node has.
sub file_that_is_missing
{
    my $before = slurp($source->path('postgresql.conf'));
    for (
        [ 'hba_file', "hba_file = '$outside.gone'\n", "$outside.gone" ],
        [ 'ssl_cert_file', "ssl = on\nssl_cert_file = '$outside.gone'\n", "$outside.gone" ],
        [ 'ssl_cert_file', "ssl = on\n", 'server.crt' ])
    {
        my ($name, $settings, $path) = @$_;
        fresh('missing')->start;
        spew($source->path('postgresql.conf'), $before . $settings);
        is_refused("a missing $name",
            qr/^pg_rewind: error: the target's server would not start without the file of $name
pg_rewind: detail: Its configuration names "\Q$path\E", which is not there\.$/m);
        like(check(), qr/^warning  standby +the target's server would not start without the file of\s+$name/m,
            '--check tells of it');
    }
    spew($source->path('postgresql.conf'), $before . "ssl = off\nssl_cert_file = '/gone'\nident_file = 'gone'\n");
    ends(rejoin('-n'), 0, 'files that are not needed, or not known', qr/^pg_rewind: would stop/m);
    spew($source->path('postgresql.conf'), $before);
    return;
}

# As two nodes may share the name of a file, which is made on the wrong host.
sub trigger_file_exists
{
    fresh('trigger');
    my $before = slurp($source->path('postgresql.conf'));
    append($source->path('postgresql.conf'), "promote_trigger_file = '$outside/trigger'\n");
    $target->start;
    spew("$outside/trigger", '');
    is_refused('a trigger file that exists',
        qr/^pg_rewind: error: with the trigger file "\Q$outside\E\/trigger" the target's server would not follow the source$/m);
    like(check(), qr/^warning  standby +with the trigger file\b/m, '--check tells of it');
    unlink "$outside/trigger";
    # By a relative path it is a file of the rewound target.
    spew($source->path('postgresql.conf'), $before . "promote_trigger_file = 'trigger'\n");
    spew($source->path('trigger'), '');
    is_refused('a trigger file of the source',
        qr/^pg_rewind: error: with the trigger file "\Q$target->{dir}\E\/data\/trigger" the target.s server/m);
    unlink $source->path('trigger');
    spew($source->path('postgresql.conf'), $before . "promote_trigger_file = '../trigger'\n");
    spew("$target->{dir}/trigger", '');
    is_refused('a trigger file beside the directory', qr/^pg_rewind: error: with the trigger file "/m);
    unlink "$target->{dir}/trigger";
    spew($source->path('postgresql.conf'), $before . "promote_trigger_file = 'trigger'\n");
    spew($target->path('trigger'), '');
    ends(rejoin(), 0, 'one that does not exist', qr/^pg_rewind: the target follows the source/m);
    is($target->query('SELECT pg_is_in_recovery()'), 't', 'the server is a standby');
    spew($source->path('postgresql.conf'), $before);
    return;
}

# A directory that the target's configuration includes is kept, without more files of the source. In a directory that
# is not kept, the server reads the source's files and those of the target's that are.
sub of_both
{
    mkdir $source->path('own') or die;
    spew($source->path('own/2.conf'), $promotes);
    fresh('own');
    mkdir $target->path('own') or die;
    spew($target->path('own/1.conf'), "work_mem = '3MB'\n");
    $target->configure("include_dir 'own'");
    $target->start;
    ends(rejoin('--keep-config'), 0, 'files of the source in a directory that the target includes',
        qr/^pg_rewind: the target follows the source/m);
    ok(!-e $target->path('own/2.conf'), 'are not copied');
    is($target->query('SELECT pg_is_in_recovery()'), 't', 'the server is a standby');

    my $before = slurp($source->path('postgresql.conf'));
    unlink $source->path('own/2.conf') or die;
    append($source->path('postgresql.conf'), "include_dir 'own'\n");
    fresh('of_both');
    mkdir $target->path('own') or die;
    spew($target->path('own/1.conf'), $promotes);
    $target->start;
    is_refused('a recovery target in a file that stays beside those of the source',
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m,
        '--keep=own/1.conf');
    ends(rejoin('--keep=own/2.conf'), 0, 'a file that does not stay', qr/^pg_rewind: the target follows the source/m);
    # Files of a mounted directory stay as well.
    if (is_privileged())
    {
        fresh('mounted_directory');
        mkdir $target->path('own') or die;
        spew("$outside/1.conf", $promotes);
        privileged('mount', $outside, $target->path('own'));
        $target->start;
        is_refused('a recovery target in a mounted directory',
            qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
        $target->stop;
        privileged('unmount', $target->path('own'));
    }
    spew($source->path('postgresql.conf'), $before);
    rmdir $source->path('own') or die;

    # A file that the target does not have, and may have.
    spew($source->path('may_be.conf'), $promotes);
    fresh('may_be')->configure("include_if_exists 'may_be.conf'");
    $target->start;
    ends(rejoin('--keep-config'), 0, 'include_if_exists', qr/^pg_rewind: the target follows the source/m);
    ok(!-e $target->path('may_be.conf'), 'the file of the source is not copied');
    unlink $source->path('may_be.conf');

    # -R writes postgresql.auto.conf, from the source's, in the place of a link.
    my $auto = slurp($source->path('postgresql.auto.conf'));
    fresh('auto');
    rename $target->path('postgresql.auto.conf'), "$outside/auto.conf" or die;
    symlink("$outside/auto.conf", $target->path('postgresql.auto.conf')) or die;
    append($source->path('postgresql.auto.conf'), $promotes);
    $target->start;
    is_refused("a recovery target in the source's postgresql.auto.conf",
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m);
    spew($source->path('postgresql.auto.conf'), $auto . "work_mem = '7MB'\n");
    my $result = rejoin();
    ends($result, 0, 'a link in the place of postgresql.auto.conf', qr/^pg_rewind: the target follows the source/m);
    unlike($result->{stderr}, qr/left alone/, 'is not left alone');
    is($target->query('SHOW work_mem'), '7MB', "it has the source's settings");
    spew($source->path('postgresql.auto.conf'), $auto);
    return;
}

# Of a directory of the server nothing is kept, so that what it includes there comes with the rewind. Nobody foresaw it.
sub found_after_the_rewind
{
    my $says = qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source$/m;
    fresh('after');
    $target->configure("include_if_exists 'global/x.conf'");
    spew($source->path('global/x.conf'), $promotes);
    $target->start;
    ends(rejoin('--keep-config'), 2, 'a recovery target that came with the rewind', $says,
        qr/^pg_rewind: hint: The target.s server was not started, since it would not follow/m);
    ok(!$target->is_running, 'the server was not started');
    ends(rejoin('--keep-config'), 1, 'the same command again', $says,
        qr/^pg_rewind: hint: The target is unchanged, and its server is not running\. Remove the cause .* again\.$/m);
    ok(!$target->is_running, 'nor did that start it');
    unlink $source->path('global/x.conf'), $target->path('global/x.conf');
    ends(rejoin('--keep-config'), 0, 'when it is removed', qr/^pg_rewind: the target follows the source/m);

    # Set while the rewind ran: the files of the finished rewind count.
    my $before = slurp($source->path('postgresql.conf'));
    fresh('meanwhile')->start;
    my $held = hold($target, $source, 'write@*/pg_rewind.work/*', qw(--rejoin --no-sync --rejoin-timeout=60 -B),
        $target->bindir);
    append($source->path('postgresql.conf'), $promotes);
    ends(go_on($held), 2, 'a recovery target that was set meanwhile', $says);
    ok(!$target->is_running, 'the server was not started');
    spew($source->path('postgresql.conf'), $before);

    # Set since the start of a standby, which is stopped only to be given a slot.
    $target->discard;
    $target = $source->standby('standby');
    append($target->path('postgresql.auto.conf'), $promotes);
    is_refused('a recovery target set since the last start', $says, '--slot=s', '--create-slot');
    ends(rejoin(), 0, 'a standby that follows goes on', qr/^pg_rewind: the target follows the source/m);
    $target->discard;
    undef $target;
    return;
}

# What a server starts with, and what it does not start with.
sub server_accepts
{
    my $before = slurp($source->path('postgresql.conf'));
    fresh('accepts');
    mkdir $target->path($_) or die for 'own', 'own/old.conf';
    spew($target->path('own/1.conf'), "work_mem = '3MB'\n");
    $target->configure("include_dir 'own'");
    unlink $target->path('postgresql.auto.conf') or die;
    symlink('/dev/null', $target->path('postgresql.auto.conf')) or die;
    $target->start;
    ends(rejoin('--keep-config', '--keep=postgresql.auto.conf', '-n'), 0, 'a directory among the files, and /dev/null',
        qr/^pg_rewind: would stop/m);
    $target->stop;
    fresh('lacks')->start;
    append($source->path('postgresql.conf'), "include_dir 'gone'\n");
    is_refused('a directory that the source lacks',
        qr/^pg_rewind: error: could not read "gone", which the configuration of the target's server names$/m);
    spew($source->path('postgresql.conf'), $before);
    return;
}

# The server starts in the directory that the setting names.
sub other_data_directory
{
    fresh('elsewhere')->start;
    my $before = slurp($source->path('postgresql.conf'));
    append($source->path('postgresql.conf'), "data_directory = '$outside'\n");
    is_refused("another node's data_directory",
        qr/^pg_rewind: error: the target's server would not start in the target
pg_rewind: detail: Its configuration has data_directory = "\Q$outside\E"/m);
    like(check(), qr/^warning  standby +the target's server would not start in the target/m, '--check tells of it');
    is_refused('the same with a command that names no other',
        qr/^pg_rewind: error: the target's server would not start in the target$/m, '--start-command=true');
    spew($source->path('postgresql.conf'), $before . "data_directory = '@{[ $target->data ]}'\n");
    ends(rejoin(), 0, 'its own data_directory', qr/^pg_rewind: the target follows the source/m);
    spew($source->path('postgresql.conf'), $before);
    return;
}

sub cannot_be_read
{
    my $says =
        sub {
            qr/^pg_rewind: error: could not read "\Q$_[0]\E", which the configuration of the target's server names$/m };
    fresh('unread');
    spew("$outside/x.conf", "work_mem = '5MB'\n");
    $target->configure("include '$outside/x.conf'");
    $target->start;
    unlink "$outside/x.conf";
    like(check('--keep-config'),
        qr/^unknown  configuration +"\Q$outside\E\/x\.conf", which\s+the configuration names, cannot be read/m,
        '--check tells what it could not read');
    is_refused('a file that is gone', $says->("$outside/x.conf"), '--keep-config');
    mkdir "$outside/x.conf";
    is_refused('what is no file', $says->("$outside/x.conf"), '--keep-config');
    rmdir "$outside/x.conf";
    # The remedies.
    ends(rejoin(), 0, 'the configuration of the source', qr/^pg_rewind: the target follows the source/m);
    return if !is_privileged();
    fresh('others');
    spew("$outside/x.conf", "work_mem = '5MB'\n");
    $target->configure("include '$outside/x.conf'");
    $target->start;
    privileged('change-owner', 'nobody', "$outside/x.conf");
    chmod 0600, "$outside/x.conf";
    is_refused("another user's file", $says->("$outside/x.conf"), '--keep-config')
        if !open(my $file, '<', "$outside/x.conf");
    return;
}

# What -R writes is the former one's: of a file that is kept, or of the command line.
sub former_conninfo
{
    my $former = q{host=/nowhere application_name=node_7 sslmode=require};
    fresh('former');
    spew("$outside/x.conf", "primary_conninfo = '$former'\n");
    $target->configure("include '$outside/x.conf'");
    my $result = rewind($target, $source, options => [ '-R', '--keep-config' ]);
    is($result->{status}, 0, '-R') or diag($result->{stderr});
    like(slurp($target->path('postgresql.auto.conf')), qr/^primary_conninfo = '.*\bapplication_name=node_7\b.*'$/m,
        'its application_name is kept');
    like(slurp($target->path('postgresql.auto.conf')), qr/^primary_conninfo = '.*\bsslmode=require\b.*'$/m,
        'and its sslmode');

    # The main file of the server's last start, even beside one in the data directory; or it is not known.
    for my $known (1, 0)
    {
        fresh("main_$known");
        my $file = "$outside/main.conf";
        spew($file, slurp($target->path('postgresql.conf')) . "primary_conninfo = '$former'\n");
        unlink $target->path('postgresql.conf') if !$known;
        $target->start(settings => { config_file => $file })->stop;
        unlink $target->path('postmaster.opts') if !$known;
        $result = rewind($target, $source, options => [ '-R', '-n' ]);
        is($result->{status}, 0, '-R, with the main file outside') or diag($result->{stderr});
        like($result->{stderr}, $known
            ? qr/^pg_rewind: detail: Options of the target's former primary_conninfo: kept application_name, ssl/m
            : qr/^pg_rewind: warning: the main configuration file of the target was not found$/m,
            $known ? 'application_name and sslmode are kept' : 'and a warning says that they are not known');
    }

    fresh('unknown');
    $target->configure("include '$outside/none.conf'");
    $result = rewind($target, $source, options => [ '-R' ]);
    is($result->{status}, 0, '-R, where a file cannot be read') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: warning: could not read "\Q$outside\E\/none\.conf", which the target's configuration names$/m,
        'says that it is not known what was there');
    return;
}

# They win over all files.
sub command_line
{
    my ($version) = @_;
    my %targets = (recovery_target => 'immediate', recovery_target_action => 'promote');
    fresh('options')->start(settings => \%targets);
    my $says =
        qr/^pg_rewind: error: with "recovery_target" the target's server would not follow the source\npg_rewind: detail: .* The setting is on the server's command line, as it was started last\.$/m;
    is_refused('a recovery target on the command line', $says);
    like(check(), qr/^warning  standby +with "recovery_target" the target's server/m,
        'a recovery target on the command line: --check tells of it');
    $target->stop;
    ends(rejoin(), 1, 'a recovery target on the command line, stopped', $says);
    my $start = "$target->{bindir}/pg_ctl -D $target->{dir}/data -l $target->{dir}/log -w -o '-k $target->{dir}' start";
    ends(rejoin("--start-command=$start"), 0, 'another start command', qr/^pg_rewind: the target follows the source/m);

    fresh('conninfo')->start(settings => { primary_conninfo => "'host=/nowhere application_name=node_7'" });
    is_refused('primary_conninfo on the command line',
        qr/^pg_rewind: error: with "primary_conninfo" on its command line the target's server would not follow the source$/m);
    $target->stop;
    my $result = rewind($target, $source, options => [ '-R' ]);
    is($result->{status}, 0, '-R') or diag($result->{stderr});
    like(slurp($target->path('postgresql.auto.conf')), qr/^primary_conninfo = '.*\bapplication_name=node_7\b.*'$/m,
        'its application_name is kept');
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    subtest('a recovery target outside', \&recovery_target_outside);
    subtest('files of both sides', \&of_both);
    subtest('what comes with the rewind', \&found_after_the_rewind);
    subtest('what a server accepts', \&server_accepts);
    subtest('a data directory of another node', \&other_data_directory);
    subtest('permissions of the data directory', \&permissions);
    subtest('a file that is missing', \&file_that_is_missing);
    subtest('a trigger file', \&trigger_file_exists) if $version <= 15;
    subtest('what cannot be read', \&cannot_be_read);
    subtest('the former primary_conninfo', \&former_conninfo);
    subtest('options of the command line', sub { command_line($version) });
    undef $target;
}, from => 12, sample => 1);
