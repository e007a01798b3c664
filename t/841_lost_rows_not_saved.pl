# What --save-lost-rows keeps on the side keeps no node down: where not all of it can be written, the rewind goes on,
# says so, and keeps what was written. With --require-lost-rows, and in a dry run, that is an error, and the target is
# unchanged. Space is asked for first, what the rewind itself needs left out.
#
# A file system that has only the directory for the rows, and failing calls at each place.
# (Rules L27, L28.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::LostRows;
use RewindTest::Interrupted;
use RewindTest::Privileged;

skip_unless_privileged();

my $need = 'not enough space on the file system of';

sub save
{
    my ($target, $source, $directory, @options) = @_;
    return rewind($target, $source, kind => 'directory', not_foretold => 'the dry run is an error',
        options => [ "--save-lost-rows=$directory", @options ]);
}

sub files { my ($directory) = @_; return join ' ', sort map { m{/lost-[^/.]*\.([^/]+)$} ? $1 : 'other' }
    glob "$directory/*" }

# Each call that changes the directory fails: without the option the rewind is done all the same.
sub failing_calls
{
    my $saved = work_dir() . '/failing';
    my $pair = RewindTest::Interrupted->new(15, kind => 'directory', options => ["--save-lost-rows=$saved"]);
    my $calls = $pair->calls;
    for my $number (grep { $calls->[ $_ - 1 ]{path} =~ m{\Q$saved\E} } 1 .. @$calls)
    {
        my $call = $calls->[ $number - 1 ];
        must_run([ 'rm', '-rf', $saved ]);
        subtest("fails: $call->{call} $call->{path}", sub {
            my $result = $pair->reset->attempt(fault => "fail:$number:ENOSPC");
            # A call that may fail is no failure; the name of a finished file is there.
            is($result->{status}, 0, 'the rewind goes on') or diag($result->{stderr});
            ok($result->{stderr} =~ /warning: not all lost rows are saved: / || files($saved) eq 'jsonl sql',
                'it says so, or all is there') or diag($result->{stderr}, files($saved));
            unlike(files($saved), qr/new/, 'nothing has the name of a file that is being written');
        });
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "max_wal_size = 4GB\nfull_page_writes = off" },
        before => sub { $_[0]->sql('CREATE TABLE t (id integer PRIMARY KEY, v text)') },
        target => sub { my ($server) = @_;
            $server->sql("INSERT INTO t SELECT i, repeat('v', 300) FROM generate_series($_ * 10000, $_ * 10000 + 9999) i")
            for 1 .. 10 });
    $source->stop;
    my $small = work_dir() . '/small';
    mkdir $small or die;
    # The 138 MB of the rows, and the file of 70 MB that they are read into first, would fit in without the 64 MB that
    # stay free.
    privileged('make-file-system', 260, $small);
    my $directory = "$small/rows";
    my $dry = save($target, $source, $directory, '-n');
    is($dry->{status}, 1, 'a dry run fails');
    like($dry->{stderr},
        qr/error: $need ".*"\n.*detail: The lost rows need \d+ MB, \d+ MB are free besides what the rewind needs\./,
        'with numbers');
    is(files($directory), '', 'nothing was written');
    my $required = save($target, $source, $directory, '--require-lost-rows');
    is($required->{status}, 1, 'so does a run with --require-lost-rows');
    like($required->{stderr}, qr/error: $need/, 'for the same reason');
    is(files($directory), '', 'nothing was written');

    my $report = work_dir() . '/report';
    my $result = save($target, $source, $directory, "--report-file=$report", '--report=json');
    is($result->{status}, 0, 'without it the rewind is done') or diag($result->{stderr});
    like($result->{stderr},
        qr/warning: not all lost rows are saved: $need .*\n.*detail: The lost rows need \d+ MB.*\n.*hint: What could be written is in "\S+\.jsonl\.incomplete" and "\S+\.sql\.incomplete"\. With --require-lost-rows the run fails instead/,
        'it says what is missing');
    is(files($directory), 'jsonl.incomplete sql.incomplete', 'what was written is kept');
    my $told = JSON::PP->new->utf8->decode(slurp($report))->{discarded}{saved_rows};
    like($told->{incomplete}, qr/^$need/, 'the report says so');
    like($told->{jsonl}, qr/\.incomplete$/, 'and names it');
    my ($kept) = grep { /^\w+$/ } $told->{changes};
    cmp_ok(-s $told->{jsonl}, '>', 5 * 1024 * 1024, 'it is as much as there was space for');
    my $free = (split ' ', must_run([ 'df', '--output=avail', '-k', $small ]))[-1];
    cmp_ok($free, '>', 40 * 1024, 'but the rewind has its own');
    $target->start;
    is($target->sql('SELECT count(*) FROM t'), 0, 'the rewound server starts');
    $target->stop;
    privileged('unmount', $small);
    $_->discard for $source, $target;
    failing_calls();
}, only => [15]);
