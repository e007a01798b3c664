# A source that ran without full_page_writes at any time since recovery's start is refused, for what was torn then stays
# torn: also when it was switched off and on again, by a reload or by a restart, so that only its WAL tells. A
# checkpoint behind all that is a start again. (What recovery rebuilds; where recovery starts.) A source directory has
# no torn page.
#
#   source       ┌── 2 ── off ── on ──▶  refused   ── ● ──▶  recovery starts late        (a directory: rewound)
#   target   1 ──┴── 1 ──▶
# (Rules C7, C35.)

use strict;
use warnings;

use RewindTest;

sub set_and_reload
{
    my ($server, $value) = @_;
    $server->set_full_page_writes($value);
    # a commit flushes it; before 9.4 an idle server does not
    $server->sql('DROP TABLE IF EXISTS flushed; CREATE TABLE flushed ()');
    return;
}

sub change { $_[0]->sql('UPDATE t SET a = a + 1'); return }

my %ways = (
    'by a reload' => sub {
        my ($source) = @_;
        set_and_reload($source, 'off');
        change($source);
        set_and_reload($source, 'on');
    },
    'by a restart' => sub {
        my ($source) = @_;
        $source->stop->start(settings => { full_page_writes => 'off' });
        change($source);
        $source->restart;
    },
    'by a crash' => sub {
        my ($source) = @_;
        $source->stop('immediate')->start(settings => { full_page_writes => 'off' });
        change($source);
        $source->stop('immediate')->start;
    },
);

sub is_refused
{
    my ($source, $target) = @_;
    my $copy = $target->copy('refused');
    my $result = rewind($copy, $source);
    is($result->{status}, 1, 'a server is refused') or diag($result->{stderr});
    like($result->{stderr}, qr/error: "full_page_writes" must be enabled in the source server$/m, 'with the reason');
    ok(!-e $copy->path('pg_rewind.work'), 'nothing is left in the target');
    $copy->discard;
    return;
}

sub diverge
{
    my ($version, $way) = @_;
    return split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a') },
        source => $way,
        target => sub { $_[0]->sql('DELETE FROM t WHERE a % 3 = 0') });
}

each_version(sub {
    my ($version) = @_;
    subtest('full_page_writes of the source is off', sub {
        my ($source, $target) = diverge($version, sub { set_and_reload($_[0], 'off') });
        is_refused($source, $target);
        rewinds($target, $source->stop, kind => 'directory', options => ['-N']);
        rejoins($target, $source->start, no_promotion => 1);
        RewindTest::Cluster::discard_all();
    });
    for my $way (sort keys %ways)
    {
        subtest("full_page_writes of the source was switched $way", sub {
            my ($source, $target) = diverge($version, $ways{$way});
            # Recovery from a crash ends with such a checkpoint.
            is_refused($source, $target) if $way ne 'by a crash';
            $source->sql('CHECKPOINT');
            rewinds($target, $source, options => ['-N']);
            rejoins($target, $source, no_promotion => 1);
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 15 ]);
