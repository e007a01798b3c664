# A role that may call three functions and nothing else is enough on the source, also where views that everybody may
# read by default are closed to it, and the functions beneath them.  (Invariant 6. Source is a server.)
#
# Version 10 has no such grants: there the role must be a superuser.
# (Rule O16.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $role = rewinding_role('rewinder');
my @views = qw(pg_locks pg_stat_activity pg_roles pg_settings pg_replication_slots pg_stat_replication pg_stat_ssl
    pg_stat_wal_receiver);
my $unknown = qr/^pg_rewind: warning: not known whether the source is dropping, moving or renaming a database/m;

sub close_functions
{
    my ($source, @functions) = @_;
    $source->sql("REVOKE EXECUTE ON FUNCTION $_ FROM PUBLIC") for @functions;
    return;
}

# A standby with a slot of its own, by a role that sees no view on either server.
sub is_rejoined
{
    my ($target, $source) = @_;
    my $copy = $target->copy('rejoined');
    $source->listen_apart;
    $source->sql('ALTER ROLE rewinder REPLICATION');
    my $conninfo = $source->conninfo =~ s/user=\S+/user=rewinder/r . ' application_name=rejoined';
    my @arguments = rewind_argv($copy->data, '--rejoin', '--no-sync', '-B', $copy->bindir, '--slot=rejoined',
        '--source-server', $conninfo);
    my $result = run([ @arguments, '--create-slot' ]);
    is($result->{status}, 0, 'a standby with a slot') or diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: the target follows the source: standby "rejoined"/m, 'it follows');
    unlike($result->{stderr}, qr/warning|not known/, 'and nothing is unknown');
    $result = run(\@arguments);
    is($result->{status}, 0, 'once more') or diag($result->{stderr});
    like($result->{stderr}, qr/follows the source already$/m, 'it is seen to follow');
    $copy->discard;
    $source->sql(q{SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'rejoined'});
    $source->sql('ALTER ROLE rewinder NOREPLICATION');
    my $refused = rewind($target, $source, user => 'rewinder', options => [qw(-n -R --slot=other --create-slot)]);
    is($refused->{status}, 1, 'a role that may not replicate') or diag($refused->{stderr});
    like($refused->{stderr}, qr/^pg_rewind: error: the source does not accept a replication connection: /m, 'is told');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 5000) i; $role") },
        source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 3000); CREATE TABLE s AS SELECT 1 AS a') },
        target => sub {
            $_[0]->sql('INSERT INTO t SELECT generate_series(1, 9000); CREATE TABLE lost AS SELECT 1 AS a') });

    my $stranger = rewind($target, $source, user => 'nobody');
    isnt($stranger->{status}, 0, 'a role that does not exist is refused');
    $source->sql('CREATE ROLE powerless LOGIN');
    my $powerless = rewind($target, $source, user => 'powerless');
    isnt($powerless->{status}, 0, 'a role without the grants is refused');
    like($powerless->{stderr}, qr/pg_rewind: error: /, 'and told so');

    my $standby = $source->standby('standby');
    my $from_standby = $target->copy('from_standby');
    rewinds($from_standby, $standby, user => 'rewinder', options => ['--no-sync']);
    rejoins($from_standby, $standby, writer => $source);
    $_->discard for $from_standby, $standby;

    $source->sql("REVOKE SELECT ON $_ FROM PUBLIC") for @views;
    rewinds($target, $source, user => 'rewinder', options => ['-n']);
    my $copy = $target->copy('copy');
    my $closed = rewinds($copy, $source, user => 'rewinder', options => ['--no-sync']);
    unlike($closed->{stderr}, qr/warning/, 'where views are closed nothing is unknown');
    $copy->discard;
    is_rejoined($target, $source);
    close_functions($source, 'pg_stat_get_activity(int)');
    $copy = $target->copy('copy');
    $closed = rewinds($copy, $source, user => 'rewinder', options => ['--no-sync']);
    unlike($closed->{stderr}, $unknown, 'locks show removals without what sessions do');
    $copy->discard;
    close_functions($source, 'pg_lock_status()');
    rewinds($target, $source, user => 'rewinder', options => ['-n']);
    my $result = rewinds($target, $source, user => 'rewinder', options => ['--no-sync']);
    like($result->{stderr}, $unknown, 'a role that may not see locks is told what is not known');
    rejoins($target, $source) if $result->{status} == 0;
}, from => 11);
