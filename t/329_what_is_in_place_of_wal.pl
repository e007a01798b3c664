# A file in pg_wal that has a segment's name, and is not that segment, is told apart from one that is missing: an older
# segment that was to be used again, zeros, WAL of another cluster, or foreign bytes. (Bad input gets a clear error.)
# (Rule C61.)

use strict;
use warnings;

use RewindTest;

sub says
{
    my ($target, $source, $segment, $content, $what) = @_;
    spew($target->path("pg_wal/$segment"), $content);
    my $result = rewind($target, $source);
    is($result->{status}, 1, 'refused');
    like($result->{stderr},
        qr{^pg_rewind: error: could not open file "\Q@{[ $target->data ]}\E/pg_(?:wal|xlog)/$segment": No such file or directory$}m,
        'as callers know it');
    like($result->{stderr}, qr/There is a file of that name, but it $what\.$/m, "it $what");
    return $result;
}

each_version(sub {
    my ($version) = @_;
    my $segment;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        together => sub { $_[0]->sql("INSERT INTO t VALUES ($_)"), $_[0]->sql('SELECT pg_switch_wal()') for 1 .. 2 },
        target => sub {
            my ($target) = @_;
            $target->sql("SELECT pg_switch_wal(); INSERT INTO t VALUES ($_)") for 3 .. 5;
            $segment = $target->query('SELECT pg_walfile_name(pg_current_wal_lsn())');    # that of the last checkpoint
        });
    my ($older) = sort glob($target->path('pg_wal/00000001????????????????'));
    my $whole = slurp($target->path("pg_wal/$segment"));
    my $size = length $whole;
    my $page = 8192;

    says($target, $source, $segment, slurp($older),
        'is an older segment that was recycled: it begins with the WAL of [0-9A-F]+/[0-9A-F]+');
    says($target, $source, $segment, "\0" x $size,
        'begins with zeros: it was created in advance, or its content is lost');
    my $other = $whole;
    substr($other, 24, 8) = 'another.';
    substr($other, $page, 24) = "\0" x 24;
    says($target, $source, $segment, $other, 'holds WAL of another cluster');
    my $foreign = 'does not begin with a WAL header: it is damaged, or encrypted by a fork of PostgreSQL';
    my $result = says($target, $source, $segment, join('', map { chr(33 + $_ % 90) } 1 .. $size), $foreign);
    unlike($result->{stderr}, qr/do not look like PostgreSQL's/, 'the relations look well');
    if (-e $target->path('base/1/1259'))    # before 9.5 initdb gives it another number
    {
        my $relation = slurp($target->path('base/1/1259'));
        spew($target->path('base/1/1259'), join('', map { chr(33 + $_ % 90) } 1 .. length $relation));
        $result = says($target, $source, $segment, join('', map { chr(33 + $_ % 90) } 1 .. $size), $foreign);
        like($result->{stderr}, qr/The target's relations \(base\/1\/1259\) do not look like PostgreSQL's either/,
            'encrypted relations are told as well');
        spew($target->path('base/1/1259'), $relation);
    }
    spew($target->path("pg_wal/$segment"), $whole);
    rewinds($target, $source);
}, only => [ 10, 13, 15, 18 ]);
