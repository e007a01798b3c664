# A server that is promoted amid a restartpoint logs no image of a page that was changed since that restartpoint, until
# its first own checkpoint begins. Such a record that clears a bit of a visibility map names its block from 19 on; when
# the source has cut the map off since then, replay from the last common checkpoint would not find it, and the server
# would not start. So recovery starts after that. (Both sources.)
#
#   source   ── R, its last restartpoint ── map changed ──c──┬─ 2 ── bit cleared, no image ── S, its checkpoint ── map cut off ──▶
#   target                                                  c└─ 1 ──╳
# (Rule C8.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE queue (a int) WITH (autovacuum_enabled = off); INSERT INTO queue SELECT generate_series(1, 1000)');
    $target->sql('VACUUM queue');
    my $source = $target->standby('source');
    $source->configure("bgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\nlog_checkpoints = on");
    $source->restart;
    $target->sql(q{CREATE TABLE filler AS SELECT g, repeat('x', 900) AS t FROM generate_series(1, 8000) g; CHECKPOINT});
    $source->wait_for_replay_of($target);
    my $slow = $source->session;
    $slow->send('CHECKPOINT (MODE SPREAD)');
    wait_until('the restartpoint is under way', sub { $source->log =~ /restartpoint starting/ });
    $target->sql('DELETE FROM queue WHERE a = 1');
    $target->sql('VACUUM queue; CHECKPOINT');
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('DELETE FROM queue WHERE a < 500');
    $source->sql('CHECKPOINT; DELETE FROM queue');
    $source->sql('VACUUM queue');
    is($source->query(q{SELECT pg_relation_size('queue', 'vm')}), 0, 'the visibility map is cut off');
    $target->sql('CREATE TABLE lost (a int)');
    $target->stop;
    rewinds_from_both_kinds($source, $target, options => ['--early-start']);    # asked for, but it would go wrong
}, only => [19]);
