# What is not part of a cluster's data: server logs are nobody's business, what the server makes anew is neither
# copied nor kept, and of unlogged relations only the initialization fork counts.  (Both sources.)
# (Rule O4.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Files that the server makes anew at start: 11 and later know them, and pg_stat_tmp is left out in every version. %d
# tells the sides apart.
my @recreated = qw(pg_stat_tmp/global%d.tmp pg_notify/000%d pg_serial/000%d pg_snapshots/00000003-%d pg_subtrans/009%d
    pg_dynshmem/mmap.%d postmaster.opts);
my @temporary = qw(base/pgsql_tmp/pgsql_tmp%d.0 base/1/t9_9999%d base/1/t9_9999%d_fsm base/1/pg_internal.init.%d
    global/pg_internal.init.%d postgresql.auto.conf.tmp tablespace_map);
my @logs = qw(log/server%d.log pg_log/server%d.log server%d.log current_logfiles);

sub place_files
{
    my ($cluster, $text, @paths) = @_;
    for my $path (@paths)
    {
        must_run([ 'mkdir', '-p', $cluster->path($path =~ s{[^/]*$}{}r) ]);
        spew($cluster->path($path), $text);
    }
    return;
}

sub of_side { my ($side, @paths) = @_; my $number = $side eq 'source' ? 1 : 2; return map { s/%d/$number/r } @paths }

sub build
{
    my ($primary) = @_;
    $primary->sql('CREATE TABLE t (a int);
        CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY); INSERT INTO unlogged SELECT generate_series(1, 5000);
        CREATE UNLOGGED TABLE logged_by_source (a int); INSERT INTO logged_by_source SELECT generate_series(1, 5000);
        CREATE TABLE unlogged_by_source (a int); INSERT INTO unlogged_by_source SELECT generate_series(1, 5000)');
    return;
}

sub write_on_source
{
    my ($source) = @_;
    my $set = $source->version < 9.5 ? '--' : '';    # before, a table is not changed so
    $source->sql("INSERT INTO t VALUES (1);
        INSERT INTO unlogged SELECT generate_series(10001, 20000);
        CREATE UNLOGGED TABLE unlogged_of_source (a int PRIMARY KEY); INSERT INTO unlogged_of_source SELECT generate_series(1, 5000);
        $set ALTER TABLE logged_by_source SET LOGGED;
        INSERT INTO logged_by_source VALUES (1000000);
        $set ALTER TABLE unlogged_by_source SET UNLOGGED;
        SELECT pg_create_physical_replication_slot('of_source', true)");
    return;
}

sub write_on_target
{
    my ($target) = @_;
    $target->sql("INSERT INTO t VALUES (2);
        INSERT INTO unlogged SELECT generate_series(30001, 40000);
        INSERT INTO logged_by_source VALUES (2000000);
        INSERT INTO unlogged_by_source VALUES (2000000);
        SELECT pg_create_physical_replication_slot('of_target', true)");
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => \&build, source => \&write_on_source, target => \&write_on_target);
    my %path = map { $_ => $source->query("SELECT pg_relation_filepath('$_')") } qw(unlogged unlogged_of_source
        unlogged_of_source_pkey unlogged_by_source);
    my $session = $source->session;
    my $held =
        $session->sql("CREATE TEMPORARY TABLE held AS SELECT generate_series(1, 5000); SELECT pg_relation_filepath('held')");
    my @recreated = grep { $version >= 11 || m{^pg_stat_tmp/} } @recreated;

    rewinds_from_both_kinds($source, $target,
        prepare => sub {
            my ($target) = @_;
            place_files($target, 'of target', of_side('target', @recreated, @temporary, @logs));
            # Each time, for the source's server clears them when it starts.
            place_files($source, 'of source', of_side('source', grep { !/opts$/ } @recreated, @temporary, @logs));
        },
        rewound => sub {
            my ($rewound, $source) = @_;
            is(slurp($rewound->path($_)), 'of target', "log file $_ of the target stays") for of_side('target', @logs);
            ok(!-e $rewound->path($_), "log file $_ of the source is not copied")
                for grep { !/^current_logfiles/ } of_side('source', @logs);
            for my $side (qw(source target))
            {
                is(join(' ', grep { -e $rewound->path($_) } of_side($side, @recreated, @temporary)), '',
                    "what the server makes anew, or was temporary, of the $side is not there");
            }
            is(join(' ', glob($rewound->path('pg_replslot/*'))), '', 'there is no replication slot') if $version >= 11;
            ok(!-e $rewound->path('pg_replslot/of_target'), 'the target\'s replication slot is gone');
            ok(-d $rewound->path($_), "directory $_ is there") for qw(pg_stat_tmp pg_notify pg_serial pg_snapshots
                pg_subtrans), $version < 9.4 ? () : qw(pg_dynshmem pg_replslot);

            ok(!-e $rewound->path($held), 'a temporary relation is not copied') if $held;
            for my $name (qw(unlogged_of_source unlogged_of_source_pkey))
            {
                ok(-e $rewound->path("$path{$name}_init"), "$name: the initialization fork is copied");
                ok(!-s $rewound->path($path{$name}), "$name: the main fork is not");
            }
            ok(-e $rewound->path("$path{unlogged_by_source}_init"),
                'a relation that the source made unlogged has its initialization fork') if $version >= 9.5;
        },
        check => sub {
            my ($rewound) = @_;
            # The source began with an empty one, for it was a standby.
            is($rewound->query('SELECT count(*), max(a) FROM logged_by_source'), '1|1000000',
                'a relation that the source has logged meanwhile is the source\'s') if $version >= 9.5;
        });
    $session->end;
});
