# A cluster that a server encrypts is refused, by the name of what encrypts it, before anything is done: blocks of
# source and target may be under different keys. That a server could encrypt is no reason. (Invariant 1. The same on all
# versions; source is a server that grants four functions, or a directory.)
# (Rule N1.)

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use JSON::PP ();
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Tree;

# A key file, as the program leaves it; the error, and its hint, which names what can rewind such a cluster.
my @marks = (
    [ 'pg_tde/5_keys',         qr/^cluster is encrypted by pg_tde, /,
    qr/^Use pg_tde_rewind of pg_tde 2\.2\.1 or later/ ],
    [ 'pg_tde/1664_keys',      qr/^cluster is encrypted by pg_tde, /,                         qr/^Use pg_tde_rewind / ],
    [ 'pg_tde/wal_keys',       qr/^cluster is encrypted by pg_tde, /,                         qr/^Use pg_tde_rewind / ],
    [ 'pg_encryption/key.bin', qr/^cluster is encrypted by EDB Transparent Data Encryption, /,
    qr/^Use the pg_rewind .*--key-unwrap-command/ ],
    [ 'global/kdf_params',     qr/^cluster is encrypted by CYBERTEC's Transparent /,          qr/^Use the pg_rewind / ],
    [ 'pg_cryptokeys/live/relation.wkey', qr/^cluster is encrypted by Apache Cloudberry's /, qr/^Use the pg_rewind / ],
);

# What is there without any key: a server that loads pg_tde makes the first, a key provider alone the second; the others
# are somebody's.
my @no_marks = qw(pg_tde/keys_version pg_tde/1664_providers pg_tde/5_providers pg_tde/5_keys.r pg_encryption/notes);

sub put
{
    my ($cluster, @paths) = @_;
    for my $path (map { $cluster->path($_) } @paths)
    {
        make_path(dirname($path));
        spew($path, "of an encryption\n");
    }
    return;
}

# Without the directories that are no part of a cluster.
sub take_away
{
    my ($cluster, $path) = @_;
    return $path =~ m{^global/} ? unlink $cluster->path($path) : remove_tree(dirname($cluster->path($path)));
}

sub refuses
{
    my ($target, $source, $mark, $name, %option) = @_;
    my ($path, $message, $hint) = @$mark;
    my $before = tree($target);
    for my $options ([], ['--compare'], ['--dry-run'])
    {
        my $result = rewind($target, $source, %option, options => [ '--report=json', @$options ]);
        is($result->{signal} || $result->{status}, 1, "$name: pg_rewind @$options fails with status 1")
            or diag($result->{stderr});
        my @errors = @{ JSON::PP->new->utf8->decode($result->{stdout})->{errors} };
        is(scalar @errors, 1, "$name: one error") or diag($result->{stderr});
        like($errors[0]{message}, $message, "$name: it names what encrypts");
        like($errors[0]{detail},  qr{\b\Q$path\E"}, "$name: and the file");
        like($errors[0]{hint},    $hint, "$name: and the program that can");
        unlike($result->{stderr}, qr/--compare/, "$name: --compare is no way");
    }
    is_same_tree(tree($target), $before, "$name: the target is as it was");
    return;
}

# --check and --rejoin, of servers that run: the target's is not stopped.
sub running_are_refused
{
    my ($target, $source, $marked, $name, $user) = @_;
    my ($path, $message) = @{ $marks[0] };
    my @source = ('--source-server', $source->conninfo =~ s/user=\S+/user=$user/r);
    put($marked, $path);
    $target->start;
    my $pid = $target->postmaster_pid;
    my $rejoin = run([ rewind_argv($target->data, '--rejoin', '-B', $target->bindir, @source) ]);
    is($rejoin->{status}, 1, "$name: --rejoin fails with status 1");
    like($rejoin->{stderr}, qr/^pg_rewind: error: cluster is encrypted by pg_tde, /m, "$name: it says so");
    is($target->postmaster_pid, $pid, "$name: the server was not stopped");
    for my $state (qw(running stopped))
    {
        $target->stop if $state eq 'stopped';
        my $check = run([ rewind_argv($target->data, '--check', '--report=json', @source) ]);
        my $said = JSON::PP->new->utf8->decode($check->{stdout});
        is($check->{status}, 1, "$name: --check of a $state node: not ready");
        my @told = ((grep { $_->{name} =~ /encryption/ && $_->{state} eq 'problem' } @{ $said->{findings} }),
            @{ ($said->{verdict} // {})->{errors} // [] });
        like($_->{text} // $_->{message}, $message, "$name: --check of a $state node says so") for $told[0] // {};
    }
    take_away($marked, $path);
    return;
}

# A server that encrypts may have a pg_control that only it can read.
sub unknown_control_is_explained
{
    my ($target, $source) = @_;
    my $copy = $target->copy('own_control');
    my $path = $copy->path('global/pg_control');
    my $bytes = slurp($path);
    my ($offset) = find_crc($bytes);
    substr($bytes, $offset, 4) = "\0" x 4;
    RewindTest::ControlFile::replace($path, $bytes);
    like(rewind($copy, $source)->{stderr}, qr/^pg_rewind: error: unexpected control file CRC$/m,
        'a pg_control that is damaged');
    put($copy, $marks[3][0]);
    my $result = rewind($copy, $source);
    is($result->{status}, 1, 'a pg_control of its own: status 1');
    like($result->{stderr}, qr/^pg_rewind: error: cluster is encrypted by EDB /m,
        'a pg_control of its own: it says why');
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $user = $version < 11 ? 'postgres' : 'rewinder';
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i; '
        . rewinding_role('rewinder')) },
        source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 3000)') },
        target => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 2000)') });
    for my $mark (@marks)
    {
        put($source, $mark->[0]);
        refuses($target, $source, $mark, "$mark->[0] of a source server", user => $user);
        take_away($source, $mark->[0]);
        put($target, $mark->[0]);
        refuses($target, $source, $mark, "$mark->[0] of the target", user => $user);
        take_away($target, $mark->[0]);
    }
    running_are_refused($target, $source, $source, 'of the source', $user);
    running_are_refused($target, $source, $target, 'of the target', $user);
    $source->stop;
    for my $mark (@marks)
    {
        put($source, $mark->[0]);
        refuses($target, $source, $mark, "$mark->[0] of a source directory", kind => 'directory');
        take_away($source, $mark->[0]);
    }
    unknown_control_is_explained($target, $source->start);

    put($_, @no_marks) for $source, $target;
    my $copy = $target->copy('without_keys');
    rewinds($copy, $source, user => $user, options => ['--no-sync']);
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;
    take_away($_, 'pg_tde/5_keys') for $source, $target;
    put($_, 'pg_tde') for $source, $target;
    $copy = $target->copy('without_directory');
    rewinds($copy, $source, user => $user, options => ['--no-sync']);
    $copy->discard;
    $source->stop;
    rewinds($target, $source, kind => 'directory', options => ['--no-sync']);
}, only => [ 10, 18 ]);
