# A cluster below the target's data directory is another one, whose files nothing gives back: none of them is removed,
# and nothing is written there. Source and target inside each other are refused before anything is changed. (Both
# sources; nothing depends on the version.)
# (Rules O12, O13.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Tree;

# Everything below a place: names, sizes and what is in the files.
sub content_of { my ($place) = @_;
    return must_run([ 'sh', '-c', 'cd "$1" && find . -type f -exec md5sum {} + | sort -k 2; find . | sort', '-',
    $place ]) }

# Let a stopped cluster have its directory at another place, too.
sub move_to { my ($cluster, $dir) = @_; must_run([ 'mv', $cluster->dir, $dir ]); $cluster->{dir} = $dir; return }

sub is_refused
{
    my ($name, $target, $source, $kind, $message) = @_;
    subtest("$name, source is a $kind", sub {
        my $running = $source->is_running;
        $source->stop if $kind eq 'directory';
        my $before = tree($target);
        my $result = rewind($target, $source, kind => $kind);
        is($result->{status}, 1, 'it is refused, with status 1');
        like($result->{stderr}, $message, 'it says why');
        like($result->{stderr},
            qr/^pg_rewind: hint: Check -D\. If it is right, move one of the two out of the other, and run pg_rewind again\.$/m,
            'and what to do');
        is_same_tree(tree($target), $before, 'the target is as it was') if $kind eq 'directory';
        $source->start if $running && !$source->is_running;
        is($source->query('SELECT count(*) FROM t'), 2, 'the source is whole');
    });
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int); INSERT INTO t VALUES (0)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });

    subtest('a third cluster, which runs', sub {
        my $copy = $target->copy('with_third');
        my $third = make_cluster('third', $version)->start;
        mkdir $_ or die for $copy->path('others'), $source->path('others'), $source->path('others/third'),
            $source->path('others/third/data'), $source->path('others/new');
        spew($source->path("others/$_"), "of the source\n") for 'third/data/written', 'third/data/PG_VERSION',
            'new/file';
        $third->sql('CREATE TABLE third (a int)');
        $third->stop;
        my $former = $third->dir;
        move_to($third, $copy->path('others/third'));
        $third->start(settings => { unix_socket_directories => $copy->dir });
        my ($pid) = $third->postmaster_pid;
        my $before = content_of($third->path('base'));
        my $result = rewinds($copy, $source, options => ['--no-sync']);
        like($result->{stderr},
            qr/^pg_rewind: warning: "others\/third\/data" is another cluster: nothing in "others" is removed or replaced$/m,
            'a warning names it');
        like($result->{stderr}, qr/^pg_rewind: hint: Remove by hand what nobody needs there\.$/m, 'and what to do');
        is($third->postmaster_pid, $pid, 'it runs on');
        is(content_of($third->path('base')), $before, 'its files are as they were');
        ok(!-e $third->path('written'), 'nothing is written there');
        isnt(slurp($third->path('PG_VERSION')), "of the source\n", 'nothing is replaced there');
        is(slurp($copy->path('others/new/file')), "of the source\n",
            'a new directory of the source beside it is copied');
        $third->stop;
        move_to($third, $former);
        $third->discard;
        rejoins($copy, $source, no_promotion => 1, quick => 1);
        $copy->discard;
        must_run([ 'rm', '-r', $source->path('others') ]);
    });

    subtest('a cluster in the source', sub {
        my $copy = $target->copy('without');
        my $third = make_cluster('third', $version);
        must_run([ 'cp', '-a', $third->data, $source->path('inner') ]);
        my $result = rewinds($copy, $source, options => ['--no-sync']);
        like($result->{stderr},
            qr/^pg_rewind: warning: "inner" of the source is not copied: it is another cluster, or a directory of a tablespace or of pg_wal$/m,
            'a warning names it');
        ok(!-e $copy->path('inner'), 'it is not copied');
        must_run([ 'rm', '-r', $source->path('inner') ]);
        $_->discard for $third, $copy;
    });

    my $former = $target->dir;
    $source->stop;
    $source->start;
    move_to($target, $source->path('target'));
    is_refused('the target in the source', $target, $source, $_,
        qr/^pg_rewind: error: the data directory of the target, "\Q$target->{dir}\E\/data", is inside the source's$/m)
        for qw(server directory);
    move_to($target, $former);

    $source->stop;
    my $place = $source->dir;
    move_to($source, $target->path('source'));
    $source->start(settings => { unix_socket_directories => $place =~ s{/[^/]+$}{}r });
    my $socket = $place =~ s{/[^/]+$}{}r;
    subtest('the source in the target', sub {
        for my $kind (qw(server directory))
        {
            my $before = content_of($source->path('base'));
            my $result =
                run([ rewind_argv($target->data, $kind eq 'server'
                ? ('--source-server', "host=$socket user=postgres dbname=postgres")
                : ('--source-pgdata', $source->data)) ]);
            is($result->{status}, 1, "a $kind is refused, with status 1");
            like($result->{stderr},
                qr/^pg_rewind: error: the data directory of the source, "\Q$source->{dir}\E\/data", is inside the target's$/m,
                'it says why');
            is(content_of($source->path('base')), $before, 'the source is as it was') if $kind eq 'directory';
            $source->stop;
        }
    });
    move_to($source, $place);
}, only => [ 10, 15, 18 ]);
