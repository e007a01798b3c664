# Two clusters on one host: a tablespace that is new to the target gets a place of its own, and nothing is written to
# the source's. (No write reaches the source's directories. Both sources.)
#
#   tablespace            divergence   CREATE TABLESPACE   on the target
#   kept                  │            before it           where it was
#   made_on_source        │            in the WAL          where --tablespace-mapping says; recovery starts behind it
#   made_meanwhile        │            while staging       likewise: the plan is made again
# (Rules C43, C80, O8.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

sub make_tablespace
{
    my ($cluster, $name) = @_;
    my $location = $cluster->tablespace_location($name);
    $cluster->sql("CREATE TABLESPACE $name LOCATION '$location'");
    $cluster->sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT i FROM generate_series(1, 3000) i; CREATE INDEX ON in_$name (i)");
    return;
}

# Everything below a place: names, sizes and what is in the files.
sub content_of { my ($place) = @_;
    return must_run([ 'sh', '-c', 'cd "$1" && find . -type f -exec md5sum {} + | sort -k 2; find . | sort', '-',
    $place ]) }

sub place_of
{
    my ($cluster, $name, $from) = @_;
    return readlink($cluster->path('pg_tblspc/'
        . $from->query("SELECT oid FROM pg_tablespace WHERE spcname = '$name'"))) // 'none';
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { make_tablespace($_[0], 'kept') },
        source => sub {
            my ($source) = @_;
            $source->sql('INSERT INTO in_kept SELECT generate_series(1, 2000)');
            make_tablespace($source, 'made_on_source');
        },
        target => sub { $_[0]->sql('DELETE FROM in_kept WHERE i % 3 = 0') });
    my $place = "$source->{dir}/tablespace/made_on_source";

    subtest('without a checkpoint behind it', sub {
        my $copy = $target->copy('early');
        my $before = content_of($place);
        my $result = rewind($copy, $source, options => [ '-T', "$place=$copy->{dir}/tablespace/made_on_source" ]);
        is($result->{status}, 1, 'replay would use the source\'s place: refused');
        like($result->{stderr},
            qr/^pg_rewind: error: replay of CREATE TABLESPACE would use "\Q$place\E" instead of "\Q$copy->{dir}\E/m,
            'with both places');
        like($result->{stderr}, qr/^pg_rewind: hint: Add --checkpoint: pg_rewind then runs CHECKPOINT on the source\.$/m,
            'and what to do');
        is(content_of($place), $before, 'the source\'s tablespace is as it was');
        $copy->discard;
    });

    $source->sql('CHECKPOINT');
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            my $copy = $target->copy("from_$kind");
            my @mapping = ("--tablespace-mapping=$place/=$copy->{dir}/tablespace/own place",
                "--tablespace-mapping=/nowhere=/elsewhere",
                "-T$source->{dir}/tablespace/kept=$copy->{dir}/not used");
            $source->stop if $kind eq 'directory';
            my $before = content_of($source->dir . '/tablespace');
            my $dry = rewind($copy, $source, kind => $kind, options => [ @mapping, '--dry-run' ]);
            is($dry->{status}, 0, 'a dry run passes') or diag($dry->{stderr});
            my $result = rewinds($copy, $source, kind => $kind, options => \@mapping);
            like($result->{stderr},
                qr/^pg_rewind: warning: the source has no tablespace at "\/nowhere": this mapping has no effect$/m,
                'a mapping of nothing is told');
            is(content_of($source->dir . '/tablespace'), $before, 'the source\'s tablespaces are as they were');
            $source->start if $kind eq 'directory';
            is(place_of($copy, 'made_on_source', $source), "$copy->{dir}/tablespace/own place",
                'the new tablespace is where it was mapped');
            is(place_of($copy, 'kept', $source), "$copy->{dir}/tablespace/kept",
                'the one that the target had stays where it was');
            rejoins($copy, $source);
            is($source->query('SELECT count(*) FROM in_made_on_source'), 3000, 'the source reads its table');
            $copy->discard;
        });
    }

    subtest('a place that is the source\'s own', sub {
        my $copy = $target->copy('occupied');
        symlink("$source->{dir}/tablespace", "$copy->{dir}/detour");
        my $result = rewind($copy, $source, options => [ '-T', "$place=$copy->{dir}/detour/made_on_source" ]);
        is($result->{status}, 1, 'is refused, whatever its name');
        like($result->{stderr},
            qr/detour\/made_on_source" of the tablespace "pg_tblspc\/\d+" belongs to another cluster/,
            'with the reason');
        $copy->discard;
    });

    subtest('a target that was copied with its links', sub {
        my $copy = $target->copy('with_links');
        my ($link) = grep { readlink($_) eq "$copy->{dir}/tablespace/kept" } glob($copy->path('pg_tblspc/*'));
        unlink $link;
        symlink("$source->{dir}/tablespace/kept", $link) or die;
        for my $kind (qw(server directory))
        {
            $source->stop if $kind eq 'directory';
            my $result = rewind($copy, $source, kind => $kind);
            is($result->{status}, 1, "is refused, the source is a $kind");
            like($result->{stderr},
                qr/^pg_rewind: error: directory "\Q$link\E" of the target belongs to another cluster$/m,
                'with its directory');
            like($result->{stderr},
                qr/^pg_rewind: detail: It is also "pg_tblspc\/\d+" of the cluster in "\Q@{[ $source->data ]}\E"\.$/m,
                'and whose it is');
            $source->start if $kind eq 'directory';
        }
        unlink $link;
        symlink("$copy->{dir}/tablespace/kept", $link) or die;
        must_run([ 'rm', '-rf', $copy->path('pg_wal') ]);
        symlink($source->path('pg_wal'), $copy->path('pg_wal')) or die;
        my $result = rewind($copy, $source);
        like($result->{stderr},
            qr/^pg_rewind: error: directory "\Q@{[ $copy->path('pg_wal') ]}\E" of the target belongs to another cluster$/m,
            'pg_wal likewise');
        $copy->discard;
    });

    subtest('a half-rewound target that was copied with its links', sub {
        my $copy = $target->copy('half');
        my @options = ('-T', "$place=$copy->{dir}/tablespace/own");
        end_by_kill(hold($copy, $source, 'apply', @options));
        my $saved = $copy->copy('saved');
        my ($link) = grep { readlink($_) =~ m{/kept$} } glob($saved->path('pg_tblspc/*'));
        unlink $link;
        symlink("$copy->{dir}/tablespace/kept", $link) or die;
        is(rewind($copy, $source, options => \@options)->{status}, 0, 'the original is finished');
        rejoins($copy, $source, no_promotion => 1);
        my $before = tree($saved);
        my $result = rewind($saved, $source, options => \@options);
        is($result->{status}, 2, 'the copy is not finished into the original') or diag($result->{stderr});
        like($result->{stderr},
            qr/^pg_rewind: error: directory "\Q$link\E" of the target belongs to another cluster$/m, 'with the reason');
        delete $before->{'data/pg_rewind.work.wal'};    # scratch, empty
        is_same_tree(tree($saved), $before, 'nothing is changed');
        $_->discard for $copy, $saved;
    });

    subtest('a place that is one of the server\'s directories', sub {
        for my $directory (qw(base pg_tblspc))
        {
            my $copy = $target->copy("in_$directory");
            my $own = $copy->path($directory);
            my $result = rewinds($copy, $source, options => [ '-T', "$place=$own" ]);
            is(place_of($copy, 'made_on_source', $source), $own, "the new tablespace is in $directory");
            is($result->{stderr} =~ /^pg_rewind: warning: .* is not copied/m, '', 'all is copied');
            rejoins($copy, $source, no_promotion => 1);
            $copy->discard;
        }
    });

    subtest('made while pg_rewind works', sub {
        my $copy = $target->copy('meanwhile');
        my $held = hold($copy, $source, 'create@*/pg_rewind.work/*',
            '-T', "$place=$copy->{dir}/tablespace/own", '-T',
            "$source->{dir}/tablespace/made_meanwhile=$copy->{dir}/tablespace/meanwhile");
        make_tablespace($source, 'made_meanwhile');
        $source->sql('CHECKPOINT');
        my $before = content_of($source->dir . '/tablespace');
        my $result = go_on($held);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        like($result->{stderr},
            qr/^pg_rewind: the source has copied a database, created a tablespace, dropped a replication origin or logged changes without page images in the meantime: starting again$/m,
            'with a new plan');
        is(content_of($source->dir . '/tablespace'), $before, 'the source\'s tablespaces are as they were');
        is(place_of($copy, 'made_meanwhile', $source), "$copy->{dir}/tablespace/meanwhile",
            'the newest tablespace is where it was mapped');
        rejoins($copy, $source);
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
