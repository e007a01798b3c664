# A file that is not the cluster's own may be a private key, which a server refuses when its group may read it; unless
# root owns it. So the group gets no more than on the source or, where the owner changes, nothing; and where the source
# cannot tell, the owner alone. (Invariant 7. Group access came with 11.)
#
#   target, of a cluster with group access       source                             after the rewind
#   none                                         server, 0600                       0600
#   none                                         directory, 0600                    0600
#   of root, with the group of the server, 0640  another key                        the server's own, 0600
#   postgresql.conf and the like                                                    as the cluster's other files
# (Rule O6.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;

skip_unless_privileged();

sub mode_of { my ($path) = @_; return sprintf '%04o', (lstat $path)[2] & 07777 }

# A key and its certificate in the data directory, which the server uses.
sub make_key
{
    my ($cluster) = @_;
    must_run([ qw(openssl req -new -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj
        /CN=test),
        '-keyout', $cluster->path('server.key'), '-out', $cluster->path('server.crt') ]);
    chmod 0600, $cluster->path('server.key') or die;
    return;
}

# One that the server may read as its group.
sub make_key_of
{
    my ($cluster, $owner) = @_;
    make_key($cluster);
    chmod 0640, $cluster->path('server.key') or die;
    privileged('change-owner', $owner, $cluster->path('server.key'));
    is(mode_of($cluster->path('server.key')), '0640', "$owner owns a key that the group may read");
    return;
}

sub is_started_with_its_key
{
    my ($copy, $source, $what) = @_;
    is(mode_of($copy->path('server.key')), '0600', "$what: its owner alone may read the key");
    is(slurp($copy->path('server.key')), slurp($source->path('server.key')), 'it is the source\'s');
    is((lstat $copy->path('server.key'))[4], $>, 'its owner is that of the server');
    $copy->follow($source);
    my $started = $copy->try_start;
    is($started->{status}, 0, 'the server starts with it') or diag($copy->log);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        source => sub {
            my ($source) = @_;
            make_key($source);
            append($source->path('postgresql.conf'), "ssl = on\n");
            mkdir $source->path('own') or die;
            my %mode = ('own/script' => 0700, 'own/for_group' => 0640, 'own/for_all' => 0644, 'own/read_only' => 0400);
            for my $file (sort keys %mode)
            {
                spew($source->path($file), "$file\n");
                chmod $mode{$file}, $source->path($file) or die;
            }
            $source->restart;
            is($source->query('SHOW ssl'), 'on', 'the source uses its key');
            $source->sql('UPDATE t SET a = a + 1');
        },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 2; CREATE TABLE u AS SELECT 1 AS a') });
    must_run([ 'chmod', '-R', 'u=rwX,g=rX,o=', $target->data ]);
    my %of_directory = ('own/script' => '0700', 'own/for_group' => '0640', 'own/for_all' => '0640',
        'own/read_only' => '0400');

    for my $kind (qw(server directory))
    {
        $source->stop if $kind eq 'directory';
        for my $owner ('', 'root')
        {
            my $copy = $target->copy('copy');
            make_key_of($copy, $owner) if $owner;
            rewinds($copy, $source, kind => $kind);
            $source->start if $kind eq 'directory';
            is(mode_of($copy->path($_)), $kind eq 'directory' ? $of_directory{$_}
                : '0600', "$_: as on the source, if that can be known, and no more than the cluster's files")
                for sort keys %of_directory;
            is(mode_of($copy->path($_)), '0640', "$_ of the cluster's own, in a cluster with group access")
                for qw(postgresql.conf pg_hba.conf PG_VERSION pg_xact/0000);
            is_started_with_its_key($copy, $source, $owner eq '' ? "new, from a $kind"
                : "in place of root's, from a $kind");
            $copy->discard;
            $source->stop if $kind eq 'directory';
        }
    }
}, only => [ 11, 15, 18 ]);
