# After a late start the rewound target lacks the source's WAL from before it, since the divergence: another standby
# that was away cannot follow it. Output and report say so; with --early-start the target has that WAL. (Where recovery
# starts. Source is a server.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my $step =
    qr{The rewound target has the source's WAL only from [0-9A-F]+/[0-9A-F]+ on: let standbys that need earlier WAL \(from [0-9A-F]+/[0-9A-F]+ on\) follow the source or an archive\. With --early-start the target would have it\.};

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => $version >= 13 ? 'wal_keep_size = 1GB' : 'wal_keep_segments = 1000' },
        source => sub {
            my ($source) = @_;
            my ($begin, $i) = ($source->lsn, 0);
            do    # more than is kept before a late start in any case
            {
                $source->sql('CREATE TABLE t' . ++$i . ' (a int)');
                $source->sql('SELECT pg_switch_wal()');
            } until ($source->query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$begin') > 80e6") eq 't');
            $source->sql('CHECKPOINT');
        },
        target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
    for my $option (qw(--late-start --early-start))
    {
        my $copy = $target->copy($option);
        my $result = rewind($copy, $source, options => [ '--no-sync', '--report=json', $option ]);
        is($result->{status}, 0, "pg_rewind succeeds with $option") or diag($result->{stderr});
        my @said = grep { /$step/ } @{ JSON::PP->new->decode($result->{stdout})->{next}{steps} };
        is(scalar @said, $option eq '--late-start' ? 1 : 0, 'the report says what is missing, or nothing is');
        is(scalar(() = $result->{stderr} =~ /^pg_rewind: hint: $step$/mg), scalar @said, 'and so does the output');
        rejoins($copy, $source, no_promotion => 1, quick => 1);
        $copy->discard;
    }
});
