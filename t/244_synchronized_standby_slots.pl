# The new primary's synchronized_standby_slots names slots that it does not have, as after each failover: its logical
# decoding waits for them. A rewind with --slot names them, except for the one that it makes; so does --check.
#
#   source   1 ──┬── 2 ── synchronized_standby_slots = of_target, of_another ──▶
#   target       └── 1 ──▶

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

my ($source, $diverged);

sub check
{
    my (@options) = @_;
    my $result = run([ rewind_argv($diverged->data, qw(--check --report=json
        -R), @options, '--source-server', $source->conninfo) ]);
    my ($finding) = grep { $_->{name}
        eq 'synchronized_slots' } @{ JSON::PP->new->utf8->decode($result->{stdout})->{findings} };
    return $finding ? "$finding->{state}: $finding->{text}" : 'nothing';
}

sub warning { my ($names) = @_;
    return qr/^pg_rewind: warning: the source's synchronized_standby_slots names replication slots that it does not have: $names\npg_rewind: detail: Logical decoding of the source's failover slots waits until they exist and their standbys stream with them\.\npg_rewind: hint: /m }

sub waits
{
    my ($names, @options) = @_;
    my $copy = $diverged->copy('copy');
    my $result = rewind($copy, $source, options => [ '-R', '--no-sync', @options ]);
    is($result->{status}, 0, "@options: it succeeds") or diag($result->{stderr});
    defined $names ? like($result->{stderr}, warning($names), "@options: $names")
        : unlike($result->{stderr}, qr/warning: .*synchronized_standby_slots/, "@options: none is named");
    is(scalar(() = $result->{stderr} =~ /^pg_rewind: (?:warning|hint): .*synchronized_standby_slots/mg), defined $names
        ? 2 : 0, "@options: once, with what to do");
    $copy->discard;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub {
        $_[0]->sql(q{INSERT INTO t VALUES (2); ALTER SYSTEM SET synchronized_standby_slots = 'of_target', 'of_another'});
        $_[0]->restart },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    is(check('--slot=of_target'),
        "warning: the source's synchronized_standby_slots names replication slots that it does not have: of_another\n"
            . "Logical decoding of the source's failover slots waits until they exist and their standbys stream with them.",
        '--check names it');
    is(check(), 'nothing', '--check without --slot has no such finding');
    waits('of_another', '--slot=of_target', '--create-slot');
    waits('of_another, of_target', '--slot=of_third', '--create-slot');
    waits(undef);
    $source->sql(q{ALTER SYSTEM SET synchronized_standby_slots = 'of_target'});
    $source->restart;
    waits(undef, '--slot=of_target', '--create-slot');
    is(check('--slot=of_target'),
        'ok: The source\'s synchronized_standby_slots names no other slot that it does not have.', '--check: none');
}, from => 17);
