# A small rewind needs few round trips: at most 5 with two tables, without those that make the connection, as the
# report counts them and as the wire shows them.  (The source is a server. Rules C98, P1.)
#
#   pg_rewind ──▶ proxy ──▶ source     a trip: a question, at a moment when all questions before are answered

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Liar;
use RewindTest::Proxy;
use Time::HiRes qw(sleep);

use constant MOST => 5;
use constant MOST_WAL => 256 * 1024;
use constant HELD_SECONDS => 0.15;    # what is asked: when the first part is passed on, all have come

# A filter that counts them in a file, and writes the statements to another. Nobody waits for the answer to a ROLLBACK
# that is sent alone. The source writes when the last pieces are asked for.
sub counting
{
    my ($file, $source) = @_;
    my (%connection, $trips);

    return sub {
        my ($number, $who, $bytes) = @_;
        my $connection = $connection{$number} //= { client => '', server => '', sql => '', started => 0, alone => 0 };
        if ($who eq 'server')
        {
            $connection->{server} .= $bytes;
            while (defined(my $message = RewindTest::Liar::take_message($connection, 'server')))
            {
                RewindTest::Liar::follow_server($connection, $message);
                $connection->{alone} = 0 if $message =~ /^Z/;
            }
            return $bytes;
        }
        sleep HELD_SECONDS;
        my @asked = $bytes =~ /P\0\0..\0([^\0]+)\0/gs;
        append("$file.sql", join '', map { s/\s+/ /gr . "\n" } @asked);
        $source->sql("INSERT INTO t VALUES (0, 'written meanwhile')") if grep { /pg_locks/ } @asked;
        my $open = grep { !defined } @{ $connection->{asked} };
        if ("@asked" eq 'ROLLBACK') { $connection->{alone} = 1 }
        elsif (@asked && $open == $connection->{alone}) { spew($file, ++$trips) }
        $connection->{client} .= $bytes;
        RewindTest::Liar::follow_client($connection);
        return $bytes;
    };
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        stop => $version == 15 ? 'immediate' : 'fast',    # a crash: no checkpoint after the divergence
        before => sub {
            $_[0]->sql("CREATE TABLE $_ AS SELECT i, 'common' AS v FROM generate_series(1, 100) i") for qw(t u);
        },
        source => sub { $_[0]->sql("UPDATE $_ SET v = 'source' WHERE i % 3 = 0") for qw(t u) },
        target => sub { $_[0]->sql("UPDATE $_ SET v = 'target' WHERE i % 2 = 0") for qw(t u) });
    my $torn = $target->copy('torn');
    my $file = work_dir() . '/trips';
    my $proxy = RewindTest::Proxy->new('proxy', $source, filter => counting($file, $source));
    my $result = rewind($target, $proxy, options => [ '--no-sync', '--report=json' ]);

    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    my $told = JSON::PP->new->utf8->decode($result->{stdout})->{source_connection}{round_trips};
    my $seen = slurp($file);
    cmp_ok($told, '<=', MOST, 'no more round trips than these, as the report tells');
    is($seen, $told, 'the wire shows as many');
    my @asked = grep { !/^ROLLBACK TO / } split /\n/, slurp("$file.sql");
    my ($state) = grep { $asked[$_] =~ /AS removes.*AS standby/ && $asked[$_] =~ /pg_lock_status/ } 0 .. $#asked;
    like($asked[ $state - 1 ], qr/AS pieces/, 'the state at the end is asked for right behind the last pieces');
    my ($wal_at_end, @after) = @asked[ $state + 2 .. $#asked ];
    like($wal_at_end, qr/flush_lsn\(\) OPERATOR\(pg_catalog\.-\)/, 'with the WAL that was written meanwhile');
    my ($next_run) = grep { $after[$_] =~ /quote_ident\(current_user\)/ } 0 .. $#after;
    unlike(join("\n", @after[ 0 .. ($next_run // @after) - 1 ]), qr/AS pieces/, 'so no more is asked for');
    my $wal = JSON::PP->new->utf8->decode($result->{stdout})->{bytes}{fetched_by_kind}{wal};
    cmp_ok($wal, '<', MOST_WAL, "$wal bytes of WAL are fetched: what is proved to be equal is the target's own");
    is($proxy->status->{made}, 1, 'one connection is enough');
    $proxy->end;
    rejoins($target, $source, quick => 1);

    # The first trip asks for more than pg_control, which a server may be writing at that moment.
    my $reads = 0;
    my $liar = RewindTest::Proxy->new('liar', $source, filter => RewindTest::Liar::chosen(sub {
        my ($sql, $row) = @_;
        substr($row->[0], 100, 1) ^= "\1" if $sql =~ m{pg_read_binary_file\('global/pg_control'} && !$reads++;
        return $row;
    }));
    my $again = rewind($torn, $liar, options => [ '--no-sync' ], dry => 0);
    is($again->{status}, 0, 'a torn pg_control is read again, while other answers are under way')
        or diag($again->{stderr});
    $liar->end;
}, only => [ 10, 15, 18 ]);
