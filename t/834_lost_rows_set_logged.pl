# An unlogged table that became a logged one among the lost transactions: no WAL had its rows before, and --save-lost-rows has them all. Where a logged table is
# rewritten, the rows of its copy are no changes.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

# name => [ columns, what the lost transactions do ]
my %table = (
    u => [ 'a int PRIMARY KEY, b text', q{ALTER TABLE u SET LOGGED; INSERT INTO u VALUES (4, 'after'); UPDATE u SET b = 'changed' WHERE a = 1; DELETE FROM u WHERE a = 2} ],
    w => [ 'a int, b text', 'ALTER TABLE w ALTER a TYPE bigint, SET LOGGED' ],
    g => [ 'a int PRIMARY KEY, b text', 'ALTER TABLE g ALTER a TYPE bigint' ],
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            for my $name (sort keys %table)
            {
                my $unlogged = $name eq 'g' ? '' : 'UNLOGGED';
                # The last value is in the TOAST table.
                $server->sql("CREATE $unlogged TABLE $name ($table{$name}[0]); INSERT INTO $name SELECT n, repeat(md5(n::text), CASE n WHEN 3 THEN 1000 ELSE 1 END) FROM generate_series(1, 3) n;"
                    . " ALTER TABLE $name ALTER b SET STORAGE EXTERNAL; UPDATE $name SET b = b || ''");
            }
        },
        target => sub { my ($server) = @_; $server->sql($table{$_}[1]) for sort keys %table });
    is($source->sql('SELECT count(*) FROM u'), 0, 'the new primary has none of them');
    my $expected = $target->start->sql('SELECT a, md5(b) FROM u ORDER BY a; SELECT a, md5(b) FROM w ORDER BY a');
    $_->stop for $target, $source;
    my $files = save_lost_rows($target, $source);
    my %count;
    $count{ $_->{table} =~ s/.*\.//r . " $_->{kind}" }++ for map { @{ $_->{changes} } } @{ (saved_rows($files->{jsonl}))[0] };
    is(join(', ', map { "$_ $count{$_}" } sort keys %count), 'u D 1, u I 4, u U 1, w I 3', 'each row is a change of its table');
    like(slurp($files->{jsonl}), qr/"rewrite_changes":3\b/, 'those of the logged table are none');
    $source->start;
    is(run_script($source, $files->{sql}), '', 'the script has nothing to say');
    is($source->sql('SELECT a, md5(b) FROM u ORDER BY a; SELECT a, md5(b) FROM w ORDER BY a'), $expected, 'the new primary has the rows');
}, from => 9.5);    # SET LOGGED
