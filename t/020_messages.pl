# Each thing that is wrong is said in the original's words, with the right exit status, and the target stays as it was.
# (Invariants 1, 10.)
#
# One pair of clusters; each row breaks a fresh copy of the target, or what the source is, in one way.

use strict;
use warnings;
use lib 't/lib';
use Fcntl ':flock';
use RewindTest;
use RewindTest::ControlFile;

sub linked_copy
{
    my ($cluster) = @_;
    my $copy = (ref $cluster)->allocate('copy', $cluster->version, $cluster->bindir);
    must_run([ 'cp', '-al', $cluster->data, $copy->data ]);
    return $copy;
}

# Everything about the files of a directory that a rewind could change, and that a reader could notice.
sub state_of
{
    my ($directory) = @_;
    return join '', sort split /^/m, must_run([
        'find', $directory, '-type', 'd', '-printf', "%P %m\n", '-o', '-printf', "%P %m %s %i %T@ %l\n" ]) . "\n";
}

# Small segments where there is a choice: there is less to copy for each row.
sub wal_segment_mb { return $_[0] >= 11 ? 1 : 16 }

# Number of the segment that holds the last checkpoint record: pg_control knows its position.
sub last_checkpoint_segment
{
    my ($cluster) = @_;
    my $position = unpack('Q<', substr(slurp($cluster->path('global/pg_control')), 32, 8));
    return int($position / (wal_segment_mb($cluster->version) * 1024 * 1024));
}

# What a row expects on stderr, whole lines each.
sub says
{
    my ($name, $stderr, @patterns) = @_;
    for my $pattern (@patterns)
    {
        like($stderr, ref $pattern ? $pattern : qr{^pg_rewind: error: \Q$pattern\E$}m, "$name: what is said");
    }
    return;
}

