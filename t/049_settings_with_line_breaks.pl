# A password with a line break: no server reads a file of settings with one, so -R refuses it before anything is
# changed. Before, the target could not start, and the exit status was 0. Nor is a primary_conninfo written of which the
# server would use only the beginning. (Invariant 1. Where recovery is configured: 10.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳
# (Rules S4, S37.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my %by = (
        password => qr/^pg_rewind: hint: Give the role a password without one, or let it authenticate in another way, as by a certificate\.$/m,
        application_name => qr/^pg_rewind: hint: Give the option without one in --source-server\.$/m,
    );
    for my $option (sort keys %by)
    {
        my @argv = rewind_argv($target->data, '-R', '--no-sync', '--source-server', $source->conninfo
            . " $option='one\ntwo'");
        for my $dry ([], ['-n'])
        {
            my $result = run([ @argv, @$dry ]);
            is($result->{status}, 1, "$option with a line break @$dry") or diag($result->{stderr});
            like($result->{stderr},
                qr/^pg_rewind: error: option "$option" of primary_conninfo would have a line break$/m, 'it says so');
            like($result->{stderr}, $by{$option}, 'and what to do');
            unlike($result->{stderr}, qr/two/, 'the value is not shown');
        }
    }
    my $with_path = sub { return $source->conninfo . " options='-c search_path=" . 'a' x $_[0] . "'" };
    my $too_long = qr/^pg_rewind: error: primary_conninfo would have (\d+) bytes, of which servers use 1023$/m;
    my @argv = rewind_argv($target->data, '-R', '--no-sync', '--source-server');
    my $others = run([ @argv, $with_path->(1000) ])->{stderr} =~ $too_long ? $1 - 1000 : 0;
    my $result = run([ @argv, $with_path->(1024 - $others) ]);
    is($result->{status}, 1, 'a string of 1,024 bytes') or diag($result->{stderr});
    is($result->{stderr} =~ $too_long ? $1 : '', 1024, 'it says so');
    my $start = $target->try_start;
    is($start->{status}, 0, 'the target is as it was');
    is($target->query('SELECT a FROM t'), 2, 'with its rows');
    $result = run([ @argv, $with_path->(1024 - $others), '--rejoin', '-B', $target->bindir ]);
    is($result->{status}, 1, '--rejoin with it') or diag($result->{stderr});
    ok($target->is_running, 'does not stop the server');
    $target->stop;
    # Other odd characters are written so that the server reads them, and 1,023 bytes are not too many.
    $result = run([ @argv, $with_path->(1023 - $others) ]);
    is($result->{status}, 0, 'without it') or diag($result->{stderr});
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
}, only => [ 10, 12, 15, 18 ]);
