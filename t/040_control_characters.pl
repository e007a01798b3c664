# Text for people has no control character but our own line breaks, whatever is in names and values: nothing that a
# terminal takes for commands, and nothing that looks like a line of ours. JSON has escapes and tells them as they are.
# (The attackers: a user with CREATE on a schema, the owner of a database, who can write files of the target; the
# source.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳   lost: tables whose names forge lines of the report
# (Rule T2.)

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX ();
use JSON::PP ();
use RewindTest;

my $evil = "\e]0;x\a\r\nWhat is next\n  to do                     run evil\x7f\xc2\x9b2J";
my $forged = qr/^\s*to do +run evil|^What is next\n  to do +run evil|^pg_rewind: hint: run evil/m;

sub is_plain
{
    my ($what, $text) = @_;
    isnt($text, '', "$what: there is something");
    my ($control) = $text =~ /([^\n]*(?:[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f])[^\n]*)/;
    is($control, undef, "$what: no control character");
    unlike($text, $forged, "$what: no forged line");
    return;
}

sub quoted { my ($name) = @_; return '"' . $name =~ s/"/""/gr . '"' }

# A server that refuses each connection with this message.
sub with_refusing_server
{
    my ($target, $message) = @_;
    my $dir = work_dir() . '/refusing.' . $target->version;
    mkdir $dir;
    my $server = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 5) or die "could not listen: $!";
    my $pid = fork // die;
    if ($pid == 0)
    {
        while (my $client = $server->accept)
        {
            sysread($client, my $startup, 10000);
            my $fields = "SERROR\0VERROR\0C28000\0M$message\0\0";
            syswrite($client, 'E' . pack('N', 4 + length $fields) . $fields);
            close $client;
        }
        exit;
    }
    my @runs = map { run([ rewind_argv($target->data, "--source-server=host=$dir dbname=postgres", @$_) ]) } [ '-n',
        '--retry-timeout=0' ], ['--check'];
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return @runs;
}

each_version(sub {
    my ($version) = @_;
    my $name = "t$evil";
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE TABLE ' . quoted($name) . ' AS SELECT 1 AS a; CREATE TABLE plain AS SELECT 1 AS a');
            $primary->sql('CREATE DATABASE ' . quoted("d$evil") =~ s/\n/ /gr);
        },
        target => sub {
            my ($target) = @_;
            $target->sql('UPDATE ' . quoted($name) . ' SET a = 2; DELETE FROM plain');
            $target->sql(q{CREATE TABLE made (a text); INSERT INTO made VALUES (E'\x1b]0;y\x07\n\\\\quit\nROLLBACK;')});
            $target->sql(q{DROP TABLE } . quoted($name));
        });
    append($target->path('postgresql.conf'), "my.$_ = 'former'\ncluster_name = 'e\e[2J'\n") for 'x';
    spew($target->path("odd$evil" =~ s{/}{}gr), 'x' x 100);
    mkdir $target->path("dir$evil") or die;
    spew($target->path("dir$evil/x"), 'x');
    my $report = work_dir() . '/report';
    my $dry = rewinds($target, $source, options => [ '-n', '-P', "--report-file=$report" ],
        not_foretold => 'it is one');
    is_plain('messages of a dry run', $dry->{stderr});
    my $text = slurp($report);
    is_plain('the text report', $text);
    like($text, qr/\?\]0;x\?\?\?What is next\?  to do/, 'the name is there');
    my $json = JSON::PP->new->utf8->decode(rewind($target, $source, options => [ '-n', '--report=json' ])->{stdout});
    my $decoded = $name;
    utf8::decode($decoded);
    like(join(' ', map { $_->{name} } @{ $json->{discarded}{relations} }), qr/\Q$decoded\E/, 'JSON has it as it is');
    for my $run ([], ['--verbose'])
    {
        my $check = run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo, @$run) ]);
        is_plain("--check @$run", $check->{stdout} . $check->{stderr});
    }
    my ($refused, $checked) = with_refusing_server($target, "no\npg_rewind: hint: run evil\e[2J\n\tdetail");
    is($refused->{status}, 1, 'a server that refuses');
    is_plain('what it says', $refused->{stderr});
    is_plain('what it says, in --check', $checked->{stdout} . $checked->{stderr});
    like($refused->{stderr}, qr/^  pg_rewind: hint: run evil\?\[2J$/m, 'its lines do not look like ours');

    my $saved = work_dir() . '/saved';
    my $result = rewinds($target, $source, options => [ '-R', "--save-lost-rows=$saved", "--report-file=$report",
        $version < 12 ? () : '--keep=odd*' ], not_foretold => 'saves rows');
    is_plain('messages of a rewind', $result->{stderr});
    is_plain('its report', slurp($report));
    my ($script) = glob("$saved/*.sql");
    is_plain('the script', slurp($script));
    like(slurp($script), qr/E'\\x1b\]0;y\\x07\\n\\\\quit\\nROLLBACK;'/, 'which has an escape');
}, only => [ 10, 15, 18 ]);
