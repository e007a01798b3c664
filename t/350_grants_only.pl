# A role that may call three functions and nothing else is enough on the source.  (Invariant 6. Source is a server.)
#
# Version 10 has no such grants: there the role must be a superuser.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $role = rewinding_role('rewinder');

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

    my $result = rewinds($target, $source, user => 'rewinder', options => ['--no-sync']);
    rejoins($target, $source) if $result->{status} == 0;
}, from => 11);
