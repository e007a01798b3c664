# If the target ran with wal_level = minimal after the divergence, WAL lacks rows of tables that their transaction made.
# --save-lost-rows saves the others, and says so; with --require-lost-rows nothing is rewound.
# (Rules L28, L30.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;
use RewindTest::Outcome;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int PRIMARY KEY)') },
        target => sub {
            my ($server) = @_;
            $server->sql('INSERT INTO t VALUES (1); CHECKPOINT');    # a list of running transactions proves the level
            my @settings = (["wal_level = minimal\nmax_wal_senders = 0",
                'CREATE TABLE made AS SELECT generate_series(1, 200000) AS a'],
                ["wal_level = replica\nmax_wal_senders = 8", 'INSERT INTO t VALUES (2)']);
            for my $setting (@settings)
            {
                $server->stop;
                $server->configure($setting->[0]);
                $server->start->sql($setting->[1]);
            }
        });
    $source->stop;
    my $file = save_lost_rows($target, $source);
    return if !$file->{jsonl};
    like($file->{said},
        qr/warning: rows that WAL does not have are not saved: the target ran with "wal_level = minimal" from/,
        'there is a warning');
    my ($transactions, $others) = saved_rows($file->{jsonl});
    is(join(' ', map { "$_->{kind} $_->{table} $_->{new}[0][2]" } map { @{ $_->{changes} } } @$transactions),
        'I public.t 1 I public.t 2', 'the rows that WAL has are saved');
    is_deeply([ map { "$_->{reason}: $_->{changes}" } @{ $others->[-1]{unknown} } ],
        ['wal_level = minimal: WAL lacks rows of tables that their transaction made, emptied or rewrote: 0'],
        'the last line says so');
    ends(rewind($target, $source, kind => 'directory',
        options => [ "--save-lost-rows=@{[ $target->dir ]}/lost", '--require-lost-rows' ]), 1,
        'with --require-lost-rows',
        qr/^pg_rewind: error: not all lost rows are known$/m,
        qr/^pg_rewind: detail: What is known is in "\Q$file->{jsonl}\E" and "\Q$file->{sql}\E"\.$/m,
        qr/^pg_rewind: hint: The target is unchanged/m);
}, only => [ 10, 15, 18 ]);
