# A fork of PostgreSQL has its formats and a catalog version of its own: in pg_control, and in the names of the
# directories in tablespaces. No such server is at hand. Both clusters of a pair are made to look like a fork's,
# rewound, and made PostgreSQL's again: they are what a rewind of the pair itself gives, and its servers start. A source
# that runs is one whose pg_control was changed under its server, which finds its tablespace by a link; all that it
# sends is read from its own files. (Invariant 7. Both sources.)
#
#   tablespace   a table that both sides changed, in files of blocks; one that each side made
#   refused      another catalog version than the other side's; PG_VERSION of another major version; lost rows, whose
#                names would be guesses
# (Rules L31, N2, N3.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Tree;

my $own = 299912311;    # no release has it

sub directories { my ($cluster) = @_; return grep { -d && !-l } glob("$cluster->{dir}/tablespace/*/PG_*") }

# Give a cluster another catalog version. The directories keep a link of their name for a server that runs.
sub set_catalog
{
    my ($cluster, $catalog) = @_;
    for my $directory (directories($cluster))
    {
        my $new = $directory =~ s/_\d+$/_$catalog/r;
        unlink $new if -l $new;
        rename($directory, $new) or die "could not rename $directory: $!";
        symlink($new, $directory) or die "could not create $directory: $!" if $cluster->is_running && $catalog == $own;
    }
    patch_control($cluster, 12, pack('L<', $catalog));
    return;
}

sub catalog_of { my ($cluster) = @_; return unpack 'L<', substr(slurp($cluster->path('global/pg_control')), 12, 4) }

sub write_side
{
    my ($server, $side) = @_;
    my $remainder = $side eq 'source' ? 0 : 1;
    $server->sql("UPDATE t SET v = '$side' WHERE i % 20 = $remainder; INSERT INTO t SELECT i, '$side' FROM generate_series(1, 500) i;
        CREATE TABLE of_$side TABLESPACE place AS SELECT i FROM generate_series(1, 3000) i; CREATE TABLE in_base_of_$side AS SELECT 1 AS i");
    return;
}

sub is_refused
{
    my ($source, $target, $name, $status, $says, %option) = @_;
    my $before = tree($target);
    my $result = rewind($target, $source, kind => 'directory', %option);
    is($result->{status}, $status, "$name: refused") or diag($result->{stderr});
    like($result->{stderr}, $says, "$name: the error says why");
    is_same_tree(tree($target), $before, "$name: the target is as it was");
    return;
}

sub refusals
{
    my ($source, $target, $release) = @_;
    my $version = $target->version;
    my $copy = $target->copy('copy');
    is_refused($source, $copy, 'a fork and a source that is none', 3,
        qr/^pg_rewind: error: clusters are not compatible .*\npg_rewind: detail: Source \(PostgreSQL \Q$version\E, catalog version $release\) and target \(PostgreSQL \Q$version\E, catalog version $own\)/m)
        if catalog_of($source) == $release;
    return $copy->discard if catalog_of($source) == $release;

    # 13 to 16 have one control version: there each of these has such a pg_control, but the source is of another
    # version.
    my $shares = $version >= 13 && $version <= 16;
    my $other = $version == 14 ? 15 : 14;
    replace($copy->path('PG_VERSION'), "$other\n");
    is_refused($source, $copy, 'PG_VERSION of another version', $shares ? 3 : 1,
        qr/^pg_rewind: error: clusters are not compatible .*\npg_rewind: detail: .* catalog version $own(?:\) and target \(PostgreSQL $other, catalog version $own\)|, PG_VERSION contains "$other"\.$)/m);
    replace($copy->path('PG_VERSION'), "$version\n");
    is_refused($source, $copy, 'lost rows', 1,
        qr/^pg_rewind: error: lost rows of a fork of PostgreSQL cannot be saved$/m,
        options => [ '--save-lost-rows=' . work_dir() . '/lost' ]);
    $copy->discard;
    return;
}

sub rewinds_as_fork
{
    my ($source, $target, $kind, $release) = @_;
    my $file = work_dir() . '/report';

    $source->sql('CHECKPOINT');
    $source->stop if $kind eq 'directory';
    my $golden = $target->copy('golden');
    rewinds($golden, $source, kind => $kind, options => ['--no-sync']);

    my $rewound = $target->copy('rewound');
    set_catalog($rewound, $own);
    refusals($source, $rewound, $release) if $kind eq 'directory';
    set_catalog($source, $own);
    refusals($source, $rewound, $release) if $kind eq 'directory';
    my $server = 'a fork of PostgreSQL ' . $target->version . ", catalog version $own";
    my @source = $kind eq 'server' ? ('--source-server', $source->conninfo) : ('--source-pgdata', $source->data);
    like(run([ rewind_argv($rewound->data, @source, '--check') ])->{stdout}, qr/^".*", a stopped primary of $server: /,
        '--check says that it is a fork');
    like(run([ rewind_argv($rewound->data, @source, qw(-n
        --report=json)) ])->{stdout}, qr/"fork_catalog_version": $own,$/m, 'so does the report for programs');
    rewinds($rewound, $source, kind => $kind, options => [ '--no-sync', "--report-file=$file" ]);
    like(slurp($file), qr/^  server version +$server$/m, 'and the report for people');
    unlike(slurp($file), qr/of_target/, 'which has no names from its catalogs');

    set_catalog($_, $release) for $source, $rewound;
    is_same_tree(rewound_tree($rewound), rewound_tree($golden), 'all files are those of a rewind of PostgreSQL itself')
        if $kind eq 'directory';
    $source->start if $kind eq 'directory';
    rejoins($golden, $source, quick => 1, no_promotion => 1);
    rejoins($rewound, $source);
    $_->discard for $golden, $rewound;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('place');
            $primary->sql("CREATE TABLESPACE place LOCATION '$location'");
            $primary->sql("CREATE TABLE t TABLESPACE place AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i; CREATE INDEX ON t (i) TABLESPACE place");
        },
        source => sub { write_side($_[0], 'source') },
        target => sub { write_side($_[0], 'target') });
    my $release = catalog_of($target);
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub { rewinds_as_fork($source, $target, $kind, $release) });
    }
}, only => [ 10, 13, 14, 15, 16, 18 ]);
