# A dry run keeps its WAL where other users may make files, and yet nobody can have it write to, or remove, files
# elsewhere. What a killed one leaves is removed by the next one of the same user, and nothing else is. (Nothing here
# depends on the server's version.)
# (Rules I47, I48.)

use strict;
use warnings;
use lib 't/lib';
use Cwd ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;

my ($source, $target, $shared);

# A directory like /tmp, and beside it what is not to be touched.
sub make_places
{
    $shared = work_dir() . '/shared';
    must_run([ 'rm', '-rf', $shared, work_dir() . '/victim' ]);
    mkdir $shared or die;
    chmod 03777, $shared or die;    # what is made there inherits the group's bit
    mkdir work_dir() . '/victim' or die;
    spew(work_dir() . '/victim/file', 'precious');
    return;
}

sub victim_is_as_it_was
{
    my ($name) = @_;
    my $victim = work_dir() . '/victim';
    is(join(' ', map { s{.*/}{}r } glob("$victim/*")), 'file', "$name: a directory elsewhere is as it was");
    ok(-e "$victim/file" && slurp("$victim/file") eq 'precious', "$name: and so is the file in it");
    return;
}

sub content { return join(' ', sort map { s{.*/}{}r } glob("$shared/*")) }

# A program that does what another user can who sees which process begins, and is then pg_rewind itself.
sub planting
{
    my ($name, $plant) = @_;
    my $program = work_dir() . "/$name";
    my $victim = work_dir() . '/victim';
    my $lib = Cwd::getcwd() . '/t/lib';
    my @segments = map { s{.*/}{}r } glob($source->path('pg_wal/') . ('[0-9A-F]' x 24));
    spew($program, <<"END");
#!/usr/bin/perl -I$lib
use RewindTest::Privileged;
my \$victim = '$victim';
my \@segments = qw(@segments);
my \$directory = "\$ENV{TMPDIR}/pg_rewind.\$\$.wal";
$plant
exec { \$ENV{PG_REWIND} } \$ENV{PG_REWIND}, \@ARGV;
END
    chmod 0755, $program;
    return $program;
}

sub planted_links_are_not_gone_through
{
    my %plant = (
        link => 'symlink($victim, $directory) or die $!;',
        directory => 'mkdir $directory or die $!; chmod 0777, $directory;
            symlink("$victim/file", "$directory/source.$_.new") or die $! for @segments;
            privileged("change-owner", "nobody", $directory) if is_privileged();',
    );
    for my $name (sort keys %plant)
    {
        make_places();
        my $result = rewind($target, $source, options => ['-n'], program => planting($name, $plant{$name}),
            env => { TMPDIR => $shared });
        is($result->{status}, 0, "a planted $name: the dry run succeeds") or diag($result->{stderr});
        victim_is_as_it_was("a planted $name");
        like(content(), qr/\Apg_rewind\.\d+\.wal\z/, "a planted $name stays, and nothing else does");
    }
    return;
}

sub dry_run { return rewind($target, $source, options => ['-n'], env => { TMPDIR => $shared },
    not_foretold => 'it is one') }

sub what_is_left_is_removed
{
    make_places();
    local $ENV{TMPDIR} = $shared;
    my $killed = hold($target, $source, 'rename@*/source.*', '-n');
    isnt(content(), '', 'a dry run has a directory of its own');
    end_by_kill($killed);
    isnt(content(), '', 'one that was killed leaves it behind');

    my $living = hold($target, $source, 'rename@*/source.*', '-n', '-D', $target->copy('other')->data);
    my @its_own = glob("$shared/*/source.*");
    my ($path) = map { m{(.*)/} } @its_own;
    is(() = glob("$shared/*"), 1, 'the next one removes it, and has one itself');
    is((stat $path)[2] & 0777, 0700, 'where nobody else can look');
    is(dry_run()->{status}, 0, 'another one succeeds');
    is(join(' ', glob("$shared/*/source.*")), "@its_own", 'and leaves the directory of the living one');
    is(go_on($living)->{status}, 0, 'which succeeds');
    is(content(), '', 'at the end nothing is left');
    return;
}

