# --rejoin does not stop a server whose configuration the rewind would remove, since the source has its own outside of
# the data directory; and finishes an interrupted rewind that has removed it, with the right advice. (Invariants 2, 3.
# 15 stands for all.)
#
#   source   1 ──┬── 2 ──▶       postgresql.conf is elsewhere
#   target       └── 1 ──▶       postgresql.conf is in its data directory
# (Rules I53, I59, I65.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Outcome;

my ($source, $diverged, $target);

sub rejoin
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --rejoin-timeout=60
        -B), $target->bindir, '--source-server', $source->conninfo, @options) ]);
}

sub fresh
{
    my ($name) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    $target->configure("unix_socket_directories = '$target->{dir}'");
    spew("$target->{dir}/elsewhere.conf", slurp($target->path('postgresql.conf')));
    return;
}

sub follows
{
    my ($what, @options) = @_;
    ends(rejoin(@options), 0, $what, qr/^pg_rewind: the target follows the source: standby /m);
    return;
}

my @removed = (
    qr/^pg_rewind: error: the target's server would have no configuration after the rewind$/m,
    qr/^pg_rewind: detail: The source has no "postgresql\.conf" in its data directory, so the target's is removed\.$/m,
    qr/^pg_rewind: hint: Keep the target's configuration \(--keep-config\), or name a main configuration file outside of the data directory \(--config-file\)\.$/m,
);

sub is_refused
{
    fresh('refused');
    $target->start;
    my $pid = $target->postmaster_pid;
    ends(rejoin(@$_), 1, "a server that runs @$_", @removed,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m) for [], ['-n'];
    is($target->postmaster_pid, $pid, 'a server that runs goes on');
    $target->stop;
    ends(rejoin(@$_), 1, "a server that is stopped @$_", @removed) for [], ['-n'];
    ok(!$target->is_running && -e $target->path('postgresql.conf'), 'a server that is stopped stays as it is');
    return;
}

sub remedies
{
    follows('its configuration is kept', '--keep-config');
    for my $option ('--config-file=', '--start-command=')
    {
        fresh('remedy');
        my $file = "$target->{dir}/elsewhere.conf";
        my $start =
            "$target->{bindir}/pg_ctl -D $target->{dir}/data -l $target->{dir}/log -w -o '-c config_file=$file' start";
        follows("the server is started with another file: $option", $option . ($option =~ /config/ ? $file : $start));
    }
    return;
}

# By another command, which does not start the server.
sub interrupted
{
    for my $setup ([], ['-R'])
    {
        fresh('interrupted');
        end_by_kill(hold($target, $source, 'patch', '--no-sync', @$setup));
        my $what = "an interrupted rewind @$setup";
        ok(!-e $target->path('postgresql.conf'), "$what has removed it");
        my $missing =
            qr/^pg_rewind: error: the configuration of the target's server was not found\npg_rewind: hint: The data directory has no postgresql\.conf: name the server's main configuration file with --config-file\.$/m;
        ends(rejoin('-n'), 0, "$what, in a dry run", qr/^pg_rewind: an interrupted rewind is pending$/m);
        ends(rejoin(), 2, $what, qr/^pg_rewind: the interrupted rewind is finished$/m, $missing);
        ends(rejoin(), 1, "$what, and again", $missing, qr/^pg_rewind: hint: The target is unchanged\.$/m);
        follows("$what, and with a file", "--config-file=$target->{dir}/elsewhere.conf");
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    $source->stop;
    rename($source->path('postgresql.conf'), "$source->{dir}/source.conf") or die "$!";
    my $start = $source->try_start(settings => { config_file => "$source->{dir}/source.conf" });
    is($start->{status}, 0, 'the source starts with its configuration elsewhere') or diag($start->{stderr});
    is_refused();
    remedies();
    interrupted();
    undef $target;
}, only => [15]);
