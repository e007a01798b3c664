# Test pg_rewind on real servers: every server version, both kinds of source.
#
#   use RewindTest;
#
#   each_version(sub {
#       my ($version) = @_;
#       my ($source, $target) = split_brain($version,
#           before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
#           source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
#           target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
#       rewinds_from_both_kinds($source, $target);
#   });
#
# Environment:
#   PG_VERSIONS              server versions
#   PG_REWIND                the program to test
#   PG_REWIND_FAULTS         the library that interrupts it: see tests/faults/faults.c
#   PG_REWIND_SAME_PAGES     compares the pages of two clusters: tests/same_pages.c
#   PG_REWIND_SERVERS        where tests/setup.sh put the servers
#   PG_BINDIR_15, PG_BINDIR_9_6   server programs for a version
#   PG_REWIND_PRIVILEGED     where root serves: see RewindTest::Privileged
#   PG_REWIND_TEST_...       the table in CONTRIBUTING.md

package RewindTest;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test2::API ();
use Test::More import => ['!subtest'];

use RewindTest::Cluster;
use RewindTest::Command;
use RewindTest::Comparison;
use RewindTest::Pages;
require RewindTest::Beside if defined $ENV{PG_REWIND_TEST_ORIGINALS};

our @EXPORT = (
    qw(each_version make_cluster split_brain both_promoted rewinding_role rewind rewinds rewinds_from_both_kinds
        rejoins),
    @RewindTest::Command::EXPORT,
    @RewindTest::Comparison::EXPORT,
    @RewindTest::Pages::EXPORT,
    @Test::More::EXPORT,
);

my ($foretelling, $judging) = (0, 0);    # a dry run, and --check, go before each rewind

# The terminal shows what tests find. Test::More has opened it for itself; programs that a test starts write to a file.
Test::More->builder->failure_output;
if (defined log_directory() && !$ENV{PG_REWIND_TEST_TRACE})
{
    open(STDERR, '>>', log_directory() . '/stderr') or die "could not redirect: $!";
}

my $version_at_hand;

# Before anything else of a failure: which fact failed, and how its file is run alone. Once for each version, at its
# first failure.
my %told;

