# Every command of the guides in docs/ is run, in order, on clusters as the page supposes them; what it shows is what
# comes.
#
#   ```sh adapt   assignments that a reader changes: the test has its own for each of them
#   ```sh         run, must succeed
#   ```text       what the block before prints; a line "…" stands for any lines, "…" in a line for anything
#
# The page of a manager is run by its own test in t/managers.
# (Rule D6.)

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(dirname);
use RewindTest;
use RewindTest::DebianCluster;
use RewindTest::Guide;

my $docs = dirname($ENV{PG_REWIND}) . '/docs';

# Servers of the tests listen where their options say; others would not know each other's place on one machine.
sub make_programs
{
    my ($cluster) = @_;
    my $bin = $cluster->dir . '/bin';
    mkdir $bin or die;
    spew("$bin/pg_ctl", <<"END");
#!/bin/sh
case "\$*" in
    *start) exec $cluster->{bindir}/pg_ctl "\$@" -o "-c unix_socket_directories=\$(dirname "\$2")" ;;
    *) exec $cluster->{bindir}/pg_ctl "\$@" ;;
esac
END
    chmod 0755, "$bin/pg_ctl";
    return join ':', $bin, dirname($ENV{PG_REWIND}), $cluster->bindir, dirname(program('psql')), $ENV{PATH};
}

# A reader looks some time after the start.
sub wait_for_stream
{
    my ($conninfo) = @_;
    my @look = (program('psql'), '-XAtd', $conninfo, '-c', 'SELECT state FROM pg_stat_replication');
    wait_until('the standby streams', sub { run(\@look)->{stdout} eq "streaming\n" });
    return;
}

sub runs
{
    my ($name, $cluster, %variable) = @_;
    my $page = slurp("$docs/$name");
    my ($output, $run) = ('', 0);
    my %env = (PATH => make_programs($cluster), PGCONNECT_TIMEOUT => 10, %variable);
    for my $block (blocks_of($page))
    {
        my ($kind, $text) = @{$block}{qw(kind text)};
        if ($kind eq 'sh adapt')
        {
            my @unknown = grep { !defined $variable{$_} } $text =~ /^(\w+)=/mg;
            is("@unknown", '', "$name: the test has a value for each variable");
        }
        elsif ($kind eq 'sh')
        {
            wait_for_stream($variable{NEW} // $variable{PRIMARY}) if $text =~ /pg_stat_(?:replication|wal_receiver)/
                && $text !~ / start$/m;
            my $result = run([ 'sh', '-euc', "exec 2>&1\n$text" ], env => \%env);
            $output = $result->{stdout};
            $run++;
            is($result->{status}, 0, "$name: " . (split /\n/, $text)[0]) or do { diag($output); return };
            note($output);
        }
        elsif ($kind eq 'text')
        {
            ok(shows($output, $text), "$name: it prints what the page shows") or diag("$output\nis not\n$text");
        }
        else
        {
            fail("$name: a block that nobody runs: \"$kind\"");
        }
    }
    cmp_ok($run, '>', 0, "$name: commands were run");
    return;
}

sub pair
{
    my ($version, %option) = @_;
    return split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 1000) i") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES (1, 'source')") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES (1, 'target'); CREATE TABLE lost AS SELECT 1 AS a") },
            %option);
}

sub has_rows_of
{
    my ($standby, $source) = @_;
    $source->sql("INSERT INTO t VALUES (2, 'later')");
    $standby->wait_for_replay_of($source);
    my $sql = 'SELECT count(*), min(v), max(v) FROM t';
    is($standby->query($sql), $source->query($sql), 'the rows are those of the source');
    return;
}

