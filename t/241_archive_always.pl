# A rewound standby with an archive of its own (archive_mode = always) has no gap in it: what the rewind brings from
# behind the divergence is archived like what it receives later, with the history file; what the standby has archived
# itself is not archived again. Where segments are archived by the primary alone nothing is marked for it. (Both
# sources.)
#
#   segment    1 .. 4      5 ..                   each server archives in a directory named like it
#   source     ──────────┬──── 2 ────────▶
#   target   1 ──────────┴──── 1 ──▶ ╌╌╌╌╌▶      5 ... of timeline 2 come with the rewind, the last by streaming
# (Rule C68.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# One that refuses a file twice, as the manual of PostgreSQL has it.
sub archive_command
{
    my ($directory) = @_;
    return "d=$directory/\$(basename \$(dirname \$PWD)); mkdir -p \$d; test ! -f \$d/%f && cp %p \$d/%f.new && mv \$d/%f.new \$d/%f";
}

sub files_below { my ($directory) = @_; return map { m{([^/]+)$} => slurp($_) } glob("$directory/*") }
sub to_archive { my ($cluster) = @_; return map { m{([^/]+)$} } glob($cluster->path('pg_wal/archive_status/*.ready')) }

sub leave_segments
{
    my ($cluster, $count) = @_;
    $cluster->sql("INSERT INTO t SELECT generate_series(1, 500);\nSELECT pg_switch_wal()") for 1 .. $count;
    wait_until($cluster->name . ' archives all', sub { !to_archive($cluster) });
    return;
}

each_version(sub {
    my ($version) = @_;
    my $archives = RewindTest::Command::work_dir() . "/archives_$version";
    mkdir $archives;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "archive_mode = 'Always'\narchive_command = '" . archive_command($archives) . "'"
        . ($version == 10 ? "\nwal_keep_segments = 64" : '') },
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        together => sub { my ($primary) = @_; leave_segments($primary, 3) },
        source => sub { my ($source) = @_; leave_segments($source, 3) },
        target => sub { my ($target) = @_; leave_segments($target, 2) });
    # The target's own archive, which it had before, goes with each copy of it.
    my $own = "$archives/target";
    # (Segments of 16 MB: more WAL lies before a late start than is kept all the same.)
    $source->sql('CHECKPOINT') if $version == 10;
    my $late = run([ rewind_argv($target->data, '--source-server', $source->conninfo, '--late-start', '--dry-run') ]);
    my $warning =
        qr/^pg_rewind: warning: the archive of the rewound standby will lack the source's WAL from \S+ to \S+\npg_rewind: hint: /m;
    like($late->{stderr}, $warning, 'a late start would leave a gap there, which is said') if $version == 10;
    rewinds_from_both_kinds($source, $target, options => ['--early-start'],
        prepare => sub { my ($rewound) = @_; must_run([ 'cp', '-a', $own, "$archives/" . $rewound->name ]) },
        check => sub {
            my ($rewound) = @_;
            leave_segments($source, 1);
            # Before 10 (and there before September 2021) a standby marks a segment when the next one begins.
            $source->sql('INSERT INTO t VALUES (0)') if $version < 10;
            $rewound->wait_for_replay_of($source);
            my %expected = files_below("$archives/source");
            delete @expected{ grep { /^00000001/ } keys %expected };
            # It may replay the end of a segment before it marks it.
            my $own_archive = "$archives/" . $rewound->name;
            wait_until('the rewound standby archives all', sub { !to_archive($rewound)
                && !grep { !-e "$own_archive/$_" } keys %expected });
            my %found = files_below($own_archive);
            delete @found{ grep { /^00000001/ } keys %found };
            is_deeply([ sort keys %found ], [ sort keys %expected ],
                'all of the new timeline is in the archive of the rewound standby');
            is(join(' ', grep { $found{$_} ne ($expected{$_} // '') } sort keys %found), '', 'with the same bytes');
        },
        no_promotion => 1, quick => 1);

    my $rewound = $target->copy('archives_as_primary');
    $source->configure('archive_mode = on');
    rewinds($rewound, $source, options => ['--no-sync']);
    is(join(' ', grep { /^00000002/ } to_archive($rewound)), '',
        'a standby that does not archive is left nothing to archive');
}, from => 9.5);    # before, a standby archives nothing
