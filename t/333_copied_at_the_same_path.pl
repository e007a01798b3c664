# A copy that was made during an exclusive backup (10 to 14), with the primary's lock file and at the path that the
# primary's directory has, is no primary that crashed: its files are newer than its WAL, and nothing else says so.
# (Invariant 1. See t/331.)
# (Rule C13.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $session;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g') },
        together => sub {
            my ($primary) = @_;
            $session = $primary->session;
            $session->sql("SELECT pg_start_backup('b', true, true)");
        },
        target => sub {
            my ($primary) = @_;
            my ($data, $copy) = ($primary->data, $primary->data . '.copy');
            sleep 4;    # the lock file is younger in the copy
            $primary->sql('CHECKPOINT');
            must_run([ 'cp', '-a', $data, $copy ]);
            $primary->sql('UPDATE t SET g = -g; CHECKPOINT');
            must_run([ 'cp', '-a', '-T', "$data/base", "$copy/base" ]);
        },
        stop => 'kill');
    my $data = $target->data;
    must_run([ 'rm', '-rf', $data ]);
    must_run([ 'mv', "$data.copy", $data ]);
    my $refused = rewind($target, $source);
    is($refused->{status}, 1, 'a copy is refused');
    like($refused->{stderr}, qr/error: target is not consistent$/m, 'with that reason');
    rejoins($target, $source) if $refused->{status} == 0;
}, only => [ 10, 13, 14 ]);
