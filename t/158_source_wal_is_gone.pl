# The source no longer has its WAL since the last common checkpoint, and no option says who has it. The target's own
# restore_command is asked, which its server would ask; where that has not all, recovery starts late, and all blocks are
# compared. (Both sources.)
#
#   source       ┌──── 2 ── changes ── gone ── gone ── S, its checkpoint ──▶
#   target   1 ●─┴──── 1 ── changes ──▶                                        ● the last common checkpoint
# (Rules C64, K4, K5.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use List::Util 'uniq';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

# End a segment full of changes, and return its name.
sub write_segment
{
    my ($server, $what) = @_;
    $server->sql("UPDATE t SET b = '$what' WHERE a % 3 = 0; INSERT INTO t SELECT i, '$what' FROM generate_series(1, 1500) i;
        CREATE TABLE IF NOT EXISTS $what AS TABLE t; TRUNCATE cut; INSERT INTO cut SELECT generate_series(1, 300)");
    my $name = $server->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $server->sql('SELECT pg_switch_wal()');
    return $name;
}

sub set_restore_command
{
    my ($cluster, $command) = @_;
    append($cluster->path($cluster->version >= 12 ? 'postgresql.conf' : 'recovery.conf'),
        "restore_command = '$command'\n");
    return;
}

# How a rewind started: returns what it printed.
sub is_rewound
{
    my ($target, $source, $kind, $expected, @options) = @_;
    $source->stop if $kind eq 'directory';
    my $result = rewind($target, $source, kind => $kind, options => [ '-N', '-B', $target->bindir, '--report=json',
        @options ]);
    $source->start if $kind eq 'directory';
    is($result->{status}, 0, "pg_rewind succeeds with a $kind as source") or do { diag($result->{stderr}); return "" };
    my $start = $result->{stdout} ne '' ? JSON::PP->new->decode($result->{stdout})->{recovery_start} : {};
    is(join(', ', $start->{late} ? 'late' : 'early', $start->{reason} // '', $start->{compares} ? 'compares' : 'reads'),
        $expected, $expected);
    my $said =
        qr/^pg_rewind: comparing all blocks with the source's, \d+ MB: some of its WAL since the last common checkpoint no longer exists$/m;
    if ($start->{compares}) { like($result->{stderr}, $said, 'and so it says') }
    else { unlike($result->{stderr}, qr/comparing all blocks/, 'nothing is compared') }
    nothing_is_left($target);
    rejoins($target, $source);
    $target->discard;
    return $result->{stderr};
}

sub is_refused
{
    my ($target, $source, $kind, @options) = @_;
    my $before = tree($target);
    $source->stop if $kind eq 'directory';
    my $result = rewind($target, $source, kind => $kind, options => [ '-N', '-B', $target->bindir, @options ]);
    $source->start if $kind eq 'directory';
    is($result->{status}, 1, 'it is refused');
    is_same_tree(tree($target), $before, 'and the target is unchanged');
    return $result->{stderr};
}

my $asks = qr/^pg_rewind: the source no longer has WAL that is needed: asking the target's own "restore_command"$/m;

plan(skip_all => 'the start is not chosen when all runs are told which')
    if ($ENV{PG_REWIND_TEST_OPTIONS} // '') =~ /-start\b|--compare/;
each_version(sub {
    my ($version) = @_;
    my @gone;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT i AS a, 'common' AS b FROM generate_series(1, 5000) i; CREATE TABLE untouched AS TABLE t;
                CREATE TABLE cut AS SELECT i FROM generate_series(1, 20000) i; CREATE TABLE dropped AS TABLE t; CREATE UNLOGGED TABLE unlogged AS TABLE t");
        },
        together => sub {
        $_[0]->sql("CHECKPOINT; UPDATE t SET b = 'together' WHERE a < 100; DELETE FROM untouched WHERE a < 100") },
        source => sub { @gone = map { write_segment($_[0], "source_$_") } 1 .. 3;
        $_[0]->sql('DROP TABLE dropped; INSERT INTO unlogged VALUES (0)') },
        target => sub { write_segment($_[0], 'target');
            $_[0]->sql("DELETE FROM cut WHERE i > 10; VACUUM cut; UPDATE untouched SET b = 'x' WHERE a % 50 = 0") });

    # So far the source's last checkpoint is from before all that.
    my $archive = work_dir() . "/archive_$version";
    mkdir $archive or die "could not create $archive: $!";
    must_run([ 'mv', $source->path("pg_wal/$_"), $archive ]) for @gone;

    subtest('there is no later checkpoint', sub {
        my $copy = $target->copy('without');
        my $said = is_refused($copy, $source, 'server');
        like($said,
            qr/^pg_rewind: error: the source no longer has WAL that the rewound target needs\npg_rewind: detail: Missing: @{[ join ', ', @gone ]}\.$/m,
            'WAL is missing');
        like($said,
            qr/^pg_rewind: hint: Put the files into the source's pg_\w+, or let pg_rewind fetch them: --wal-archive or --restore-command\.$/m,
            'that may be fetched');
        like($said, qr/^pg_rewind: hint: Add --checkpoint: pg_rewind then runs CHECKPOINT on/m, 'or be needed no more');
        is_rewound($copy, $source, 'server', 'late, no wal, compares', '--checkpoint');
    });

    $source->sql("CHECKPOINT; UPDATE t SET b = 'after S' WHERE a % 7 = 0; CREATE TABLE after_s AS TABLE t");
    for my $kind (qw(server directory))
    {
        subtest("no archive, $kind", sub {
            is_rewound($target->copy("none_$kind"), $source, $kind, 'late, no wal, compares');
            is_rewound($target->copy("late_$kind"), $source, $kind, 'late, asked, compares', '--late-start')
                if $kind eq 'server';
        });
        subtest("restore_command of the target, $kind", sub {
            my $copy = $target->copy("command_$kind");
            set_restore_command($copy, "echo %f >> $archive/asked_$kind; cp $archive/%f %p");
            unlike(rewind($copy, $source, options => ['-n'], not_foretold => 'it is one')->{stderr},
                qr/no program "postgres"/, 'no server program is missed without -c') if $kind eq 'server';
            my $said = is_rewound($copy, $source, $kind, 'early, no choice, reads');
            like($said, $asks, 'it is asked, and so it says');
            is(join(' ', uniq(split /\n/, slurp("$archive/asked_$kind"))), join(' ', @gone),
                'for nothing but what is missing');
        });
    }

    subtest('--early-start', sub {
        my $said = is_refused($target->copy('early'), $source, 'server', '--early-start');
        like($said, qr/error: the source no longer has WAL that the rewound target needs\n/, 'WAL is missing');
        like($said,
            qr/^pg_rewind: hint: Without --early-start recovery can start at a later checkpoint of the source; all blocks are compared then\.$/m,
            'which another start does not need');
    });

    subtest('a command that does not have all', sub {
        my $copy = $target->copy('hole');
        set_restore_command($copy, "test %f != $gone[1] && cp $archive/%f %p");
        like(is_rewound($copy, $source, 'server', 'late, no wal, compares'), $asks, 'it was asked');
        is_rewound($target->copy('option'), $source, 'server', 'late, no wal, compares',
            "--restore-command=test %f != $gone[0] && cp $archive/%f %p");
    });

    subtest('a command that fails', sub {
        my $copy = $target->copy('fails');
        set_restore_command($copy, '/nowhere/fetch %f %p');
        my $said = is_rewound($copy, $source, 'server', 'late, no wal, compares');
        like($said,
            qr/^pg_rewind: warning: "restore_command" failed: command not found\npg_rewind: detail: The target's own "restore_command" is not asked again\.$/m,
            'that is told');
        $copy = $target->copy('fails_asked');
        set_restore_command($copy, '/nowhere/fetch %f %p');
        like(is_refused($copy, $source, 'server', '-c'),
            qr/^pg_rewind: error: "restore_command" failed: command not found$/m, 'with -c it is an error');
    });

    subtest('a command that gives something else', sub {
        my $copy = $target->copy('else');
        set_restore_command($copy, 'echo no segment > %p');
        like(is_rewound($copy, $source, 'server', 'late, no wal, compares'),
            qr/^pg_rewind: warning: unexpected file size for "\S+": 11 instead of \d+$/m, 'that is told');
    });

    subtest('a command that gives damaged WAL', sub {
        my $copy = $target->copy('damaged');
        my $damaged = slurp("$archive/$gone[1]");
        substr($damaged, 20_000, 200) = 'x' x 200;
        spew("$archive/damaged", $damaged);
        set_restore_command($copy, "if test %f = $gone[1]; then cp $archive/damaged %p; else cp $archive/%f %p; fi");
        like(is_rewound($copy, $source, 'server', 'late, no wal, compares'),
            qr/^pg_rewind: warning: (?:WAL is damaged|could not read WAL record) at .*\npg_rewind: detail: WAL from the target's own "restore_command" is not used\.$/m,
            'that is told');
    });

    # It was promoted as well, after the target's own changes: the names of its segments are those of the source's.
    subtest('an archive that has WAL of another history', sub {
        my $other = $target->copy('other')->switch_timeline;
        my @names = write_segment($other, 'other');
        push @names, write_segment($other, 'other') while $names[-1] lt $gone[-1];
        my %is_there = map { $_ => 1 } @names;
        my $shared = "$archive/shared";
        mkdir $shared or die "could not create $shared: $!";
        must_run([ 'cp', $is_there{$_} ? $other->path("pg_wal/$_") : "$archive/$_", $shared ]) for @gone;
        $other->discard;
        ok($is_there{ $gone[-1] } && !$is_there{ $gone[0] },
            'it has the first segment of the source, and another last one');

        my $failure = qr/(?:WAL is damaged|could not read WAL record) at .*/;
        my $broken = qr/^pg_rewind: warning: $failure\npg_rewind: detail: WAL from/m;
        for my $kind (qw(server directory))
        {
            for my $option ("--wal-archive=$shared", "--restore-command=cp $shared/%f %p", '-c', undef)
            {
                my $copy = $target->copy('shared');
                set_restore_command($copy, "cp $shared/%f %p");
                my $said = is_rewound($copy, $source, $kind, 'late, no wal, compares', $option // ());
                like($said, defined $option ? qr/$broken the archive is not used: /
                    : qr/$broken the target's own "restore_command" is not used\.$/m, 'that is told');
            }
        }
        my $copy = $target->copy('shared_early');
        my $result = rewind($copy, $source, options => [ '-N', '--early-start', "--wal-archive=$shared" ],
            not_foretold => '--check reads no WAL of the source');
        is($result->{status}, 1, 'with --early-start it is refused');
        like($result->{stderr}, qr/^pg_rewind: error: $failure$/m, 'by this error');
        like($result->{stderr}, qr/^pg_rewind: hint: Without --early-start recovery can start at a later checkpoint /m,
            'which another start does not need');
    });

    # Three segments are written and removed while files are fetched: what was planned needs them.
    subtest('while files are fetched', sub {
        my $copy = $target->copy('meanwhile');
        set_restore_command($copy, "cp $archive/%f %p");
        # What was missing is there again.
        must_run([ 'cp', "$archive/$_", $source->path('pg_wal') ]) for @gone;
        my $held = hold($copy, $source, 'create@*/pg_rewind.work/*', '-N', '-B', $copy->bindir);
        unlike(slurp($held->{errors}), $asks, 'all is there when the plan is made');
        must_run([ 'mv', $source->path("pg_wal/$_"), $archive ]) for map { write_segment($source, 'meanwhile') } 1 .. 3;
        my $result = go_on($held);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        like($result->{stderr}, $asks, "the target's own command is asked for what went in the meantime");
        nothing_is_left($copy);
        rejoins($copy, $source);
    });
}, only => [ 10, 15, 18 ]);
