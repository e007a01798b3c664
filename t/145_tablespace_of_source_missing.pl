# A tablespace of the source has nothing in it, since its volume is not mounted: its link leads nowhere, or to an empty
# mount point. The target's files of this tablespace are not removed for that: the rewind is refused, and succeeds as
# soon as the volume is there. One that the source drops while its files are listed is no obstacle. (Invariants 1 and 2.
# Both sources.)
# (Rules C82, O4, O18, T1.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Liar;
use RewindTest::Proxy;
use RewindTest::Tree;

sub make_tablespace
{
    my ($cluster, $name) = @_;
    my $place = $cluster->tablespace_location($name);
    $cluster->sql("CREATE TABLESPACE $name LOCATION '$place'");
    $cluster->sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT i FROM generate_series(1, 3000) i");
    return;
}

sub is_refused
{
    my ($target, $source, $kind, $oid, $directory) = @_;
    my $before = tree($target);
    my $result = rewind($target, $source, kind => $kind);
    is($result->{status}, 1, 'refused, with status 1');
    my @errors = $result->{stderr} =~ /^pg_rewind: error: (.*)/mg;
    is_deeply(\@errors, [ qq{tablespace "pg_tblspc/$oid" of the source is missing: nothing is in "$directory"} ],
        'the only error names the tablespace and its directory') or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: hint: Mount its volume on the source's host, then run pg_rewind again\. If it is lost, drop the tablespace there; if pg_tablespace does not have it, remove the link\.$/m,
        'the hint says what to do');
    is_same_tree(tree($target), $before, 'the target is as it was');
    return;
}

# What a rewind leaves out is no reason for --check to call the node not ready.
sub is_no_fault
{
    my ($target, $source, $kind) = @_;
    my $from = $kind eq 'server' ? '--source-server=' . $source->conninfo : '--source-pgdata=' . $source->data;
    my $result = run([ rewind_argv($target->data, '--check', '--verbose', $from) ]);
    is($result->{status}, 0, '--check says that the node is ready') or diag($result->{stdout});
    unlike($result->{stdout}, qr/lost\+found/, 'and does not name lost+found');
    return;
}

# A volume of the stopped source's own that is not mounted: its directory is there, and empty.
sub volumes_of_the_source
{
    my ($target, $source) = @_;
    for my $directory ('base', $source->version < 10 ? 'pg_clog' : 'pg_xact')
    {
        my $place = $source->path($directory);
        my $before = tree($target);
        rename($place, "$place.away") or die;
        must_run([ 'mkdir', '-p', "$place/lost+found" ]);
        rename("$place.away", $source->dir . '/away') or die;
        for my $options ([], ['--compare'], ['--late-start'])
        {
            my $result = rewind($target, $source, kind => 'directory', options => $options);
            is($result->{status}, 1, "$directory is empty: refused, with status 1, @$options");
            my @errors = $result->{stderr} =~ /^pg_rewind: error: (.*)/mg;
            my $what = $directory eq 'base' ? 'databases' : 'transaction states';
            is_deeply(\@errors, [ qq{directory "$directory" of the source has no $what} ], 'and says so')
                or diag($result->{stderr});
            is_same_tree(tree($target), $before, 'the target is as it was');
        }
        must_run([ 'rm', '-r', $place ]);
        rename($source->dir . '/away', $place) or die;
    }
    return;
}

# Dropped when the list has its link, but not yet what is in it: the server's answer has no row of what is below.
sub is_dropped_meanwhile
{
    my ($target, $source, $oid) = @_;
    my ($dropped, $dropping) = (0);
    my $link = $source->path("pg_tblspc/$oid");
    my $liar = RewindTest::Liar::chosen(sub {
        my ($sql, $row) = @_;
        return $row if $sql !~ /tablespace_location/;
        if ($row->[0] eq "pg_tblspc/$oid" && !$dropped++)
        {
            $source->sql('DROP TABLE in_dropped');
            # The server waits until all its processes have taken notice, and one of them sends what is held up here.
            ($dropping = $source->session)->send('DROP TABLESPACE dropped');
        }
        return $dropped && ($row->[0] // '') =~ m{^pg_tblspc/$oid/} ? () : $row;
    });
    my $proxy = RewindTest::Proxy->new('proxy', $source, filter => sub {
        my ($number, $who, $bytes) = @_;
        wait_until('it is dropped before the next list', sub { !-l $link })
            if $who eq 'client' && $dropping && $bytes =~ /tablespace_location/;
        return $liar->(@_);
    });
    ok(-l $link, 'the source has the tablespace');
    rewinds($target, $proxy);
    $proxy->end;
    ok(!-l $link, 'it has dropped it');
    ok(!-l $target->path("pg_tblspc/$oid"), 'the target does not have it either');
    rejoins($target, $source, no_promotion => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { make_tablespace($_[0], $_) for qw(space dropped) },
        source => sub { $_[0]->sql('DELETE FROM in_space WHERE i % 2 = 0') },
        target => sub { $_[0]->sql('DELETE FROM in_space WHERE i % 2 = 1') });
    my ($oid, $dropped) = map { $source->query("SELECT oid FROM pg_tablespace WHERE spcname = '$_'") } qw(space
        dropped);
    my $place = readlink $source->path("pg_tblspc/$oid");
    my ($directory) = glob "$place/PG_*";    # of its server
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            my $copy = $target->copy("from_$kind");
            $source->sql('CHECKPOINT');
            $source->stop if $kind eq 'directory';
            rename($place, "$place.away") or die;
            subtest('its link leads nowhere', sub { is_refused($copy, $source, $kind, $oid, $directory) });
            mkdir $place or die;
            subtest('it is an empty directory', sub { is_refused($copy, $source, $kind, $oid, $directory) });
            mkdir "$place/lost+found" or die;
            subtest('it is an empty file system', sub { is_refused($copy, $source, $kind, $oid, $directory) });
            must_run([ 'mkdir', '-p', "$place/PG_9.0_201008051/5" ]);
            subtest("it has another server's directory", sub { is_refused($copy, $source, $kind, $oid, $directory) });
            must_run([ 'rm', '-r', $place ]);
            rename("$place.away", $place) or die;
            # What only root may read is in the way of nobody: of the file system, or beside the server's directory.
            my @closed = map { "$_/lost+found" } $place, map { $_->path('.'), $_->path('base') } $source, $copy;
            for (@closed, "$place/closed") { mkdir $_ and chmod 0, $_ or die "$_: $!" }
            is_no_fault($copy, $source, $kind);
            subtest('other volumes', sub { volumes_of_the_source($copy, $source) }) if $kind eq 'directory';
            rewinds($copy, $source, kind => $kind);
            $source->start if $kind eq 'directory';
            rejoins($copy, $source, no_promotion => 1);
            rmdir $_ or die for @closed, "$place/closed";
            $copy->discard;
        });
    }
    subtest('a tablespace is dropped in the meantime', sub { is_dropped_meanwhile($target, $source, $dropped) });
}, only => [ 10, 15, 18 ]);
