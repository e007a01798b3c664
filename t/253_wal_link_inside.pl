# pg_wal is a link to a directory inside the data directory: its files have two names. Nothing is copied to or removed
# from the other name, so the WAL that recovery needs, and that only the target still has, stays with its markers for
# the archive. (Invariant 2. Both sources.)
#
#   segment         1 ●   2   3          ● last common checkpoint; the source has removed 1 and 2
#   source   1 ───────────────┬── 2 ──▶
#   target   1 ───────────────┴── 1 ──▶
# (Rule O8.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub link_wal
{
    my ($cluster, $name) = @_;
    return if !defined $name;
    rename($cluster->path('pg_wal'), $cluster->path($name)) or die;
    symlink($cluster->path($name), $cluster->path('pg_wal')) or die;
    return;
}

sub unlink_wal
{
    my ($cluster, $name) = @_;
    return if !defined $name;
    unlink $cluster->path('pg_wal') or die;
    rename($cluster->path($name), $cluster->path('pg_wal')) or die;
    return;
}

each_version(sub {
    my ($version) = @_;
    my @common;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "archive_mode = on\narchive_command = 'false'" },
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        together => sub {
            my ($primary) = @_;
            $primary->sql('CHECKPOINT');
            for my $number (1 .. 2)
            {
                $primary->sql("INSERT INTO t VALUES ($number)");
                push @common, $primary->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
                $primary->sql('SELECT pg_switch_wal()');
            }
            $primary->sql('INSERT INTO t VALUES (3)');
        },
        source => sub {
            my ($source) = @_;
            unlink $source->path("pg_wal/$_") or die "$_: $!" for @common;
            $source->sql('INSERT INTO t VALUES (4)');
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (5)') });
    for my $pair ([ 'wal', undef ], [ 'wal', 'wal' ], [ 'wal', 'nested/wal' ], [ undef, 'wal' ])
    {
        my ($on_target, $on_source) = @$pair;
        mkdir $source->path('nested');
        $source->stop;
        link_wal($source, $on_source);
        $source->start;
        subtest('target ' . ($on_target // 'pg_wal') . ', source ' . ($on_source // 'pg_wal'), sub {
            rewinds_from_both_kinds($source, $target, options => ['--early-start'], no_promotion => 1, quick => 1,
                prepare => sub { link_wal($_[0], $on_target) },
                rewound => sub {
                    my ($copy, undef, $result) = @_;
                    ok(-f $copy->path("pg_wal/$_") && -f $copy->path("pg_wal/archive_status/$_.ready"),
                        "$_ is there, and is to be archived") for @common;
                    is(-l $copy->path('pg_wal') ? 1 : 0, defined $on_target ? 1 : 0, 'pg_wal is what it was');
                    my @copied = grep { -d && !-l && !($on_target && $_ eq $copy->path($on_target)) }
                        glob($copy->path('{wal,nested/wal}'));
                    is("@copied", '', 'no WAL is copied to another place');
                    my $is_told = $source->is_running && defined $on_source && $on_source ne ($on_target // '');
                    is(join("\n", $result->{stderr} =~ /^pg_rewind: warning: (.*)/mg),
                        $is_told
                        ? qq("$on_source" of the source is not copied: it is another cluster, or a directory of a tablespace or of pg_wal)
                        : '', 'a warning says what is not copied');
                });
        });
        $source->stop;
        unlink_wal($source, $on_source);
        $source->start;
    }
}, only => [ 10, 12, 15, 18 ]);
