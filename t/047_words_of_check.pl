# What --check prints: the tab of libpq's messages; its own document also where the command line is wrong; another
# pg_rewind that works there.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Held;

sub check { my ($node, @options) = @_; return run([ rewind_argv($node->data, '--check', @options) ]) }

# The document of a --check, not that of a rewind.
sub is_check_document
{
    my ($what, $result, $target) = @_;
    my $said = eval { JSON::PP->new->utf8->decode($result->{stdout}) } // {};
    is($said->{check_version}, 1, "$what: it is the document of --check") or diag($result->{stdout}, $result->{stderr});
    is($result->{status}, $said->{exit_status}, "$what: with the exit status");
    is($said->{target}, $target, "$what: and the directory, if there is one");
    is($said->{ready} ? 'ready' : join(' ', map { "$_->{name} $_->{state}" } @{ $said->{findings} }),
        'command_line problem', "$what: the command line is the problem");
    return $said;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $data = $target->data;
    my @server = ('--source-server', $source->conninfo);

    my $result = check($target, '--source-server', 'host=127.0.0.1 port=1 user=x');
    unlike($result->{stdout}, qr/\?Is the server/, "libpq's tab is no question mark");

    my $said = is_check_document('a wrong combination', check($target, '--report=json', '--drop-slots', @server),
        $data);
    like($said->{findings}[0]{text},
        qr/--check changes nothing: it cannot be used with|--drop-slots can only be used with/, 'which says why');
    $said = is_check_document('an unknown option',
        run([ rewind_argv($data, '--report=json', '--nonsense', '--check', @server) ]), $data);
    is($said->{findings}[0]{text}, 'the command line is wrong', 'getopt has said why');
    is_check_document('no directory', run([ $ENV{PG_REWIND}, '--report=json', '--check', @server ]), undef);
    like(run([ $ENV{PG_REWIND}, '--report=text', '--check', @server ])->{stdout},
        qr/^no directory: not ready for a rewind\n\nproblem  command_line /, 'as text as well');
    like(run([ rewind_argv($data, '--report=json', '--drop-slots', @server) ])->{stdout}, qr/^\{\s*"report_version"/,
        'without --check it is that of a rewind');

    my $copy = $target->copy('busy');
    my $held = hold($copy, $source, 'create@*/pg_rewind.work/*');
    $result = check($copy, @server);
    like($result->{stdout} =~ s/\n {3,}/ /gr,
        qr/^warning  target +A pg_rewind \(process $held->{pid}\) is working on this node now: what this look finds will have changed when it ends\. to do: Wait until it ends, then look again\.$/m,
        'a rewind that works there is reported') or diag($result->{stdout}, $result->{stderr});
    end_by_kill($held);
    unlike(check($copy, @server)->{stdout}, qr/is working on this node/, 'and not after its end');
}, only => [ 10, 15, 18 ]);
