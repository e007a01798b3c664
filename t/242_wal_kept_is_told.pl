# With --debug each WAL segment of common history that stays is told: in the file map if both sides have it, and if only
# the target has it as one that recovery needs. (As the original says it; nothing here depends on the kind of source.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        together => sub { $_[0]->sql("INSERT INTO t VALUES ($_)"), $_[0]->sql('SELECT pg_switch_wal()') for 1 .. 3 },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (4)') });
    my ($only_target, $both) = map { m{([^/]+)$} } sort glob($target->path('pg_wal/00000001????????????????'));
    unlink $source->path("pg_wal/$only_target") or die "$only_target: $!";
    ok(-e $source->path("pg_wal/$both"), 'the source has the next one');
    my $result = rewind($target, $source, options => [ '-n', '--debug' ]);
    is($result->{status}, 0, 'a dry run') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: pg_(?:wal|xlog)\/$both \(NONE\)$/m,
        'a segment that both have is in the file map');
    like($result->{stderr},
        qr/^pg_rewind: Not removing file "pg_(?:wal|xlog)\/$only_target" because it is required for recovery$/m,
        'one that only the target has is told');
    unlike($result->{stderr}, qr/^pg_rewind: pg_wal\/$only_target /m, 'and not in the file map');
    ($result) = rewind($target, $source, options => ['-n']);
    unlike($result->{stderr}, qr/Not removing|\(NONE\)/, 'without --debug nothing of it is said');
}, only => [ 10, 13, 15, 18 ]);
