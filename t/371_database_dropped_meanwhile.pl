# A database that the source drops while pg_rewind runs: its files go before the record of that is in the WAL. The
# rewound target must not lack files that its WAL names. (Invariant 7. Source is a server: a primary, and a standby that
# replays the drop.)
#
#   source   ─ VACUUM in d ─────── files of d go ─── record: d is dropped ──▶
#                                              ▲
#                                              everything is fetched, and the position is read
#
# Hints are not logged on the source, so VACUUM names pages of d without an image of them: replay of it needs the file,
# or that record.
#
# The record may never come: the drop is cancelled, or the server crashes, when the files have gone. The next DROP
# DATABASE finds none, and logs nothing. Recovery then starts at a later checkpoint.
# (Rules C57, C58, C110.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Tree;
use Time::HiRes qw(time);

my $fillers = 30000;    # files on either side of the table's, which make the removal long enough to be stopped amid it
my %databases = (primary => [ map { "p$_" } 1 .. 3 ], standby => [ map { "s$_" } 1 .. 3 ],
    cancelled => [ map { "c$_" } 1 .. 3 ], others => [ 'crashed', 'by_hand' ]);

sub file_of { my ($cluster, $database) = @_; return $cluster->query("SELECT pg_relation_filepath('v')", $database) }

# Directories are read in an order that may be that in which files came, or its reverse.
sub fill_directory_of
{
    my ($cluster, $database) = @_;
    my $file = $cluster->path(file_of($cluster, $database));
    my ($directory) = $file =~ m{^(.*)/};
    my $fill = sub {
        for my $name (@_) { open(my $filler, '>', "$directory/$name") or die "could not make a file: $!" }
    };
    $fill->(map { "before$_" } 1 .. $fillers);
    rename($file, "$file.away") && rename("$file.away", $file) or die "could not rename: $!";
    $fill->(map { "after$_" } 1 .. $fillers);
    return $file;
}

# Stop a process of the cluster while it removes the files of a database: the table's is gone, others are there. It may
# be too fast; then the next database is tried. Returns the name of the database.
sub stop_amid_drop
{
    my ($cluster, $pid, $drop, @databases) = @_;
    for my $database (@databases)
    {
        my $file = fill_directory_of($cluster, $database);
        my $deadline = time + PATIENCE_SECONDS;
        $drop->($database);
        while (-e $file) { die "the files of $database stay\n" if time > $deadline }
        stop_in_system_call($pid);
        return $database if $file =~ m{^(.*)/} && -d $1;
        kill 'CONT', $pid;
    }
    return;
}

my $gone = 'is gone from the source, whose WAL does not say that it was dropped';
my $again = 'is gone from the source, whose WAL does not say that it was dropped: starting again';
my $detail = 'DROP DATABASE was interrupted after it had removed the files, or they were removed by hand. '
    . 'The rewound target would replay changes of the database without its files, and could fail to start.';

my @unlogged;    # directories of databases that went without a record: any of them may be named

