# Rewinds over lines with a delay: small pairs, where nearly all of the time is waiting for answers.

package Latency;

use strict;
use warnings;

use Exporter 'import';
use Measure;
use Pairs;
use RewindTest;

our @EXPORT = qw(latency_cells);

use constant STATEMENTS_AT_ONCE => 500;

# A table for each number, with a primary key, and a row that each side adds after the divergence: the target in all of them, the source
# in every tenth. The segments of WAL that the source keeps are few.
sub pair_of_tables
{
    my ($version, $tables) = @_;
    my $target = new_cluster("latency-$tables", $version,
        "max_locks_per_transaction = 1024\nwal_keep_size = 64MB\nmin_wal_size = 32MB\n");
    my $insert = sub {
        my ($cluster, @numbers) = @_;
        while (my @some = splice @numbers, 0, STATEMENTS_AT_ONCE)
        {
            $cluster->sql(join '', map { "INSERT INTO t$_ VALUES (2, '$cluster->{name}');" } @some);
        }
    };
    $target->sql("DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
        EXECUTE format('CREATE TABLE t%s (a int PRIMARY KEY, b text)', i);
        EXECUTE format('INSERT INTO t%s VALUES (1, ''common'')', i);
        IF i % 500 = 0 THEN COMMIT; END IF;
        END LOOP; END \$\$; CREATE ROLE far SUPERUSER LOGIN PASSWORD 'far'; CHECKPOINT");
    return part($target, target => sub { $insert->($_[0], 1 .. $tables) },
        source => sub { $insert->($_[0], grep { $_ % 10 == 1 } 1 .. $tables) });
}

# Start the source of a pair at the far ends of all lines. The role far has to come by TLS, and with a password.
sub start_far_away
{
    my ($source, @addresses) = @_;
    my ($key, $certificate) = map { "$source->{dir}/far.$_" } qw(key crt);
    must_run([ qw(openssl req -new -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=far),
        -keyout => $key, -out => $certificate ]);
    chmod 0600, $key;
    my $access = $source->path('pg_hba.conf');
    spew($access, "hostssl all,replication far 198.18.0.0/15 scram-sha-256\n" . slurp($access));
    $source->stop;
    start_in_network($source, join(',', @addresses), 'ssl=on', "ssl_key_file=$key", "ssl_cert_file=$certificate");
    return;
}

# One run; the last one of each program has to leave a standby that follows the source.
sub one_run
{
    my ($pair, $conninfo, $program, $last) = @_;
    my $copy = $pair->{target}->copy('copy');
    my $measured = measured($program, '--source-server', $conninfo, '-R', '-D', $copy->data);
    if ($last)
    {
        $copy->start;
        check_standby($copy, $pair->{source});
        $copy->stop('immediate');
    }
    $copy->discard;
    return $measured;
}

# Measure programs on pairs with the numbers of tables given, over lines { milliseconds of a round trip => address of the
# far end }, with two kinds of connections. Returns a list of { milliseconds, tables, connection, seconds => { program's
# name => median }, all => { name => [...] }, received => { name => bytes }, round_trips, phases }, the last two of the
# report of ours. Options: version, programs, rounds, tables (numbers), lines, step (sub that reports).
sub latency_cells
{
    my (%option) = @_;
    my %line = %{ $option{lines} };
    my %identity = ('plain' => 'user=postgres', 'TLS, SCRAM' => 'user=far password=far sslmode=require');
    my @cells;
    for my $tables (@{ $option{tables} })
    {
        my $pair = pair_of_tables($option{version}, $tables);
        start_far_away($pair->{source}, values %line);
        for my $connection (sort keys %identity)
        {
            for my $milliseconds (sort { $a <=> $b } keys %line)
            {
                $option{step}->("latency, $option{version}: $milliseconds ms, $tables tables, $connection");
                my $conninfo = "host=$line{$milliseconds} port=5432 dbname=postgres $identity{$connection}";
                my $result = compare(programs => $option{programs}, rounds => $option{rounds},
                    run => sub { return one_run($pair, $conninfo, @_) });
                push @cells, {
                    milliseconds => $milliseconds, tables => $tables, connection => $connection,
                    seconds => { map { $_ => $result->{$_}{wall} } keys %$result },
                    all => { map { $_ => [ map { $_->{wall} } @{ $result->{$_}{all} } ] } keys %$result },
                    round_trips => $result->{pg_rewind}{round_trips},
                    phases => $result->{pg_rewind}{typical}{report}{seconds},
                    received => { map { $_ => $result->{$_}{received} } keys %$result },
                };
            }
        }
        $_->discard for values %$pair;
    }
    return \@cells;
}

1;
