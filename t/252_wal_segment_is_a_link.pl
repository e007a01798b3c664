# A segment of common history that is a symbolic link in the target's pg_wal (restore_command = 'ln -s ...', or WAL that
# somebody moved) is fetched from the source: recovery needs it, and the link goes. (Invariant 2. Both sources.)
#
#   segment    1   2 ●   3          ● last common checkpoint; segment 2 is a link on the target
#   source     ─────────┬── 2 ──▶
#   target   1 ─────────┴── 1 ──▶
# (Rule C51.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $segment;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => $version < 11 ? 16 : 1 },
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        together => sub {
            my ($primary) = @_;
            $primary->sql('SELECT pg_switch_wal()');
            $primary->sql('CHECKPOINT');
            $segment = $primary->query('SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()');
            $primary->sql('INSERT INTO t VALUES (1); SELECT pg_switch_wal(); INSERT INTO t VALUES (2)');
        },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (3)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (4)') });

    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        prepare => sub {
            my ($copy) = @_;
            my $path = $copy->path("pg_wal/$segment");
            my $elsewhere = $copy->dir . "/$segment";
            rename($path, $elsewhere) && symlink($elsewhere, $path) or die "$path: $!";
        },
        rewound => sub {
            my ($copy) = @_;
            my $path = $copy->path("pg_wal/$segment");
            ok(!-l $path && -f $path, 'the segment is in pg_wal, as a file');
        });
}, only => [ 10, 15, 18 ]);