my %guides = (
    'failback.md' => sub {
        my ($name, $version) = @_;
        my ($source, $target) = pair($version);
        runs($name, $target, OLD => $target->data, OLD_SERVER => $target->conninfo, NEW => $source->conninfo,
            NEW_DIRECTORY => $source->data,
            REPORT => $target->dir . '/report');
        has_rows_of($target, $source);
    },
    'look-before-you-rewind.md' => sub {
        my ($name, $version) = @_;
        # The shop's last order on the old primary has the number of the first one on the new primary.
        my $order = 'INSERT INTO orders (customer, item) VALUES';
        my ($source, $target) = split_brain($version,
            before => sub {
                $_[0]->sql($_) for 'CREATE DATABASE shop', 'CREATE ROLE shop LOGIN';
                $_[0]->sql("CREATE TABLE orders (id serial PRIMARY KEY, customer text, item text, state text DEFAULT 'ordered'); $order ('Ann', 'table'), ('Bob', 'carpet')",
                    'shop');
                $_[0]->sql("ALTER TABLE orders OWNER TO shop; SELECT setval('orders_id_seq', 3)", 'shop');
            },
            source => sub { $_[0]->sql("SELECT setval('orders_id_seq', 3); $order ('Eve', 'chair')", 'shop') },
            target => sub {
                $_[0]->sql(qq{SELECT setval('orders_id_seq', 3); $order ('Ada', 'lamp'); UPDATE orders SET state = 'paid' WHERE customer = 'Bob'; DELETE FROM orders WHERE customer = 'Ann'; ANALYZE},
                    'shop');
            });
        runs($name, $target, OLD => $target->data, NEW => $source->conninfo('shop'),
            (map { $_->[0] => $source->conninfo('shop') =~ s/user=\w+/user=$_->[1]/r } [ WRITER => 'lost_rows_writer' ],
            [ APP => 'shop' ]), REPORT => $target->dir . '/report', PRIVATE => $target->dir . '/private',
            LOST => $target->dir . '/lost',
            PGUSER => 'postgres');
        $target->wait_for_replay_of($source);
        is($target->query('SELECT id, customer, state FROM orders ORDER BY id', 'shop'),
            "2|Bob|paid\n4|Eve|ordered\n5|Ada|ordered",
            'the lost order is on both servers, beside the one that has its number');
        is($target->query('SELECT pg_is_in_recovery()'), 't', 'and the old primary is a standby');
    },
    'promoted-standby.md' => sub {
        my ($name, $version) = @_;
        # Here the promoted one is the target, and the primary has gone on.
        my ($promoted, $primary) = pair($version);
        $primary->start;
        runs($name, $promoted, TEST => $promoted->data, TEST_SERVER => $promoted->conninfo,
            PRIMARY => $primary->conninfo);
        has_rows_of($promoted, $primary);
    },
    'wal-archive.md' => sub {
        my ($name, $version) = @_;
        my ($source, $target) = pair($version, target => sub {
            $_[0]->sql("INSERT INTO t VALUES (1, 'target'); SELECT pg_switch_wal(); INSERT INTO t VALUES (2, 'target'); SELECT pg_switch_wal();
                INSERT INTO t VALUES (3, 'target'); CHECKPOINT");
        });
        my $archive = $target->dir . '/archive';
        mkdir $archive or die;
        my @segments = sort grep { m{/[0-9A-F]{24}$} } glob($target->path('pg_wal/*'));
        my ($last) = must_run([ '/usr/lib/postgresql/15/bin/pg_controldata', $target->data ], env => { LC_ALL => 'C' })
            =~ /REDO WAL file:\s+(\w+)/;
        must_run([ 'mv', $_, $archive ]) for grep { m{/(\w+)$} && $1 lt $last } @segments;
        append($target->path('postgresql.conf'), "restore_command = 'cp $archive/%f %p'\n");
        runs($name, $target, OLD => $target->data, OLD_SERVER => $target->conninfo, NEW => $source->conninfo,
            ARCHIVE => $archive,
            SAVED => $target->dir . '/saved');
        has_rows_of($target, $source);
    },
    'versions-10-and-11.md' => sub {
        my ($name, $version) = @_;
        my ($source, $target) = pair($version);
        runs($name, $target, OLD => $target->data, OLD_SERVER => $target->conninfo, NEW => $source->conninfo);
        has_rows_of($target, $source);
    },
    'debian.md' => sub {
        my ($name) = @_;
        my $target = RewindTest::DebianCluster->new('old');
        $target->configure("restore_command = 'cp $target->{dir}/archive/%f %p'");
        $target->start->sql("CREATE TABLE t AS SELECT 1 AS i, 'common' AS v");
        my $source = $target->standby('new')->promote;
        $_->[0]->sql("INSERT INTO t VALUES (1, '$_->[1]'); SELECT pg_switch_wal()") for [ $source, 'source' ],
            [ $target, 'target' ];
        $target->sql("INSERT INTO t VALUES (2, 'target')");    # a server never removes the segment that it writes
        $target->stop('immediate');
        my ($first) = glob($target->path('pg_wal/000000010*'));
        mkdir "$target->{dir}/archive" or die;
        must_run([ 'mv', $first, "$target->{dir}/archive" ]);
        runs($name, $target, PATH => dirname($ENV{PG_REWIND}) . ":$ENV{PATH}", PGUSER => 'postgres',
            VERSION => $target->version,
            CLUSTER => $target->{name}, OLD => $target->data, CONFIG => $target->configuration,
            NEW => $source->conninfo);
        has_rows_of($target, $source);
    },
    'three-in-the-morning.md' => sub {
        my ($name, $version) = @_;
        my ($source, $target) = pair($version);
        runs($name, $target, OLD => $target->data, NEW => $source->conninfo);
        has_rows_of($target, $source);
    },
    'privileges.md' => sub {
        my ($name, $version) = @_;
        my ($source, $target) = pair($version);
        runs($name, $target, OLD => $target->data, NEW => $source->conninfo,
            NEW_AS_REWINDER => $source->conninfo =~ s/user=\S+/user=rewinder/r);
        my $rights =
            $source->query("SELECT count(*) FROM information_schema.role_routine_grants WHERE grantee = 'rewinder'");
        is($rights, '2', 'the role has the rights of the page, without the one that it takes back');
    },
);
my %versions = ('failback.md' => [ 15, 18 ], 'look-before-you-rewind.md' => [ 15, 18 ], 'promoted-standby.md' => [18],
    'wal-archive.md' => [15], 'versions-10-and-11.md' => [ 10, 11 ], 'debian.md' => [15], 'privileges.md' => [18],
    'three-in-the-morning.md' => [18]);

my %without_commands = map { $_ => 1 } qw(README.md when-it-fails.md operators.md releasing.md managers.md
    differences.md limits-and-defaults.md);
my %of_a_manager = map { m{([^/]+)\.pl$} ? ("$1.md" => 1) : () } glob('t/managers/*.pl');
$of_a_manager{'installing.md'} = 1;    # by tests/package.sh
$of_a_manager{'check.md'} = 1;         # by t/030_check.pl
my @pages = grep { !$of_a_manager{$_} } map { m{([^/]+)$} } glob("$docs/*.md");
is(join(' ', sort grep { !$guides{$_} && !$without_commands{$_} } @pages), '', 'each page is tested');
is(join(' ', sort grep { !$guides{$_} && blocks_of(slurp("$docs/$_")) } @pages), '',
    'there are no commands in the others');

each_version(sub {
    my ($version) = @_;
    for my $name (sort grep { my $guide = $_; grep { $_ == $version } @{ $versions{$guide} } } keys %guides)
    {
        subtest("$name, version $version", sub {
            $guides{$name}->($name, $version);
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 11, 15, 18 ]);
