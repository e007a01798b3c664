# Each error has the hint that fits it, and no other; lines to be pasted work as they are: statements, options,
# commands.
#
# What is pasted begins with four blanks. After it has been done the same command comes further.
# (Rule D6.)

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use RewindTest;
use RewindTest::DebianCluster;

my $unreachable = 'Is the source running\?';

# A dry run that fails, or succeeds if the hint is undef; returns what it said.
sub hints
{
    my ($name, $target, $source, $hint, @options) = @_;
    my $result = run([ rewind_argv($target, ref $source ? ('--source-pgdata', $source->data)
        : ('--source-server', $source), '-n', @options) ]);
    is($result->{status}, defined $hint ? 1 : 0, "$name: exit status") or diag($result->{stderr});
    return $result->{stderr} if !defined $hint;
    like($result->{stderr}, qr/^pg_rewind: hint: $hint/m, "$name: has its hint");
    unlike($result->{stderr}, qr/$unreachable/, "$name: and not that of a source that is not reached")
        if $hint ne $unreachable;
    return $result->{stderr};
}

sub pasted { my ($text) = @_; return join "\n", $text =~ /^    (\S.*)$/mg }

# A server without SSL; it says so and hangs up.
sub without_ssl
{
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "could not listen: $!";
    my $pid = fork() // die "could not fork: $!";
    return ($listener->sockport, $pid) if $pid;
    while (my $client = $listener->accept)
    {
        sysread($client, my $request, 8);
        syswrite($client, 'N');
    }
    POSIX::_exit(0);
}

