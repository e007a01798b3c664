# Files that cannot be replaced are found before anything is written, all at once, also by a dry run; all others are
# replaced, whoever owns them and whatever their modes, and what else shares them does not see it. (Invariants 1 and 9.
# Nothing here depends on the server's version.)
#
#   in the target                                     what happens
#   read-only or unreadable directory                 a problem
#   immutable file or directory                       a problem
#   mounted file that a server needs                  a problem
#   relation that is a link, or a directory           a problem
#   relation that may neither be read nor written     a problem
#
#   mounted configuration file, or a link             left alone, with a warning
#   file with mode 0400 or 0000, or of somebody else  replaced, keeps its mode
#   file with several names (a backup of links)       replaced: the other name keeps what it has
#   file with holes                                   right
#   group access, umask                               modes as the data directory's own
# (Rules C87, C89, I73, O18.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

skip_unless_privileged();

my ($source, $target, %file);

sub with_copy
{
    my ($test) = @_;
    my $copy = $target->copy('copy');
    $test->($copy);
    $copy->discard;
    return;
}

sub with_source_started
{
    my ($test) = @_;
    $source->start;
    $test->();
    $source->stop;
    return;
}

sub mode_of { my ($path) = @_; return sprintf '%04o', (lstat $path)[2] & 07777 }

