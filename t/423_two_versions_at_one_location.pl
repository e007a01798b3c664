# Clusters of two versions have tablespaces at one location, on another file system than their data directories, and
# both are rewound: at once, or one after a kill of the other. Each finds what it has staged there, and no more. While
# one is rewound, the server of the other may run. (Invariants 2 and 3. The same in all versions.)
#
#   one rewind     ── staged ──────────────── committed ─╳╴╴ done      ╳ killed
#   the other      ──────────── staged ─────────────────── committed ── done
# (Rules I71, C101.)

use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

my ($place, @pairs, @kept);

# Two clusters that have diverged. The target's tablespace is at the location, the source's elsewhere.
sub make_pair
{
    my ($version) = @_;
    my $target = make_cluster("target_$version", $version)->start;
    my $own = $target->tablespace_location('space');
    $target->sql("CREATE TABLESPACE space LOCATION '$own'");
    $target->sql(
        "CREATE TABLE t TABLESPACE space AS SELECT i, 'common $version' AS v FROM generate_series(1, 3000) i");
    my $source = $target->standby("source_$version");
    $source->promote;
    $source->sql("INSERT INTO t SELECT i, 'source $version' FROM generate_series(1, 3000) i");
    $target->sql("UPDATE t SET v = 'target $version'");
    $_->stop for $target, $source;
    my ($link) = glob $target->path('pg_tblspc/*');
    must_run([ 'mv', glob("$own/PG_*"), $place ]);
    unlink $link;
    symlink($place, $link) or die;
    return { target => $target, source => $source, argument => '--source-pgdata=' . $source->data };
}

sub keep { for (@kept) { must_run([ 'cp', '-a', @$_ ]) } return }
sub reset_all { for (@kept) { must_run([ 'rm', '-rf', $_->[0] ]); must_run([ 'cp', '-a', reverse @$_ ]) } return }

sub hold_pair { my ($pair, $point) = @_; return hold($pair->{target}, $pair->{source}, $point, $pair->{argument}) }

sub rewind_pair { my ($pair) = @_; return rewind($pair->{target}, $pair->{source}, kind => 'directory',
    not_foretold => 'the other one is interrupted') }

sub is_rewound
{
    my ($pair, $result) = @_;
    my ($target, $source) = @{$pair}{qw(target source)};
    my $version = $target->version;
    is($result->{status}, 0, "$version: the rewind succeeds") or diag($result->{stderr});
    nothing_is_left($target);
    return if $result->{status};
    $source->start;
    rejoins($target, $source, no_promotion => 1, quick => 1);
    is($target->query('SELECT DISTINCT v FROM t ORDER BY v'), "common $version\nsource $version",
        "$version: the table in the tablespace is the source's");
    $_->stop for $target, $source;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $volume = File::Temp->newdir(DIR => '/var/tmp');
    plan(skip_all => '/var/tmp and the work directory are one file system: nothing is staged at the location')
        if (stat $volume)[0] == (stat work_dir())[0];
    $place = "$volume/space";
    mkdir $place or die;
    @pairs = map { make_pair($_) } 14, $version;
    my @kept_places = ($place, map { ($_->{target}->dir, $_->{source}->dir) } @pairs);
    @kept = map { [ $_, "$volume/kept." . tr{/}{_}r ] } @kept_places;
    keep();
    for my $order (\@pairs, [ reverse @pairs ])
    {
        my ($first, $second) = @$order;
        my $which = $first->{target}->version . ' first';
        subtest("at once, $which", sub {
            my @held = map { hold_pair($_, 'commit') } $first, $second;
            my @results = map { go_on($_) } @held;
            is_rewound($order->[$_], $results[$_]) for 0, 1;
            is_deeply([ glob("$place/pg_rewind*") ], [], 'nothing stays at the location');
        });
        reset_all();
        subtest("one amid the other, which was killed, $which", sub {
            end_by_kill(hold_pair($first, 'apply'));
            is_rewound($second, rewind_pair($second));
            is_rewound($first, rewind_pair($first));
            is_deeply([ glob("$place/pg_rewind*") ], [], 'nothing stays at the location');
        });
        reset_all();
        subtest("one beside the server of the other, $which", sub {
            $second->{target}->start;
            is_rewound($first, rewind($first->{target}, $first->{source}, kind => 'directory'));
            is($second->{target}->query('SELECT DISTINCT v FROM t'), 'target ' . $second->{target}->version,
                'the other one still has its own table');
            $second->{target}->stop;
        });
        reset_all();
    }
}, only => [15]);
