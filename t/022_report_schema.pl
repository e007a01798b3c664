# Every way a run can end has a report in JSON that is as docs/report.schema.json says: done, nothing to do, finished,
# failed, half-way, impossible, wrong command line; with and without --dry-run. The validator is not ours.
# (Rule D1.)

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(dirname);
use JSON::PP ();
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Held;

my $tools = dirname($ENV{PG_REWIND});
my (@reports, %seen);

# An option for the validator may go before the files.
sub validate
{
    my @options = grep { /^--/ } @_;
    return run([ 'python3', "$tools/report_is_valid.py", @options, "$tools/report.schema.json", grep { !/^--/ } @_ ]);
}

# Keep the report of a run for the validator, and look at how it ended.
sub ends
{
    my ($name, $report, $status, $result, $expected_status, $expected_result) = @_;
    my $file = work_dir() . '/' . ($name =~ s/\W/_/gr) . '.json';
    spew($file, $report);
    push @reports, $file;
    my $json = eval { JSON::PP->new->utf8->decode($report) } // {};
    is("$status $json->{exit_status} $json->{result}", "$expected_status $expected_status $expected_result", $name)
        or diag($result->{stderr});
    $seen{ ($json->{dry_run} ? 'dry ' : '') . $json->{result} }++;
    my @said = $result->{stderr} =~ /^pg_rewind: error: (.*)/mg;
    my @told = map { $_->{message} =~ s/\n.*//sr } @{ $json->{errors} };
    is("@told", "@said", "$name: the errors that were said") if @said;
    return $json;
}

sub reports
{
    my ($name, $target, $source, $status, $result, %option) = @_;
    my $run = rewind($target, $source, %option, options => [ '--report=json', @{ $option{options} // [] } ]);
    return ends($name, $run->{stdout}, $run->{status}, $run, $status, $result);
}

sub refuses
{
    my ($name, @arguments) = @_;
    my $run = run([ $ENV{PG_REWIND}, @arguments ]);
    return ends($name, $run->{stdout}, $run->{status}, $run, 1, 'failed');
}

sub half_way
{
    my ($copy, $source) = @_;
    my $file = work_dir() . '/half-way';
    my $oid = $source->query(q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
    my $directory = $copy->path("base/$oid");
    my $held = hold($copy, $source, 'apply', '--report=json', "--report-file=$file");
    kill 'TERM', $held->{pid};
    chmod 0500, $directory or die;
    my $result = go_on($held);
    chmod 0700, $directory or die;
    ends('half-way', slurp($file), $result->{status}, $result, 2, 'unfinished');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    # The source is another cluster, for the target that says so.
    my $other = $target->copy('other');
    patch_control($other, 0, pack('Q<', 7000000000000000001));
    my $made_over = $target->copy('made_over');
    patch_segment_size($made_over, 64 * 1024 * 1024);

    reports('dry run', $target, $source, 0, 'would_rewind', options => ['-n']);
    reports("dry run, $_", $target, $source, 0, 'would_rewind', options => [ '-n', "--report-transactions=$_" ])
        for qw(summary none);
    reports('another cluster', $other, $source, 1, 'failed');
    reports('another format', $made_over, $source, 3, 'impossible');
    reports('another format dry', $made_over, $source, 3, 'impossible', options => ['-n']);
    my $many = reports('no command', $target, $source, 1, 'failed', options => [ '-c', '--bindir=/nonexistent' ]);
    ok($many->{divergence}, 'what does not depend on that was looked at');
    my $copy = $target->copy('copy');
    half_way($copy, $source);
    reports('finish dry', $copy, $source, 0, 'would_finish', options => ['-n']);
    reports('finish', $copy, $source, 0, 'finished', not_foretold => 'for a dry run it would be finished');
    reports('rewind', $target, $source, 0, 'rewound');
    $target->follow($source)->start;
    $target->wait_for_replay_of($source);
    $target->stop;
    reports('nothing to do', $target, $source, 0, 'not_required');
    reports('nothing to do dry', $target, $source, 0, 'not_required', options => ['-n']);
    $target->start;
    reports('it runs', $target, $source, 1, 'failed');
    reports('it runs dry', $target, $source, 1, 'failed', options => ['-n']);
    $target->stop;
    $source->stop;
    reports('nobody there', $target, $source, 1, 'failed');
    reports('nobody there dry', $target, $source, 1, 'failed', options => ['-n']);
    refuses('no source', '--report=json', '-D', $target->data);
    refuses('unknown option', '--nonsense', '--report=json');
    refuses('wrong value', '--jobs=many', '-D', $target->data, '--report=json');

    is(join(', ', sort keys %seen), 'dry failed, dry impossible, dry not_required, dry would_finish, dry would_rewind, '
        . 'failed, finished, impossible, not_required, rewound, unfinished', 'each way to end was there');
    my $result = validate('--closed', @reports);
    is("$result->{status} $result->{stdout}$result->{stderr}", '0 ', scalar(@reports)
        . ' reports are as the schema says, with no key that it does not describe');

    # The schema lets keys be added, to the report and to what is in it.
    my $later = slurp($reports[0]) =~ s/^(\s*)("(?:dry_run|transactions|lsn)":)/$1"added_later": 1,\n$1$2/mgr;
    spew(work_dir() . '/later.json', $later);
    is(validate(work_dir() . '/later.json')->{status}, 0, 'a report with more keys is valid');
    is(validate('--closed', work_dir() . '/later.json')->{status}, 1,
        'and the test would notice a key that is not described');

    # The validator does look.
    my $good = slurp($reports[0]);
    my %bad = (key => $good =~ s/"dry_run"/"wet_run"/r, value => $good =~ s/"would_rewind"/"would"/r,
        type => $good =~ s/"report_version": 3/"report_version": "3"/r);
    for my $what (sort keys %bad)
    {
        spew(work_dir() . '/bad.json', $bad{$what});
        is(validate(work_dir() . '/bad.json')->{status}, 1, "a wrong $what is found");
    }
}, only => [ 10, 18 ]);
