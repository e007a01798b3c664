# What a rewind cannot give back stays below the data directory: archived WAL, base backups, tablespaces of other
# clusters, WAL that another server has in use. Files that only the source has there are copied. What else only the
# target has goes, with a warning that counts it and names --keep. (Nothing here depends on the version.)
# (Rules O7, O10, O11.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub put
{
    my ($cluster, %files) = @_;
    for my $path (sort keys %files)
    {
        must_run([ 'mkdir', '-p', $cluster->path($path =~ s{/?[^/]*$}{}r) ]);
        spew($cluster->path($path), $files{$path});
    }
    return;
}

my $segment = '00000001000000000000000';

my %of_target = (
    'archive/main/0000000100000000/' . "${segment}1.gz" => 'lost WAL',
    'archive/main/0000000100000000/' . "${segment}2.gz" => 'WAL of the target',
    'archive/archive.info' => 'of the target',
    'backups/tar/base.tar.gz' => 'backup',
    'backups/tar/pg_wal.tar.gz' => 'its WAL',
    'backups/plain/PG_VERSION' => '15',
    'backups/plain/backup_label' => 'label',
    'backups/plain/backup_manifest' => 'manifest',
    'backups/plain/global/pg_control' => 'control',
    'backups/plain/base/1/1259' => 'relation',
    'backups/log' => 'of the target',
    'space/PG_15_202209061/5/16384' => 'a tablespace of another cluster',
    'other_wal/' . "${segment}7" => 'WAL in use',
    'other_wal/archive_status/' . "${segment}6.ready" => 'marker',
);

my %of_source = (
    'archive/main/0000000100000000/' . "${segment}2.gz" => 'WAL of the source',
    'archive/main/0000000100000000/' . "${segment}3.gz" => 'new WAL',
    'archive/archive.info' => 'of the source',
    'backups/plain/backup_label' => 'another label',
    'backups/plain/base/1/2619' => 'of another backup',
    'backups/new/base.tar' => 'new backup',
    'other_wal/' . "${segment}8" => 'WAL of nobody',
    'ordinary/both' => 'of the source',
    'pgdata.sh' => 'source',
);

my %removed = (
    'ordinary/both' => 'of the target',
    'dump/one.sql' => 'x' x 3000,
    'dump/nested/two.sql' => 'x' x 1500,
    'of target.sh' => 'exit',
    'label.old' => 'settings',
    'former.conf' => 'settings',
    'state.json' => '{}',
    'empty/file' => '',
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    put($target, %of_target, %removed);
    put($source, %of_source);

    rewinds_from_both_kinds($source, $target, no_promotion => 1, quick => 1, rewound => sub {
        my ($copy, undef, $result) = @_;
        for my $path (sort keys %of_target)
        {
            is(-e $copy->path($path) ? slurp($copy->path($path)) : 'nothing', $of_target{$path},
                "$path stays as it was");
        }
        is(slurp($copy->path($_)), $of_source{$_}, "$_ is copied") for 'archive/main/0000000100000000/'
            . "${segment}3.gz", 'backups/new/base.tar', 'ordinary/both', 'pgdata.sh';
        ok(!-e $copy->path($_), "$_ is not written there") for 'backups/plain/base/1/2619', 'other_wal/'
            . "${segment}8";
        ok(!-e $copy->path($_), "$_ is gone") for grep { $_ ne 'ordinary/both' } keys %removed;
        my @warnings = $result->{stderr} =~ /^pg_rewind: warning: (.*)/mg;
        is(join("\n", sort @warnings), join("\n", sort split /\n/, <<'END'), 'warnings tell what stays, and what goes');
"archive/main/0000000100000000" holds WAL: nothing in "archive" is removed or replaced
"backups/plain" is a base backup: nothing in "backups" is removed or replaced
"dump" is removed, since the source does not have it: 2 files, 4500 bytes
"of target.sh" is removed, since the source does not have it: 1 file, 4 bytes
"other_wal" holds WAL: nothing in "other_wal" is removed or replaced
"space" is the directory of a tablespace: nothing in "space" is removed or replaced
END
        like($result->{stderr}, qr/^pg_rewind: hint: To keep them use: --keep=dump --keep='of target\.sh'$/m,
            'a hint names --keep');
    });

    subtest('--keep', sub {
        my $copy = $target->copy('kept');
        my $result = rewinds($copy, $source, options => [ qw(--no-sync --keep=dump --keep=space
            --keep), 'of target.sh' ]);
        unlike($result->{stderr}, qr/warning: "(?:dump|of target|space)/, 'there is no warning of what is kept');
        ok(-e $copy->path($_), "$_ is kept") for 'dump/nested/two.sql', 'of target.sh';
        $copy->discard;
    });

    subtest('many files', sub {
        my $copy = $target->copy('many');
        put($copy, map { sprintf('dump%02d', $_) => 'x' } 1 .. 12);
        my $result = rewinds($copy, $source, options => ['--no-sync']);
        is(() = $result->{stderr} =~ /^pg_rewind: warning: "dump\d*" is removed, since the source does not have it: /mg,
            10, 'ten are named');
        like($result->{stderr},
            qr/^pg_rewind: warning: 4 more of the target are removed that the source does not have$/m,
            'the others are counted');
        $copy->discard;
    });
}, only => [ 10, 15, 18 ]);
