# The report names each transaction that committed on the target alone, with its records and relations; names come from
# the source where the storage is the same one there, else from the target's own catalogs.
#
#   source   ──┬── VACUUM FULL rewritten ──▶        does not know what the target made, or it itself rewrote
#   target     └── DML, subtransactions, prepared, TRUNCATE, DROP, CREATE, ALTER ──▶

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my $xid = 'SELECT txid_current()';

# Runs statements in one transaction; its number.
sub transaction
{
    my ($cluster, @statements) = @_;
    my $end = $statements[-1] =~ /^(ROLLBACK$|PREPARE)/ ? '' : 'COMMIT;';
    my ($number) = $cluster->query(join('', map { "$_;" } 'BEGIN', $xid, @statements) . $end) =~ /^(\d+)$/m;
    return $number;
}

sub prepare_both
{
    my ($cluster) = @_;
    $cluster->sql($_) for 'CREATE TABLE a (i int PRIMARY KEY, t text)', 'CREATE TABLE b (i int)',
        'CREATE TABLE cut AS SELECT 1 AS i',
        'CREATE TABLE gone AS SELECT 1 AS i', 'CREATE TABLE rewritten AS SELECT 1 AS i', 'CREATE SEQUENCE counted',
        'CREATE SEQUENCE reserved', 'CREATE SEQUENCE untouched', 'CREATE DATABASE other';
    $cluster->sql('CREATE TABLE x (i int); CREATE TABLE indexed (i int PRIMARY KEY)', 'other');
    return;
}

sub write_on_target
{
    my ($target) = @_;
    my %done;
    $done{simple} = transaction($target, 'INSERT INTO a VALUES (1), (2), (3)');
    $done{two} = transaction($target, 'INSERT INTO a VALUES (4)', 'INSERT INTO b VALUES (1)', 'SAVEPOINT s',
        'INSERT INTO b VALUES (2)',
        'RELEASE s', 'SAVEPOINT s', 'INSERT INTO cut VALUES (2)', 'ROLLBACK TO s');
    $done{aborted} = transaction($target, 'INSERT INTO a VALUES (10)', 'ROLLBACK');
    $done{both} = transaction($target, 'INSERT INTO b VALUES (3)', q{PREPARE TRANSACTION 'both'});
    $target->sql(q{COMMIT PREPARED 'both'});
    $done{cut} = transaction($target, 'TRUNCATE cut');
    $done{gone} = transaction($target, 'DROP TABLE gone');
    $target->sql('CREATE TABLE made (i int)');
    $done{made} = transaction($target, 'INSERT INTO made VALUES (1)');
    $done{altered} = transaction($target, 'ALTER TABLE b ADD COLUMN j int');
    $done{rewritten} = transaction($target, 'INSERT INTO rewritten VALUES (2)');
    $done{role} = transaction($target, 'CREATE ROLE somebody');
    my ($other) = $target->query("BEGIN; $xid; INSERT INTO x VALUES (1); COMMIT", 'other') =~ /^(\d+)$/m;
    $done{other} = $other;
    # A value stays taken when the transaction rolls back.
    $target->sql(q{BEGIN; SELECT nextval('counted'); ROLLBACK; SELECT nextval('counted') FROM generate_series(1, 40); CREATE SEQUENCE down INCREMENT -10; SELECT setval('down', -70)});
    # Values that a committed transaction takes of those that another one logged have no record.
    $target->sql(q{BEGIN; SELECT nextval('reserved'); ROLLBACK; SELECT nextval('reserved') FROM generate_series(1, 3)});
    $target->sql(q{BEGIN; CREATE SEQUENCE never; SELECT nextval('never'); ROLLBACK});
    $target->sql('CREATE TABLE later (i int PRIMARY KEY); INSERT INTO later VALUES (1); DROP TABLE indexed', 'other');
    $done{only} = transaction($target, 'INSERT INTO b VALUES (4)', q{PREPARE TRANSACTION 'only'});
    return \%done;
}

# Records of each transaction, by the server's own program.
sub counts_by_waldump
{
    my ($target, $from) = @_;
    my ($high, $low) = map { hex } split '/', $from;
    my $first = sprintf '%08X%08X%08X', 1, $high, $low >> 20;
    # Without names of segments, 19 asks any file for their size, also one that has no WAL yet.
    my @segments = grep { $_ ge $first && slurp($target->path("pg_wal/$_")) !~ /\A\0/ }
        map { m{/(00000001[0-9A-F]{16})$} } sort glob($target->path('pg_wal/*'));
    my $result = run([ $target->bindir . '/pg_waldump', '-p', $target->path('pg_wal'), '-t', '1', '-s', $from,
        @segments[0, -1] ]);
    my %count;
    $count{$_}++ for $result->{stdout} =~ /tx:\s+(\d+),/g;
    return \%count;
}

