# In a directory with the sticky bit only its owner and the file's may rename or remove a file: others' files there are
# found before anything is written, also by a dry run. (Invariant 2: from the commit on every rename succeeds. Servers
# have no part in it.)
# (Rule C87.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

# Another user's directory with the sticky bit, and in it that user's file.
sub make_sticky
{
    my ($directory, $file) = @_;
    chmod 01777, $directory or die "could not change $directory: $!";
    privileged('change-owner', 'nobody', $file);
    privileged('change-owner', 'nobody', $directory);
    return;
}

sub is_refused
{
    my ($copy, $source, @files) = @_;
    my $before = tree($copy);
    for my $options ([], ['--dry-run'])
    {
        my $result = rewind($copy, $source, kind => 'directory', options => $options, not_foretold => 1);
        is($result->{status}, 1, "@$options: another user's file in a sticky directory is a problem");
        like($result->{stderr},
            qr/^pg_rewind: error: cannot replace "\Q$_\E": it is another user's, and its directory has the sticky bit$/m,
            'it is named') for @files;
    }
    is_same_tree(tree($copy), $before, 'nothing is changed');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1; SELECT pg_switch_wal(); UPDATE t SET a = a + 1') });
    $source->stop;
    my $copy = $target->copy('copy');
    my $wal = $copy->dir . '/wal';
    rename($copy->path('pg_wal'), $wal) or die;
    symlink($wal, $copy->path('pg_wal')) or die;
    my ($last) = map { m{([^/]*)\z} } reverse sort glob("$wal/0*");
    spew($copy->path('global/theirs'), '');
    make_sticky($wal, "$wal/$last");
    make_sticky($copy->path('global'), $copy->path('global/theirs'));
    is_refused($copy, $source, $copy->path("pg_wal/$last"), $copy->path('global/theirs'));
    my $checked = run([ rewind_argv($copy->data, '--source-pgdata', $source->data, '--check') ]);
    like($checked->{stdout},
        qr{Another user owns "global/theirs", and the sticky bit of its\s+directory forbids to replace it},
        '--check finds one in global');

    # The file is ours, or the directory: each is enough.
    privileged('change-owner', scalar getpwuid($<), $_) for "$wal/$last", $copy->path('global');
    rewinds($copy, $source, kind => 'directory');
    ok(!-e $copy->path('global/theirs'), 'what only the target has is removed');
}, only => [15]);
