# The rest of a segment after a switch is not sent, only how many zeros it has. (Servers from 11 on fill it with zeros,
# those before with the headers of empty pages.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Proxy;

my $switches = 6;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16 },
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT i, 1 AS v FROM generate_series(1, 1000) i') },
        source => sub {
            my ($source) = @_;
            $source->sql("UPDATE t SET v = $_; SELECT pg_switch_wal()") for 1 .. $switches;
            $source->sql('UPDATE t SET v = 0');
        },
        target => sub { $_[0]->sql('UPDATE t SET v = -1') });
    my $proxy = RewindTest::Proxy->new('proxy', $source);

    rewinds($target, $proxy, options => ['--no-sync']);
    my $received = $proxy->status->{bytes};
    cmp_ok($received, '<', $switches * 16 * 1024 * 1024 / 4, "of $switches segments of 16 MB hardly anything is sent");
    $proxy->end;
    rejoins($target, $source, quick => 1);
}, only => [ 11, 18 ]);
