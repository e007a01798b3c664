# Limits that the source's server no longer has: the rewound target's server has the present ones, so recovery starts
# past what needs more. (Where recovery starts. Both sources.)
#
#   source       ┌── 2 ── max_connections = 150 ── = 90 ──▶            insufficient parameter settings
#   target   1 ──┴── 1 ──▶     a prepared transaction ── none ──▶      maximum number of prepared transactions reached
# (Rules C39, S10.)

use strict;
use warnings;

use RewindTest;

sub set { my ($server, $setting, $value) = @_; $server->sql("ALTER SYSTEM SET $setting = $value"); $server->restart;
    return }

my %histories = (
    'raised and lowered' => sub { set($_[0], 'max_connections', 150); $_[0]->sql('INSERT INTO t VALUES (1)');
    set($_[0], 'max_connections', 90) },
    'prepared transactions are no longer possible' => sub {
        $_[0]->sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'");
        $_[0]->sql("COMMIT PREPARED 'p'");
        set($_[0], 'max_prepared_transactions', 0);
    },
);

# -R writes what the WAL from the early start on needs.
sub raised_by_R
{
    my ($source, $target) = @_;
    my $rewound = $target->copy('raised');
    my $result = rewinds($rewound, $source, options => [qw(--early-start -R --no-sync)]);
    unlike($result->{stderr}, qr/may stop during recovery/, 'with -R there is nothing to warn of');
    like($result->{stderr},
        qr/^pg_rewind: -R writes limits that are at least the source's, since a standby does not start with lower ones: max_(?:connections \(90, needed: 150|prepared_transactions \(0, needed: 8)\)$/m,
        'since it writes them');
    rejoins($rewound, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    $rewound->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $name (sort keys %histories)
    {
        subtest($name, sub {
            my ($source, $target) = split_brain($version,
                before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
                source => sub { $histories{$name}->($_[0]); $_[0]->sql('INSERT INTO t VALUES (2)') },
                target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
            my $early = rewind($target, $source, options => [qw(--early-start --dry-run --report=json)]);
            like($early->{stdout}, qr/"asked"|"no choice"/, 'with --early-start it does as it is told');
            like($early->{stderr},
                qr/^pg_rewind: warning: the target's server may stop during recovery: the source's present settings are lower than replay needs$/m,
                'and warns');
            like($early->{stdout}, qr/present settings are lower than replay needs\. Up to .*If the server stops, raise/,
                'also among the steps of the report');
            raised_by_R($source, $target) if $version >= 12;
            rewinds_from_both_kinds($source, $target, quick => 1);
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 12, 15, 18, 19 ]);