sub connections
{
    my ($target, $source) = @_;
    my $place = "host=$source->{dir}";
    my $data = $target->data;
    my $settings = $source->conninfo;

    hints('a wrong option name', $data, "$settings hots=x", '--source-server takes a connection string');
    hints('a wrong value', $data, "$settings target_session_attrs=x", '--source-server takes a connection string');
    hints('a service that is not defined', $data, 'service=of_nobody', 'Check service=');
    hints('a missing database', $data, "$place user=postgres dbname=of_nobody",
        'Name a database of the source with dbname=');
    hints('a missing role', $data, "$place user=of_nobody dbname=postgres", 'Check user=\.\.\.: the role must exist');
    $source->sql(q{CREATE ROLE locked_out LOGIN; CREATE ROLE secret LOGIN PASSWORD 'geheim'});
    my $hba = slurp($source->path('pg_hba.conf'));
    spew($source->path('pg_hba.conf'), "local all locked_out reject\nlocal all secret md5\n$hba");
    $source->restart;
    hints('a role that pg_hba.conf keeps out', $data, "$place user=locked_out dbname=postgres",
        q{Let this role in by a line of the source's pg_hba\.conf});
    hints('a wrong password', $data, "$place user=secret dbname=postgres password=falsch",
        'Check user=\.\.\. and the password');
    hints('no password', $data, "$place user=secret dbname=postgres passfile=/dev/null",
        'Put the password into a password file');
    my ($port, $pid) = without_ssl();
    my $said = hints('SSL', $data, "host=127.0.0.1 port=$port user=postgres sslmode=require",
        'Check sslmode in the connection string');
    unlike($said, qr/when the source can be reached/, 'it was reached');
    kill('KILL', $pid);
    waitpid($pid, 0);
    hints('a server that is not there', $data, "host=$target->{dir} user=postgres", $unreachable);
    return;
}

sub grants
{
    my ($target, $source) = @_;
    $source->sql(q{CREATE ROLE "Re ""wind" LOGIN});
    $source->sql('CREATE DATABASE "my-db"');
    my $role = qq{host=$source->{dir} user='Re "wind' dbname=my-db};
    my $said = hints('missing grants', $target->data, $role,
        'Run these lines as a superuser of the source in the database "my-db",');
    my $grants = pasted($said);
    is(scalar(split /\n/, $grants), 3, 'one statement a line');
    $source->sql($grants, 'my-db');
    hints('with the grants that were printed', $target->data, $role, undef);
    $source->sql('REVOKE CONNECT ON DATABASE "my-db" FROM public');
    $said = hints('no right to connect', $target->data, $role, 'Run this as a superuser of the source:$');
    $source->sql(pasted($said));
    hints('with that right', $target->data, $role, undef);
    return;
}

sub full_page_writes
{
    my ($target, $source) = @_;
    $source->sql('ALTER SYSTEM SET full_page_writes = off');
    $source->restart->sql('INSERT INTO t VALUES (3)');
    my $said = hints('full_page_writes', $target->data, $source->conninfo, 'Switch it on there');
    $source->sql($_) for split /\n/, pasted($said);
    hints('full_page_writes as it was printed', $target->data, $source->conninfo, undef);
    return;
}

sub directories
{
    my ($target, $source) = @_;
    hints('no such target', "$target->{dir}/nowhere", $source->conninfo, q{-D must name the target's data directory});
    hints('a directory of something else', $target->dir, $source->conninfo, 'Is ".*" a data directory\?');
    my $nowhere = bless { dir => "$source->{dir}/nowhere" }, ref $source;
    hints('no such source', $target->data, $nowhere,
        '--source-pgdata must name the data directory of a source that is stopped');
    hints('one directory for both', $target->data, $target, '-D names the directory that is rewound');
    hints('a source that runs', $target->data, $source,
        'Rewind from that server with --source-server, or stop it: pg_ctl stop -D \S+$');
    $source->stop('kill');
    hints('a source that crashed', $target->data, $source, 'Start its server, which recovers;');
    $source->start;
    hints('a wrong method', $target->data, $source->conninfo, 'Valid methods are fsync and syncfs\.',
        '--sync-method=quick');
    return;
}

sub target_that_runs
{
    my ($target, $source) = @_;
    my $copy = $target->copy('runs')->start;
    my $said = hints('a target that runs', $copy->data, $source->conninfo,
        'It is running. Stop it, .*: pg_ctl stop -m immediate -D ');
    my ($command) = $said =~ /or: (pg_ctl stop .*)$/m;
    must_run([ 'sh', '-c', $command ], env => { PATH => "$target->{bindir}:$ENV{PATH}" });
    hints('stopped by the command that was printed', $copy->data, $source->conninfo, undef);
    $copy->start->stop('kill');
    hints('a target that crashed', $copy->data, $source->conninfo, 'Omit --no-ensure-shutdown', '--no-ensure-shutdown');
    hints('without that option', $copy->data, $source->conninfo, undef);
    $copy->discard;
    return;
}

sub damaged_wal
{
    my ($target, $source) = @_;
    my $copy = $target->copy('damaged');
    for my $path (glob($copy->path('pg_wal/00000001*')))
    {
        open(my $file, '+<:raw', $path) or die "could not open $path: $!";
        for (my $offset = 8192; $offset < -s $file; $offset += 8192)
        {
            sysseek($file, $offset, 0);
            syswrite($file, 'damaged');
        }
        close $file;
    }
    my $said = hints('damaged WAL', $copy->data, $source->conninfo,
        q{Put an undamaged copy of segment "00000001[0-9A-F]{16}" into the target's pg_(?:wal|xlog) .*--compare});
    for (1 .. 3)
    {
        my ($segment) = $said =~ /copy of segment "(\w+)"/ or last;
        must_run([ 'cp', $target->path("pg_wal/$segment"), $copy->path('pg_wal') ]);
        $said = run([ rewind_argv($copy->data, '--source-server', $source->conninfo, '-n') ])->{stderr};
    }
    hints('with the segments that were named', $copy->data, $source->conninfo, undef);
    $copy->discard;
    return;
}

# The source's are in use on the same machine.
sub tablespaces
{
    my ($target, $source) = @_;
    for my $name ('one', 'an other')
    {
        my $location = $source->tablespace_location($name);
        $source->sql(qq{CREATE TABLESPACE "$name" LOCATION '$location'; });
        $source->sql(qq{CREATE TABLE "in $name" TABLESPACE "$name" AS SELECT 1 AS a});
    }
    my $said = hints('tablespaces', $target->data, $source->conninfo, 'Add --checkpoint');
    my $options = pasted($said);
    is(scalar(() = $options =~ /-T /g), 2, 'all mappings are named at once') or diag($said);
    $source->sql('CHECKPOINT');
    my $copy = $target->copy('mapped');
    my $result = run([ 'sh', '-c', "exec \"\$@\" $options", '-', rewind_argv($copy->data, '-R', '--source-server',
        $source->conninfo) ]);
    is($result->{status}, 0, 'with these options it is rewound') or diag($result->{stderr});
    rejoins($copy, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    $copy->discard;
    $said = hints('a place that is in use as well', $target->data, $source->conninfo,
        'Choose another directory in its --tablespace-mapping', '-T',
        "$source->{dir}/tablespace/one=$source->{dir}/tablespace/an other");
    unlike($said, qr{-T $source->{dir}/tablespace/one}, 'no option is proposed beside the one that is given');
    return;
}

sub dry_run_without_R
{
    my ($target, $source) = @_;
    my $warning = qr/^pg_rewind: hint: After this rewind the server would open for writing and diverge again/m;
    like(hints('a dry run', $target->data, $source->conninfo, undef), $warning, 'without -R it warns');
    unlike(hints('a dry run with -R', $target->data, $source->conninfo, undef, '-R'), $warning, 'with -R it does not');
    return;
}

# Debian's configuration is found, if it is this target's.
sub configuration_elsewhere
{
    my $target = RewindTest::DebianCluster->new('hints')->start;
    $target->sql('CREATE TABLE t AS SELECT 1 AS a');
    my $source = $target->standby('hints_source')->promote;
    $target->sql('INSERT INTO t VALUES (2)');
    $target->stop;
    my $file = $target->configuration . '/postgresql.conf';
    my $found = sub { my (@options) = @_;
        return run([ rewind_argv($target->data, '--source-server', $source->conninfo, '-n', '-c', '--debug',
        @options) ]) };

    like($found->()->{stderr}, qr/hint: Set it there/, 'a restore_command that is not set');
    $target->configure("restore_command = 'false %f %p'");
    my $result = $found->();
    is($result->{status}, 0, 'the restore_command that is set') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: using for rewind "restore_command = 'false %f %p'"$/m,
        'is found without --config-file');
    unlike($result->{stderr}, qr/detail: Settings that .*\b(?:port|hba_file) = /, 'its settings stay');

    my $other = work_dir() . '/other.conf';
    spew($other, "data_directory = '@{[ $target->data ]}'\nrestore_command = 'other'\n");
    like($found->("--config-file=$other")->{stderr}, qr/"restore_command = 'other'"/, '--config-file goes before it');

    my $before = slurp($file);
    spew($file, $before =~ s/^data_directory = '[^']*'/"data_directory = '" . $source->data . "'"/mer);
    $result = $found->();
    is($result->{status}, 1, 'a configuration that names another data directory is not taken');
    like($result->{stderr},
        qr/^pg_rewind: hint: The data directory has no postgresql\.conf: name the server's main configuration file with --config-file\.$/m,
        'but asked for');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 2000) AS a') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 2000)') });
    subtest('a dry run without -R', sub { dry_run_without_R($target, $source) });
    subtest('grants', sub { grants($target, $source) }) if $version >= 11;
    subtest('a role that is no superuser', sub {
        $source->sql('CREATE ROLE powerless LOGIN');
        hints('10', $target->data, "host=$source->{dir} user=powerless dbname=postgres",
            'Name a superuser of the source');
    }) if $version == 10;
    subtest('full_page_writes', sub { full_page_writes($target, $source) });
    return if $version != 15;
    subtest('connections', sub { connections($target, $source) });
    subtest('directories', sub { directories($target, $source) });
    subtest('damaged WAL', sub { damaged_wal($target, $source) });
    subtest('a target that runs', sub { target_that_runs($target, $source) });
    subtest('tablespaces', sub { tablespaces($target, $source) });
    subtest('the configuration is elsewhere', sub { configuration_elsewhere() });
}, only => [ 10, 15, 18 ]);