sub only_our_own_is_removed
{
    make_places();
    my $prefix = 'pg_rewind-dry-run';
    my $own = "$shared/$prefix.abcdef";
    mkdir $own or die;
    chmod 0700, $own;
    mkdir "$own/incoming" or die;
    spew("$own/source.x", 'x');
    symlink(work_dir() . '/victim', "$own/link") or die;
    symlink(work_dir() . '/victim', "$own/incoming/link") or die;

    my $target_of_link = work_dir() . '/victim';
    chmod 0700, $target_of_link;
    symlink($target_of_link, "$shared/$prefix.linked") or die;
    spew("$shared/$prefix.isfile", 'x');
    mkdir "$shared/$_" or die for "$prefix.public", "$prefix.longer1", 'pg_rewind.backup', "$prefix.nobody";
    chmod 0755, "$shared/$prefix.public";
    chmod 0700, map { "$shared/$_" } "$prefix.longer1", 'pg_rewind.backup', "$prefix.nobody";
    my @stay = map { "$prefix.$_" } qw(isfile linked longer1 public);
    if (is_privileged())
    {
        privileged('change-owner', 'nobody', "$shared/$prefix.nobody");
        push @stay, "$prefix.nobody";
    }
    is(dry_run()->{status}, 0, 'a dry run among other files succeeds');
    is(content(), join(' ', sort @stay, 'pg_rewind.backup'),
        'what looks like one of ours and is not stays, what is ours goes');
    victim_is_as_it_was('links');
    privileged('change-owner', scalar(getpwuid($>)), "$shared/$prefix.nobody") if is_privileged();
    return;
}

# Exchanged for a link just before it is opened.
sub removal_stays_inside
{
    make_places();
    my $copy = $target->copy('exchanged');
    my $left = $copy->path('pg_rewind.work.wal');
    mkdir $_ or die for $left, "$left/below";
    my $held = hold($copy, $source, 'open@*below', '--no-sync');
    rmdir "$left/below" or die;
    symlink(work_dir() . '/victim', "$left/below") or die;
    my $result = go_on($held);
    victim_is_as_it_was('removing a directory that became a link');
    $copy->discard;
    return;
}

sub places_that_do_not_do
{
    make_places();
    chmod 0777, $shared;
    my $result = dry_run();
    is($result->{status}, 1, 'a directory where everybody may rename files is refused');
    like($result->{stderr},
        qr/^pg_rewind: error: every user may rename files in directory "\Q$shared\E": it lacks the sticky bit$/m,
        'with that reason');
    like($result->{stderr}, qr/^pg_rewind: hint: Set TMPDIR to a directory of your own\.$/m, 'and a hint');
    is(content(), '', 'nothing is made there');
    chmod 01555, $shared;
    like(dry_run()->{stderr}, qr/^pg_rewind: error: could not create a directory in "\Q$shared\E": Permission denied$/m,
        'one that cannot be written to is named');
    rmdir $shared or die;
    like(dry_run()->{stderr}, qr/^pg_rewind: error: could not stat file "\Q$shared\E": No such file or directory$/m,
        'and one that is not there');
    return;
}

# In a container /tmp may be read-only, or small. (Then it is /var/tmp here.)
sub another_place_does_as_well
{
    my $result = rewind($target, $source, options => [ '-n', '--debug' ], env => { TMPDIR => '' },
        fault => 'fail:mkdir@/tmp/pg_rewind-dry-run.*:EROFS');
    is($result->{status}, 0, 'where nothing can be made in /tmp the dry run succeeds') or diag($result->{stderr});
    unlike($result->{stderr}, qr/^pg_rewind: error/m, 'and does not fail');
    my $log = work_dir() . '/calls';
    $result = rewind($target, $source, options => ['-n'], env => { TMPDIR => '', PG_REWIND_FAULT_LOG => $log },
        fault => 'fail:statfs@/tmp:EIO');
    is($result->{status}, 0, 'where /tmp is not known to have room the dry run succeeds') or diag($result->{stderr});
    like(slurp($log), qr{ mkdir (?!/tmp/)\S*/pg_rewind-dry-run\.}, 'in another place');
    make_places();
    $result = rewind($target, $source, options => ['-n'], env => { TMPDIR => $shared },
        fault => "fail:mkdir\@$shared/pg_rewind-dry-run.*:EROFS");
    like($result->{stderr},
        qr/^pg_rewind: error: could not create a directory in "\Q$shared\E": Read-only file system$/m,
        'TMPDIR is not passed by');
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    subtest('planted links are not gone through', \&planted_links_are_not_gone_through);
    subtest('what a killed one leaves is removed', \&what_is_left_is_removed);
    subtest('and nothing else', \&only_our_own_is_removed);
    subtest('removal does not leave a directory', \&removal_stays_inside);
    subtest('places that do not do', \&places_that_do_not_do);
    subtest('another place does as well', \&another_place_does_as_well);
});
