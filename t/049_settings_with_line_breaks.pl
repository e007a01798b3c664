# A password with a line break: no server reads a file of settings with one, so -R refuses it before anything is
# changed. Before, the target could not start, and the exit status was 0. (Invariant 1. Where recovery is configured:
# 10.)
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳
# (Rule S4.)

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
    my $start = $target->try_start;
    is($start->{status}, 0, 'the target is as it was');
    is($target->query('SELECT a FROM t'), 2, 'with its rows');
    $target->stop;
    # Other odd characters are written so that the server reads them.
    my $result = rewind($target, $source, options => [ '-R' ], env => {});
    is($result->{status}, 0, 'without it') or diag($result->{stderr});
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
}, only => [ 10, 12, 15, 18 ]);
