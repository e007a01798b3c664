# PG_REWIND_OPTIONS: options in front of those of the command line, split as a shell splits words. The command line
# wins; what is wrong in the variable names it; --help, --version, --check and --dry-run have their place on the command
# line only.
#
# No server is needed.
# (Rule O14.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest::Command;
use Test::More;

my $program = $ENV{PG_REWIND} // 'build/pg_rewind';
my $nowhere = work_dir() . '/no where';
my $try = qq(pg_rewind: hint: Try "pg_rewind --help" for more information.\n);
my $from = "pg_rewind: detail: This option is from the environment variable PG_REWIND_OPTIONS.\n";

sub pg_rewind
{
    my ($options, @arguments) = @_;
    return run([ $program, @arguments ], env => { PG_REWIND_OPTIONS => $options });
}

# Exit status 1, nothing on stdout, exactly this on stderr.
sub refused
{
    my ($name, $expected, $options, @arguments) = @_;
    my $result = pg_rewind($options, @arguments);
    is("$result->{status} $result->{signal} $result->{stdout}", '1 0 ', "$name: exit status 1, empty stdout");
    is($result->{stderr}, $expected, "$name: said on stderr");
    return;
}

# The target that was looked for.
sub looks_at
{
    my ($name, $target, $options, @arguments) = @_;
    like(pg_rewind($options, @arguments)->{stderr},
        qr{^pg_rewind: error: could not read permissions of directory "\Q$target\E": No such file or directory\n},
        $name);
    return;
}

my @source = ("--source-pgdata=$nowhere.source");
subtest 'what is taken' => sub {
    looks_at('a value in single quotes', $nowhere, "--target-pgdata='$nowhere'", @source);
    looks_at('in double quotes', $nowhere, qq(-D "$nowhere"), @source);
    looks_at('with a backslash', $nowhere, '-D' . ($nowhere =~ s/ /\\ /r) . ' ', @source);
    looks_at('all of it', $nowhere, "-D '$nowhere'\n\t--source-pgdata=x");
    looks_at('nothing', $nowhere, $_, '-D', $nowhere, @source) for '', " \n";
    looks_at('nothing is expanded', '$HOME', '-D $HOME', @source);
    looks_at('the command line wins', $nowhere, '-D /elsewhere --jobs=2', '-D', $nowhere, '--jobs=3', @source);
    my $report = pg_rewind('--report=json', '-D', $nowhere, @source);
    like($report->{stdout}, qr{^\{\n  "report_version": 3,\n}, 'an option without which nothing is on stdout');
    like(pg_rewind('--report=json', '--report=text', '-D', $nowhere, @source)->{stdout}, qr{^pg_rewind: failed},
        'the command line wins there as well');
};

subtest 'what is refused' => sub {
    refused('unknown option', "pg_rewind: PG_REWIND_OPTIONS: unrecognized option '--nope'\n$try", '--nope', '-D',
        $nowhere, @source);
    refused('unknown letter', "pg_rewind: PG_REWIND_OPTIONS: invalid option -- 'x'\n$try", '-nx', '-D', $nowhere,
        @source);
    refused('an option without its value',
        "pg_rewind: PG_REWIND_OPTIONS: option '--source-server' requires an argument\n$try", '--source-server', '-D',
        $nowhere);
    refused('a wrong value', qq(pg_rewind: error: invalid value "many" for option -j/--jobs\n$from), '--jobs=many',
        '-D', $nowhere, @source);
    refused('no option', qq(pg_rewind: error: PG_REWIND_OPTIONS has "extra", which is not an option\n$try), '-n extra more',
        '-D', $nowhere, @source);
    refused('a quote', "pg_rewind: error: PG_REWIND_OPTIONS has a quote that is not closed\n$try", "-D 'x", @source);
    refused('a backslash', "pg_rewind: error: PG_REWIND_OPTIONS has a backslash at the end\n$try", '-n \\', @source);
    # The caller would believe in a rewind.
    refused("$_->[0] instead of a rewind", "pg_rewind: error: PG_REWIND_OPTIONS must not ask for $_->[1]\n$try",
        $_->[0], '-D', $nowhere, @source)
        for [ '--help', '--help' ], [ '--version', '--version' ], [ '-V', '--version' ], [ '--check', '--check' ],
            [ '-n', '--dry-run' ], [ '--rejoin', '--rejoin' ];
    refused('-? is no option there', "pg_rewind: PG_REWIND_OPTIONS: invalid option -- '?'\n$try", '-?', '-D', $nowhere,
        @source);
    refused('what does not go together',
        "pg_rewind: error: only one of --source-pgdata or --source-server can be specified\n"
        . "pg_rewind: detail: The options of the environment variable PG_REWIND_OPTIONS are read before those of the command line.\n$try",
        '--source-server=x', '-D', $nowhere, @source);
    my $report = pg_rewind('--nope --report=json', '-D', $nowhere, @source);
    like($report->{stdout}, qr{"result": "failed"}, 'a wrong option has its report');
    like(pg_rewind('--nope', '--report=json', '-D', $nowhere, @source)->{stdout}, qr{"result": "failed"},
        'also one that the command line asks for');
};

subtest 'help and version do not depend on it' => sub {
    for my $option ('--help', '-?', '--version', '-V')
    {
        my $result = pg_rewind("--nope 'x", $option);
        is("$result->{status} $result->{stderr}", '0 ', "$option: exit status 0, empty stderr");
        is($result->{stdout}, run([ $program, $option ])->{stdout}, "$option: the same text");
    }
    is(pg_rewind('--nope', '-n', '--help')->{status}, 0, '--help behind other options');
};

done_testing();