# A row: a name; break => sub, given the copy of the target; options; status (1); says => [ messages ]; ends => how the
# last hint begins. source => sub, given the copy: the source's options, instead of the running server.
sub fails
{
    my ($name, $source, $target, %row) = @_;
    my $copy = linked_copy($target);
    my $undo = $row{break} ? $row{break}->($copy) : undef;
    my @source = $row{source} ? $row{source}->($copy) : ('--source-server', $source->conninfo);
    my $before = state_of($copy->data);

    for my $dry_run ([], ['-n'])
    {
        my $result = run([ rewind_argv($copy->data, @source), @{ $row{options} // [] }, @$dry_run ]);
        my $run = "$name" . (@$dry_run ? ', dry run' : '');
        is("$result->{status} $result->{signal} $result->{stdout}",
            ($row{status} // 1) . ' 0 ', "$run: exit status")
            or diag($result->{stderr});
        says($run, $result->{stderr}, map { ref $_ ? $_ : s/COPY/$copy->data/er } @{ $row{says} });
        my $ends = $row{ends} // qr/The target is unchanged\./;
        like($result->{stderr}, qr{\npg_rewind: hint: $ends[^\n]*\n\z}, "$run: the last line");
        is(state_of($copy->data), $before, "$run: the target is unchanged");
    }
    $undo->() if ref $undo eq 'CODE';
    $copy->discard;
    return;
}

sub restore_command
{
    my ($cluster, $command) = @_;
    my $path = $cluster->path($cluster->version < 12 ? 'recovery.conf' : 'postgresql.conf');
    replace($path, (-e $path ? slurp($path) : '') . "restore_command = '$command'\n") if defined $command;
    return;
}

# ---- the rows ----

sub target_is_damaged
{
    my ($source, $target) = @_;

    fails('pg_control is missing', $source, $target,
        break => sub { unlink $_[0]->path('global/pg_control') },
        says => ['could not open file "COPY/global/pg_control": No such file or directory']);
    fails('pg_control is short', $source, $target,
        break => sub { replace($_[0]->path('global/pg_control'), 'x' x 100) },
        says => ['unexpected control file size 100, expected 8192']);
    fails('pg_control has a wrong CRC', $source, $target,
        break => sub {
            my $path = $_[0]->path('global/pg_control');
            my $content = slurp($path);
            substr($content, 60, 1) = chr(ord(substr($content, 60, 1)) ^ 1);
            replace($path, $content);
        },
        says => ['unexpected control file CRC']);
    fails('pg_control is of an unknown version', $source, $target,
        break => sub { patch_control($_[0], 8, pack('L<', 903)) },
        says => ['clusters are not compatible with this version of pg_rewind']);
    fails('PG_VERSION is of another version', $source, $target,
        break => sub { replace($_[0]->path('PG_VERSION'), "8.4\n") },
        says => ['PG_VERSION and pg_control in directory "COPY" are of different versions']);
    fails('a directory that cannot be written to', $source, $target,
        break => sub { my $path = $_[0]->path('global'); chmod 0500, $path; return sub { chmod 0700, $path } },
        says => [qr{^pg_rewind: error: cannot write to directory ".*/global": Permission denied\npg_rewind: hint: The user .*\npg_rewind: hint: The target is unchanged\.\n\z}m]);
    fails('a file that cannot be read', $source, $target,
        break => sub { my $path = $_[0]->path($source->query(q{SELECT pg_relation_filepath('t')})); chmod 0000, $path;
        return sub { chmod 0600, $path } },
        says => [qr{^pg_rewind: error: could not open file ".*/base/.*": Permission denied\npg_rewind: hint: The user that runs pg_rewind must be able to read and write it\.\npg_rewind: hint: The target is unchanged\.\n\z}m]);
    fails('a file is a directory', $source, $target,
        break => sub { unlink $_[0]->path('global/pg_filenode.map'); mkdir $_[0]->path('global/pg_filenode.map') },
        says => ['file "global/pg_filenode.map" is of different type in source and target']);
    return;
}

sub sides_do_not_fit
{
    my ($source, $target) = @_;

    fails('another system', $source, $target,
        break => sub { patch_control($_[0], 0, pack('Q<', 7000000000000000001)) },
        says => ['source and target clusters are from different systems',
            qr{^pg_rewind: detail: System identifier of the source is \d+, of the target 7000000000000000001\.$}m,
            qr{^pg_rewind: hint: Check -D and --source-server: one of them is not the cluster that was meant\.$}m],
        ends => qr/The target is unchanged\.$/m);
    fails('another format', $source, $target, status => 3,
        break => sub { patch_segment_size($_[0], 64 * 1024 * 1024) },
        says => ['clusters are not compatible with this version of pg_rewind',
            qr{^pg_rewind: hint: The target is unchanged\. It cannot be rewound to this source: replace it by a new base backup\.$}m]);
    fails('same directory', $source, $target,
        source => sub { ('--source-pgdata', $_[0]->data) },
        says => ['source and target are the same directory']);

    # A server that runs does not look at the history file of its own timeline.
    my $history = $source->path('pg_wal/00000002.history');
    my $right = slurp($history);
    my $with = sub {
        my ($content) = @_;
        return sub { spew($history, $content); return sub { spew($history, $right) } };
    };
    fails('no common history', $source, $target, break => $with->(''),
        says => ["could not find common ancestor of the source and target cluster's timelines"]);
    fails('history file: a word for a number', $source, $target, break => $with->("one\t0/1\n"),
        says => ["syntax error in history file: one\t0/1", qr{^pg_rewind: detail: Expected a numeric timeline ID\.$}m]);
    fails('history file: no position', $source, $target, break => $with->("1\tnowhere\n"),
        says => ["syntax error in history file: 1\tnowhere",
        qr{^pg_rewind: detail: Expected a write-ahead log switchpoint location\.$}m]);
    fails('history file: backwards', $source, $target, break => $with->("1\t0/1\n1\t0/2\n"),
        says => ["invalid data in history file: 1\t0/2",
        qr{^pg_rewind: detail: Timeline IDs must be in increasing sequence\.$}m]);
    fails('history file: its own timeline', $source, $target, break => $with->("2\t0/1\n"),
        says => [qr{^pg_rewind: error: invalid data in history file}m,
        qr{^pg_rewind: detail: Timeline IDs must be less than child timeline's ID\.$}m]);
    return;
}

# Odd versions have no checksums in these tests, but for 9.3. Where pg_control keeps wal_log_hints a server knows: it
# writes it.
sub hints_were_not_logged
{
    my ($source, $target) = @_;
    return if substr($target->version, -1) % 2 == 0 || $target->version < 9.4;
    my $off = $target->copy('off');
    $off->configure('wal_log_hints = off');
    $off->start->stop;
    fails('hints were not logged', $source, $off,
        says => ['target server needs to use either data checksums or "wal_log_hints = on"']);
    $off->discard;
    return;
}

sub somebody_is_there
{
    my ($source, $target) = @_;

    my $running = $target->copy('running')->start;
    my $result = rewind($running, $source);
    is("$result->{status} $result->{stdout}", '1 ', 'the target is running: exit status');
    says('the target is running', $result->{stderr}, 'target server must be shut down cleanly',
        qr{^pg_rewind: detail: A server \(PID \d+\) is running in "\Q@{[$running->data]}\E"\.$}m);
    is($running->query('SELECT 1'), '1', 'it goes on running');
    $running->discard;

    fails('an empty lock file', $source, $target,
        break => sub { replace($_[0]->path('postmaster.pid'), '') },
        says => ['lock file "COPY/postmaster.pid" is empty']);
    fails('a lock file of nobody', $source, $target,
        break => sub { replace($_[0]->path('postmaster.pid'), "nobody\n") },
        says => ['bogus data in lock file "COPY/postmaster.pid": "nobody"']);
    fails('another pg_rewind', $source, $target,
        break => sub {
            open(my $lock, '<', $_[0]->data) or die "could not open: $!";
            flock($lock, LOCK_EX | LOCK_NB) or die "could not lock: $!";
            return sub { close $lock };
        },
        options => ['--wait-timeout=0'], status => 2,
        ends => qr/Another run is using the target and may be changing it: /,
        says => ['another pg_rewind is working on directory "COPY"']);
    fails('the source directory is in use', $source, $target,
        source => sub { ('--source-pgdata', $source->data) },
        says => ['source data directory must be shut down cleanly']);
    fails('unclean, and not to be ensured', $source, $target,
        break => sub { patch_control($_[0], 16, pack('L<', 6)) },
        options => ['--no-ensure-shutdown'],
        says => ['target server must be shut down cleanly', qr{^pg_rewind: detail: Its state is "in production"\.$}m]);
    return;
}

sub source_refuses
{
    my ($source, $target) = @_;
    my $nowhere = work_dir() . '/nowhere';

    fails('no server', $source, $target,
        source => sub { ('--source-server', "host=$nowhere") },
        options => ['--retry-timeout=0'],
        says => [qr{^pg_rewind: error: .*"\Q$nowhere\E/\.s\.PGSQL\.5432"}m]);
    fails('connection string', $source, $target,
        source => sub { ('--source-server', 'port=5432 nonsense') },
        says => [qr{^pg_rewind: error: missing "=" after "nonsense" in connection info string}m]);
    fails('no source directory', $source, $target,
        source => sub { ('--source-pgdata', $nowhere) },
        says => [qr{^pg_rewind: error: .*\Q$nowhere\E.*: No such file or directory$}m]);

    $source->sql('CREATE ROLE ordinary LOGIN');
    fails('a role without rights', $source, $target,
        source => sub { ('--source-server', $source->conninfo . ' user=ordinary') },
        says => $source->version >= 11
            ? [qr{^pg_rewind: error: role .*ordinary.* must be superuser or have the right to read files of the source server$}m,
               qr{GRANT EXECUTE ON FUNCTION pg_catalog\.pg_read_binary_file\(text, bigint, bigint, boolean\) TO .*ordinary}]
            : ['must be superuser to read files of the source server']);
    $source->sql('DROP ROLE ordinary');

    $source->sql("ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf()");
    wait_until('full_page_writes is off', sub { $source->query('SHOW full_page_writes') eq 'off' });
    fails('full_page_writes',
        $source, $target, says => ['"full_page_writes" must be enabled in the source server']);
    $source->sql("ALTER SYSTEM RESET full_page_writes; SELECT pg_reload_conf()");
    wait_until('full_page_writes is on', sub { $source->query('SHOW full_page_writes') eq 'on' });
    return;
}

sub wal_is_missing
{
    my ($source, $target) = @_;
    my @restore = ('-c', '-B', $target->bindir);
    my $last = last_checkpoint_segment($target);
    my ($segment, $before_last) = map { sprintf '00000001%08X%08X', 0, $_ } $last, $last - 1;
    my $lose = sub {
        my ($copy, $command) = @_;
        unlink $copy->path("pg_wal/$segment");
        restore_command($copy, $command);
    };
    fails('a segment before the last is damaged', $source, $target,
        break => sub {
            my $path = $_[0]->path("pg_wal/$before_last");
            my $content = slurp($path);
            substr($content, 70, 4) = 'oops';
            replace($path, $content);
        },
        says => [qr{^pg_rewind: error: could not find previous WAL record at [0-9A-F]+/[0-9A-F]+: incorrect resource manager data checksum in record at [0-9A-F]+/[0-9A-F]+$}m]);

    # What old callers read to fetch the segment themselves.
    my $wal = $target->version < 10 ? 'pg_xlog' : 'pg_wal';
    my $missing = qq(could not open file "COPY/$wal/$segment": No such file or directory);

    fails('the last segment is missing', $source, $target, break => $lose, says => [$missing]);
    fails('a segment before the last is missing', $source, $target,
        break => sub { unlink $_[0]->path("pg_wal/$before_last") },
        says => [
            qq(could not open file "COPY/$wal/$before_last": No such file or directory),
            qr{^pg_rewind: (?:error|detail): could not find previous WAL record at [0-9A-F]+/[0-9A-F]+}m
        ]);
    fails('a segment before the last is one that was to be used again', $source, $target,
        break => sub { my $path = $_[0]->path("pg_wal/$before_last"); replace($path, "\0" x -s $path) },
        says => [qq(could not open file "COPY/$wal/$before_last": No such file or directory)]);
    fails('the archive has not got it',
        $source, $target, break => sub { $lose->($_[0], 'false') }, options => \@restore, says => [$missing]);
    fails('the restore command dies',
        $source, $target, break => sub { $lose->($_[0], 'kill -9 $$') }, options => \@restore,
        says => [qr{^pg_rewind: error: "restore_command" failed: child process was terminated by signal 9}m]);
    fails('the archive holds half of it',
        $source, $target, break => sub { $lose->($_[0],
        'head -c 1000 /dev/zero > %p') }, options => \@restore,
        says => [qr{^pg_rewind: error: unexpected file size for ".*": 1000 instead of \d+$}m]);
    fails('no restore command',
        $source, $target, options => \@restore, says => ['"restore_command" is not set in the target cluster']);
    fails('no server programs', $source, $target, options => [ '-c', '-B', work_dir() ],
        says => [qq(no program "postgres" of version @{[ $target->version ]} was found in directory "@{[ work_dir() ]}")])
        if $target->version >= 12;
    fails('a configuration that no server reads', $source, $target, options => \@restore,
        break => sub { my $path = $_[0]->path('postgresql.conf'); replace($path, slurp($path) . "nonsense\n") },
        says => ['could not read "restore_command" from target cluster',
            qr{^pg_rewind: detail: The program ".*/postgres" failed: }m])
        if $target->version >= 12;
    fails('a configuration that is not in the data directory', $source, $target, options => \@restore,
        break => sub { unlink $_[0]->path('postgresql.conf') },
        says => ['could not read "restore_command" from target cluster',
            qr{^pg_rewind: hint: The data directory has no postgresql\.conf: name the server's main configuration file with --config-file\.$}m])
        if $target->version >= 12;
    fails('restore command with an unknown placeholder',
        $source, $target, options => \@restore, break => sub { $lose->($_[0], 'cp %x %p') },
        says => ['invalid value for parameter "restore_command": "cp %x %p"',
            qr{^pg_rewind: detail: String contains unexpected placeholder "%x"\.$}m]);
    fails('restore command that ends in a placeholder',
        $source, $target, options => \@restore, break => sub { $lose->($_[0], 'cp %') },
        says => ['invalid value for parameter "restore_command": "cp %"',
            qr{^pg_rewind: detail: String ends unexpectedly after escape character "%"\.$}m]);
    return;
}

# What a run says that goes well, as far as callers look for it, and what -P and --debug add.
sub success_is_said
{
    my ($source, $target) = @_;
    my $lsn = qr{[0-9A-F]+/[0-9A-F]+};
    my $result = rewind($target, $source, options => ['-n']);
    is($result->{status}, 0, 'a dry run succeeds') or diag($result->{stderr});
    like($result->{stderr},
        qr{\Apg_rewind: servers diverged at WAL location $lsn on timeline 1\npg_rewind: rewinding from last common checkpoint at $lsn on timeline 1\n(?:.*\n)?pg_rewind: Done!\n(?:pg_rewind: detail: .*\n)*pg_rewind: hint: After this rewind the server would open for writing .*\npg_rewind: hint: This was a dry run, nothing was changed: run the same command without --dry-run\.\n\z},
        'a dry run says what the original says');

    my $more = rewind($target, $source, options => ['-n', '-P', '--debug'])->{stderr};
    for my $line (qr{connected to server}, qr{reading source file list}, qr{reading target file list},
        qr{reading WAL in target},
        qr{need to copy \d+ MB \(total source directory size is \d+ MB\)}, qr{Source timeline history:},
        qr{Target timeline history:},
        qr{1: 0/0+ - $lsn}, qr{PG_VERSION \(COPY\)})
    {
        like($more, qr{^pg_rewind: $line$}m, "with -P and --debug: $line");
    }

    my $text = rewind($target, $source, options => ['-n', '--report=text']);
    like($text->{stdout},
        qr{^pg_rewind: dry run: the target would be rewound\n.*^To be discarded from the target\n  committed transactions    [1-9]}sm,
        'the report counts what would be lost');
    my $json = rewind($target, $source, options => ['-n', '--report=json']);
    like($json->{stdout},
        qr{"result": "would_rewind".*"transactions": [1-9].*"first_commit": "20}s, 'the same as JSON');

    $source->stop;
    my $copy = $source->copy('same');
    my $before = state_of($copy->data);
    my $same = rewind($copy, $source, kind => 'directory');
    is("$same->{status} $same->{stdout}", '0 ', 'source and target on the same timeline: success');
    like($same->{stderr},
        qr{^pg_rewind: source and target cluster are on the same timeline\n(?:.*\n)*pg_rewind: no rewind required\n}m,
        'said as the original says it');
    unlike($same->{stderr}, qr{servers diverged at}, 'not taken for a divergence');
    is(state_of($copy->data), $before, 'the target is unchanged');
    $copy->discard;
    $source->start;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => wal_segment_mb($version) },
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub {
            my ($old) = @_;
            $old->sql("INSERT INTO t VALUES ($_); SELECT pg_switch_wal()") for 3, 4;
            $old->sql('INSERT INTO t SELECT generate_series(5, 1000)');
        });

    success_is_said($source, $target);
    hints_were_not_logged($source, $target);
    target_is_damaged($source, $target);
    sides_do_not_fit($source, $target);
    somebody_is_there($source, $target);
    source_refuses($source, $target);
    wal_is_missing($source, $target);
# what is said does not depend on the version, but for those that words and programs changed with
}, only => [ 10, 12, 15, 19 ]);
