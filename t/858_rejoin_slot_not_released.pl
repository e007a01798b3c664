# --rejoin of a standby whose host has failed, and is back before the source has noticed that: a connection of the
# former server still holds the slot on the source. The standby can wait for the slot, so its server is started. A slot
# that a client of another name holds is refused. (Without a rewind.)
#
#   source   ────────────── slot s, held until the source closes the lost connection ── released ──▶
#   target   ── slot s ──╳                          --rejoin starts the server                    └── slot s ──▶
# (Rules S32, S35.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Outcome;
use RewindTest::Proxy;

each_version(sub {
    my ($version) = @_;
    my $source = make_cluster('source', $version)->start;
    $source->sql(q{SELECT pg_create_physical_replication_slot('s')});
    my $target = $source->standby('target');
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my $settings = $target->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    my $written = slurp($settings) =~ s/^(primary_conninfo = ').*?( application_name)/$1@{[ $proxy->conninfo ]}$2/mr;
    my $is_held = sub { $source->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 's'}) eq 't' };
    $target->stop;
    spew($settings, $written . "primary_slot_name = 's'\n");
    $target->start;
    wait_until('the standby uses the slot', $is_held);
    $source->sql('CREATE TABLE t AS SELECT 1 AS a');
    $target->wait_for_replay_of($source);
    $proxy->hang;
    $target->stop('immediate');
    ok($is_held->(), 'the source has not noticed');

    my @options = qw(--rejoin --no-sync -B);
    spew($settings, slurp($settings) =~ s/application_name=target/application_name=another/r);
    ends(run([ rewind_argv($target->data, @options, $target->bindir, '--source-server', $source->conninfo) ]), 1,
        'another client holds the slot', qr/^pg_rewind: error: replication slot "s" of the source is in use$/m);
    spew($settings, slurp($settings) =~ s/application_name=another/application_name=target/r);

    my $running = start_rewind($target, $source, options => [ @options, $target->bindir ]);
    wait_until('the server is started, or not', sub { has_ended($running) || $target->is_running });
    $proxy->cut;
    my $result = end_of_rewind($running);
    is($result->{status}, 0, 'it is rejoined') or diag($result->{stderr});
    my $held = qr/^pg_rewind: warning: the source has not released replication slot "s" yet$/m;
    is(scalar(() = $result->{stderr} =~ /$held/g), 1, 'one warning') or diag($result->{stderr});
    ok($is_held->(), 'and uses the slot');
}, only => [ 10, 15, 18 ]);
