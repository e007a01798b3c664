# WAL that is missing comes from an archive: a directory that holds it plain, compressed or as .partial, or a command
# that fails at first, leaves links, and fetches in advance. What is nowhere is listed, all of it. (Invariant 1. Both
# sources.)
#
#   source       ┌──── 2 ── gone ── gone ──▶
#   target   1 ──┴──── 1 ── gone ── gone ──▶ gone
# (Rule C63.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

my %pack = (gz => [ 'gzip', '-q' ], zst => [ 'zstd', '-q', '--rm' ], lz4 => [ 'lz4', '-q', '--rm', '-f' ]);

# Fill some segments, and return their names. The source has a checkpoint amid the sixth: its WAL may be read up to
# there only, some segments at a time.
sub segments_full_of
{
    my ($server, $what) = @_;
    return map {
        $server->sql("INSERT INTO t SELECT i, '$what $_' FROM generate_series(1, 1500) i; UPDATE t SET b = b || '$what' WHERE a = $_");
        $server->sql('CHECKPOINT') if $what eq 'source' && $_ == 6;
        my $name = $server->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
        $server->sql('SELECT pg_switch_wal()');
        $name;
    } 1 .. 6;
}

# Move segments to an archive of that cluster's version; each is [ segment, endings of its name ].
sub make_archive
{
    my ($cluster, $name, @files) = @_;
    my $archive = work_dir() . "/$name." . $cluster->version;
    mkdir $archive;
    for (@files)
    {
        my ($segment, @endings) = @$_;
        must_run([ 'mv', $cluster->path("pg_wal/$segment"), "$archive/$segment" ]);
        my $path = "$archive/$segment";
        for my $ending (@endings)
        {
            my $next = "$path.$ending";
            if (!$pack{$ending}) { rename($path, $next) or die "$path: $!" }
            elsif ($ending eq 'lz4') { must_run([ @{ $pack{$ending} }, $path, $next ]) }
            else { must_run([ @{ $pack{$ending} }, $path ]) }
            $path = $next;
        }
    }
    return $archive;
}

sub contents { my ($directory) = @_; return join "\n", map { RewindTest::Tree::md5($_) . " $_" }
    sort glob("$directory/*") }

# A directory has lost its last segment as well.
sub rewinds_and_rejoins
{
    my ($target, $source, %option) = @_;
    my $directory = ($option{kind} // '') eq 'directory';
    my ($lost, $archive) = map { $source->path("pg_wal/$_"), "$option{archive}/$_.partial" }
        $directory ? $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())') : ();
    if ($directory) { $source->stop; must_run([ 'mv', $lost, $archive ]) }
    my $before = tree($target);
    rewinds($target, $source, %option, options => [ @{ $option{options} }, '-n' ]);
    is_same_tree(tree($target), $before, 'a dry run finds all, and writes nothing in the target');
    rewinds($target, $source, %option);
    nothing_is_left($target);
    like(rewinds($target, $source, %option)->{stderr}, qr/: no rewind required\n/, 'a second run has nothing to do')
        if !$directory;
    if ($directory) { must_run([ 'mv', $archive, $lost ]); $source->start }
    rejoins($target, $source);
    return;
}

sub refuses
{
    my ($target, $source, %option) = @_;
    my $before = tree($target);
    my $result = rewind($target, $source, %option);
    is($result->{status}, 1, 'it is an error');
    is_same_tree(tree($target), $before, 'and the target is unchanged');
    return $result->{stderr};
}

