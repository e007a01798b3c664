# --check tells whether a node could be rewound, of a running primary or standby, or a stopped directory, with and
# without a source. It writes nothing and takes no lock. docs/check.md shows what comes. (Invariants 1, 6, 10.)
# (Rules C61, O1, O18.)

use strict;
use warnings;
use lib 't/lib';
use Fcntl ':flock';
use File::Basename qw(dirname);
use JSON::PP ();
use RewindTest;
use RewindTest::DebianCluster;
use RewindTest::Guide;
use RewindTest::Tree;

my $tools = dirname($ENV{PG_REWIND});
my (@documents, $page);

# Run it as text and as JSON; each must end so. Returns what the JSON says, by names, and the text.
sub checks
{
    my ($name, $node, $status, @options) = @_;
    my $before = $node->is_running ? undef : tree($node);
    open(my $lock, '<', $node->data) or die;
    flock($lock, LOCK_EX | LOCK_NB) or die 'the directory is locked';
    my $log = work_dir() . '/calls';
    my $text = run([ rewind_argv($node->data, '--check', @options) ]);
    my $json = run([ rewind_argv($node->data, '--check', '--report=json', @options) ],
        env => { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT_LOG => $log });
    close $lock;
    is("$text->{status} $json->{status}", "$status $status", "$name: status $status")
        or diag($text->{stdout} . $text->{stderr});
    is($text->{stderr} . $json->{stderr}, '', "$name: nothing else is said");
    is_same_tree(tree($node), $before, "$name: the node is as it was") if defined $before;
    my $fetches = qr/^-c$|^--(?:wal-archive|restore-command)/;
    my $scratch = (grep { /$fetches/ } @options) ? qr{/pg_rewind-dry-run\.\w{6}(?:/|$)} : qr/(?!)/;
    my @calls = grep { /^\d/ && m{ /} && !m{ run \S+/(?:sh|postgres)$} && !/$scratch/ } split /^/, slurp($log);
    is(join('', @calls), '', "$name: no call changes a file, but in a scratch directory, where it fetches");
    unlink $log;

    my $file = work_dir() . "/check" . @documents . '.json';
    spew($file, $json->{stdout});
    push @documents, $file;
    my $said = JSON::PP->new->utf8->decode($json->{stdout});
    my %finding = map { $_->{name} => $_ } reverse @{ $said->{findings} };
    my %unseen = map { $_->{name} => $_->{why} } @{ $said->{not_looked_at} };
    return { %$said, finding => \%finding, unseen => \%unseen, shown => $text->{stdout} };
}

# Names of the findings in this state, sorted.
sub in_state
{
    my ($said, $state) = @_;
    my %seen = map { $_->{name} => 1 } grep { $_->{state} eq $state } @{ $said->{findings} };
    return join ' ', sort keys %seen;
}

# As docs/check.md shows it, but for places, numbers, where lines are broken, and what a rewind's own errors say in
# detail.
sub plain
{
    my ($text) = @_;
    $text =~ s/^ {4}\S.*\n(?: {11}\S.*\n)*//mg;
    $text =~ s{"/[^"]*"}{"PATH"}g;
    $text =~ s/\b[0-9A-F]{24}\b|\b[0-9A-F]+\/[0-9A-F]+\b|\d+/N/g;
    return $text =~ s/\s+/ /gr =~ s/^ | $//gr;
}

sub is_on_the_page
{
    my ($said) = @_;
    my ($block, @more) = $page =~ /^```text\n(.*?)^```$/msg;
    is(scalar @more, 0, 'docs/check.md shows one output');
    is(plain($said->{shown}), plain($block), 'docs/check.md shows what is printed') or diag($said->{shown});
    return;
}