sub lists_all
{
    my ($name, $list, $done, $by_server) = @_;
    my %by_xid = map { $_->{xid} => $_ } @$list;
    for my $key (qw(simple two both cut gone made altered rewritten role other))
    {
        ok($by_xid{ $done->{$key} }, "$name: '$key' is listed");
    }
    ok(!$by_xid{ $done->{$_} }, "$name: '$_' is not") for qw(aborted only);
    is($by_xid{ $done->{two} }{subtransactions}, 1, "$name: subtransactions that committed");
    ok($by_xid{ $done->{both} }{prepared}, "$name: a prepared one");
    ok((grep { join(' ', @{ $_->{schema_changes} }) =~ /^CREATE TABLE/ && @{ $_->{created} } == 1 } @$list),
        "$name: CREATE TABLE with its storage");
    my %change = map { $_ => join('; ', @{ $by_xid{ $done->{$_} }{schema_changes} }) } grep { $by_xid{ $done->{$_} } }
        keys %$done;
    my $prefix = $by_server ? '' : 'postgres/';
    is($change{simple}, '', "$name: rows are no change of the schema");
    is($change{cut}, "TRUNCATE TABLE ${prefix}public.cut", "$name: the table that was truncated");
    is($change{gone}, "DROP TABLE ${prefix}public.gone", "$name: the table that was dropped");
    is($change{altered}, "ALTER TABLE ${prefix}public.b", "$name: the table that was altered");
    is($change{role}, 'CREATE ROLE somebody', "$name: the role");
    my %names = map { my $key = $_; $key => { map { $_ => 1 } @{ $by_xid{ $done->{$key} }{relations} } } } qw(simple two
        made rewritten other);
    if ($by_server)
    {
        ok($names{simple}{'public.a'} && $names{simple}{'public.a_pkey'}, "$name: a table and its index, by name");
        ok($names{two}{'public.a'} && $names{two}{'public.b'} && !$names{two}{'public.cut'},
            "$name: but not what was rolled back");
        is(join(' ', @{ $by_xid{ $done->{gone} }{dropped} }), 'public.gone', "$name: what was dropped");
        is(join(' ', keys %{ $names{$_} }), "public.$_", "$name: '$_', which the target's catalogs know") for qw(made
            rewritten);
        is(join(' ', keys %{ $names{other} }), 'other/public.x', "$name: a table of another database");
    }
    else
    {
        is(join(' ', sort keys %{ $names{simple} }), 'postgres/public.a postgres/public.a_pkey',
            "$name: names, where the source is a directory");
    }
    return \%by_xid;
}

