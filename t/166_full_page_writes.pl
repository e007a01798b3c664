# A source that ran without full_page_writes at any time since recovery's start is refused, for what was torn then stays
# torn: also when it was switched off and on again, by a reload or by a restart, so that only its WAL tells.
# (What recovery rebuilds. Both sources.)
#
#   source       ┌── 2 ── off ── on ──▶
#   target   1 ──┴── 1 ──▶

use strict;
use warnings;

use RewindTest;

sub set_and_reload
{
    my ($server, $value) = @_;
    $server->sql("ALTER SYSTEM SET full_page_writes = $value");
    $server->sql('SELECT pg_reload_conf()');
    wait_until("full_page_writes is $value", sub { $server->query('SHOW full_page_writes') eq $value });
    # The checkpointer writes down what it was told.
    $server->sql('CHECKPOINT') if $value eq 'off';
    return;
}

sub write_torn { $_[0]->sql('UPDATE t SET a = a + 1'); return }

my %ways = (
    'is off' => sub { set_and_reload($_[0], 'off') },
    'was off, and on again after a reload' => sub {
        my ($source) = @_;
        set_and_reload($source, 'off');
        write_torn($source);
        set_and_reload($source, 'on');
        wait_until('the checkpointer has seen it', sub { $source->sql('CHECKPOINT'); $source->query('SELECT full_page_writes FROM pg_control_checkpoint()') eq 't' });
    },
    'was off from one restart to the next' => sub {
        my ($source) = @_;
        $source->stop->start(settings => { full_page_writes => 'off' });
        write_torn($source);
        $source->restart;
    },
    'was off from a crash to the next restart' => sub {
        my ($source) = @_;
        $source->stop('immediate')->start(settings => { full_page_writes => 'off' });
        write_torn($source);
        $source->stop('immediate')->start;
    },
);

each_version(sub {
    my ($version) = @_;
    for my $way (sort keys %ways)
    {
        subtest("full_page_writes of the source $way", sub {
            my ($source, $target) = split_brain($version,
                before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a') },
                source => $ways{$way},
                target => sub { $_[0]->sql('DELETE FROM t WHERE a % 3 = 0') });
            for my $kind (qw(server directory))
            {
                $source->stop if $kind eq 'directory';
                my $copy = $target->copy("from_$kind");
                my $result = rewind($copy, $source, kind => $kind);
                is($result->{status}, 1, "a $kind is refused") or diag($result->{stderr});
                like($result->{stderr}, qr/error: "full_page_writes" must be enabled in the source server$/m, 'with the reason');
                ok(!-e $copy->path('pg_rewind.work'), 'nothing is left in the target');
            }
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 15, 18 ]);
