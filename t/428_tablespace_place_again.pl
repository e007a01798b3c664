# The place of a tablespace that the target made is used again, by one that the source made. The power fails, and of the
# changes that nothing has synced one disk holds all, the other none: the same command finishes the rewind, and no file
# of the old tablespace stays in the new one. (Invariant 3. What is synced when depends neither on the version nor on
# the source.)
#
#   place      old tablespace ── files removed ──── new tablespace, its files        disk of the place
#   PGDATA     link to it     ── link removed ───── new link                         disk of the data directory
# (Rule I20.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Interrupted;
use RewindTest::PowerCut;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my ($place, $on_source);
    my ($source, $target) = split_brain($version,
        source => sub {
            my ($source) = @_;
            $on_source = $source->tablespace_location('new');
            $source->sql($_) for 'CREATE TABLE first (a int)', "CREATE TABLESPACE new LOCATION '$on_source'",
                'CREATE TABLE s TABLESPACE new AS SELECT 1 AS a';
        },
        target => sub {
            my ($target) = @_;
            $place = $target->tablespace_location('old');
            $target->sql($_) for "CREATE TABLESPACE old LOCATION '$place'",
                'CREATE TABLE u1 TABLESPACE old AS SELECT 1 AS a', 'CREATE TABLE u2 TABLESPACE old AS SELECT 2 AS a';
        });
    $source->stop;
    my ($root, $base, $record) = ($target->dir, work_dir() . '/base', work_dir() . '/record');
    must_run([ 'cp', '-a', $root, $base ]);
    my $run = sub {
        return rewind($target, $source, kind => 'directory', fault => '', env => {@_},
            options => [ '-j1', '-T', "$on_source=$place" ]);
    };
    is($run->(PG_REWIND_FAULT_RECORD => $record)->{status}, 0, 'an undisturbed run succeeds');
    my $rewound = rewound_tree($target);

    my $recording = RewindTest::PowerCut->new($record, base => $base, root => $root);
    my %tried;
    my ($first, $last) = ($recording->find('unlink', qr{^\Q$place\E/}),
        $recording->find('open', qr{/pg_rewind\.work/backup_label created}));
    for my $number (grep { $recording->{changes}[ $_ - 1 ][0] !~ /^(open|write|truncate)$/ } $first .. $last)
    {
        for my $holds ('the place', 'PGDATA')
        {
            my $moment = $recording->moment($number);
            my %kept;
            for my $unit ($moment->pending)
            {
                my $in_place = grep { index($_, "$place/") == 0 } @{ $recording->{changes}[ $unit =~ s/\..*//r - 1 ] };
                $kept{$unit} = 1 if !$in_place == ($holds eq 'PGDATA');
            }
            next if $tried{ $moment->key(\%kept) }++;
            must_run([ 'rm', '-rf', $root ]);
            must_run([ 'cp', '-a', $base, $root ]);
            $moment->restore($root, \%kept);
            my $result = $run->();
            subtest("the power failed after change $number, and only the disk of $holds holds it", sub {
                is($result->{status}, 0, 'the same command finishes it') or diag($result->{stderr});
                is_same_tree(RewindTest::Interrupted::without_ours(rewound_tree($target)), $rewound,
                    'all is as after an undisturbed run');
            });
        }
    }
    cmp_ok(scalar keys %tried, '>', 10, 'many states were tried');
}, only => [ $ENV{PG_REWIND_TEST_VERSION} // 16 ]);
