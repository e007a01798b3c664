# In a cluster with group access the group never reads a private key of the source, also not in the work directory while
# the run goes on: such a file is made for its owner alone, and gets its mode when it is whole. (The attacker: a member
# of the group of the server's account.)
# (Rule O6.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my $key = "-----BEGIN PRIVATE KEY-----\n";

# Modes of the files with a key in the work directory.
sub modes_of_keys
{
    my ($target) = @_;
    return map { sprintf '%04o', (stat)[2] & 07777 } grep { -f && -s _ == length $key && slurp($_) eq $key }
        glob $target->path('pg_rewind.work/*');
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($server) = @_; $server->sql('CREATE TABLE t (a integer)'); mkdir $server->path('own')
        or die; spew($server->path('own/for_group'), "own\n") },
        source => sub { spew($_[0]->path($_), $key) for 'server.key', 'own/key';
        spew($_[0]->path('own/for_group'), "another\n"); chmod 0600, $_[0]->path('server.key'),
        $_[0]->path('own/key') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    must_run([ 'chmod', '-R', 'u=rwX,g=rX,o=', $_->data ]) for $target;
    $source->stop;
    for my $kind (qw(directory server))
    {
        my $copy = $target->copy("copy_$kind");
        $source->start if $kind eq 'server';
        # The first file whose mode is set: all have been fetched.
        my $run = hold($copy, $source, 'set mode@*/pg_rewind.work/f*', '--no-sync', $kind eq 'directory'
            ? '--source-pgdata=' . $source->data : ());
        is(join(' ', modes_of_keys($copy)), '0600 0600',
            "$kind: the keys are for their owner alone before their modes are set");
        is(go_on($run)->{status}, 0, 'the run succeeds');
        is(join(' ', map { sprintf '%04o', (stat $copy->path($_))[2] & 07777 } qw(server.key own/key
            own/for_group)), '0600 0600 0640', 'and so they are at the end');
        $copy->discard;
    }
}, only => [ 11, 18 ]);
