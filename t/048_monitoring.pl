# --check --monitor: the exit status of a monitoring plugin. The recipes of docs/check.md run as they stand there, but
# for places.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw(dirname);
use JSON::PP ();
use RewindTest;
use RewindTest::Guide;

my $tools = dirname($ENV{PG_REWIND});

# What this status was given for: states of findings.
sub monitors
{
    my ($what, $status, $node, @options) = @_;
    my $text = run([ rewind_argv($node->data, '--check', '--monitor', @options) ]);
    my $json = run([ rewind_argv($node->data, '--check', '--monitor', '--report=json', @options) ]);
    my $said = JSON::PP->new->utf8->decode($json->{stdout});
    my %state = map { $_->{state} => 1 } @{ $said->{findings} };
    is("$text->{status} $json->{status} $said->{exit_status}", "$status $status $status", "$what: $status")
        or diag($text->{stdout}, $text->{stderr});
    is(run([ rewind_argv($node->data, '--check', @options) ])->{status}, $status < 2 ? 0
        : 1, "$what: and without --monitor");
    return join ' ', sort keys %state;
}

sub statuses
{
    my ($source, $target) = @_;
    my @server = ('--source-server', $source->conninfo);
    my $quiet = $target->copy('quiet');
    append($quiet->path('pg_hba.conf'), "local all all trust\nlocal replication all trust\n");
    $quiet->configure("wal_keep_size = '1GB'");
    is(monitors('all is well', 0, $quiet, @server), 'ok', 'nothing but ok');
    mkdir $quiet->path('pg_replslot/left');
    like(monitors('a slot is lost', 1, $quiet, @server), qr/warning/, 'a warning');
    unlike(monitors('the source does not answer', 2, $quiet, '--source-server', 'host=/nowhere'), qr/^ok$/,
        'a problem');
    $quiet->discard;
    my $result = run([ rewind_argv($target->data, qw(--monitor --check --drop-slots), @server) ]);
    is($result->{status}, 3, 'a wrong command line');
    is(run([ rewind_argv($target->data, qw(--monitor --check
        --nonsense), @server) ])->{status}, 3, 'and a wrong option');
    is(run([ rewind_argv($target->data, qw(--monitor --check
        --report-file=/nowhere/file), @server) ])->{status}, 3, 'a file that cannot be written');
    $result = run([ rewind_argv($target->data, '--monitor', @server) ]);
    is($result->{status}, 1, 'it asks for nothing else');
    like($result->{stderr}, qr/^pg_rewind: error: --monitor can only be used with --check$/m, 'and says so');
    return;
}

# A text of the page with the places of this test.
sub here
{
    my ($text, $source, $target) = @_;
    $text =~ s{/srv/postgresql/old}{$target->data}ge;
    $text =~ s{host=other user=rewind dbname=postgres}{$source->conninfo}ge;
    $text =~ s{^sudo -u postgres }{};
    return $text;
}

sub recipes
{
    my ($source, $target) = @_;
    my $shell = sub { my ($command) = @_; return run([ 'sh', '-c', here($command, $source, $target) ],
        env => { PATH => "$tools:$ENV{PATH}" }) };
    my %block;
    push @{ $block{ $_->{kind} } }, $_->{text} for blocks_of(slurp("$tools/docs/check.md"));
    my $expected = run([ rewind_argv($target->data, qw(--check
        --monitor), '--source-server', $source->conninfo) ])->{status};

    my ($nrpe) = $block{nrpe}[0] =~ /^command\[check_pg_rewind\]=(.*)$/m;
    my $result = $shell->($nrpe);
    is($result->{status}, $expected, 'NRPE: its command has the status');
    like($result->{stdout}, qr/\A"[^\n]*: (?:not )?ready for a rewind\n/, 'and a first line that tells it');
    unlike((split /\n/, $result->{stdout})[0], qr/\|/, 'without what a plugin takes for numbers');

    my @words = map { /"([^"]*)"/g } $block{icinga}[0] =~ /command = \[(.*)\]/;
    my %argument = $block{icinga}[0] =~ /"(-[^"]*)" = "\$(\w+)\$"/g;
    is(join(' ', @words, sort keys %argument), 'sudo -u postgres pg_rewind --check --monitor --source-server -D',
        'Icinga: the same command');

    my $textfiles = work_dir() . '/textfiles';
    mkdir $textfiles;
    my ($adapted) = $block{'sh adapt'}[0];
    $result = $shell->(($adapted =~ s{^TEXTFILES=.*}{TEXTFILES=$textfiles}mr) . $block{sh}[0]);
    is("$result->{status} $result->{stderr}", '0 ', 'Prometheus: the script');
    is(join(' ', map { s{.*/}{}r } glob "$textfiles/*"), 'pg_rewind.prom', 'leaves one file');
    my %value = slurp("$textfiles/pg_rewind.prom") =~ /^(\w+) (\d+)$/mg;
    is($value{pg_rewind_check_status}, $expected, 'with the status');
    cmp_ok(abs(time() - $value{pg_rewind_check_time_seconds}), '<', 600, 'and the time');
    is(scalar(() = slurp("$textfiles/pg_rewind.prom") =~ /^(?:# (?:HELP|TYPE) \w+ \S.*|\w+ \d+)$/mg), 6,
        'and nothing else');

    my ($exec) = $block{service}[0] =~ /^ExecStart=(.*)$/m;
    my ($good) = $block{service}[0] =~ /^SuccessExitStatus=(.*)$/m;
    is($shell->($exec)->{status}, $expected, 'systemd: its command has the status');
    is($good, 1, 'a warning is no failure of the service');
    if (-x '/usr/bin/systemd-analyze')
    {
        my $units = work_dir() . '/units';
        mkdir $units;
        my ($user) = getpwuid($>);
        spew("$units/check-rewind.service", here($block{service}[0], $source, $target)
            =~ s{^ExecStart=}{ExecStart=$tools/}mr =~ s/^User=.*/User=$user/mr);
        spew("$units/check-rewind.timer", $block{timer}[0]);
        my $verified = run([ qw(systemd-analyze verify
            --man=no), "$units/check-rewind.service", "$units/check-rewind.timer" ]);
        unlike($verified->{stderr}, qr/check-rewind\.(?:service|timer):/, 'systemd finds nothing wrong')
            or diag($verified->{stderr});
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    subtest('statuses', sub { statuses($source, $target) });
    subtest('recipes', sub { recipes($source, $target) });
}, only => [ 13, 15, 18 ]);
