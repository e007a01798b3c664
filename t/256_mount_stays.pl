# A volume or directory that is mounted below the target's data directory is not the server's: no file on it is removed
# or replaced, and files that only the source has are written there. A tablespace's directory may be a mount in the data
# directory. (Both sources; nothing depends on the version.)
# (Rule O10.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;

skip_unless_privileged();

sub put
{
    my ($directory, %files) = @_;
    mkdir $directory;
    spew("$directory/$_", $files{$_}) for sort keys %files;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            mkdir $primary->path('tbs') or die;
            $primary->sql("CREATE TABLESPACE inside LOCATION '" . $primary->path('tbs') . "'");
            $primary->sql('CREATE TABLE t TABLESPACE inside AS SELECT i FROM generate_series(1, 1000) i');
        },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('DELETE FROM t WHERE i % 2 = 0') });
    put($source->path('volume'), both => 'of the source', new => 'of the source');
    $_->stop for $source;
    must_run([ 'mv', $source->path('tbs'), $source->dir . '/tablespace/tbs' ]);
    my ($link) = glob($source->path('pg_tblspc/*'));
    unlink $link;
    symlink($source->dir . '/tablespace/tbs', $link) or die;
    $source->start;

    for my $kind (qw(bind file-system))
    {
        subtest($kind, sub {
            my $copy = $target->copy($kind);
            my $volume = $copy->path('volume');
            my $outside = $copy->dir . '/outside';
            mkdir $_ or die for $volume, $outside;
            must_run([ 'mv', $copy->path('tbs'), $copy->dir . '/tbs' ]);
            mkdir $copy->path('tbs') or die;
            privileged('mount', $copy->dir . '/tbs', $copy->path('tbs'));
            $kind eq 'bind' ? privileged('mount', $outside, $volume) : privileged('make-file-system', 24, $volume);
            put($volume, both => 'of the target', own => 'of the target');
            put("$volume/nested", file => 'of the target');
            my $result = rewinds($copy, $source, options => ['--no-sync']);
            like($result->{stderr},
                qr/^pg_rewind: warning: "volume" is a mount point: nothing in "volume" is removed or replaced$/m,
                'a warning says so');
            is(() = $result->{stderr} =~ /warning/g, 1, 'once');
            is(slurp("$volume/$_"), 'of the target', "$_ stays") for qw(both own nested/file);
            is(slurp("$volume/new"), 'of the source', 'a new file is copied');
            rejoins($copy, $source, no_promotion => 1, quick => 1);
            $copy->stop;
            privileged('unmount', $_) for $volume, $copy->path('tbs');
            $copy->discard;
        });
    }

    subtest('a volume that is read-only', sub {
        my $copy = $target->copy('read-only');
        my $volume = $copy->path('volume');
        my $outside = $copy->dir . '/outside';
        put($_, both => 'of the target') for $outside;
        mkdir $volume or die;
        must_run([ 'mv', $copy->path('tbs'), $copy->dir . '/tbs' ]);
        mkdir $copy->path('tbs') or die;
        privileged('mount', $copy->dir . '/tbs', $copy->path('tbs'));
        privileged('mount-read-only', $outside, $volume);
        my $result = rewind($copy, $source, options => ['-n'], not_foretold => 'it is one');
        is($result->{status}, 1, 'what only the source has cannot be written there');
        like($result->{stderr},
            qr/^pg_rewind: error: cannot write to directory "\S+\/volume": Read-only file system\npg_rewind: hint: Mount its file system for writing\. If it is no part of the cluster, leave it as it is: --keep=volume$/m,
            'the hint names the option') or diag($result->{stderr});
        is(rewind($copy, $source, options => [ '-n', '--keep=volume' ], not_foretold => 'it is one')->{status}, 0,
            'which helps');
        privileged('unmount', $_) for $volume, $copy->path('tbs');
        $copy->discard;
    });
}, only => [15]);
