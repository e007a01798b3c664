# Tablespaces: places mapped to each cluster's own, made and dropped on either side after the divergence, in place
# or not.  On one host a tablespace of the source's alone would be taken from it: that is refused.  (Both sources.)
#
#   tablespace           divergence  afterwards on the target
#   kept                 │           its own place, blocks copied
#   dropped_on_source    │           gone
#   made_on_target       │           gone, its place empty
#   made_on_source       │           in place: made; elsewhere: refused, the place is the source's
# (Rule C42.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub make_table
{
    my ($cluster, $tablespace, $first) = @_;
    $cluster->sql("CREATE TABLE in_$tablespace TABLESPACE $tablespace AS SELECT i FROM generate_series($first, $first + 3000) i;
        CREATE INDEX ON in_$tablespace (i) TABLESPACE $tablespace");
    return;
}

sub make_tablespace
{
    my ($cluster, $name) = @_;
    my $location = $cluster->tablespace_location($name);
    $cluster->sql("CREATE TABLESPACE $name LOCATION '$location'");
    make_table($cluster, $name, 0);
    return;
}

sub make_in_place
{
    my ($cluster, $name) = @_;
    $cluster->sql("CREATE TABLESPACE $name LOCATION ''");
    make_table($cluster, $name, 0);
    return;
}

# Servers before 10 have none in place.
sub in_place { my ($cluster, @names) = @_; return $cluster->version < 10 ? () : @names }

sub drop_tablespace { my ($cluster, $name) = @_; $cluster->sql("DROP TABLE in_$name");
    $cluster->sql("DROP TABLESPACE $name"); return }

sub build
{
    my ($primary) = @_;
    make_tablespace($primary, $_) for qw(kept dropped_on_source);
    make_in_place($primary, $_) for in_place($primary, qw(kept_in_place in_place_dropped_on_source
        in_place_dropped_on_target));
    my $location = $primary->tablespace_location('of_a_database');
    $primary->sql("CREATE TABLESPACE of_a_database LOCATION '$location'");
    $primary->sql('CREATE DATABASE elsewhere TABLESPACE of_a_database');
    $primary->sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 3000) i', 'elsewhere');
    return;
}

sub write_apart
{
    my ($server, $side) = @_;
    my $remainder = $side eq 'source' ? 0 : 1;
    $server->sql("UPDATE in_$_ SET i = -i WHERE i % 2 = $remainder; INSERT INTO in_$_ SELECT i FROM generate_series(1, 2000) i")
        for qw(kept dropped_on_source), in_place($server, qw(kept_in_place in_place_dropped_on_source));
    $server->sql("DELETE FROM t WHERE i % 2 = $remainder", 'elsewhere');
    make_in_place($server, $_) for in_place($server, "in_place_made_on_$side", 'short_lived');
    drop_tablespace($server, $_) for in_place($server, 'short_lived', "in_place_dropped_on_$side");
    return;
}

# Everything below a place: names, sizes and what is in the files.
sub content_of { my ($place) = @_;
    return must_run([ 'sh', '-c', 'cd "$1" && find . -type f -exec md5sum {} + | sort -k 2; find . | sort', '-',
    $place ]) }

sub is_refused
{
    my ($source, $target, $name) = @_;
    my $place = "$source->{dir}/tablespace/$name";
    for my $kind (qw(server directory))
    {
        $source->sql('CHECKPOINT');
        $source->stop if $kind eq 'directory';
        my $copy = $target->copy('copy');
        my ($before, $before_on_target) = (content_of($place), content_of($copy->dir));
        my $result = rewind($copy, $source, kind => $kind);
        isnt($result->{status}, 0, "a rewind from a $kind is refused");
        like($result->{stderr}, qr/^pg_rewind: error: .*\Q$place\E/m, 'the message names the place');
        is(content_of($place), $before, 'the source\'s tablespace is as it was');
        is(content_of($copy->dir), $before_on_target, 'the target is as it was');
        $source->start if $kind eq 'directory';
        $copy->discard;
    }
    is($source->query("SELECT count(*) FROM in_$name"), 3001, 'the source reads its table');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'allow_in_place_tablespaces = on' },
        before => \&build,
        source => sub {
            my ($source) = @_;
            write_apart($source, 'source');
            drop_tablespace($source, 'dropped_on_source');
        },
        target => sub {
            my ($target) = @_;
            write_apart($target, 'target');
            make_tablespace($target, 'made_on_target');
        });
    my %location = map { $_ => readlink } grep { -l } glob($target->path('pg_tblspc/*'));

    rewinds_from_both_kinds($source, $target,
        rewound => sub {
            my ($rewound, $source) = @_;
            my @links = grep { -l } glob($rewound->path('pg_tblspc/*'));
            is(@links, 2, 'tablespaces of the target alone have no link any more');
            is(join(' ', grep { readlink !~ m{^\Q$rewound->{dir}\E/} } @links), '',
                'the others are where the target had them');
            is(join(' ', grep { -f } split /\n/,
                must_run([ 'find', map { "$rewound->{dir}/tablespace/$_" } qw(made_on_target dropped_on_source) ])),
                '', 'no file is left in those that are gone');
            is_deeply([ map { m{(\d+)$} } grep { !-l } glob($rewound->path('pg_tblspc/*')) ],
                [ map { m{(\d+)$} } grep { !-l } glob($source->path('pg_tblspc/*')) ],
                'tablespaces in place are those of the source');
        });

    make_tablespace($source, 'made_on_source');
    subtest('a tablespace made on the source, on the same host',
        sub { is_refused($source, $target, 'made_on_source') });
}, sample => 1);
