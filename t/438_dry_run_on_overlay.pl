# A dry run and --check write nothing, and so open no file of the target for writing: on an overlayfs, as containers
# have, that alone would copy each of these files. A rewind there syncs each file, since syncfs would tell no error.
# (Nothing here depends on the server's version.)
#
#   target    lower: the cluster     upper: what was copied, which is nothing
# (Rules I26, I46.)

use strict;
use warnings;

use File::Find ();
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;

skip_unless_privileged();

# Files and directories that the overlay has of its own.
sub copied
{
    my ($changes) = @_;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, s/^\Q$changes\E//r if $_ ne $changes } }, $changes);
    return join ' ', sort @found;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    my $changes = $source->dir . '/changes';
    mkdir $changes or die;
    privileged('make-overlay', $target->dir, $changes);
    my %options = (
        'a dry run' => ['--dry-run'],
        'one that asks the restore command of the configuration' => [qw(--dry-run -c)],
        'one that compares' => [qw(--dry-run --compare)],
        'one that would make a standby' => [qw(--dry-run -R --slot=s --create-slot --drop-slots)],
        'one that would start the server' => [qw(--dry-run --rejoin)],
        'one with a report' => [qw(--dry-run --report=json)],
        'a check' => ['--check'],
        'a check of more' => [qw(--check -R -c --slot=s)],
    );
    append($target->path('postgresql.conf'), "restore_command = 'false'\n") if $version >= 12;
    is(copied($changes), '/data /data/postgresql.conf', 'the overlay copies what is changed') if $version >= 12;
    my $before = copied($changes);
    for my $case (sort keys %options)
    {
        my $result = rewind($target, $source, options => $options{$case}, not_foretold => 1);
        like($result->{status}, $case =~ /check/ ? qr/^[01]$/ : qr/^0$/, "$case ends as it should")
            or diag($result->{stderr});
        is(copied($changes), $before, "$case copies no file");
    }
    my $log = work_dir() . '/calls';
    rewinds($target, $source, fault => '', env => { PG_REWIND_FAULT_LOG => $log });
    ok(slurp($log) =~ m{^\d+ sync \S+/data/PG_VERSION$}m, 'a rewind syncs files that it does not change');
    rejoins($target, $source, no_promotion => 1);
    $target->stop;
    privileged('unmount', $target->dir);
}, only => [15]);
