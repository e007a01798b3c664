# A run that brings WAL from an archive, killed or failing at any call about that: the target is as it was, nothing half
# brought is ever used or left, and the same command ends as if nothing had been. (Invariants 1 and 3. Alike for all
# versions.)
#
#   source   ┌── 2 ── gone, in an archive ── 2 ──▶
#   target ──┴── 1 ──▶
# (Rule C61.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Interrupted;

each_version(sub {
    my ($version) = @_;
    my $archive = work_dir() . '/archive';
    mkdir $archive;
    my $pair = RewindTest::Interrupted->new($version, kind => 'directory', options => ["--wal-archive=$archive"]);
    my @segments = grep { /00000002[0-9A-F]{16}$/ } sort glob($pair->source->path('pg_wal/*'));
    splice(@segments, -1);
    my ($used) = $segments[0] =~ m{([^/]+)$};
    must_run([ 'mv', $segments[0], $archive ]);
    must_run([ 'zstd', '-q', '--rm', "$archive/$used" ]);

    my $calls = $pair->calls;
    my @about = grep { $calls->[ $_ - 1 ]{path} =~ m{pg_rewind\.work\.wal|\Q$archive\E} } 1 .. @$calls;
    my %kinds = map { ("$calls->[ $_ - 1 ]{call} $calls->[ $_ - 1 ]{path}" => $_) } reverse @about;
    my @numbers = sort { $a <=> $b } values %kinds;
    cmp_ok(scalar @numbers, '>', 4, 'there are such calls');
    my $refused = 0;
    for my $number (@numbers)
    {
        my $call = $calls->[ $number - 1 ];
        for my $fault ("fail:$number:ENOSPC", "kill:$number")
        {
            subtest("$fault, $call->{call} $call->{path}", sub {
                my $result = $pair->reset->attempt(fault => $fault);
                isnt($result->{status} || $result->{signal}, 0, 'it does not succeed') if $fault =~ /kill/;
                ok(!-e $pair->target->path('pg_rewind.work.wal'), 'nothing that was brought is left')
                    if $fault =~ /fail/ && $call->{call} !~ /rmdir|unlink/;
                $refused++ if $result->{status} == 1;
                $pair->judge;
            });
        }
    }
    cmp_ok($refused, '>', 2, 'runs failed for that reason');
}, only => [15]);
