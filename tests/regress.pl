# PostgreSQL's own regression tests on both sides of a split brain, rewound and compared: run by tests/regress.sh. No
# other set of histories is as wide.
#
#   common   ──●  the schedule in database common
#   source     ├── promoted ── the schedule in regression ── again in common
#   target     └── the schedule again in common ── in regression ──┬── immediate stop   rewound from a server
#                                                                  └── clean shutdown   rewound from a directory
#
# Equal must be: the blocks on disk, before anything has read the source since; each table and each sequence; the dumps;
# the lost rows and the rows that the target decodes of its own WAL. What the tests say of the server does not count:
# they lack their library of C functions, and most of them fail in a database that has their objects already.
# (Invariants 1, 7. Both sources.)

use strict;
use warnings;
use Digest::MD5;
use RewindTest;
use RewindTest::LostRows;

my @databases = qw(common regression);

# A server decodes of an old row what REPLICA IDENTITY names: FULL names all columns, as they are saved. It decodes the
# TRUNCATE of a partitioned table as well, which has no rows to lose: judge.partitioned has the names. Other tables have
# them before or afterwards.
my $watch_new_tables = <<'END';
CREATE SCHEMA judge;
CREATE TABLE judge.partitioned (name text);
CREATE FUNCTION judge.watch_new_tables() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT object_identity, c.oid, relkind
        FROM pg_event_trigger_ddl_commands() JOIN pg_class c ON c.oid = objid
        WHERE object_type = 'table' AND command_tag ~ '^(CREATE|SELECT)'
    LOOP
        EXECUTE 'ALTER TABLE ' || made.object_identity || ' REPLICA IDENTITY FULL';
        IF made.relkind = 'p' THEN
            INSERT INTO judge.partitioned SELECT nspname || '.' || relname
            FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = made.oid;
        END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER watch_new_tables ON ddl_command_end EXECUTE FUNCTION judge.watch_new_tables();
END

# ---------------------------------------------------------------- the schedule

sub sources { my ($cluster) = @_; return "$ENV{PG_REWIND_SERVERS}/regression-" . $cluster->version }

sub count_tests
{
    my ($cluster) = @_;
    return scalar map { split } slurp(sources($cluster) . '/parallel_schedule') =~ /^test:(.*)/mg;
}

# Run all tests, in as many sessions beside each other as the schedule has.
sub run_schedule
{
    my ($cluster, $database) = @_;
    my ($sources, $output) = (sources($cluster), $cluster->dir . "/$database." . ++$cluster->{schedules});
    mkdir $output;
    my $result = run([
        $ENV{PG_REGRESS}, '--use-existing', "--dbname=$database", "--inputdir=$sources", "--outputdir=$output",
        "--schedule=$sources/parallel_schedule", '--dlpath=/nonexistent', '--bindir=' . $cluster->bindir,
        '--host=' . $cluster->dir, '--port=5432', '--user=postgres'
    ]);
    my @ran = glob("$output/results/*.out");
    my $expected = count_tests($cluster);
    is(scalar @ran, $expected, $cluster->name . " runs the $expected tests in $database")
        or diag($result->{stdout} . $result->{stderr});
    note($1) if $result->{stdout} =~ /^# *(.* tests (?:failed|passed).*)/m
        || $result->{stdout} =~ /^ *((?:\d+ of|All) .* tests .*)/m;
    die $cluster->name . " has stopped:\n" . $cluster->log if !$cluster->is_running;
    return;
}

sub make_database
{
    my ($cluster, $database) = @_;
    $cluster->sql("CREATE DATABASE $database");
    $cluster->sql($watch_new_tables, $database);
    return;
}

