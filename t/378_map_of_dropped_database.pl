# The map of a database's catalogs (pg_filenode.map) is the first thing that replay writes in a database which the
# source has dropped since. Replay of it makes no directory (relmap_redo, utils/cache/relmapper.c), so the rewound
# target must have one, or its server never starts: "could not open file "base/16384/pg_filenode.map"".
#
#   common   ─ BEGIN; REINDEX INDEX pg_class_oid_index ─ CHECKPOINT ─ COMMIT ┬ target goes on
#   source                                             start of recovery     └ DROP DATABASE ─▶
#
# The database lies in the default tablespace, in one that stays, and in one that the source drops as well.
# (Rule C102.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my %tablespace_of = (in_base => 'pg_default', in_stays => 'stays', in_goes => 'goes');

sub directory_of
{
    my ($cluster, $database) = @_;
    my $path = $cluster->query("SELECT pg_relation_filepath('pg_class')", $database);
    return $path =~ s{/[^/]+$}{}r;
}

each_version(sub {
    my ($version) = @_;
    my %directory;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            for my $space (qw(stays goes))
            {
                my $location = $primary->tablespace_location($space);
                $primary->sql("CREATE TABLESPACE $space LOCATION '$location'");
            }
            $primary->sql("CREATE DATABASE $_ TABLESPACE $tablespace_of{$_}") for sort keys %tablespace_of;
            %directory = map { $_ => directory_of($primary, $_) } keys %tablespace_of;
        },
        together => sub {
            my ($primary) = @_;
            my @sessions = map { $primary->session($_) } sort keys %tablespace_of;
            $_->sql('BEGIN; REINDEX INDEX pg_class_oid_index') for @sessions;
            $primary->sql('CHECKPOINT');
            $_->sql('COMMIT') for @sessions;
        },
        source => sub {
            my ($source) = @_;
            $source->sql("DROP DATABASE $_") for sort keys %tablespace_of;
            $source->sql('DROP TABLESPACE goes');
        },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a', 'in_base') });
    for my $options ([], [ '--early-start', '--compare' ])
    {
        $source->start if !$source->is_running;
        subtest("rewind @$options", sub {
            rewinds_from_both_kinds($source, $target, options => $options, quick => 1,
                check => sub {
                    my ($rewound) = @_;
                    ok(!-e $rewound->path($directory{$_}), "replay has removed the directory of $_")
                        for sort keys %directory;
                    ok(!-e $rewound->path($directory{in_goes} =~ s{^(pg_tblspc/\d+)/.*}{$1}r), 'and the tablespace');
                });
        });
    }
}, only => [ 10, 15, 18 ]);
