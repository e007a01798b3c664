# --compare by each digest that both sides may compute, and by bytes where there is none: the result is a copy of the
# source, and no more is fetched than differs. (Invariant 1. Source is a server.)
#
# What a server computes is taken from its role: a library that obeys FIPS 140 refuses MD5 in the same way. SHA-256 came
# with 11.
# (Rule K7.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my $role = rewinding_role('rewinder');

my @digests = (
    [ 'MD5', 'REVOKE EXECUTE ON FUNCTION sha256(bytea) FROM PUBLIC' ],
    [ 'no digest', 'REVOKE EXECUTE ON FUNCTION md5(bytea) FROM PUBLIC' ],
    [ 'SHA-256', 'GRANT EXECUTE ON FUNCTION sha256(bytea) TO PUBLIC' ],
    [ '(?:MD5|SHA-256)', 'GRANT EXECUTE ON FUNCTION md5(bytea) TO PUBLIC', 'the one for the version and the processor' ],
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i; CREATE INDEX ON t (i);
                CREATE TABLE quiet AS SELECT i, repeat('quiet', 100) AS v FROM generate_series(1, 40000) i;
                SELECT count(*) FROM quiet; $role");    # no hints are left to set
        },
        source => sub {
        $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 700 = 0; INSERT INTO t SELECT i, 'new' FROM generate_series(1, 3000) i") },
        target => sub {
            $_[0]->sql("UPDATE t SET v = 'target' WHERE i % 110 = 0; SELECT count(*) FROM t; CHECKPOINT") });
    for my $case (@digests)
    {
        my ($digest, $rights, $name) = @$case;
        subtest($name // $digest, sub {
            $source->sql("$rights; CHECKPOINT");
            my $copy = $target->copy('copy');
            my $result = rewind($copy, $source, user => 'rewinder', options => [qw(--compare --debug --report=json)]);
            is($result->{status}, 0, 'pg_rewind succeeds') or do { diag($result->{stderr}); return };
            like($result->{stderr}, qr/comparing blocks by $digest$/m, 'compares by it');
            my $bytes = JSON::PP->new->utf8->decode($result->{stdout})->{bytes};
            cmp_ok($bytes->{fetched_by_kind}{relations}, '<', 5 * 1024 * 1024, 'fetches what differs');
            rejoins($copy, $source, quick => 1);
            $copy->discard;
        });
    }
}, only => [ 11, 18 ]);