# Autovacuum writes no more: only then can two sides be compared.
sub settle
{
    my ($cluster) = @_;
    $cluster->sql("ALTER SYSTEM SET autovacuum = off;\nSELECT pg_reload_conf()");
    wait_until('autovacuum ends on ' . $cluster->name, sub {
        $cluster->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum %'}) eq '0' });
    return;
}

# ---------------------------------------------------------------- the lost rows

sub make_slot
{
    my ($cluster, $database) = @_;
    $cluster->sql("SELECT pg_create_logical_replication_slot('judge_$database', 'test_decoding')", $database);
    return;
}

# Keep what is compared, as texts: millions of changes do not fit into memory otherwise. From 18 on a server decodes
# virtual columns as NULL.
sub shorten
{
    my ($transaction, $partitioned, $version) = @_;
    my $changes = $transaction->{changes};
    @$changes = grep { $_->{kind} ne 'T' || !$partitioned->{ $_->{table} } } @$changes;
    for my $change ($version < 18 ? () : grep { $_->{new} } @$changes)
    {
        $change->{new} = [ grep { defined $_->[2] } @{ $change->{new} } ];
    }
    keep_texts($transaction, $version);
    return;
}

# The rows of each database as the server decodes them: { database => { rows, partitioned } }. Its slots are dropped.
sub decode_rows
{
    my ($cluster) = @_;
    my %decoded;
    for my $database (@databases)
    {
        my %partitioned = map { $_ => 1 } split /\n/, $cluster->sql('SELECT name FROM judge.partitioned', $database);
        my $rows = decoded_rows($cluster, "judge_$database", $database,
            sub { shorten($_[0], \%partitioned, $cluster->version) });
        $decoded{$database} = { rows => $rows, partitioned => \%partitioned };
        $cluster->sql("SELECT pg_drop_replication_slot('judge_$database')");
    }
    return \%decoded;
}

sub lost_rows_are_those
{
    my ($file, $decoded, $version) = @_;
    my ($saved, $others) = saved_rows($file,
        sub { shorten($_[0], $decoded->{ $_[0]{database} // '' }{partitioned}, $version) });
    for my $database (@databases)
    {
        are_same_rows([ grep { $_->{database} eq $database } @$saved ], $decoded->{$database}{rows},
            "the lost rows of $database are those that the server decodes",
            by => 'xid', version => $version, loosely => 1);
    }
    my @strangers = grep { my $of = $_->{database}; !grep { $_ eq $of } @databases } @$saved;
    is(scalar @strangers, 0, 'no other database lost rows');
    is(join("\n", map { $_->{reason} } grep { $_->{changes} || $_->{values} } @{ $others->[-1]{unknown} }),
        'ALTER TABLE wrote the rows of its table again', 'all is known but what ALTER TABLE wrote again (Rule L41)');
    return;
}

# The first line and the last name both sides and the end of the WAL.
sub digest_of_changes
{
    my ($path) = @_;
    my $digest = Digest::MD5->new;
    open(my $file, '<:raw', $path) or die "could not open $path: $!";
    while (my $line = <$file>) { $digest->add($line) if $line !~ /^\{"action":"(?:rewind|end)"/ }
    return $digest->hexdigest;
}

# ---------------------------------------------------------------- the dumps

# Each dump has a key of its own in two lines.
sub dump_of
{
    my ($cluster, $database) = @_;
    my ($program, @options) = defined $database ? ('pg_dump', '--no-unlogged-table-data')
        : ('pg_dumpall', '--globals-only');
    my $text = must_run([ $cluster->bindir . "/$program", @options, '-d', $cluster->conninfo($database) ]);
    return $text =~ s/^\\(?:un)?restrict .*\n//mgr;
}

sub dumps_are_equal
{
    my ($target, $source) = @_;
    for my $database (@databases, 'postgres', undef)
    {
        my $expected = dump_of($source, $database);
        is_same_text(dump_of($target, $database), $expected,
            'the dump of ' . ($database // 'roles and tablespaces') . ' is the same: ' . length($expected) . ' bytes');
    }
    return;
}

# ---------------------------------------------------------------- the test

# Both sides, and a copy of each: the target after an immediate stop, the source stopped and not read since.
sub split_brain_of_schedules
{
    my ($version) = @_;
    my $target = make_cluster('target', $version, wal_segment_mb => 16, settings => <<'END')->start;
wal_level = logical
wal_keep_size = 16GB
max_wal_size = 128MB
autovacuum = on
autovacuum_naptime = 5s
allow_in_place_tablespaces = on
END
    make_database($target, 'common');
    run_schedule($target, 'common');
    my $source = $target->standby('source');
    $source->promote;

    make_database($source, 'regression');
    run_schedule($source, $_) for qw(regression common);
    settle($source);
    my $stopped_source = $source->stop->copy('stopped_source');
    $source->start;

    make_slot($target, 'common');
    run_schedule($target, 'common');
    make_database($target, 'regression');
    make_slot($target, 'regression');
    run_schedule($target, 'regression');
    my $decoded = decode_rows($target);
    my $crashed = $target->stop('immediate')->copy('crashed');
    $target->start->stop;
    return ($source, $stopped_source, $target, $crashed, $decoded);
}

each_version(sub {
    my ($version) = @_;
    my ($source, $stopped_source, $target, $crashed, $decoded) = split_brain_of_schedules($version);
    my $digest;
    for my $way ([ 'immediate stop', $crashed, $source, 'server' ],
        [ 'clean shutdown', $target, $stopped_source, 'directory' ])
    {
        my ($stop, $rewound, $of, $kind) = @$way;
        subtest("target after $stop, source is a $kind", sub {
            my $file = save_lost_rows($rewound, $stopped_source)->{jsonl} // return;
            lost_rows_are_those($file, $decoded, $version) if !$digest;
            $digest //= digest_of_changes($file);
            is(digest_of_changes($file), $digest, 'the same rows are lost by each way to stop');
            rewinds($rewound, $of, kind => $kind, options => ['--no-sync'])->{status} == 0 or return;
            rejoins($rewound, $of, pages => 1, source_is_stopped => $kind eq 'directory', check => \&dumps_are_equal);
        });
        $_->discard for $rewound, $of;
    }
});