each_version(sub {
    my ($version) = @_;
    my (@own, @theirs, $last);
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text)') },
        source => sub { @theirs = segments_full_of($_[0], 'source') },
        target => sub {
            @own = segments_full_of($_[0], 'target');
            $_[0]->sql("INSERT INTO t VALUES (0, 'the last')");
            $last = $_[0]->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
        });
    cmp_ok($last, 'gt', $own[-1], 'the target was stopped in another segment');

    subtest('all that is missing is listed', sub {
        my $copy = $target->copy('list');
        my $archive = make_archive($copy, 'some', map { [$_] } @own[ 1, 3, 4 ]);
        my $path = $copy->path("pg_wal/$own[4]");
        for my $option ('-N', '-n')
        {
            my $said = refuses($copy, $source, options => [$option]);
            like($said, qr/error: could not open file "\Q$path\E": No such file or directory\n/,
                'one is named as ever');
            like($said, qr/detail: Missing: $own[1], $own[3], $own[4]\.\n/, 'all are listed');
            like($said,
                qr/hint: Put the files there, or let pg_rewind fetch them: --wal-archive, --restore-command, or --restore-target-wal /,
                'and how to get them');
        }
        rename("$archive/$_", "$archive/$_.not") or die for @own[ 1, 4 ];
        like(refuses($copy, $source, options => [ '-N', "--wal-archive=$archive" ]),
            qr/detail: Missing: $own[1], $own[4]\.\n/, 'what an archive has is not missing');
        like(refuses($copy, $source, options => [ '-N', "--restore-command=cp $archive/%f %p" ]),
            qr/detail: could not restore file "$own[4]" from archive\n.*Missing: $own[1], $own[4]\.\n/,
            'nor what a command brings');
        like(refuses($copy, $source, options => [ '-N', "--wal-archive=$archive/nowhere" ]),
            qr/could not open directory "\Q$archive\E\/nowhere"/, 'a directory must be there');
        $copy->discard;
    });

    # Those of the source are missing from here on.
    my $theirs = make_archive($source, 'theirs', [ $theirs[0] ], [ $theirs[1], 'gz' ], [ $theirs[2], 'zst' ],
        [ $theirs[3], 'lz4' ], [ $theirs[4], 'partial' ]);

    subtest('of the source', sub {
        my $copy = $target->copy('source_list');
        my $said = refuses($copy, $source, options => ["--early-start"]);
        like($said, qr/error: the source no longer has WAL that the rewound target needs\n/, 'it is said');
        like($said, qr/detail: Missing: @{[ join ', ', @theirs[0 .. 4] ]}\.\n/, 'all are listed');
        like($said,
            qr/hint: Put the files into the source's pg_(?:wal|xlog), or let pg_rewind fetch them: --wal-archive or --restore-command\.\n/,
            'and how to get them');
        $copy->discard;
    });

    for my $kind ('server', 'directory')
    {
        subtest("every form of a file, $kind", sub {
            my $copy = $target->copy("forms_$kind");
            my $archive = make_archive($copy, "own_$kind", [ $own[0], 'gz' ], [ $own[1], 'zst' ], [ $own[2], 'lz4' ],
                [ $own[3] ], [ $own[4], 'partial', 'gz' ], [ $last, 'partial', 'zst' ]);
            must_run([ 'cp', glob("$theirs/*"), $archive ]);
            my $before = contents($archive);
            rewinds_and_rejoins($copy, $source, kind => $kind, archive => $archive,
                options => [ '-N', '--wal-archive', $archive ]);
            is(contents($archive), $before, 'the archive is as it was');
            $copy->discard;
        });
    }

    subtest('a .partial of a target that crashed', sub {
        my $copy = $target->copy('crashed');
        my $archive = make_archive($copy, 'crashed_archive', [ $last, 'partial' ]);
        must_run([ 'cp', glob("$theirs/*"), $archive ]);
        # Killed at once, it has written nothing; but nobody knows that.
        must_run([ 'cp', "$archive/$last.partial", $copy->path("pg_wal/$last") ]);
        $copy->start->stop('immediate');
        unlink $copy->path("pg_wal/$last") or die;
        like(refuses($copy, $source, options => [ '-N', "--wal-archive=$archive" ]),
            qr/could not open file "\S+$last": No such file/, 'its WAL may have gone on');
        $copy->discard;
    });

    subtest('a command that fails at first, makes links and fetches in advance', sub {
        my $copy = $target->copy('command');
        my $archive = make_archive($copy, 'commands', map { [$_] } @own[ 0 .. 4 ]);
        must_run([ 'cp', "$theirs/$theirs[0]", $archive ]);
        must_run([ 'sh', '-c', "cd $theirs && gzip -dc $theirs[1].gz > $archive/$theirs[1] && zstd -qdc $theirs[2].zst > $archive/$theirs[2] &&
            lz4 -qdc $theirs[3].lz4 > $archive/$theirs[3] && cp $theirs[4].partial $archive/$theirs[4]" ]);
        my $before = contents($archive);
        my $script = work_dir() . "/command.sh.$version";
        spew($script, <<"END");
echo \$1 >> $script.asked
[ \$(wc -l < $script.asked) -gt 2 ] || kill -9 \$\$
test -e $archive/\$1 || exit 1
beside=\$(dirname \$2)/.wal-g/prefetch/running
mkdir -p \$beside
(i=0; while [ \$i -lt 300 ]; do echo half > \$beside/\$1.\$i || exit; i=\$((i+1)); sleep 0.01; done) 2>/dev/null &
ln -s $archive/\$1 \$2.tmp && mv \$2.tmp \$2
END
        my $asked = sub { my %times; $times{$_}++ for split /\n/, slurp("$script.asked"); return \%times };
        my @options = ('-N', '-c', "--restore-command=sh $script %f %p");
        my $scratch = work_dir() . "/scratch.$version";
        mkdir $scratch;
        my $first = rewind($copy, $source, options => [ @options, '-n' ], env => { TMPDIR => $scratch });
        is($first->{status}, 0, 'a dry run succeeds') or diag($first->{stderr});
        is(scalar(() = $first->{stderr}
            =~ /^pg_rewind: warning: "restore_command" failed: child process exited with exit code 137; it is run again$/mg),
            2,
            'two warnings');
        unlike($first->{stderr}, qr/no program|could not remove/, 'and no other');
        is_deeply([ grep { $asked->()->{$_} != 1 } @own[ 0 .. 3 ], @theirs[ 0 .. 4 ] ], [],
            'what it has is asked for once');
        is($asked->()->{ $own[4] }, 3, 'what failed was tried again');
        is(join("\n", glob("$scratch/*")), '', 'nothing is left where it worked');

        my $result = rewinds($copy, $source, options => \@options);
        unlike($result->{stderr}, qr/warning/, 'no warning');
        nothing_is_left($copy);
        is_deeply([ grep { -l $copy->path("pg_wal/$_") || !-f $copy->path("pg_wal/$_") } @theirs ], [],
            'the segments are files of its own');
        rejoins($copy, $source);
        is(contents($archive), $before, 'the archive is as it was');
        $copy->discard;
    });

    subtest('a command that does not work', sub {
        my $copy = $target->copy('broken');
        make_archive($copy, 'unasked', [ $own[2] ]);
        my $said = refuses($copy, $source, options => [ '-N', '--retry-timeout=1', '--restore-command=exit 255' ]);
        like($said, qr/^pg_rewind: error: "restore_command" failed: child process exited with exit code 255$/m,
            'it is tried again in vain');
        like($said, qr/exit code 255; it is run again$/m, 'and that was said');
        $said = refuses($copy, $source, options => [ '-N', '--restore-command=/nowhere/fetch %f' ]);
        like($said, qr/^pg_rewind: error: "restore_command" failed: command not found$/m, 'there is none');
        unlike($said, qr/run again/, 'which is not tried again');
        $said = refuses($copy, $source, options => [ '-N', '--restore-command=cp %f %x' ]);
        like($said,
            qr/error: invalid value for parameter "restore_command": "cp %f %x"\npg_rewind: detail: String contains unexpected placeholder "%x"\.\n/,
            'it asks for what there is not');
        $copy->discard;
    });

    # The other way round, since only the promoted one has a history file.
    subtest('a history file', sub {
        $source->stop;
        $target->start;
        unlink $source->path('pg_wal/00000003.history');
        make_archive($source, 'theirs', [ '00000002.history', 'gz' ]);
        my $path = $source->path('pg_wal/00000002.history');
        like(refuses($source, $target, options => ['-N']),
            qr/could not open file "\Q$path\E": No such file or directory/, 'it is needed');
        rewinds_and_rejoins($source, $target, options => [ '-N', "--wal-archive=$theirs" ]);
    });
}, only => [ 10, 18 ]);