# Problems, warnings and what is not known are printed; what is in order is counted, and what was not looked at is
# named. --verbose prints all.
sub is_folded
{
    my ($name, $said, $node, @options) = @_;
    my @findings = @{ $said->{findings} };
    my @unseen = map { $_->{name} } @{ $said->{not_looked_at} };
    my $passed = grep { $_->{state} eq 'ok' } @findings;
    my $printed = sub { my ($text) = @_; return join ' ', sort $text =~ /^((?:problem|warning|unknown|ok) +\S+)/mg };
    my $expected = sub { my (@shown) = @_; return join ' ', sort map { sprintf '%-8s %s', @$_{qw(state
        name)} } @shown };
    my ($last) = $said->{shown} =~ /\n\n(\S[^\n]*(?:\n  \S[^\n]*)*)\n\z/;
    is($last =~ s/\n +/ /gr, ($passed == 1 ? '1 check' : "$passed checks") . ' passed'
        . (@unseen ? '; not looked at: ' . join(', ', @unseen) : '') . ' (--verbose shows all)',
        "$name: the last line counts the rest");
    is($printed->($said->{shown}), $expected->(grep { $_->{state} ne 'ok' } @findings),
        "$name: what is in order is not printed");
    my $all = run([ rewind_argv($node->data, '--check', '--verbose', @options) ]);
    is("$all->{status} $all->{stderr}", "$said->{exit_status} ", "$name: --verbose ends alike");
    is($printed->($all->{stdout}), $expected->(@findings), "$name: --verbose prints all findings");
    is(join(' ', $all->{stdout} =~ /^  (\S+): /mg), join(' ', grep { $_ } @unseen),
        "$name: --verbose says why it did not look") if !defined $said->{verdict};
    return;
}

my $common = <<'END';
CREATE ROLE rewinder LOGIN REPLICATION;
CREATE ROLE powerless LOGIN;
CREATE ROLE "Rewinder" LOGIN REPLICATION;
CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 1000) i;
END
my @functions = ('pg_ls_dir(text, boolean, boolean)', 'pg_stat_file(text, boolean)',
    'pg_read_binary_file(text, bigint, bigint, boolean)');

sub source_of { my ($node, $role) = @_; return '--source-server=' . $node->conninfo =~ s/user=\S+/user=$role/r }

sub checks_running
{
    my ($primary, $standby, $role) = @_;
    my $of_primary = checks('a running primary', $primary, 0, source_of($standby, $role), '-R');
    is("$of_primary->{server} $of_primary->{role}", 'running primary', 'it is told as one');
    is(in_state($of_primary, 'problem'), '', 'no problem');
    is($of_primary->{verdict}, undef, 'no verdict on a running server');
    like($of_primary->{unseen}{verdict}, qr/running/, 'and why');
    is_folded('a node that is ready', $of_primary, $primary, source_of($standby, $role), '-R');

    my $of_standby = checks('a running standby', $standby, 0, source_of($primary, $role));
    is("$of_standby->{server} $of_standby->{role}", 'running standby', 'it is told as one');

    my $alone = checks('without a source', $primary, 0);
    is(join(' ', sort keys %{ $alone->{unseen} }),
        'archive source_full_page_writes source_replication source_role source_system source_wal source_wal_level verdict',
        'what was not looked at is named');
    like($alone->{finding}{wal_reach}{text}, qr/^pg_(?:wal|xlog) reaches back to /, 'how far back WAL reaches');
    return;
}

# One timeline, two histories: bytes tell.
sub checks_equal_timelines
{
    my ($source) = @_;
    my $twin = $source->stop->copy('twin');
    $_->start->sql('CREATE TABLE of_this_one AS SELECT 1 AS a; CHECKPOINT') for $twin, $source;
    $twin->stop;
    $source->sql("SELECT pg_switch_wal(); CHECKPOINT");
    is(checks('one timeline, two histories', $twin, 0, source_of($source, 'postgres'))->{verdict}{state}, 'needed',
        'a rewind is needed');
    my $from = checks('from a directory', $twin, 0, '--source-pgdata=' . $source->stop->data);
    is("$from->{verdict}{state} $from->{source}", 'needed ' . $source->data, 'likewise');

    my $killed = rewind($twin, $source, kind => 'directory', fault => 'kill:unlink@*/ballast');
    isnt($killed->{signal}, 0, 'a rewind is killed after its commit');
    like(checks('an interrupted rewind', $twin, 1)->{finding}{target}{text}, qr/^A rewind of this node /, 'is told');
    $twin->discard;
    $source->start;
    return;
}