sub all_problems_are_listed
{
    with_copy(sub {
        my ($copy) = @_;
        my $path = sub { $copy->path($_[0]) };
        my ($directory) = $file{patched} =~ m{(.*)/};

        chmod 0000, $path->('pg_multixact/offsets') or die;
        privileged('change-owner', 'nobody', $path->($file{patched}));
        chmod 0500, $path->('pg_xact') or die;
        unlink $path->($file{other}) or die;
        symlink('/nowhere/at/all', $path->($file{other})) or die;
        unlink $path->('global/pg_filenode.map') or die;
        mkdir $path->('global/pg_filenode.map') or die;
        spew($copy->dir . '/outside', 'mounted');
        my @immutable = ('global/pg_control', $file{removed}, 'postgresql.auto.conf', 'only_on_target',
            'pg_wal/archive_status');
        my %how = map { $_ => privileged('make-immutable', $path->($_)) } @immutable;
        privileged('mount', $copy->dir . '/outside', $path->($file{compared}));
        chmod 0500, $path->($directory) or die;

        # Without such an attribute they are mounted read-only, which keeps no directory from being passed over.
        my $fixed = qr/(?:it is immutable|it is a mount point|Read-only file system)/;
        my $directory_too = $how{only_on_target} eq 'attribute';
        my $count = $directory_too ? 12 : 11;
        my $before = tree($copy);
        $source->start;
        for my $dry_run ([], ['--dry-run'])
        {
            my $result = rewind($copy, $source, options => [ '-R', @$dry_run ]);
            my $name = @$dry_run ? 'a dry run' : 'pg_rewind';
            is($result->{status}, 1, "$name fails");
            for my $problem (
                qr{cannot read directory "\S+/pg_multixact/offsets": Permission denied},
                qr{cannot write to directory "\S+/pg_xact": Permission denied},
                qr{cannot write to directory "\S+/\Q$directory\E": Permission denied},
                qr{could not open file "\S+/\Q$file{patched}\E": Permission denied},
                qr{file "\Q$file{other}\E" is of different type in source and target},
                qr{file "global/pg_filenode\.map" is of different type in source and target},
                qr{cannot replace "\S+/\Q$file{compared}\E": it is a mount point},
                qr{cannot replace "\S+/global/pg_control": $fixed},
                qr{cannot replace "\S+/\Q$file{removed}\E": $fixed},
                qr{cannot replace "\S+/postgresql\.auto\.conf": $fixed},
                $directory_too ? qr{cannot remove directory "\S+/only_on_target": $fixed} : (),
                qr{cannot write to directory "\S+/pg_wal/archive_status": $fixed})
            {
                my @said = $result->{stderr} =~ /^pg_rewind: error: $problem$/mg;
                is(scalar @said, 1, "$name says once: $problem");
            }
            like($result->{stderr},
                qr{/offsets": Permission denied\npg_rewind: hint: The user that runs pg_rewind must be able to read it\.$}m,
                'with a hint');
            is(scalar(() = $result->{stderr} =~ /^pg_rewind: error: /mg), $count, 'and nothing else is an error')
                or diag($result->{stderr});
            like($result->{stderr},
                qr/^pg_rewind: hint: The target is unchanged\. Fix all problems listed above, then run pg_rewind again\.\n\z/m,
                'the last line says what to do');
            is_same_tree(tree($copy), $before, 'nothing was changed');
        }

        privileged('make-mutable', $path->($_)) for @immutable;
        privileged('unmount', $path->($file{compared}));
        must_run([ 'find', $copy->data, '-type', 'd', '-exec', 'chmod', '0700', '{}', ';' ]);
        $source->stop;
    });
    return;
}

# What becomes immutable while pg_rewind works is found before the commit, if it is not too late.
sub problems_may_come_late
{
    with_copy(sub {
        my ($copy) = @_;
        my $before = tree($copy);
        my $path = $copy->path('pg_hba.conf');
        with_source_started(sub {
            my $held = hold($copy, $source, 'link');
            privileged('make-immutable', $path);
            my $result = go_on($held);
            is($result->{status}, 1, 'a file becomes immutable: pg_rewind fails');
            like($result->{stderr},
                qr/^pg_rewind: error: cannot replace "\S+\/pg_hba\.conf": it is (?:immutable|a mount point)$/m,
                'it says why');
            is_same_tree(tree($copy), $before, 'nothing was changed');
            privileged('make-mutable', $path);

            $held = hold($copy, $source, 'apply');
            privileged('make-immutable', $path);
            $result = go_on($held);
            is($result->{status}, 2, 'the same after the commit: half-way');
            privileged('make-mutable', $path);
            rewinds($copy, $source);
            rejoins($copy, $source, no_promotion => 1);
        });
    });
    return;
}

# Its rewind is complete all the same, and so it is for each run after that.
sub what_was_staged_may_stay
{
    with_copy(sub {
        my ($copy) = @_;
        with_source_started(sub {
            my $work = $copy->path('pg_rewind.work');
            my $held = hold($copy, $source, 'cleanup');
            chmod 0500, $work or die;
            my $result = go_on($held);
            is($result->{status}, 0, 'what was staged cannot be removed: the rewind is complete');
            like($result->{stderr}, qr/^pg_rewind: warning: could not remove .*"\Q$work\E\S*: Permission denied$/m, 'it says so');
            $result = rewind($copy, $source);
            is($result->{status}, 0, 'the same command again has nothing to do') or diag($result->{stderr});
            chmod 0700, $work or die;
            rewinds($copy, $source);
            nothing_is_left($copy);
            rejoins($copy, $source, no_promotion => 1);
        });
    });
    return;
}

sub what_can_be_replaced_is
{
    with_copy(sub {
        my ($copy) = @_;
        my $path = sub { $copy->path($_[0]) };

        chmod 0400, $path->($file{patched}) or die;
        chmod 0000, $path->('pg_hba.conf') or die;
        privileged('change-owner', 'nobody', $path->($_)) for $file{compared}, $file{removed}, 'only_on_target',
            'pg_ident.conf';
        chmod 0400, $path->('postgresql.conf') or die;
        my $unpatched = slurp($path->($file{patched}));

        my $result = rewinds($copy, $source, kind => 'directory');
        is(mode_of($path->($file{patched})), '0400', 'a relation that may not be written keeps its mode');
        is(mode_of($path->('pg_hba.conf')), '0400', 'one that nobody may read can be read by its owner');
        # Not equal to the source's: blocks that the source's WAL rebuilds are not fetched.
        ok(slurp($path->($file{patched})) ne $unpatched, 'a relation that may not be written is patched');
        is(slurp($path->($_)), slurp($source->path($_)), "$_ is the source's") for $file{compared}, 'pg_hba.conf',
            'pg_ident.conf';
        ok(!-e $path->($_), "$_ of somebody else is gone") for $file{removed}, 'only_on_target';
        chmod 0600, $path->($file{patched}), $path->('postgresql.conf');
        with_source_started(sub { rejoins($copy, $source, no_promotion => 1) });
    });
    return;
}

# A backup whose files are links to those of the target.
sub other_names_keep_their_content
{
    with_copy(sub {
        my ($copy) = @_;
        my $backup = make_cluster('backup', $copy->version);
        must_run([ 'rm', '-rf', $backup->data ]);
        must_run([ 'cp', '-al', $copy->data, $backup->data ]);
        my $before = tree($backup);
        cmp_ok((stat $copy->path($file{patched}))[3], '>', 1, 'a file that will be patched has another name');

        rewinds($copy, $source, kind => 'directory');
        is_same_tree(tree($backup), $before, 'the backup is as it was');
        $backup->start;
        is($backup->query('SELECT DISTINCT v FROM t'), 'target', 'and a server reads it');
        $backup->discard;
        with_source_started(sub { rejoins($copy, $source, no_promotion => 1) });
    });
    return;
}

sub what_is_elsewhere_is_left_alone
{
    with_copy(sub {
        my ($copy) = @_;
        my $outside = $copy->dir . '/outside';
        rename($copy->path('postgresql.conf'), $outside) or die;
        symlink($outside, $copy->path('postgresql.conf')) or die;
        spew($copy->dir . '/mounted', "# mounted\nlocal all all trust\nlocal replication all trust\n");
        privileged('mount', $copy->dir . '/mounted', $copy->path('pg_hba.conf'));
        my $before = slurp($outside);

        my $result = rewinds($copy, $source, kind => 'directory');
        like($result->{stderr},
            qr/^pg_rewind: warning: "postgresql\.conf" is of different type in source and target and is left alone$/m,
            'a configuration file that is a link: a warning');
        like($result->{stderr}, qr/^pg_rewind: warning: "pg_hba\.conf" is a mount point and is left alone$/m,
            'one that is mounted: a warning');
        is(readlink $copy->path('postgresql.conf'), $outside, 'the link is as it was');
        is(slurp($outside), $before, 'and what it leads to');
        like(slurp($copy->path('pg_hba.conf')), qr/^# mounted/, 'what is mounted is as it was');
        with_source_started(sub { rejoins($copy, $source, no_promotion => 1) });
        $copy->stop;
        privileged('unmount', $copy->path('pg_hba.conf'));
    });
    return;
}

# --check and the rewind judge alike.
sub what_is_kept_may_be_immutable
{
    with_copy(sub {
        my ($copy) = @_;
        my $path = $copy->path('pg_hba.conf');
        my $how = privileged('make-immutable', $path);
        my $before = slurp($path);
        my $check = sub { return run([ rewind_argv($copy->data, '--check', '--monitor', '--source-pgdata='
            . $source->data, @_) ]) };
        # A read-only mount is a mount, of which --check warns.
        my $said = $check->();
        is($said->{status}, $how eq 'attribute' ? 2 : 1, 'a file that is immutable is told') or diag($said->{stdout});
        like($said->{stdout}, qr/^(?:problem|warning) +files .*"pg_hba\.conf"/m, 'it is named');
        unlike($check->('--keep=pg_hba.conf')->{stdout}, qr/^\S+ +files /m, 'but not if it is kept');
        rewinds($copy, $source, kind => 'directory', options => ['--keep=pg_hba.conf']);
        is(slurp($path), $before, 'the rewind leaves it as it is');
        privileged('make-mutable', $path);
        with_source_started(sub { rejoins($copy, $source, no_promotion => 1) });
    });
    return;
}

# Run with another umask; its setting for this process would be in the harness's way.
sub rewinds_with_umask
{
    my ($copy, $umask) = @_;
    my $wrapper = $copy->dir . '/pg_rewind';
    spew($wrapper, qq{#!/bin/sh\numask $umask\nexec "$ENV{PG_REWIND}" "\$@"\n});
    chmod 0700, $wrapper;
    return rewinds($copy, $source, kind => 'directory', program => $wrapper);
}

sub modes_are_those_of_the_directory
{
    my %mode = ('0700' => [ 'u=rwX,go=', '0600' ], '0750' => [ 'u=rwX,g=rX,o=', '0640' ]);
    for my $directory (sort keys %mode)
    {
        for my $umask (qw(0000 0777))
        {
            with_copy(sub {
                my ($copy) = @_;
                my ($change, $mode) = @{ $mode{$directory} };
                must_run([ 'chmod', '-R', $change, $copy->data ]);
                rewinds_with_umask($copy, $umask);
                my @wrong = split /\n/, must_run([
                    'find', $copy->data, '(', '-type', 'd', '!', '-perm', $directory, ')', '-o', '(', '-type', 'f', '!',
                    '-perm', $mode, ')'
                ]);
                is("@wrong", '', "data directory $directory, umask $umask: all files have their modes");
                return if $directory ne '0750' || $umask ne '0777';
                with_source_started(sub { rejoins($copy, $source, no_promotion => 1) });
            });
        }
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 3000) i;
                CREATE TABLE other AS TABLE t; CREATE TABLE sparse AS TABLE t");
            %file = map { $_->[0] => $primary->query("SELECT pg_relation_filepath('$_->[1]')") } [ patched => 't' ],
                [ other => 'other' ];
            my $sparse = $primary->path($primary->query("SELECT pg_relation_filepath('sparse')"));
            $primary->stop;
            truncate($sparse, (-s $sparse) + 100 * 8192) or die;    # new pages, all of them holes
            $primary->start;
            $primary->sql('VACUUM sparse');
        },
        source => sub {
        $_[0]->sql("UPDATE t SET v = 'source' WHERE i <= 1500; UPDATE other SET v = 'source'; UPDATE sparse SET v = 'source'") },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target'; UPDATE other SET v = 'target'; UPDATE sparse SET v = 'target' WHERE i % 7 = 0;
                CREATE TABLE only_target AS TABLE t");
            $file{removed} = $target->query("SELECT pg_relation_filepath('only_target')");
        });
    $source->stop;
    append($_->path('pg_ident.conf'), "# $_->{name}\n") for $source, $target;
    append($_->path('pg_hba.conf'), "# $_->{name}\n") for $source, $target;
    mkdir $target->path('only_on_target') or die;
    $file{compared} = 'pg_xact/0000';

    subtest('all problems are listed', \&all_problems_are_listed);
    subtest('what can be replaced is', \&what_can_be_replaced_is);
    subtest('other names keep their content', \&other_names_keep_their_content);
    subtest('what is elsewhere is left alone', \&what_is_elsewhere_is_left_alone);
    subtest('what is kept may be immutable', \&what_is_kept_may_be_immutable);
    subtest('modes are those of the directory', \&modes_are_those_of_the_directory);
    subtest('problems may come late', \&problems_may_come_late);
    subtest('what was staged may stay', \&what_was_staged_may_stay);
}, only => [15]);