# The source drops a database whose files, in this directory, are gone, so that its WAL never has the record.
sub is_rewound_past_unlogged_drop
{
    my ($target, $source, $database, $directory) = @_;
    ok(!-e $source->path($directory), 'its files are gone');
    is($source->query("SELECT count(*) FROM pg_database WHERE datname = '$database'"), 1, 'but it was not dropped');
    $source->sql("DROP DATABASE $database");
    $source->sql('DROP TABLESPACE space') if $directory =~ /^pg_tblspc/;
    my $rewound = $target->copy("past_$database");
    my $result = rewinds($rewound, $source);
    push @unlogged, quotemeta($directory);
    my $named = join '|', @unlogged;
    like($result->{stderr}, qr/^pg_rewind: database "(?:$named)" $again$/m, 'recovery starts later');
    rejoins($rewound, $source, quick => 1);
    ok(!-e $rewound->path($directory), 'the target has no such files');
    $rewound->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($primary, $target) = split_brain($version,
        cluster => { checksums => $version < 9.4 ? 1 : 0 },
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            for my $database (qw(unrelated checkpointed), map { @$_ } values %databases)
            {
                $primary->sql("CREATE DATABASE $database" . ($database eq 'crashed' ? ' TABLESPACE space' : ''));
                $primary->sql('CREATE TABLE v AS SELECT i FROM generate_series(1, 20000) i', $database)
                    if $database !~ /unrelated|checkpointed/;
            }
        },
        source => sub {
            my ($source) = @_;
            $source->configure('wal_log_hints = off');
            $source->restart;
            $source->sql('VACUUM v', $_) for map { @$_ } values %databases;
        },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
    my $standby = $primary->standby('standby');
    my $session = $primary->session;
    my %side = (
        primary => { cluster => $primary, pid => $session->sql('SELECT pg_backend_pid()'),
        drop => sub { $session->send("DROP DATABASE $_[0]") } },
        standby => { cluster => $standby, pid => $standby->process_pid('startup'),
            drop => sub { $primary->sql("DROP DATABASE $_[0]") } });

    my $other = $primary->session;
    $other->sql(q{BEGIN; COMMENT ON DATABASE unrelated IS 'so it cannot be dropped'});
    $session->send('DROP DATABASE unrelated');
    wait_until('a drop waits for its lock', sub { $primary->query('SELECT count(*) FROM pg_locks WHERE NOT granted') });
    my $waits = rewind($target->copy('waits'), $primary, options => [ '--no-sync', '--wait-timeout=1' ]);
    is($waits->{status}, 0, 'a session that waits for the lock has removed nothing: it is not waited for')
        or diag($waits->{stderr});
    $other->sql('COMMIT');
    $session->sql('SELECT 1');

    # A drop and a move begin with a checkpoint, which may take long.
    my $checkpointer = $primary->checkpointer_pid;
    stop_in_system_call($checkpointer);
    $session->send('DROP DATABASE checkpointed');
    wait_until('a drop waits for a checkpoint', sub {
        $primary->query("SELECT count(*) FROM pg_stat_activity WHERE wait_event LIKE 'Checkpoint%'") });
    $waits = rewind($target->copy('checkpoint'), $primary, options => [ '--no-sync', '--wait-timeout=1' ]);
    is($waits->{status}, 0, 'a session that waits for a checkpoint has removed nothing: it is not waited for')
        or diag($waits->{stderr});
    kill 'CONT', $checkpointer;
    $session->sql('SELECT 1');

    for my $kind (qw(primary standby))
    {
        subtest("source is a $kind", sub {
            my ($source, $pid) = @{ $side{$kind} }{qw(cluster pid)};
            my $rewound = $target->copy("from_$kind");
            ok(stop_amid_drop($source, $pid, $side{$kind}{drop}, @{ $databases{$kind} }),
                'the source is stopped while it drops a database') or return;
            my $refused = rewind($rewound, $source, options => ['--wait-timeout=1'],
                not_foretold => 'nothing is fetched');
            is($refused->{status}, 1, 'a drop that takes too long is an error');
            like($refused->{stderr},
                qr/^pg_rewind: error: a database of the source is being dropped, moved or renamed$/m,
                'which names the reason');

            my $run = start_rewind($rewound, $source);
            wait_until('pg_rewind waits', sub {
                has_ended($run)
                    || slurp($run->{errors})
                    =~ /^pg_rewind: waiting for the source to drop, move or rename a database$/m });
            kill 'CONT', $pid;
            my $result = end_of_rewind($run);
            is($result->{status}, 0, 'once the drop ends the rewind goes on') or diag($result->{stderr});
            $session->sql('SELECT 1');    # the drop has ended
            rejoins($rewound, $source, writer => $primary, quick => 1);
            $rewound->discard;
        });
    }
    $standby->discard;

    # From 17 on, a session looks for a cancellation between the removal and the record.
    subtest('a drop is cancelled', sub {
        my ($kind, $pid) = ('cancelled', $side{primary}{pid});
        my %directory = map { $_ => file_of($primary, $_) =~ s{/[^/]+$}{}r } @{ $databases{$kind} };
        my $database = stop_amid_drop($primary, $pid, $side{primary}{drop}, @{ $databases{$kind} });
        ok($database, 'the source is stopped while it drops a database') or return;
        kill 'INT', $pid;
        kill 'CONT', $pid;
        $session->sql('SELECT 1');    # the statement has ended
        is_rewound_past_unlogged_drop($target, $primary, $database, $directory{$database});
    }) if $version >= 17;

    $_->end for $session, $other;
    subtest('the server crashes amid a drop', sub {
        my $directory = file_of($primary, 'crashed') =~ s{/[^/]+$}{}r;
        $primary->sql('CHECKPOINT');
        $primary->stop('immediate');
        run([ 'rm', '-r', $primary->path($directory) ]);
        $primary->start;
        is_rewound_past_unlogged_drop($target, $primary, 'crashed', $directory);
    });

    subtest('files are removed by hand', sub {
        $primary->sql('CREATE TABLE changed AS SELECT 1 AS a', 'by_hand');    # since the last checkpoint
        my $directory = file_of($primary, 'by_hand') =~ s{/[^/]+$}{}r;
        run([ 'rm', '-r', $primary->path($directory) ]);
        my $before = tree($target);
        my $refused = rewind($target, $primary, not_foretold => 'nothing is fetched');
        is($refused->{status}, 1, 'without a later checkpoint it is an error');
        like($refused->{stderr}, qr/^pg_rewind: error: database "\Q$directory\E" $gone$/m,
            'which names the directory') or diag($refused->{stderr});
        like($refused->{stderr}, qr/^pg_rewind: detail: \Q$detail\E$/m, 'why it is gone');
        like($refused->{stderr}, qr/^pg_rewind: hint: Add --checkpoint: /m, 'and what helps');
        is_same_tree(tree($target), $before, 'the target is as it was');
    });
}, only => [ 15, 18 ]);
