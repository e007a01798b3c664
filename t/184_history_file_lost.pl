# The target's own history file is lost: the source's pg_wal has it, or an archive, and the bytes prove the divergence.
# Where nothing has it, the error says what helps.
#
#   target   1 ──┬── 2 ──────▶      00000002.history is not in its pg_wal
#   source       └── 2 ──┬── 3 ──▶
# (Rule C27.)

use strict;
use warnings;

use RewindTest;

# Returns the source and the target, stopped. $last: what the target does last before they part.
sub pair
{
    my ($version, $last) = @_;
    my $first = make_cluster('first', $version)->start;
    $first->sql("CREATE TABLE t AS SELECT i AS a, 'common' AS b FROM generate_series(1, 1000) i");
    my $target = $first->standby('target');
    $target->promote;
    $first->stop('immediate');
    $target->sql("UPDATE t SET a = -a; CHECKPOINT");
    my $source = $target->standby('source');
    $target->sql($last) if $last;
    $source->wait_for_replay_of($target);
    $source->promote;
    $target->sql("UPDATE t SET b = 'lost' WHERE a % 5 = 0");
    $source->sql("CHECKPOINT; UPDATE t SET b = 'kept' WHERE a % 3 = 0");
    $target->stop;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    # Another server's file of that name may say another thing.
    subtest('no bytes prove what a file from elsewhere says', sub {
        my ($source, $target) = pair($version, 'SELECT pg_switch_wal()');
        my $old = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())') =~ s/^........//r;
        unlink grep { /([0-9A-F]{16})$/ && $1 lt $old } glob($source->path('pg_wal/*'));
        unlink($target->path('pg_wal/00000002.history')) or die;
        my $result = rewind($target, $source, options => ['-N']);
        is($result->{status}, 1, 'an error');
        like($result->{stderr},
            qr/^pg_rewind: error: could not prove that source and target have the same history before/m, 'that says so')
            or diag($result->{stderr});
        RewindTest::Cluster::discard_all();
    });

    my ($source, $target) = pair($version);
    my $name = '00000002.history';
    my $archive = $target->dir . '/archive';
    mkdir $archive or die;
    rename($target->path("pg_wal/$name"), "$archive/$name") or die;
    my $rewinds = sub {
        my ($what, @options) = @_;
        subtest($what, sub {
            my $copy = $target->copy('rewound');
            rewinds($copy, $source, options => [ '-N', @options ])->{status} == 0 or return;
            rejoins($copy, $source, quick => 1);
            $copy->discard;
        });
    };

    $rewinds->("the source's pg_wal has it");
    unlink($source->path("pg_wal/$name")) or die;
    my $result = rewind($target, $source, options => ['-N']);
    is($result->{status}, 1, 'nothing has it: an error');
    like($result->{stderr}, qr{^pg_rewind: error: could not open file ".*/$name": No such file or directory$}m,
        'that names the file');
    like($result->{stderr},
        qr/^pg_rewind: hint: Put the files there, or let pg_rewind fetch them: --wal-archive, .* --compare needs none of them/m,
        'and what helps');
    $rewinds->('an archive has it', "--wal-archive=$archive");
    $rewinds->('a command has it', "--restore-command=cp $archive/%f %p");
    $rewinds->('it is not needed', '--compare');
}, only => [ 10, 15, 18 ]);