# One question that is refused is not the end of the others.
sub checks_closed_catalogs
{
    my ($source, $target, $role) = @_;
    $source->sql('REVOKE SELECT ON pg_roles FROM PUBLIC');
    my $said = checks('pg_roles is closed', $target, 0, source_of($source, $role));
    is(join(' ', map { $said->{finding}{$_}{state} } qw(source_replication source_full_page_writes
        source_wal_level)), 'ok ok ok', 'all is as it was');
    $source->sql('GRANT SELECT ON pg_roles TO PUBLIC');
    return;
}

# A slot that the standby cannot use is a problem before the rewind, too.
sub checks_slot
{
    my ($source, $target) = @_;
    $source->stop;
    $source->start(settings => {
        wal_level => 'logical' })->sql("SELECT pg_create_logical_replication_slot('of_others', 'test_decoding')");
    my @options = (source_of($source, 'postgres'), qw(-R --slot=of_others));
    is(in_state(checks('a slot of others', $target, 1, @options), 'problem'), 'source_slot',
        'the standby could not use it');
    $source->sql("SELECT pg_drop_replication_slot('of_others')");
    is(checks('no slot', $target, 0, @options)->{finding}{source_slot}{state}, 'ok', 'it can be made');
    $source->restart;
    return;
}

sub checks_stopped
{
    my ($source, $target, $role) = @_;
    my $version = $target->version;
    my $needed = checks('stopped and diverged', $target, 0, source_of($source, $role));
    is($needed->{verdict}{state}, 'needed', 'a rewind is needed');
    like($needed->{verdict}{dry_run_adds}, qr/which blocks/, 'what a dry run adds');
    like($needed->{finding}{slots}{text}, qr/ gone \(physical\)/, 'slots that would be lost') if $version >= 9.4;
    is($needed->{finding}{prepared_transactions}{state}, 'warning', 'so are prepared transactions');
    is(checks('from a directory that runs', $target, 1, '--source-pgdata='
        . $source->data)->{verdict}{errors}[0]{message},
        'source data directory must be shut down cleanly', 'what is wrong with the pair is told') if $version == 18;

    my $dead = checks('a source that is gone', $target, 1, '--source-server=host=/nonexistent user=postgres');
    is("$dead->{verdict}{state} " . in_state($dead, 'problem'), 'unknown source', 'a problem, and no verdict');

    my $powerless = checks('a role without rights', $target, 1, source_of($source, 'powerless'), '-R');
    is_folded('a role without rights', $powerless, $target, source_of($source, 'powerless'), '-R');
    is(in_state($powerless, 'problem'), 'source_replication source_role', 'both problems are found');
    like($powerless->{finding}{source_replication}{remedy}, qr/^ALTER ROLE powerless REPLICATION;$/,
        'with what to type');
    if ($version >= 11)
    {
        my @lines = split /\n/, $powerless->{finding}{source_role}{remedy};
        is("@lines", join(' ', map { "GRANT EXECUTE ON FUNCTION pg_catalog.$_ TO powerless;" } @functions),
            'each grant is a line');
        $source->sql($powerless->{finding}{source_role}{remedy} . $powerless->{finding}{source_replication}{remedy});
        is(checks('with what was pasted', $target, 0, source_of($source, 'powerless'), '-R')->{verdict}{state},
            'needed', 'it is enough');
    }
    checks_slot($source, $target) if $version == 15;
    checks_closed_catalogs($source, $target, $role) if $version == 15;
    return;
}

