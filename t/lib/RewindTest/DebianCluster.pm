# A cluster as Debian's postgresql-common makes it: started by pg_ctlcluster, its configuration outside the data
# directory.
#
# Directories:  DIR/data  DIR/log.1  as of any cluster; WORK/etc/VERSION/NAME is its configuration.
#
# pg_ctlcluster stop removes a file in /run/postgresql by the cluster's name: so the name is one that nobody else has.

package RewindTest::DebianCluster;

use strict;
use warnings;

use parent -norequire, 'RewindTest::Cluster';
use RewindTest::Command;

# The version of which Debian 12 has the server.
use constant VERSION => 15;

sub new
{
    my ($class, $name) = @_;
    my $self = $class->allocate("$name$$", VERSION, '/usr/lib/postgresql/' . VERSION . '/bin');
    return $self->create(qw(-- -U postgres -A trust -N -k));
}

# pg_createcluster runs initdb, or takes over the data directory that is there.
sub create
{
    my ($self, @initdb_options) = @_;
    $self->{starts} = 1;    # one log, whoever starts it
    $ENV{PG_CLUSTER_CONF_ROOT} = work_dir() . '/etc';
    mkdir $ENV{PG_CLUSTER_CONF_ROOT};
    must_run([ 'pg_createcluster', '--start-conf=manual', '-p', 5432, '-s', $self->{dir}, '-d', $self->data, '-l',
        $self->log_path, VERSION,
        $self->{name}, @initdb_options ]);
    $self->configure("listen_addresses = ''\nfsync = off\nshared_buffers = 16MB\nautovacuum = off\nlog_min_messages = log
external_pid_file = '$self->{dir}/external.pid'");
    return $self;
}

sub copy
{
    my ($self, $name) = @_;
    my $copy = $self->SUPER::copy("$name$$");
    # What pg_createcluster moves out of a data directory that is there.
    spew($copy->path('postgresql.conf'), '');
    spew($copy->path('pg_ident.conf'), '');
    spew($copy->path('pg_hba.conf'), "local all,replication all trust\n");
    return $copy->create;
}

sub configuration { my ($self) = @_; return "$ENV{PG_CLUSTER_CONF_ROOT}/@{[VERSION]}/$self->{name}" }

sub configure { my ($self, $settings) = @_; append($self->configuration . '/conf.d/test.conf', "$settings\n"); return }

sub try_start { my ($self) = @_; return run([ 'pg_ctlcluster', VERSION, $self->{name}, 'start' ]) }

1;
