# Servers that were built with other sizes: pages of 4, 16 and 32 kB, WAL pages of 4, 16, 32 and 64 kB, relation
# segments of a few blocks and of no round number. No package has such a server; both directories are written by the
# test: RewindTest::WrittenPair. Rewound, and recovered by the source's WAL, the target has the source's relations byte
# by byte. (Invariant 7; a directory as the source.)
#
#   source       ┌── 2 ── │ ── 2 ──▶      each side changes other blocks, in each segment of a relation, some of them both;
#   target   1 ──┴── 1 ── │ ── 1 ──▶        grows and cuts relations; gives up a record and switches WAL
#
# And the other way round, since the promoted side may have marked index entries as dead without WAL.
# (Rule C97.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::WrittenPair;

my @sizes = (
    { block => 16384, wal_block => 65536, relation_segment => 9 },
    { block => 4096, wal_block => 16384, relation_segment => 50 },
    { block => 32768, wal_block => 4096, relation_segment => 8 },
    { block => 8192, wal_block => 32768, relation_segment => 11 },
);

# The relations of two directories that are not the same, and in which blocks.
sub differing
{
    my ($one, $other) = @_;
    my @differing;
    for my $fork (sort keys %{ { %$one, %$other } })
    {
        my ($x, $y) = ($one->{$fork}, $other->{$fork});
        my @blocks = grep { ($x->{$_} // '') ne ($y->{$_} // '') } sort { $a <=> $b }
            keys %{ { %{ $x // {} }, %{ $y // {} } } };
        push @differing, "$fork: @blocks" if @blocks || !$x || !$y;
    }
    return join '; ', @differing;
}

# Recovery begins where backup_label says. An entry that the source has marked as dead need not be marked.
sub is_as_the_source
{
    my ($pair, $rewound, $side, $compared) = @_;
    my $source = $pair->{$side};
    my ($high, $low) = slurp($rewound->path('backup_label')) =~ m{^START WAL LOCATION: (\w+)/(\w+) }m
        or return fail('there is a backup_label');
    my $marked = $side eq 'source' && !$compared ? RewindTest::WrittenPair::INDEX . ': 4' : '';
    my $start = hex($high) << 32 | hex $low;
    is(differing($pair->recovered($rewound, $side, $start), $pair->recovered($source)), $marked,
        'recovery makes the relations what they are on the source');
    is(join(' ', grep { !-e $rewound->path("pg_wal/$_") || slurp($source->path("pg_wal/$_"))
        ne slurp($rewound->path("pg_wal/$_")) } $pair->segments($side, $start)), '',
        'the WAL from there on is that of the source');
    is(slurp($rewound->path('pg_xact/0000')), slurp($source->path('pg_xact/0000')), 'so is what is copied whole');
    return;
}

# Rewind one side of the pair to the other.
sub rewinds_written
{
    my ($pair, $from, $name, %option) = @_;
    my $to = $from eq 'source' ? 'target' : 'source';
    return subtest("from the $from, $name", sub {
        my $rewound = $pair->{$to}->copy('rewound');
        $option{prepare}->($rewound) if $option{prepare};
        is(rewind($rewound, $pair->{$from}, kind => 'directory', fault => $option{fault})->{signal}, 9,
            'the first run is killed') if $option{fault};
        my $result = rewinds($rewound, $pair->{$from}, kind => 'directory',
            options => [ '--no-sync', @{ $option{options} // [] } ]);
        is_as_the_source($pair, $rewound, $from, $option{compared}) if $result->{status} == 0;
        $rewound->discard;
    });
}

each_version(sub {
    my ($version) = @_;
    for my $size (@sizes)
    {
        subtest(join(', ', map { "$_ $size->{$_}" } sort keys %$size), sub {
            my $pair = RewindTest::WrittenPair->new($version, %$size);
            my $archive = work_dir() . '/archive';
            mkdir $archive;

            rewinds_written($pair, 'source', 'by WAL');
            rewinds_written($pair, 'target', 'by WAL', fault => 'kill:rename@*/backup_label;write@*/base/5/16384*');
            rewinds_written($pair, 'source', 'by comparing', compared => 1, options => ['--compare']);
            rewinds_written($pair, 'source', 'by WAL from an archive', options => [ '--wal-archive', $archive ],
                prepare => sub { must_run([ 'mv', $_[0]->path('pg_wal/000000010000000000000001'), $archive ]) });
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 18 ], from => 10);