# What the plan leaves alone or keeps is no fault, whatever its mode. It is one where a rewind fails nevertheless.
sub checks_what_stays
{
    my ($source, $target) = @_;
    my @from = source_of($source, 'postgres');
    my %former = map { -e $target->path($_) ? ($_ => (stat _)[2] & 07777) : () } qw(log pg_hba.conf
        postgresql.conf postgresql.auto.conf);
    mkdir $target->path($_) for qw(own log);
    append($target->path($_), '') for qw(own/a server.log old.conf);
    my $with = sub {
        my ($name, $mode, $status, $named, @options) = @_;
        chmod $mode->{$_}, $target->path($_) or die "$_: $!" for keys %$mode;
        my $said = checks($name, $target, $status, @from, @options);
        is(in_state($said, 'problem'), $status ? 'files' : '', "$name: the problem is in the files, if there is one");
        my @told = $said->{finding}{files}{state} eq 'problem' ? $said->{finding}{files}{text} =~ /"([^"]+)"/g : ();
        is("@told", $named, "$name: what is named");
        my $alone = checks("$name, without a source", $target, $status, @options);
        is($alone->{finding}{files}{text}, $said->{finding}{files}{text}, "$name: a source makes no difference")
            if !grep { $_ eq '-R' } @options;
        is(run([ rewind_argv($target->data, '--dry-run', @from, @options) ])->{status}, $status,
            "$name: a dry run agrees");
        chmod 0700, $target->path($_) or die "$_: $!" for keys %$mode;
    };
    $with->('files that a rewind leaves alone', { log => 0000, 'server.log' => 0000 }, 0, '');
    $with->("a file that a rewind replaces unread: $_", { $_ => 0000 }, 0, '')
        for qw(old.conf pg_hba.conf postgresql.conf postgresql.auto.conf);
    $with->('a directory of others', { own => 0500 }, 1, 'own');
    $with->('a directory that is kept', { own => $_ }, 0, '', '--keep=own') for 0500, 0000;
    $with->('a directory whose files are kept', { own => 0000 }, 1, 'own', '--keep=own/*');
    $with->("a file that $_ keeps", { 'pg_hba.conf' => 0000 }, 0, '', $_) for '--keep=pg_hba.conf', '--keep-config';
    # -R writes into the file that is kept.
    chmod 0000, $target->path('postgresql.auto.conf') or die;
    my @options = ('--keep=postgresql.auto.conf', '-R');
    like(checks('a file that -R reads', $target, 1, @from, @options)->{finding}{files}{text},
        qr/"postgresql\.auto\.conf": Permission denied/, 'it is named') if $target->version >= 12;
    must_run([ 'rm', '-r', map { $target->path($_) } qw(own server.log old.conf), $former{log} ? () : 'log' ]);
    chmod $former{$_}, $target->path($_) for keys %former;
    return;
}

# The server was started with a configuration that a rewind does not know of: what -c would find there a rewind has not.
sub checks_configuration_elsewhere
{
    my ($source, $target, $settings) = @_;
    my ($path, $started) = ($target->dir . '/else where.conf', $target->path('postmaster.opts'));
    my $saved = slurp($started);
    spew($path, slurp($target->path('postgresql.conf')) . $settings);
    spew($started, qq{postgres "-c" "config_file=$path"\n});
    my @options = (source_of($source, 'postgres'), '-c', '-B', $target->bindir);
    my $said = checks('configuration elsewhere', $target, 1, @options);
    is("$said->{verdict}{state} $said->{finding}{configuration}{state}", 'not possible warning',
        'what a rewind does not find, it does not use');
    is($said->{finding}{configuration}{remedy}, "--config-file='$path'",
        'a shell takes what is to be typed as one word');
    is(checks('named', $target, 0, @options, "--config-file=$path")->{verdict}{state}, 'needed', 'unless it is named');
    spew($started, $saved);
    return;
}

