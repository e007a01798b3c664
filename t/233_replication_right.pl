# With -R the program looks, before it changes anything, whether the standby will be able to stream: may the role
# replicate, does pg_hba.conf let it in, and does the connection lead to the source itself. The remedy can be pasted.
# With -R alone, for which the original needs no such right, it is a warning; with --slot an error. (Version 10 needs a
# superuser anyway.)
# (Rules S8, S42.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Proxy;
use RewindTest::Tree;

my $rewinder = rewinding_role('"the rewinder"');

sub rewind_as_rewinder
{
    my ($target, $source, @options) = @_;
    return rewind($target, $source, user => q{'the\\ rewinder'}, options => [ '-R', @options ]);
}

# Without the right; what is printed can be pasted.
sub role_without_the_right
{
    my ($target, $source) = @_;
    my $before = tree($target);
    my $refused = rewind_as_rewinder($target, $source, '--slot=some_slot');
    is($refused->{status}, 1, 'with --slot a role that may not replicate is an error');
    like($refused->{stderr}, qr/^pg_rewind: error: role "the rewinder" may not replicate from the source server$/m,
        'which is told');
    my ($statement) = $refused->{stderr}
        =~ /^pg_rewind: hint: So that the standby can stream, run on the source: (ALTER ROLE .*;)$/m;
    is_same_tree(tree($target), $before, 'the target is as it was');

    for my $dry ([], ['-n'])
    {
        my $copy = $target->copy('without_right');
        my $result = rewind_as_rewinder($copy, $source, @$dry);
        is($result->{status}, 0, "with -R alone the status is the original's (@$dry)") or diag($result->{stderr});
        like($result->{stderr},
            qr/\A(?:(?!no rewind|Done).*\n)*pg_rewind: warning: role "the rewinder" may not replicate from the source server\npg_rewind: hint: .*\Q$statement\E\n/,
            'a warning comes first');
        like($result->{stderr},
            qr/^pg_rewind: Done!\n(?:.*\n)*pg_rewind: hint: .*\Q$statement\E\npg_rewind: hint: .*\n\z/m,
            'and the remedy is among the last lines');
        $copy->discard;
    }
    $source->sql($statement);
    my $allowed = rewind_as_rewinder($target, $source, '-n', '--slot=some_slot');
    is($allowed->{status}, 0, 'with the right there is no complaint') or diag($allowed->{stderr});
    unlike($allowed->{stderr}, qr/warning|stream, /, 'of any kind');
    return;
}

# initdb's pg_hba.conf has lines for replication; a written one often has none.
sub without_a_line_for_replication
{
    my ($target, $source) = @_;
    my $hba = slurp($source->path('pg_hba.conf'));
    spew($source->path('pg_hba.conf'), "local all all trust\n");
    $source->sql('SELECT pg_reload_conf()');
    my $refused = rewind_as_rewinder($target, $source, '--slot=some_slot');
    is($refused->{status}, 1, 'without a line of pg_hba.conf for replication --slot is refused');
    like($refused->{stderr},
        qr/^pg_rewind: error: the source does not accept a replication connection: .*pg_hba\.conf/m, 'which is told');
    my ($line) = $refused->{stderr} =~ /^pg_rewind: hint: So that .*: (local replication .*)$/m;
    is($line, 'local replication "the rewinder" peer', 'with the line that is missing') or diag($refused->{stderr});
    spew($source->path('pg_hba.conf'), "local all all trust\n" . ($line =~ s/peer/trust/r) . "\n");
    $source->sql('SELECT pg_reload_conf()');
    is(rewind_as_rewinder($target, $source, '-n', '--slot=some_slot')->{status}, 0, 'with that line it is not');
    spew($source->path('pg_hba.conf'), "local all all trust\nhost all all all trust\n");
    $source->sql('ALTER ROLE "the rewinder" NOREPLICATION; SELECT pg_reload_conf()');
    my $both = rewind_as_rewinder($target, $source, '-n');
    like($both->{stderr},
        qr/^pg_rewind: warning: role "the rewinder" may(?:.*\n)*pg_rewind: warning: the source does not accept a replication connection/m,
        'both are told at once');
    spew($source->path('pg_hba.conf'), $hba);
    $source->sql('ALTER ROLE "the rewinder" REPLICATION; SELECT pg_reload_conf()');
    return;
}

