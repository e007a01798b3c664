# --rejoin takes the server's programs only from where no other account, and no user of the database, can have put them;
# a dry run executes none that a file of the data directory names; and the server gets none of the variables of our
# connection, with its password. (The attackers: who can write to a file of the data directory; a second account of the
# host.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳
# (Rules T3, T7.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;

my ($source, $diverged, $target, $marker);

# A pg_ctl that tells of its being executed, and goes on as the real one.
sub make_pg_ctl
{
    my ($directory) = @_;
    mkdir $directory;
    spew("$directory/pg_ctl", "#!/bin/sh\necho \"\$@\" >>$marker\nexec $target->{bindir}/pg_ctl \"\$@\"\n");
    chmod 0755, "$directory/pg_ctl";
    return $directory;
}

# What the last start was, by its file.
sub was_started_from
{
    my ($directory) = @_;
    spew($target->path('postmaster.opts'), qq($directory/postgres "-D" "@{[ $target->data ]}"\n));
    unlink $marker;
    return;
}

sub rejoin
{
    my (@options) = @_;
    my %option = ref $options[-1] ? %{ pop @options } : ();
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --rejoin-timeout=60
        --keep-config), '--source-server', $source->conninfo, @options) ],
        env => { PATH => "$target->{bindir}:$ENV{PATH}", %option });
}

sub executed { my $was = -e $marker; unlink $marker; return $was ? 1 : 0 }

sub programs
{
    my $own = make_pg_ctl("$target->{dir}/own");
    was_started_from($own);
    my $result = rejoin('-n');
    is($result->{status}, 0, 'a dry run') or diag($result->{stderr});
    is(executed(), 0, 'executes nothing that postmaster.opts names');
    like($result->{stderr}, qr{^pg_rewind: would start the target's server: \Q$own\E/pg_ctl }m,
        'and says what the rewind would do');

    my $inside = make_pg_ctl($target->path('bin'));
    was_started_from($inside);
    $result = rejoin('-n');
    like($result->{stderr},
        qr{^pg_rewind: warning: program "\Q$inside\E/pg_ctl" is not used: program ".*" is in the data directory "}m,
        'a program of the data directory is not taken');
    like($result->{stderr}, qr{^pg_rewind: would start the target's server: \Q$target->{bindir}\E/pg_ctl }m,
        'but the one in PATH');
    chmod 0777, $own;
    was_started_from($own);
    $result = rejoin('-n', { PATH => "$own:$target->{bindir}:$ENV{PATH}" });
    like($result->{stderr},
        qr{^pg_rewind: warning: program "\Q$own\E/pg_ctl" is not used: every user may rename files in directory "\Q$own\E"}m,
        'nor one that everybody can replace');
    like($result->{stderr}, qr{^pg_rewind: would start the target's server: \Q$target->{bindir}\E/pg_ctl }m,
        'nor from PATH');
    chmod 0755, $own;
    is(executed(), 0, 'none of these was executed');
    was_started_from('own');
    $result = rejoin('-n');
    is(executed(), 0, 'nor one by a relative path');
    $result = rejoin('-n', '-B', $own);
    like($result->{stderr}, qr{^pg_rewind: would start the target's server: \Q$own\E/pg_ctl }m,
        'one that an option names is taken');
    return if !is_privileged();
    privileged('change-owner', 'nobody', $own);
    was_started_from($own);
    $result = rejoin('-n');
    like($result->{stderr},
        qr{^pg_rewind: warning: program "\Q$own\E/pg_ctl" is not used: "\Q$own\E" belongs to another user$}m,
        "nor one of another account's directory");
    is(executed(), 0, 'which is not executed');
    privileged('change-owner', scalar(getpwuid($>)), $own);
    return;
}

sub environment
{
    unlink $target->path('postmaster.opts');
    $target->configure("unix_socket_directories = '$target->{dir}'");
    my %ours = map { $_ => "x$_" } qw(PGPASSWORD PGPASSFILE PGSERVICEFILE PGAPPNAME PGSSLKEY PGSSLCERT PGREALM PGTTY
        PGSYSCONFDIR);
    $ours{PGPORT} = 1;
    $ours{PGCONNECT_TIMEOUT} = 10;
    $ours{PGDATESTYLE} = 'German';
    $ours{PGCLIENTENCODING} = 'LATIN1';
    my %kept = (PGBACKREST_REPO1_S3_KEY => 'kept', PGDATA => $target->data, PGCTLTIMEOUT => 60);
    my $result = rejoin({ %ours, %kept });
    is($result->{status}, 0, '--rejoin with variables of libpq') or diag($result->{stderr});
    my %environment = map { split /=/, $_, 2 } split /\0/, process_file($target->postmaster_pid, 'environ');
    is(join(' ', grep { exists $ours{$_} && $environment{$_} eq $ours{$_} } sort keys %environment), '',
        'the server has none of them');
    is($environment{$_}, $kept{$_}, "but $_, which is none") for sort keys %kept;
    isnt($target->query('SHOW DateStyle'), 'German, DMY', 'its settings are its own');
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $marker = work_dir() . '/executed';
    $target = $diverged->copy('copy');
    subtest('programs', \&programs);
    subtest('environment', \&environment);
    $target->discard;
}, only => [ 10, 15, 18 ]);