sub tell_of_failure
{
    my (undef, $event) = @_;
    return if !$event->isa('Test2::Event::Ok') || $event->effective_pass || $told{ $version_at_hand // '' }++;
    my $file = $0 =~ s{.*/(?=t/)}{}r;
    my $on = defined $version_at_hand ? " on $version_at_hand" : '';
    my $versions = defined $version_at_hand ? "PG_VERSIONS=$version_at_hand " : '';
    print { Test::More->builder->failure_output } "# FAILED $file$on: " . ($event->name // 'a fact without a name')
        . "\n",
        "# REPEAT $versions" . "tests/end_to_end.sh $file\n";
    return;
}
Test2::API::test2_stack()->top->listen(\&tell_of_failure, inherit => 1);

plan(skip_all => 'no time was left for it') if time > ($ENV{PG_REWIND_TEST_UNTIL} // 'inf');

# As that of Test::More, which keeps all results until the outermost subtest ends: hundreds of megabytes in a long test.
# Each program that a test runs begins as a fork of it.
sub subtest
{
    my ($name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $passed = Test::More::subtest($name, $code);
    my $kept = Test2::API::test2_stack()->top->meta('Test::Builder') // {};
    @{ $kept->{$_} } = () for grep { $kept->{$_} } qw(subevents Test_Results);
    return $passed;
}

# Run a subtest for each server version, and end the test file.
# Options: from => first, to => last version; only => [ versions ] where a fact does not depend on the version; sample
# => 1 where it does not depend on what records look like, but on how servers start and recover; left => 1 where `make
# check` leaves the file to `make check-all`: it takes long, and has found no fault since it was written. Versions
# before 10, whose servers somebody has given, take part where 10 does.
my @sample = (10, 12, 15, 18, 19);    # the first; signal files; recovery in a file of its own; the newest two

# The oldest release, Debian's own and the newest one. `make check` takes the first and the last of them where a fact
# may depend on what records look like, and the last of a sample. Where a fact does not depend on the version it takes
# one: the second, or the newest release that the file names if that is not among them. So all three of them rewind in
# many tests.
my @checked = (10, 15, 18);

sub versions_to_check
{
    my ($option, @versions) = @_;
    my @released = grep { $_ >= $checked[0] && $_ <= $checked[-1] } @versions;
    my @wanted = $option->{left} ? () : $option->{only} ? $checked[1] : $option->{sample} ? $checked[-1]
        : @checked[ 0, -1 ];
    my @found = grep { my $version = $_; grep { $_ == $version } @wanted } @released;
    return @found ? @found : @wanted && @released ? $released[-1] : ();
}

# The version whose rewinds are foretold, and those of the versions that this run takes. `make check-all` foretells, if
# it has versions of the file. A line for each version that is left tells tests/end_to_end.sh of it.
sub versions_of_this_part
{
    my ($option, @versions) = @_;
    my $part = $ENV{PG_REWIND_TEST_PART} // return ($versions[-1], @versions);
    my %checked = map { $_ => 1 } versions_to_check($option, @versions);
    my @checked_versions = grep { $checked{$_} } @versions;
    my @rest = grep { !$checked{$_} } @versions;
    return ($rest[-1], @rest) if $part eq 'rest';
    append(log_directory() . '/../left', join '', map { "$_\n" } @rest);
    return (grep({ $_ <= $checked[-1] } @rest) ? 0 : $checked_versions[-1], @checked_versions);
}

# Whether PG_REWIND_TEST_DRY, PG_REWIND_TEST_CHECK or PG_REWIND_TEST_CATALOGS wants something of this version: 'all'
# takes each, 'last' the last one.
sub asked_for
{
    my ($name, $is_last) = @_;
    my $which = $ENV{"PG_REWIND_TEST_$name"} // 'last';
    return $which eq 'all' || ($which eq 'last' && $is_last);
}

sub each_version
{
    my ($test, %option) = @_;
    my @asked = split ' ', $ENV{PG_VERSIONS} // die "PG_VERSIONS names no version\n";
    my $only = $option{only} // ($option{sample} && ($ENV{PG_REWIND_TEST_SAMPLE} // '') ne 'all' ? \@sample : undef);
    my %only = map { $_ => 1 } $only && !$ENV{PG_REWIND_TEST_ANY} ? @$only : @asked;
    @only{ grep { $_ < 10 } @asked } = () if $only{10};
    my @versions = grep { exists $only{$_} && $_ >= ($option{from} // 0) && $_ <= ($option{to} // 99) } @asked;
    my $none = @versions ? undef : "not for the versions @asked";
    (my $last, @versions) = versions_of_this_part(\%option, @versions);
    $none //= @versions ? undef : "another part of the tests takes all of its versions";
    plan(skip_all => $none) if $none && !Test::More->builder->current_test;
    SKIP: { skip($none, 1) if $none }    # where other tests went before
    for my $version (@versions)
    {
        ($foretelling, $judging) = map { asked_for($_, $version == $last) } qw(DRY CHECK);
        $RewindTest::Comparison::all_catalogs = asked_for('CATALOGS', $version == $versions[-1]);
        $version_at_hand = $version;
        subtest("version $version", sub {
            my $alive = eval { $test->($version); 1 };
            fail("the test came to its end: $@") if !$alive;
            RewindTest::Cluster::discard_all();
        });
    }
    done_testing();
    return;
}

# Options as in RewindTest::Cluster.
sub make_cluster
{
    my ($name, $version, %option) = @_;
    return RewindTest::Cluster->new($name, $version, %option);
}

# A primary and its standby; the standby is promoted while the primary lives on: two histories.
# Returns the promoted standby, running: the source, and the old primary, stopped: the target.
#
#   cluster => { }       options of the cluster
#   before => sub        on the primary, before it has a standby
#   together => sub      on both, while they replicate; then the standby catches up
#   source, target       subs, on each side, after they parted
#   no_checkpoint => 1   leave the source as it is just after its promotion; the original up to 15 needs the checkpoint
#   stop => 'fast'       how the target is stopped: see RewindTest::Cluster::stop
sub split_brain
{
    my ($version, %option) = @_;
    my $target = make_cluster('target', $version, %{ $option{cluster} // {} })->start;
    $option{before}->($target) if $option{before};
    my $source = $target->standby('source');
    $option{together}->($target, $source) if $option{together};
    $source->wait_for_replay_of($target);

    $source->promote;
    $source->sql('CHECKPOINT') if !$option{no_checkpoint};
    $option{source}->($source) if $option{source};
    $option{target}->($target) if $option{target};
    $target->stop($option{stop} // 'fast');
    return ($source, $target);
}

# Two standbys of a primary: the first is promoted, and its first checkpoint does not begin; the second follows it, and
# is promoted too. Returns the second, the source, and the first, the target; both run.
sub both_promoted
{
    my ($primary) = @_;
    my ($target, $source) = map { $primary->standby($_) } qw(target source);
    $primary->sql('CHECKPOINT');
    $_->wait_for_replay_of($primary) for $target, $source;
    $_->sql('CHECKPOINT') for $target, $source;
    stop_in_system_call($target->checkpointer_pid);
    $target->promote;
    $source->stop;
    $source->follow($target)->start;
    $target->sql('CREATE TABLE common AS SELECT 1 AS x');
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('CHECKPOINT');
    return ($source, $target);
}

# Run pg_rewind; returns { status, signal, stdout, stderr }. A dry run with the same options goes before it, and must
# end with the same exit status and leave the target as it was. So does --check, whose verdict must be what the rewind
# then does.
#
#   not_foretold => why a dry run cannot know, or would disturb the test
#   kind => 'server' (default) or 'directory'
#   user => role to connect to the source as
#   options => [ more options ]
#   program => another pg_rewind
#   env => { NAME => value }
#   fault => what is to happen to it: see tests/faults/faults.c; '' for nothing but what env asks for
#   until => qr/what it says/ on stderr, at which it is killed
sub rewind
{
    my ($target, $source, %option) = @_;
    my $kind = $option{kind} // 'server';
    my $conninfo = $source->conninfo;
    $conninfo =~ s/user=\S+/user=$option{user}/ if defined $option{user};
    my @source = $kind eq 'server' ? ('--source-server', $conninfo) : ('--source-pgdata', $source->data);
    my %env = (%{ $option{env} // {} }, defined $option{fault}
        ? (LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => $option{fault}) : ());
    my @arguments = (@source, defined $option{fault} || $env{LD_PRELOAD} ? ONCE : (), @{ $option{options} // [] });
    # (A proxy counts what passes.)
    my $disturbs = defined $option{program} || defined $option{fault} || $env{LD_PRELOAD} || $option{not_foretold}
        || !$source->isa('RewindTest::Cluster')
        || $ENV{PG_REWIND} =~ m{^/usr/lib/postgresql/} || grep { /^(?:-n|--dry-run|--report-file)/ } @arguments;
    my $verdict = $disturbs || !$judging ? undef : verdict($target, \@arguments, \%env);
    my $foretold = $disturbs || !$foretelling ? undef : run([ rewind_argv($target->data, @arguments, '--dry-run') ],
        env => \%env);
    my $result = run([ defined $option{program} ? ($option{program}, '-D', $target->data, @arguments)
        : rewind_argv($target->data, @arguments) ], env => \%env, until => $option{until});
    # What a source does between the two nobody foretells; the program says so.
    my $changed = $result->{stderr}
        =~ /^pg_rewind: the source has copied a database, created a tablespace, dropped a replication origin or logged changes without page images in the meantime/m;
    is($foretold->{status}, $result->{signal} || $result->{status}, 'the dry run ends as the rewind does')
        or diag("dry run:\n$foretold->{stderr}rewind:\n$result->{stderr}")
        if defined $foretold && !$changed;
    agrees($verdict, $result) if defined $verdict && !$result->{signal} && !$changed
        && $result->{stderr} !~ /^pg_rewind: finishing an interrupted rewind/m;
    return $result;
}

# What --check says of a rewind; nothing if it has no verdict: the target runs, or a rewind of it was interrupted. It
# refuses --checkpoint, which changes what there is.
sub verdict
{
    my ($target, $arguments, $env) = @_;
    return if grep { /^--checkpoint$/ } @$arguments;
    my @options = grep { !/^--(?:create-slot|drop-slots|save-|report)/ } @$arguments;
    my $result = run([ rewind_argv($target->data, @options, qw(--check --report=json)) ], env => $env);
    my $said = eval { JSON::PP->new->utf8->decode($result->{stdout}) };
    ok(!$result->{signal} && defined $said, '--check says something') or diag($result->{stderr}, $result->{stdout});
    return if !defined $said || !$said->{verdict};
    my @problems = map { "$_->{name}: $_->{text}" } grep { $_->{state} eq 'problem' } @{ $said->{findings} };
    return { %{ $said->{verdict} }, problems => \@problems, saves => scalar grep { /^--save-/ } @$arguments };
}

# Why a rewind may fail that a look at the pair calls needed: what only the plan, the WAL of either side after the
# divergence, or the rewind itself comes to; and another rewind, which may end meanwhile.
my @unseen = (
    qr/^directory ".*" of the tablespace ".*" belongs to another cluster$/,
    qr/^replay of CREATE TABLESPACE would (?:use|fail|give)/,
    qr/^tablespaces ".*" and ".*" of the source would have one place: /,
    qr/^tablespace ".*" of the source is missing: nothing is in /, qr/ is of different type in source and target$/,
    qr/ in the source is a symbolic link$/, qr/^".*" and ".*" of the (?:source|target) lead to one directory$/,
    qr/^cannot replace ".*": it is a directory$/, qr/^replay would copy database /,
    qr/^not enough space on the file system of /,
    qr/^could not read WAL record at /, qr/another pg_rewind/,
    # Settings that were switched in between, as WAL tells that a look does not read.
    qr/^target server needs to use either data checksums or "wal_log_hints = on"$/,
        qr/^target server (?:ran|may have run) with "wal_level = minimal"$/,
    qr/^target server was promoted with "wal_level = archive"$/,
    qr/^source server ran with "wal_level = minimal"$/, qr/^"full_page_writes" must be enabled in the source server$/,
    qr/^the source's history begins at timeline \d+$/,
);

sub agrees
{
    my ($verdict, $result) = @_;
    my $state = $verdict->{state};
    my @errors = $result->{stderr} =~ /^pg_rewind: error: (.*)/mg;
    my $did = $result->{status} == 0 ? $result->{stderr} =~ /^pg_rewind: no rewind required$/m ? 'not needed' : 'needed'
        : grep({ my $error = $_; grep { $error =~ $_ } @unseen } @errors) ? 'failed, which no look could see'
            : 'not possible';
    my %fits = ('needed' => qr/^(?:needed|unknown)$/, 'not needed' => qr/^(?:not needed|unknown)$/,
        'not possible' => qr/^(?:not possible|unknown)$/);
    return pass('--check says that it cannot try such a restore command') if $did eq 'needed'
        && grep { /cannot be tried so/ } @{ $verdict->{problems} };
    return pass('--check has found the problem by which the rewind fails') if $did eq 'not possible'
        && @{ $verdict->{problems} };
    return pass('--check saves nothing') if $did eq 'not possible' && $verdict->{saves};
    like($state, $fits{$did} // qr/./, "--check agrees with the rewind: $did")
        or diag(join "\n", "--check: $state: $verdict->{text}", map({ $_->{message} } @{ $verdict->{errors} }),
            @{ $verdict->{problems} }, 'rewind:', $result->{stderr});
    return;
}

# Test that it succeeds and keeps stdout empty; returns the result.
sub rewinds
{
    my ($target, $source, %option) = @_;
    my $result = rewind($target, $source, %option);
    my $kind = $option{kind} // 'server';
    # One that is killed, since it takes too long, has status 0 as well.
    is($result->{signal} || $result->{status}, 0, "pg_rewind succeeds with a $kind as source")
        or diag($result->{stderr});
    is($result->{stdout}, '', 'pg_rewind prints nothing on stdout') if $ENV{PG_REWIND} !~ m{^/usr/lib/postgresql/};
    return $result;
}

# Test that a rewound target starts as a standby of a running source, receives what is written there, is equal in
# every table, and that amcheck, its log and the checksums of its pages show nothing; at last promote it: prepared
# transactions are there, unlogged tables empty.
#
#   writer => cluster       who can write, if the source is a standby itself
#   recovery_written => 1   the recovery configuration is there already: -R
#   pages => 1              compare all pages first, after a checkpoint of the writer
#   source_is_stopped => 1  it is started here. Pages are compared before, without another checkpoint of the source
#   check => sub            more tests, given target and source while they replicate
#   no_promotion => 1       leave the target running as a standby
#   quick => 1              leave out what hardly ever differs
my $letters_sent = 0;

sub rejoins
{
    my ($target, $source, %option) = @_;
    my $writer = $option{writer} // $source;

    $target->follow($source) if !$option{recovery_written};
    my $start = $target->try_start;
    is($start->{status}, 0, 'the rewound target starts') or do { diag($target->log); return };
    pages_are_those_of($target, $writer) if $option{pages} || $option{source_is_stopped};
    $source->start if $option{source_is_stopped};

    my $letter = "$target->{name} " . ++$letters_sent;
    $writer->sql("CREATE TABLE IF NOT EXISTS written_after_rewind (letter text);
        INSERT INTO written_after_rewind VALUES ('$letter')");
    $source->wait_for_replay_of($writer) if $writer != $source;
    $target->wait_for_replay_of($source);
    my $arrived = $target->try_sql("SELECT count(*) FROM written_after_rewind WHERE letter = '$letter'");
    is($arrived->{stdout} . $arrived->{stderr}, "1\n", 'the rewound target receives what is written on the source')
        or do { diag($target->log); return };
    is_copy_of($target, $source, quick => $option{quick});
    $option{check}->($target, $source) if $option{check};
    log_is_clean($target);
    pages_are_sound($target);
    return if $option{no_promotion};

    my $prepared = prepared_transactions($writer);
    # Servers 10 to 12 rename the last segment before they read prepared transactions from it, if they archive. Any
    # standby dies so.
    restartpoint_of($target, $source, $writer)
        if $target->version < 13 && $prepared ne '' && $target->query('SHOW archive_mode') ne 'off';
    $target->promote;
    is(prepared_transactions($target), $prepared, 'prepared transactions are those of the source');
    unlogged_tables_are_empty($target);
    $target->sql("INSERT INTO written_after_rewind VALUES ('promoted')");
    log_is_clean($target);
    return;
}

# What is on the writer's disk now is on the standby's as well.
sub restartpoint_of
{
    my ($standby, $source, $writer) = @_;
    $writer->sql('CHECKPOINT');
    $source->wait_for_replay_of($writer) if $writer != $source;
    $standby->wait_for_replay_of($source);
    $standby->sql('CHECKPOINT');
    return;
}

# The statements that make a role with the rights that a rewind needs, and no others.
sub rewinding_role
{
    my ($role) = @_;
    return "CREATE ROLE $role LOGIN;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO $role;
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO $role;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO $role;
";
}

sub unlogged_tables_are_empty
{
    my ($cluster) = @_;
    my ($errors, $rows) = RewindTest::Comparison::run_in_databases($cluster, [ $cluster->databases ], <<'END');
SELECT format('SELECT %L, count(*) FROM %s HAVING count(*) > 0', oid::regclass, oid::regclass)
FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u' \gexec
END
    is($errors . join("\n", map { "$_: @{ $rows->{$_} }" } grep { @{ $rows->{$_} } } sort keys %$rows), '',
        'unlogged tables are empty after promotion');
    return;
}

# Rewind a copy of the target from the source as a server, and another from its directory, and test both.
# Options as those of rewinds and rejoins, and:
#
#   prepare => sub     given the copy of the target, before it is rewound
#   rewound => sub     more tests, given the rewound target before it starts, the source, and the result of pg_rewind
sub rewinds_from_both_kinds
{
    my ($source, $target, %option) = @_;
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            my $rewound = $target->copy("from_$kind");
            $option{prepare}->($rewound) if $option{prepare};
            $source->stop if $kind eq 'directory';
            my $result = rewinds($rewound, $source, kind => $kind,
                options => [ '--no-sync', @{ $option{options} // [] } ]);
            $option{rewound}->($rewound, $source, $result) if $option{rewound} && $result->{status} == 0;
            my $is_stopped = $kind eq 'directory' && $result->{status} == 0 && !$option{writer};
            $source->start if $kind eq 'directory' && !$is_stopped;
            rejoins($rewound, $source, pages => $kind eq 'server', %option, source_is_stopped => $is_stopped)
                if $result->{status} == 0;
            $rewound->discard;
        });
    }
    return;
}

1;