# The WAL before the divergence is gone on both sides, and in an archive.
sub checks_short_wal
{
    my ($source, $target) = @_;
    # its restore_command is asked for what the source lacks
    my @from = (source_of($source, 'postgres'), '-B', $target->bindir);
    my $archive = $target->dir . '/archive';
    mkdir $archive or die;
    # The oldest that is needed, as the check of the whole one tells it.
    my $whole = checks('all WAL', $target, 0, @from);
    my ($needed) = $whole->{finding}{wal_reach}{text} =~ m{before (\S+),};
    my ($high, $low) = map { hex } split m{/}, $needed;
    my $name = sprintf('00000001%08X%08X', $high, $low >> 20);
    my $segment = slurp($target->path("pg_wal/$name"));
    must_run([ 'mv', $target->path("pg_wal/$name"), $archive ]);
    # A rewind starts at a checkpoint after what the source lacks.
    $source->sql('SELECT pg_switch_wal()');
    $source->sql('CHECKPOINT');
    unlink map { $source->path("pg_wal/0000000$_" . substr($name, 8)) } 1, 2;

    my $short = checks('WAL too short', $target, 1, @from);
    is("$short->{verdict}{state} " . in_state($short, 'problem'), 'not possible wal_reach', 'a rewind is not possible');
    is_on_the_page($short) if $target->version == 18;
    is_folded('WAL that is too short', $short, $target, @from);
    my $compare = checks('the same with --compare', $target, 0, @from, '--compare');
    is($compare->{verdict}{state}, 'needed', 'comparing needs no WAL');

    checks_configuration_elsewhere($source, $target, "restore_command = 'cp $archive/%f %p 2>/dev/null'\n")
        if $target->version == 15;
    append($target->path('postgresql.conf'), "restore_command = 'cp $archive/%f %p 2>/dev/null'\n");
    for my $option ([ "--wal-archive=$archive" ], [ "--restore-command=cp $archive/%f %p 2>/dev/null" ],
        $target->version > 11 ? ['-c'] : ())
    {
        my $archived = checks("@$option", $target, 0, @from, @$option);
        is($archived->{verdict}{state}, 'needed', 'the archive has it');
        like($archived->{finding}{wal_reach}{text}, qr/pg_(?:wal|xlog) lacks segment $name/, 'and that is told');
        is($archived->{finding}{archive}{state}, 'ok', 'of the archive as well');
        is(run([ rewind_argv($target->data, '--dry-run', @from, @$option) ])->{status}, 0, 'a rewind finds the same');
    }
    spew($target->path("pg_wal/$name"), "\0" x length $segment);
    is(checks('not the segment', $target, 0, @from, "--wal-archive=$archive")->{verdict}{state}, 'needed',
        'a file that is not the segment hides none');
    unlink $target->path("pg_wal/$name") or die;
    must_run([ 'gzip', "$archive/$name" ]);
    is(checks('compressed', $target, 0, @from, "--wal-archive=$archive")->{verdict}{state}, 'needed',
        'also compressed');
    must_run([ 'truncate', '-s', '1000', "$archive/$name.gz" ]);
    is(checks('damaged', $target, 1, @from, "--wal-archive=$archive")->{verdict}{state}, 'not possible',
        'what is damaged is not');
    spew("$archive/$name", 'x' x 1000);
    is(checks("too short: $_", $target, 1, @from, $_)->{verdict}{state}, 'not possible', 'nor what is too short')
        for "--wal-archive=$archive", "--restore-command=cp $archive/%f %p 2>/dev/null";
    must_run([ 'truncate', '-s', '1M', "$archive/$name" ]);
    is(checks('something else', $target, 1, @from, "--wal-archive=$archive")->{verdict}{state}, 'not possible',
        'nor something else');
    must_run([ 'mv', (grep { /[0-9A-F]{24}$/ } glob($target->path('pg_wal/*'))), $archive ]);
    is(checks('no WAL', $target, 1, @from)->{verdict}{state}, 'not possible', 'none of it is there');
    is(checks('all in the archive but the last checkpoint', $target, 1, @from,
        "--restore-command=cp $archive/%f %p 2>/dev/null")->{verdict}{state},
        'not possible', 'the archive lacks one segment');
    spew("$archive/$name", $segment);
    is(checks('all in the archive', $target, 0, @from,
        "--restore-command=cp $archive/%f %p 2>/dev/null")->{verdict}{state}, 'needed',
        'the archive has all that is needed');
    return;
}

