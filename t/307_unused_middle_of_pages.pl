# Of the page of a small table its rows come, not the zeros between them and its line pointers. Where old rows are
# there, they come too: each page is the source's, byte by byte. (The source is a server. Rule P2.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Proxy;

my $tables = 500;

sub on_each { my ($sql) = @_; return join '', map { "$sql;\n" =~ s/TABLE_NAME/small_$_/gr } 1 .. $tables }

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql(on_each('CREATE TABLE TABLE_NAME AS SELECT 1 AS v') . 'CREATE TABLE used (v int, filler text)');
            $_[0]->sql("INSERT INTO used SELECT i, repeat('x', 500) FROM generate_series(1, 200) i; VACUUM used");
        },
        source => sub { $_[0]->sql("DELETE FROM used WHERE v % 3 <> 0; VACUUM used; INSERT INTO small_1 VALUES (3)") },
        target => sub { $_[0]->sql(on_each('INSERT INTO TABLE_NAME VALUES (2)') . "UPDATE used SET v = -v") });
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my $result = rewind($target, $proxy, options => [ '--no-sync', '--debug' ], dry => 0);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    my @pieces = $result->{stderr} =~ m{received chunk for file "base/.*, size 8192$}mg;
    cmp_ok(scalar @pieces, '>=', $tables, 'single pages are fetched');
    my $received = $proxy->status->{bytes};
    cmp_ok($received, '<', @pieces * 8192 / 2, "$received bytes were received, with all else");
    $proxy->end;
    rejoins($target, $source, pages => 1, quick => 1);
}, only => [ 10, 15, 18 ]);
