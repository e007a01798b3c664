# The rows in the file of --save-lost-rows are those that the server itself decodes of its WAL, also of odd rows,
# statements and schema changes: t/lost_rows/odd.sql, odd_schema.sql. Its script gives the new primary the same rows.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

# Settings of the new primary's database that change what text means.
my $old_strings = 'standard_conforming_strings = off';    # refused from 19 on
my @settings = ('array_nulls = off', 'bytea_output = escape', "search_path = ''",
    'transform_null_equals = on', "datestyle = 'German'", "intervalstyle = 'sql_standard'",
    'quote_all_identifiers = on', 'extra_float_digits = -15', "timezone = 'Asia/Kolkata'");

each_version(sub {
    my ($version) = @_;
    my $replica = make_cluster('replica', $version);
    my ($source, $logical, $rows) = diverged_copies($replica, 'odd_tables.sql', qw(source logical rows));
    $logical->configure('wal_level = logical');
    $_->start for $logical, $replica;
    $logical->sql(q{SELECT pg_create_logical_replication_slot('judge', 'test_decoding')});
    run_workload($_, 'odd.sql') for $logical, $replica;
    run_workload($_, 'odd_schema.sql') for $logical, $replica;
    my $decoded = decoded_rows($logical, 'judge');
    $_->stop('immediate') for $logical, $replica;
    my ($of_logical, $of_replica) = map {
        my $file = save_lost_rows($_, $source);
        unlike(slurp($file->{sql}), qr/^[^-].*(?:INTO|FROM ONLY) "public"."(?:stored|new)_view"/m,
            'no statement changes a materialized view') if defined $file->{sql};
        defined $file->{jsonl} ? [ saved_rows($file->{jsonl}) ] : [ [], [] ];
    } $logical, $replica;
    are_same_rows(without_rewritten($of_logical->[0], $decoded, 'public.unlogged_rows'), $decoded,
        'the rows are those that the server decodes', by => 'xid', version => $version);
    are_same_rows($of_replica->[0], $of_logical->[0], 'wal_level = replica gives the same rows', version => 99);

    run_workload($rows->start, 'odd.sql');
    my $expected = all_rows($rows);
    $rows->stop('immediate');
    my $script = save_lost_rows($rows, $source)->{sql} // return;
    $source->start;
    $source->sql("ALTER DATABASE postgres SET $_") for @settings, $version < 19 ? $old_strings : ();
    is(run_script($source, $script), '', 'the script has nothing to say');
    is_same_text(all_rows($source), $expected, 'the new primary has the tables of the old one');
    unlike(run_script($source, $script), qr/conflict/, 'again: no conflict');
    is_same_text(all_rows($source), $expected, 'and nothing changes');
});