# The server was told where its configuration is, when it started.
sub checks_debian
{
    my $cluster = RewindTest::DebianCluster->new('check')->start;
    my $said = checks('configuration outside', $cluster, 0)->{finding}{configuration};
    like("$said->{state} $said->{text}", qr{^ok Outside the data directory.*/etc/15/\S+/postgresql\.conf"},
        'it is found');
    return;
}

sub checks_without_hints
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version, cluster => { checksums => 0, settings => 'wal_log_hints = off' },
        before => sub { $_[0]->sql($common) }, target => sub { $_[0]->sql("UPDATE t SET v = 'target'") });
    my $standby = $source->standby('standby')->stop;
    my $off = checks('hints off', $target, 1, source_of($source, 'postgres'));
    is("$off->{verdict}{state} " . in_state($off, 'problem'), 'not possible hints_logged', 'a rewind is not possible');
    like(run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ])->{stdout},
        qr/^A rewind is not possible with these options\.$/m, 'with others it may be');
    like($off->{finding}{hints_logged}{remedy}, qr/^Add --compare\. For the next time set wal_log_hints = on,/,
        'what to do for the next time');
    is_folded('hints off', $off, $target, source_of($source, 'postgres'));
    is(checks('hints off, --compare', $target, 0, source_of($source, 'postgres'), '--compare')->{verdict}{state},
        'needed', 'with --compare it is');
    $target->start(settings => { wal_level => 'minimal', max_wal_senders => 0, full_page_writes => 'off',
        wal_log_hints => 'on' })->stop;
    my $minimal = checks('minimal WAL', $target, 1);
    is(in_state($minimal, 'problem') . ', ' . in_state($minimal, 'warning'), 'wal_level, ',
        'settings are found where they are off');
    like($minimal->{finding}{hints_logged}{text}, qr{^wal_log_hints is on, at least since [0-9A-F]+/[0-9A-F]+\.$},
        'and since when hints are logged');
    # Exit status 1: the next time it could not be rewound.
    is(checks('hints off, not diverged', $standby, 1, source_of($source, 'postgres'))->{verdict}{state}, 'not needed',
        'nothing is needed now');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $role = $version < 11 ? 'postgres' : 'rewinder';
    $page = slurp("$tools/docs/check.md");
    my $target = make_cluster('target', $version)->start;
    $target->sql($common . ($version < 11 ? ''
        : join '', map { "GRANT EXECUTE ON FUNCTION $_ TO rewinder;" } @functions));
    my $source = $target->standby('source');
    checks_running($target, $source, $role);

    $source->stop;
    my $unneeded = checks('not diverged', $source, 0, source_of($target, $role));
    is($unneeded->{verdict}{state}, 'not needed', 'a standby needs no rewind');
    $source->start->promote->sql("CHECKPOINT; UPDATE t SET v = 'source'");
    $target->sql("SELECT pg_create_physical_replication_slot('gone')") if $version >= 9.4;
    $target->sql("UPDATE t SET v = 'target'; SELECT pg_switch_wal();");
    $target->sql("BEGIN; INSERT INTO t VALUES (0, 'target'); PREPARE TRANSACTION 'p'");
    $target->sql('CHECKPOINT');
    $target->stop;
    checks_stopped($source, $target, $role);

    symlink('/nonexistent', $target->path('pg_tblspc/99999')) or die;
    like(checks('a tablespace that is gone', $target, 1)->{finding}{tablespaces}{text}, qr{pg_tblspc/99999},
        'it is named');
    unlink $target->path('pg_tblspc/99999');
    chmod 0500, $target->path('base');
    my $closed = checks('a directory that cannot be written to', $target, 1);
    like($closed->{finding}{files}{text}, qr/"base": Permission denied/, 'it is named');
    chmod 0700, $target->path('base');

    checks_what_stays($source, $target);

    checks_equal_timelines($source) if $version == 18;
    if ($version > 10)
    {
        checks_short_wal($source, $target);
        RewindTest::Cluster::discard_all();
        checks_without_hints($version);
        checks_debian() if $version == 15;
    }
    my $nowhere = run([ rewind_argv(work_dir() . '/nowhere', '--check', '--report=json') ]);
    my $said = JSON::PP->new->utf8->decode($nowhere->{stdout});
    is("$nowhere->{status} $said->{findings}[0]{name} $said->{findings}[0]{state}", '1 target problem', 'no directory');
    my $valid = run([ 'python3', "$tools/report_is_valid.py", "$tools/check.schema.json", splice @documents ]);
    is("$valid->{status} $valid->{stdout}$valid->{stderr}", '0 ', 'all is as docs/check.schema.json says');
}, only => [ 10, 15, 18 ]);