# The 200 catalogs of a new database are one line, so that tables are among the ten that are shown.
sub database_is_one_line
{
    my ($source, $target) = @_;
    my $copy = $target->copy('copy')->start;
    $copy->sql('CREATE DATABASE made');
    $copy->sql('DROP DATABASE other');
    $copy->sql('CREATE TABLE in_it AS SELECT 1 AS i', 'made');
    $copy->stop;
    for my $how (qw(all summary))
    {
        my $by = $how eq 'all' ? qr/ by \d+/ : qr//;
        my $text = rewind($copy, $source, options => [ '--dry-run', '--report=text',
            "--report-transactions=$how" ])->{stdout};
        my ($created) = $text =~ /^(  storage created .*\n(?: {28}.*\n)*)/m;
        is(scalar(() = $created =~ /\bdatabase made$by$/mg), 1, "$how: the database is one line") or diag($created);
        like($created, qr{ made/public\.in_it$by$}m, "$how: its table is shown");
        unlike($created, qr/\d more$/m, "$how: nothing is left out");
        like($text, qr/^ .* CREATE DATABASE made by \d+, .*\n.* DROP DATABASE other by \d+, /m,
            "$how: the databases by their names") if $how eq 'all';
    }
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $done;
    my ($source, $target) = split_brain($version,
        before => \&prepare_both,
        source => sub { $_[0]->sql($_) for 'VACUUM FULL rewritten', 'ALTER TABLE cut RENAME TO has_new_name' },
        target => sub { $done = write_on_target($_[0]) });
    $target->stop;

    my $text = rewind($target, $source, options => [ '--dry-run', '--report=text' ]);
    like($text->{stdout}, qr{^  most touched +\S.*: \d+ transactions?, \d+ records?$}m,
        'a person reads what was touched');
    like($text->{stdout},
        qr{^  schema, by its catalogs +TRUNCATE TABLE public\.cut by \d+, [-0-9: ]+\n +its rows are still on the source\n +DROP TABLE public\.gone by \d+, [-0-9: ]+\n +its rows are still on the source\n +CREATE TABLE public\.made by}m,
        'and what became of the schema');
    is((grep { length($_) > 100 && !/fingerprint|source  |target  / } split(/\n/, $text->{stdout})), 0,
        'in 100 columns');

    my $report = JSON::PP->new->utf8->decode(rewind($target, $source,
        options => [ '--dry-run', '--report=json' ])->{stdout});
    my $discarded = $report->{discarded};
    ok($discarded->{list_complete}, 'the list is complete');
    is(scalar @{ $discarded->{committed} }, $discarded->{transactions}, 'and has each transaction');
    my %last = map { defined $_->{last_value} ? ($_->{name} => $_->{last_value}) : () } @{ $discarded->{relations} };
    is(join(' ', sort keys %last), 'public.counted public.down public.reserved', 'sequences that advanced');
    ok($last{'public.counted'} >= 41 && $last{'public.counted'} <= 73, 'not far past their last value')
        or diag($last{'public.counted'});
    is($last{'public.down'}, -70, 'also one that goes down');
    ok($last{'public.reserved'} >= 4 && $last{'public.reserved'} <= 36,
        'and one that only a transaction logged which rolled back') or diag($last{'public.reserved'});
    like($text->{stdout},
        qr{^  sequences +public\.counted: up to $last{'public.counted'}\n +public\.down: up to -70\n +public\.reserved: up to $last{'public.reserved'}$}m,
        'for people, too');
    is(join(' ', @{ $discarded->{prepared_gids} }), 'only', 'what was only prepared');
    my ($key) = grep { ($_->{name} // '') eq 'other/public.indexed_pkey' } @{ $discarded->{relations} };
    is($key->{table}, 'other/public.indexed', 'an index that was dropped, and its table');
    my $by_xid = lists_all('server', $discarded->{committed}, $done, 1);
    if (-x $target->bindir . '/pg_waldump')
    {
        my $counts = counts_by_waldump($target, $report->{divergence}{lsn});
        is($by_xid->{ $done->{$_} }{records}, $counts->{ $done->{$_} }, "records of '$_', as pg_waldump counts them")
            for qw(simple cut gone made altered role other);
    }
    # Which storage is which catalog is read there: without it, changes of the schema cannot be told.
    if ($version < 9.5)
    {
        my $map = $target->path('global/pg_filenode.map');
        my $bytes = slurp($map);
        spew($map, substr($bytes, 0, 100));
        my $blind = rewind($target, $source, options => [ '--dry-run', '--report=json' ]);
        like($blind->{stderr},
            qr/warning: could not list all transactions that are lost: map of catalogs ".*" is damaged/,
            'a map that cannot be read');
        ok(!JSON::PP->new->utf8->decode($blind->{stdout})->{discarded}{list_complete}, 'costs the complete list');
        spew($map, $bytes);
    }
    else
    {
        my $map = $target->path('global/pg_filenode.map');
        my $bytes = slurp($map);
        spew($map, substr($bytes, 0, 100));
        my $blind = rewind($target, $source, options => [ '--dry-run', '--report=json' ]);
        is($blind->{status}, 0, 'catalogs that cannot be read are no failure');
        my ($made) = grep { $_->{xid}
            == $done->{made} } @{ JSON::PP->new->utf8->decode($blind->{stdout})->{discarded}{committed} };
        like("@{ $made->{relations} }", qr{^postgres/\d+$}, 'and leave numbers');
        spew($map, $bytes);
    }
    database_is_one_line($source, $target) if $version >= 15;
    # A list so long that the document is written piece by piece.
    if ($version >= 11)
    {
        my $much = $target->copy('much')->start;
        $much->sql('DO $$ BEGIN FOR i IN 1 .. 4000 LOOP INSERT INTO a VALUES (-i); COMMIT; END LOOP; END $$');
        $much->stop;
        my $long = JSON::PP->new->utf8->decode(rewind($much, $source,
            options => [ '--dry-run', '--report=json' ])->{stdout});
        cmp_ok($long->{discarded}{transactions}, '>', 4000, 'many transactions');
        is(scalar @{ $long->{discarded}{committed} }, $long->{discarded}{transactions}, 'each of which is listed');
        $much->discard;
    }
    $source->stop;
    $report = JSON::PP->new->utf8->decode(rewind($target, $source, kind => 'directory',
        options => [ '--dry-run', '--report=json' ])->{stdout});
    lists_all('directory', $report->{discarded}{committed}, $done, 0);
}, only => [ 9.3, 9.4, 10, 12, 15, 19 ]);
