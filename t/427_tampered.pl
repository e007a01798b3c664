# A rewind was interrupted, and before the same command runs again somebody changes what it has left. pg_checksums
# writes into the poison, which it takes for the pg_control of a server that was shut down: the journal is still
# finished. Without the work directory nothing can be finished: the target is refused, and rewound by comparing.
# (Invariants 3 and 5. The only pg_checksums are those of 15 and 19; poisons of all versions have their checkpoint in
# one place.) With pg_control missing or damaged no run can tell how far the rewind has come: all stays as it is.
#
#   target   ── rewind: committed ──✕── pg_checksums ──── rewind ──▶            ✕ killed
#                                   ──── rm -r ────────── rewind --compare ──▶
#                                   ──── no pg_control ── rewind: status 2 ──── pg_control ── rewind ──▶
# (Rules I2, I3, I4, I81.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

sub is_rewound
{
    my ($copy, $source) = @_;
    nothing_is_left($copy);
    $copy->follow($source)->start;
    $copy->wait_for_replay_of($source);
    is_copy_of($copy, $source, quick => 1);
    $copy->discard;
    return;
}

# Ways to lose pg_control, each with what a run says of it.
my %loses_control = (
    'is missing' => [ sub { unlink $_[0] or die }, 'could not open file ".*/global/pg_control": No such file' ],
    'is in a directory that is not mounted' => [ sub { my $global = $_[0] =~ s{/pg_control$}{}r;
        rename($global, "$global.away") or die; mkdir $global, 0700 or die }, 'could not open file .*: No such file' ],
    'has another byte' => [ sub { my $bytes = slurp($_[0]); substr($bytes, 40, 1) ^= "\1"; spew($_[0], $bytes) },
        'unexpected control file CRC' ],
    'is empty' => [ sub { truncate $_[0], 0 or die }, 'unexpected control file size 0' ],
    'cannot be reached' => [ sub { chmod 0, $_[0] =~ s{/pg_control$}{}r or die },
        'could not open file .*: Permission denied' ],
);

sub ends_without_control
{
    my ($copy, $source, $what) = @_;
    my ($lose, $said) = @{ $loses_control{$what} };
    my ($global, $kept) = ($copy->path('global'), $copy->dir . '/kept');
    must_run([ 'cp', '-a', $global, $kept ]);
    $lose->("$global/pg_control");
    my $before = tree($copy);
    for my $options ([], ['--dry-run'], ['--compare'], ['--rejoin'])
    {
        my $result = rewind($copy, $source, options => [ @$options, '--retries=0' ], not_foretold => 1);
        is($result->{status}, 2, "pg_control $what: a rewind @$options ends with status 2");
        like($result->{stderr}, qr/^pg_rewind: error: $said/m, 'it says what is wrong');
        unlike($result->{stderr}, qr/is unchanged/, 'and not that the target is unchanged');
        like($result->{stderr}, qr/^pg_rewind: hint: If a volume is not mounted there/m, 'and what to do')
            if !grep { /rejoin/ } @$options;
    }
    chmod 0700, $global or die;
    is_same_tree(tree($copy), $before, 'nothing was changed') if $what !~ /reached/;
    must_run([ 'rm', '-rf', $global, "$global.away" ]);
    rename($kept, $global) or die;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 5000) g; CREATE TABLE d AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('UPDATE t SET v = 1 WHERE g % 2 = 0; CREATE TABLE first AS TABLE t; CHECKPOINT') },
        target => sub {
            $_[0]->sql('UPDATE t SET v = 2 WHERE g % 3 = 0; CREATE TABLE u AS SELECT 1 AS a; DROP TABLE d') });
    for my $point (qw(apply label control))
    {
        subtest("interrupted before $point, then pg_checksums", sub {
            my $copy = $target->copy('copy');
            end_by_kill(hold($copy, $source, $point));
            my $own = $copy->bindir . '/pg_checksums';
            must_run([ -x $own ? $own : program('pg_checksums'), '--enable', '-N', '-D', $copy->data ]);
            like(rewinds($copy, $source)->{stderr}, qr/the interrupted rewind is finished/, 'it is finished');
            is_rewound($copy, $source);
        }) if $version == 15;

        subtest("interrupted before $point, then pg_control cannot be read", sub {
            my $copy = $target->copy('copy');
            end_by_kill(hold($copy, $source, $point));
            ends_without_control($copy, $source, $_) for sort keys %loses_control;
            like(rewinds($copy, $source)->{stderr}, qr/the interrupted rewind is finished/,
                'when it is there again, the rewind is finished');
            is_rewound($copy, $source);
        });

        subtest("interrupted before $point, then the work directory is removed", sub {
            my $copy = $target->copy('copy');
            end_by_kill(hold($copy, $source, $point));
            must_run([ 'rm', '-r', glob($copy->path('pg_rewind.work*')) ]);
            my $before = tree($copy);
            for my $options ([], ['--dry-run'])
            {
                my $result = rewind($copy, $source, options => $options);
                is($result->{status}, 1, "a rewind @$options is refused");
                like($result->{stderr},
                    qr/^pg_rewind: error: an interrupted rewind of the target can no longer be finished$/m,
                    'it says why');
                like($result->{stderr}, qr/^pg_rewind: hint: Compare all blocks instead with --compare/m,
                    'and what to do');
            }
            is_same_tree(tree($copy), $before, 'nothing was changed');
            # What --compare begins is a rewind like any other, though pg_control is a poison already.
            my $failed = rewind($copy, $source, options => ['--compare'], fault => 'fail:rename@*/backup_label:EIO');
            is($failed->{status}, 1, 'one by comparing that fails before its commit');
            unlike($failed->{stderr}, qr/must be finished/, 'is not said to be begun');
            is(join(' ', glob($copy->path('pg_rewind.work*'))), '', 'and leaves nothing');
            end_by_kill(hold($copy, $source, $point, '--compare'));
            like(rewinds($copy, $source, options => ['--compare'])->{stderr}, qr/the interrupted rewind is finished/,
                'one that is interrupted after it is finished');
            is_rewound($copy, $source);
        });
    }
}, only => [ 10, 15, 18 ]);
