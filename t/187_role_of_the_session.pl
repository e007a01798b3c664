# ALTER ROLE ... SET role gives the sessions of a role the rights of another one. What sends WAL has the session's own
# role, and so has what makes and drops a slot: only that role needs REPLICATION.
# (Rule S9.)

use strict;
use warnings;
use RewindTest;

my @as_login = (user => 'login');

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql(rewinding_role('reader')
        . 'CREATE ROLE login LOGIN REPLICATION; GRANT reader TO login; ALTER ROLE login SET role = reader') },
        target => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 100)') });
    my @slot = qw(-R --slot=of_target --create-slot);

    my $copy = $target->copy('fails');
    my $result = rewind($copy, $source, @as_login, options => \@slot, fault => 'fail:rename@*/backup_label:EIO');
    is($result->{status}, 1, 'a run that fails') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: dropped replication slot "of_target", which this run has made on the source$/m,
        'makes and drops a slot')
        or diag($result->{stderr});
    $copy->discard;

    my $check = run([ rewind_argv($target->data, qw(--check -R
        --report=json), '--source-server', $source->conninfo =~ s/user=\S+/user=login/r) ]);
    like($check->{stdout}, qr/Role login has the attribute REPLICATION/, '--check looks at the same role')
        or diag($check->{stdout});

    $result = rewinds($target, $source, @as_login, options => \@slot);
    unlike($result->{stderr}, qr/may not replicate|warning/, 'nothing is refused, nor warned of');
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1,
        check => sub { is($source->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 'of_target'}), 't',
        'the standby uses the slot') });
    $target->stop;

    $source->sql('ALTER ROLE login NOREPLICATION; ALTER ROLE reader REPLICATION');
    $result = rewind($target, $source, @as_login, options => [ @slot, '-n' ]);
    is($result->{status}, 1, 'the attribute of the other role does not help');
    like($result->{stderr}, qr/^pg_rewind: error: role login may not replicate from the source server$/m, 'as is told');
}, only => [ 11, 15, 18 ]);
