# The command line is the original's: options, conflicts, order of checks, exact texts, what goes where.
#
# No server is needed. Not to be run as root, who is refused (and that is tested here as well).

use strict;
use warnings;
use lib 't/lib';
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use RewindTest::Command;
use Test::More;

my $program = $ENV{PG_REWIND} // 'build/pg_rewind';
my $nowhere = work_dir() . '/nowhere';
my @source = ("--source-pgdata=$nowhere.source");
my @complete = ('-D', $nowhere, @source);

# What is said of a command line that is right, up to the target that is not there.
my $accepted =
    qr{^pg_rewind: error: could not read permissions of directory "\Q$nowhere\E": No such file or directory\n};
my $try = qq(pg_rewind: hint: Try "pg_rewind --help" for more information.\n);

# The options of the manual page: letter and name, whether there is an argument, and what the page's comment asks
# (tests/options).
my @options;
{
    open(my $page, '<', dirname($ENV{PG_REWIND} // 'build') . '/docs/pg_rewind.1') or die "could not open the manual page: $!";
    my ($text) = do { local $/ = undef; <$page> } =~ /^(\.SH OPTIONS\n.*?)^\.SH/ms;
    while ($text =~ /^\.T[PQ]\n(\.B[IR]? .*)\n(?:\.\\" (.*)\n)?/mg)
    {
        my ($head, $about) = ($1, $2 // '');
        $head =~ s/\\-/-/g;
        my ($letter, $name, $takes) = $head =~ /(?<![-\w])(?:-(.)\b?\W+)?--([a-z-]+)[" ]*(\[?=)?/ or next;
        push @options, { letter => $letter, name => $name, about => $about,
            takes => !defined $takes ? 'nothing' : $takes eq '=' ? 'argument' : 'any' };
    }
}

sub pg_rewind
{
    my (@arguments) = @_;
    return run([ $program, @arguments ]);
}

# Exit status 1, nothing on stdout, exactly this on stderr.
sub refused
{
    my ($name, $expected, @arguments) = @_;
    my $result = pg_rewind(@arguments);
    is("$result->{status} $result->{signal} $result->{stdout}", '1 0 ', "$name: exit status 1, empty stdout");
    is($result->{stderr}, $expected, "$name: said on stderr");
    return;
}

sub accepts
{
    my ($name, @arguments) = @_;
    my $result = pg_rewind(@arguments);
    is("$result->{status} $result->{signal} $result->{stdout}", '1 0 ', "$name: fails for want of a target");
    like($result->{stderr}, $accepted, "$name: accepted");
    return;
}

subtest 'help' => sub {
    for my $option ('--help', '-?', '--hel')
    {
        my $result = pg_rewind($option);
        is("$result->{status} $result->{stderr}", '0 ', "$option: exit status 0, empty stderr");
        like($result->{stdout},
            qr{^pg_rewind resynchronizes a PostgreSQL cluster with another copy of the cluster\.\n\nUsage:\n  pg_rewind \[OPTION\]\.\.\.\n\nOptions:\n},
            "$option: begins as the original's");
        is(scalar(grep { length > 95 } split /\n/, $result->{stdout}), 0,
            "$option: no line is longer than 95 columns");
    }
    my $help = pg_rewind('--help')->{stdout};
    like($help, qr{^  -P, --progress\[=FORMAT\] +write progress messages }m, 'an argument that may be left out');
    my @names = $help =~ /^ {2}(?:-(?:.), | {4})--([a-z-]+)/mg;
    is("@names", join(' ', map { $_->{name} } @options),
        'help names every option of the manual page, in its order');
    my @headings = $help =~ /\n\n(\S.*):\n(?= {2}[ -])/g;
    is(join(' ', map { lc } $headings[0], $headings[-1]) . ' ' . @headings, 'options other options 8',
        'under headings');
    is(scalar(grep { /^ {2}(?:-|    --)/ && !/^.{31}  \S/ && !/^  -T, --tablespace-mapping=OLD=NEW$/
        && !/^      --(?:report-transactions=WHICH|max-lost-transactions=NUMBER)$/ } split /\n/, $help), 0,
        'texts begin in column 34, below the three options that are longer');
    is(pg_rewind('-n', '--help')->{stdout}, $help, '--help behind other options');
    is(pg_rewind('--help', '--nope')->{stdout}, $help, 'what follows --help is not looked at');
};

subtest 'version' => sub {
    for my $option ('--version', '-V')
    {
        my $result = pg_rewind($option);
        is("$result->{status} $result->{stderr}", '0 ', "$option: exit status 0, empty stderr");
        like($result->{stdout},
            qr{^pg_rewind \(PostgreSQL\) \d+\.\d+ \(standalone \d+\.\d+\.\d+(?:~git\d{14}\.[0-9a-f]{8,})?\)\n\z},
            "$option: one line, as callers parse it");
    }
};

subtest 'what is missing or does not go together, in the order of checks' => sub {
    refused('no source', "pg_rewind: error: no source specified (--source-pgdata or --source-server)\n$try");
    refused('no source and no target',
        "pg_rewind: error: no source specified (--source-pgdata or --source-server)\n$try", '-n', 'extra');
    refused('two sources',
        "pg_rewind: error: only one of --source-pgdata or --source-server can be specified\n$try", @source,
        '--source-server=x');
    refused('no target',
        "pg_rewind: error: no target data directory specified (--target-pgdata)\n$try", @source, '-R',
        'extra');
    refused('-R without a server',
        "pg_rewind: error: no source server information (--source-server) specified for --write-recovery-conf\n$try",
        @complete, '-R', 'extra');
    refused('a check of nothing', "pg_rewind: error: no target data directory specified (--target-pgdata)\n$try",
        '--check');
    refused('extra argument',
        qq(pg_rewind: error: too many command-line arguments (first is "extra")\n$try), @complete, 'extra',
        'more');
    refused('argument behind --',
        qq(pg_rewind: error: too many command-line arguments (first is "-n")\n$try), @complete, '--', '-n');
};

subtest 'what getopt refuses: it prints the program as it was called' => sub {
    refused('unknown option', "$program: unrecognized option '--nope'\n$try", '--nope');
    refused('unknown letter', "$program: invalid option -- 'x'\n$try", '-x');
    refused('letter without its argument', "$program: option requires an argument -- 'D'\n$try", '-D');
    refused('option without its argument',
        "$program: option '--source-server' requires an argument\n$try", '--source-server');
    refused('argument too many',
        "$program: option '--dry-run' doesn't allow an argument\n$try", '--dry-run=yes');
    refused('-? not in the first place', "$program: invalid option -- '?'\n$try", '-n', '-?');
    refused("slot: '$_'", qq(pg_rewind: error: invalid value "$_" for option --slot\n)
        . "pg_rewind: hint: Replication slot names have 1 to 63 lower case letters, digits and underscores.\n", '-R',
            "--slot=$_")
        for '', 'a-b', 'A', 'a' x 64;
    like(pg_rewind("--$_")->{stderr}, qr{^\Q$program\E: option '--$_' is ambiguous}, "ambiguous prefix: $_")
        for qw(source s d n ch);
};

subtest 'what the manual page asks of each option' => sub {
    for my $option (@options)
    {
        my ($name, $about) = @{$option}{qw(name about)};
        my $shown = defined $option->{letter} ? "-$option->{letter}/--$name" : "--$name";
        refused("$name without an argument", "$program: option '--$name' requires an argument\n$try", "--$name")
            if $option->{takes} eq 'argument';
        refused("$name with a value", "$program: option '--$name' doesn't allow an argument\n$try", "--$name=a")
            if $option->{takes} eq 'nothing';
        like(pg_rewind("--$name=")->{stderr}, qr/^pg_rewind: error: invalid value "" for option \Q$shown\E$/m, "$name: nothing")
            if $about =~ /not empty/;
        if (my ($minimum, $maximum) = $about =~ /^(\d+) to (\d+)/)
        {
            refused("$name: $_", "pg_rewind: error: $shown must be in range $minimum..$maximum\n", "--$name=$_")
                for $minimum - 1, $maximum + 1;
            refused("$name: '$_'", qq(pg_rewind: error: invalid value "$_" for option $shown\n), "--$name=$_") for '', 'two';
        }
        my $value = $option->{takes} ne 'argument' ? '' : $about =~ /^(\d+) to/ ? "=$1" : '=x';
        refused("a check and --$name", "pg_rewind: error: --check changes nothing: it cannot be used with --$name\n$try",
            '-D', $nowhere, '--source-server=x', '--check', "--$name$value") if $about =~ /not with --check/;
        if (my ($needed) = $about =~ /only with ([^;]+)/)
        {
            refused("$name alone", "pg_rewind: error: --$name can only be used with $needed\n$try", '-D', $nowhere,
                $needed =~ /server/ ? @source : '--source-server=x', "--$name$value");
        }
    }
    cmp_ok(scalar(grep { $_->{about} =~ /only with/ } @options), '>=', 10, 'those that need another are there');
    cmp_ok(scalar(grep { $_->{about} =~ /not with --check/ } @options), '>=', 6, 'and those that ask for a change');
};

subtest 'values' => sub {
    refused('sync method',
        "pg_rewind: error: unrecognized sync method: quick\npg_rewind: hint: Valid methods are fsync and syncfs.\n",
        '--sync-method=quick');
    refused("checkpoint: '$_'",
        qq(pg_rewind: error: invalid value "$_" for option --checkpoint\n)
            . "pg_rewind: hint: Valid values are yes, no and auto.\n",
        "--checkpoint=$_") for 'now', '';
    refused('jobs: huge',
        "pg_rewind: error: -j/--jobs must be in range 1..64\n", '--jobs=99999999999999999999');
    refused('jobs: nothing', qq(pg_rewind: error: invalid value "" for option -j/--jobs\n), '--jobs=');
    refused('jobs: a number and more',
        qq(pg_rewind: error: invalid value "2x" for option -j/--jobs\n), '-j2x');
    my $range = qq(pg_rewind: detail: It must be from 32 kB to 1024 MB per second.\n);
    refused('rate: nothing', qq(pg_rewind: error: transfer rate "" is not a valid value\n), '--max-rate=');
    refused('rate: a word', qq(pg_rewind: error: transfer rate "fast" is not a valid value\n), '-r', 'fast');
    refused('rate: no number', qq(pg_rewind: error: transfer rate must be greater than zero\n), '-rnan');
    refused('rate: zero', qq(pg_rewind: error: transfer rate must be greater than zero\n), '--max-rate=0');
    refused('rate: negative', qq(pg_rewind: error: transfer rate must be greater than zero\n), '--max-rate=-32');
    refused('rate: another unit', qq(pg_rewind: error: invalid --max-rate unit: "G"\n), '--max-rate=1G');
    refused('rate: more than a unit', qq(pg_rewind: error: invalid --max-rate unit: "B/s"\n), '--max-rate=100 kB/s');
    refused('rate: low', qq(pg_rewind: error: transfer rate "31" is out of range\n$range), '-r31');
    refused('rate: high', qq(pg_rewind: error: transfer rate "1024.1M" is out of range\n$range), '-r', '1024.1M');
    refused('rate: endless', qq(pg_rewind: error: transfer rate "inf" is out of range\n$range), '-r', 'inf');
    refused('retry timeout: a unit',
        qq(pg_rewind: error: invalid value "1min" for option --retry-timeout\n), '--retry-timeout=1min');
    refused('report',
        "pg_rewind: error: unrecognized report format: xml\npg_rewind: hint: Valid formats are text and json.\n",
        '--report=xml');
    refused('report transactions', 'pg_rewind: error: invalid value "few" for option --report-transactions'
        . "\npg_rewind: hint: Valid values are all, summary and none.\n",
        '--report-transactions=few');
    refused('progress',
        "pg_rewind: error: unrecognized progress format: xml\npg_rewind: hint: Valid formats are text and json.\n",
        '--progress=xml');
    refused('progress: nothing',
        "pg_rewind: error: unrecognized progress format: \npg_rewind: hint: Valid formats are text and json.\n",
        '--progress=');
    refused('progress: only behind =', qq(pg_rewind: error: too many command-line arguments (first is "json")\n$try),
        @complete, '--progress', 'json');
    refused('report file',
        qq(pg_rewind: error: could not create report file "$nowhere/report": No such file or directory\n), @complete,
        "--report-file=$nowhere/report");
};

subtest 'forms' => sub {
    accepts('short, apart', '-D', $nowhere, @source);
    accepts('short, together', "-D$nowhere", @source);
    accepts('clustered', '-nPND', $nowhere, @source);
    accepts('long, apart', '--target-pgdata', $nowhere, '--source-pgdata', "$nowhere.source");
    accepts('long, with =', "--target-pgdata=$nowhere", @source);
    accepts('prefixes', "--targ=$nowhere", "--source-p=$nowhere.source", '--dry', '--no-s', '--prog');
    # What is short enough for the original is so here, though more options begin like it.
    accepts("a prefix that the original knows: @$_", @complete, @$_)
        for ['--dr'], [ '--c', 'x' ], ['--co=x'], map { [ substr '--restore-', 0, $_ ] } 3 .. 10;
    accepts('prefixes for the target and -R', "--t=$nowhere", '--source-s=x', '--w');
    accepts('prefixes for the target', "--ta=$nowhere", @source);
    accepts('the last of a repeated option wins', '-D', '/somewhere/else', @complete);
    accepts('all that the original of 9.3 had', @complete, @$_) for ['-v'], [ '--verbose', '-n' ];
    accepts('all that the original has', @complete, qw(-c -n -N -P --debug --no-ensure-shutdown --sync-method fsync),
        "--config-file=$nowhere/postgresql.conf");
    accepts("report transactions: $_", @complete, "--report-transactions=$_") for qw(none summary all);
    accepts("rate: $_", @complete, '--max-rate', $_) for qw(32 1048576k 1024M 0.5M), ' 100 k ', '1e3';
    accepts('a rejoin', '-D', $nowhere, '--source-server=x', qw(--rejoin --demote=2 --rejoin-timeout=0 --start-command=a
        --stop-command=b));
    accepts('a slot', '-D', $nowhere, '--source-server=x', '-R', '--create-slot', '--slot', $_) for 'a_1', 'a' x 63;
    accepts("a limit: $_", @complete, "--max-lost-transactions=$_") for 0, 2147483647;
    accepts("a checkpoint of a server: $_", '-D', $nowhere, '--source-server=x', $_)
        for '--checkpoint', map { "--checkpoint=$_" } qw(yes no auto);
    accepts("a checkpoint of a directory: $_", @complete, "--checkpoint=$_") for qw(no auto);
    accepts("progress: $_", @complete, $_) for qw(--progress --progress=text --progress=json --prog=json);
    accepts('all that it has not', @complete, qw(-B /usr/bin -j 64 -r 10M --retry-timeout=0 --wait-timeout=0
        --sync-method=syncfs));
};

subtest 'a check needs no source, and says what it finds on stdout' => sub {
    for my $options ([], [ @source, '-n' ], [ '--source-server=x', qw(-R -c --compare --wal-archive=x
        --restore-command=x) ])
    {
        my $result = pg_rewind('-D', $nowhere, '--check', @$options);
        is("$result->{status} $result->{stderr}", '1 ', "--check @$options: exit status 1, empty stderr");
        like($result->{stdout}, qr{^"\Q$nowhere\E": not ready for a rewind\n\nproblem  target .*No such\s}s,
            'the finding');
    }
};

subtest 'the state of the target is said after the error' => sub {
    my $result = pg_rewind(@complete);
    like($result->{stderr}, qr{\npg_rewind: hint: The target is unchanged\.\n\z}, 'last line');
};

subtest 'reports' => sub {
    my $text = pg_rewind(@complete, '--report=text');
    like($text->{stdout},
        qr{^pg_rewind: failed; the target is unchanged\n.*could not read permissions}s,
        'text on stdout, of a failure too');
    my $json = pg_rewind(@complete, '--report', 'json');
    like($json->{stdout}, qr{^\{\n  "report_version": 3,\n  "result": "failed",\n  "exit_status": 1,\n.*\n\}\n\z}s,
        'json on stdout');
    is($json->{status}, 1, 'the exit status stays');

    my $file = work_dir() . '/report';
    my $filed = pg_rewind(@complete, '--report-file', $file);
    is($filed->{stdout}, '', 'report in a file: nothing on stdout');
    like(slurp($file), qr{^pg_rewind: failed}, 'report in a file: text');
    pg_rewind(@complete, "--report-file=$file", '--report=json');
    like(slurp($file), qr{^\{\n  "report_version": 3,\n  "result": "failed"}, 'report in a file: json');
    for my $wrong ([], [ '--nonsense' ], [ '--jobs=none' ])
    {
        for my $command ([ '--report=json', @$wrong ], [ @$wrong, '--report=json' ])
        {
            my $refused = pg_rewind(@$command);
            like($refused->{stdout}, qr{"result": "failed",\n  "exit_status": 1,\n.*"errors": \[\n}s,
                "a wrong command line has a report: @$command");
            is($refused->{stderr}, pg_rewind(@$wrong)->{stderr}, 'and the same messages');
        }
    }
};

subtest 'the name in messages is the name of the program' => sub {
    my $link = work_dir() . '/rewind15';
    symlink(abs_path($program), $link) or die "could not link $link: $!";
    is(run([$link])->{stderr},
        "rewind15: error: no source specified (--source-pgdata or --source-server)\n"
        . qq(rewind15: hint: Try "rewind15 --help" for more information.\n), 'base name of argv[0]');
};

subtest 'root is refused' => sub {
    my @as_root = $> == 0 ? () : ('unshare', '--user', '--map-root-user');
    plan(skip_all => 'cannot become root here') if @as_root && run([ @as_root, 'true' ])->{status} != 0;
    is(run([ @as_root, $program, @complete ])->{stderr},
        qq(pg_rewind: error: cannot be executed by "root"\n)
        . "pg_rewind: hint: You must run pg_rewind as the PostgreSQL superuser.\n", 'with a right command line');
    like(run([ @as_root, $program ])->{stderr}, qr{no source specified}, 'a wrong one is said first');
    is(run([ @as_root, $program, '--help' ])->{status}, 0, 'help is given');
};

done_testing();