# Neither -R nor --slot needs a look into the catalogs: the replication connection shows whether the role may replicate.
# (Rule O16.)
sub closed_catalogs
{
    my ($target, $source) = @_;
    $source->sql('REVOKE SELECT ON pg_roles FROM PUBLIC');
    for my $slot ([], ['--slot=some_slot'])
    {
        my $result = rewind_as_rewinder($target, $source, '-n', @$slot);
        is($result->{status}, 0, "a role that may not read pg_roles, @$slot: it goes on") or diag($result->{stderr});
        unlike($result->{stderr}, qr/^pg_rewind: warning: /m, "and there is nothing to warn of, @$slot");
    }
    $source->sql('ALTER ROLE "the rewinder" NOREPLICATION');
    like(rewind_as_rewinder($target, $source, '-n')->{stderr},
        qr/^pg_rewind: warning: the source does not accept a replication connection: /m,
        'of a role that may not replicate -R warns all the same');
    is(rewind_as_rewinder($target, $source, qw(-n --slot=some_slot))->{status}, 1, 'and --slot is refused');
    $source->sql('ALTER ROLE "the rewinder" REPLICATION; GRANT SELECT ON pg_roles TO PUBLIC');
    return;
}

# Something before the server that takes no replication connection, as poolers do: told by the name of the startup
# packet's parameter.
sub through_a_pooler
{
    my ($target, $source) = @_;
    my $pooler = RewindTest::Proxy->new('pooler', $source, filter => sub {
        my (undef, $who, $bytes) = @_;
        $bytes =~ s/replication\0true/application\0none/ if $who eq 'client';
        return $bytes;
    });
    my $result = rewind($target, $pooler, options => [qw(-n -R)]);
    is($result->{status}, 0, 'through a pooler -R goes on') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: warning: the source does not accept a replication connection: /m,
        'and warns');
    $result = rewind($target, $pooler, options => [qw(-n -R --slot=some_slot)]);
    is($result->{status}, 1, '--slot does not');
    return;
}

# An option of the former primary_conninfo that our own connection does not have: --check tries what the run would.
sub former_asks_for_more
{
    my ($target, $source) = @_;
    my $copy = $target->copy('former');
    append($copy->path($copy->version < 12 ? 'recovery.done' : 'postgresql.auto.conf'),
        "primary_conninfo = 'host=/nowhere channel_binding=require'\n");
    my $says = 'the source does not accept a replication connection:';
    like(rewind($copy, $source, options => [qw(-n -R)])->{stderr}, qr/^pg_rewind: warning: $says .*channel binding/m,
        'a standby could not connect');
    my $check = run([ rewind_argv($copy->data, '--check', '-R', '--source-server', $source->conninfo) ]);
    is($check->{status}, 1, '--check -R: not ready');
    like($check->{stdout}, qr/^problem +source_replication +$says .*\n(?: +.*\n)*? +.*channel binding/m, 'and why');
    my $plain = run([ rewind_argv($copy->data, '--check', '--source-server', $source->conninfo) ]);
    is($plain->{status}, 0, 'without -R nothing is written') or diag($plain->{stdout});
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t (a int); $rewinder") },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    role_without_the_right($target, $source);
    without_a_line_for_replication($target, $source);
    closed_catalogs($target, $source) if $version == 18;
    through_a_pooler($target, $source);
    former_asks_for_more($target, $source);
    rewind_as_rewinder($target, $source, '--slot=some_slot');
    $source->sql(q{SELECT pg_create_physical_replication_slot('some_slot', true)});
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($source->query(q{SELECT usename, slot_name FROM pg_stat_replication JOIN pg_replication_slots ON pid = active_pid}),
        'the rewinder|some_slot', 'the standby streams as this role');
}, only => [ 11, 18 ]);
