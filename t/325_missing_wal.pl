# WAL that the target has lost: of common history it comes from the source, unasked; of its own history only with -c
# from the restore command; and what the source lacks of its own comes from there as well. (A server and a directory.)
#
#   source       ┌──── 2 ── gone ──▶          the last checkpoint is on the left of all of it
#   target   ● gone ──┴── 1 ── gone ──▶
# (Rules C50, C63.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Fill a segment, end it, and return its name.
sub segment_full_of
{
    my ($server, $what) = @_;
    $server->sql("INSERT INTO t SELECT i, '$what' FROM generate_series(1, 2000) i");
    my $name = $server->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
    $server->sql('SELECT pg_switch_wal()');
    return $name;
}

sub move_to_archive
{
    my ($cluster, $segment) = @_;
    my $archive = RewindTest::Command::work_dir() . '/archive';
    mkdir $archive;
    must_run([ 'mv', $cluster->path("pg_wal/$segment"), "$archive/" ]);
    return $archive;
}

# The restore command also writes down what its placeholders became.
sub set_restore_command
{
    my ($cluster, $archive, $where) = @_;
    my $command = "echo \"%f %p %r %%\" >> $archive/asked; cp $archive/%f %p";
    return append($where, "restore_command = '$command'\n") if defined $where;
    append($cluster->path($cluster->version >= 12 ? 'postgresql.conf' : 'recovery.conf'),
        "restore_command = '$command'\n");
    return;
}

each_version(sub {
    my ($version) = @_;
    my %segment;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text)') },
        together => sub { $segment{common} = segment_full_of($_[0], 'together') },
        source => sub { segment_full_of($_[0], 'source')
        for 1 .. 2; $segment{source} = segment_full_of($_[0], 'source') },
        target => sub { segment_full_of($_[0], 'target'); $segment{own} = segment_full_of($_[0], 'target');
            segment_full_of($_[0], 'target') });

    subtest('of common history', sub {
        my $copy = $target->copy('common_lost');
        unlink $copy->path("pg_wal/$segment{common}") or die "no $segment{common}: $!";
        rewinds($copy, $source, options => ['-N']);
        rejoins($copy, $source);
        $copy->discard;
    });

    subtest('of its own history', sub {
        my $copy = $target->copy('own_lost');
        my $archive = move_to_archive($copy, $segment{own});
        my $refused = rewind($copy, $source);
        is($refused->{status}, 1, 'without -c it is an error');
        my $path = $copy->path("pg_wal/$segment{own}");
        like($refused->{stderr}, qr{could not open file "\Q$path\E": No such file or directory},
            'that names the segment');

        # From 12 on it is a setting; here in a file that is not in the data directory.
        my @options = ('-N', '-c');
        if ($version >= 12)
        {
            my $file = RewindTest::Command::work_dir() . '/elsewhere.conf';
            spew($file, '');
            set_restore_command($copy, $archive, $file);
            push @options, '-B', $copy->bindir, "--config-file=$file";
        }
        else { set_restore_command($copy, $archive) }
        rewinds($copy, $source, options => \@options);
        like(slurp("$archive/asked"), qr/^$segment{own} \S+ [0-9A-F]{24} %$/m, 'with -c the restore command brings it');
        rejoins($copy, $source);
        $copy->discard;
    });

    subtest('of the source', sub {
        my $copy = $target->copy('source_lost');
        $source->stop;
        my $archive = move_to_archive($source, $segment{source});
        is(rewind($copy, $source, kind => 'directory', options => ['--early-start'])->{status}, 1,
            'a segment that is nowhere is an error where no other start is allowed');
        set_restore_command($copy, $archive);
        rewinds($copy, $source, kind => 'directory', options => [ '-N', '-c', '-B', $copy->bindir ]);
        must_run([ 'cp', "$archive/$segment{source}", $source->path('pg_wal/') ]);
        $source->start;
        rejoins($copy, $source);
    });
}, sample => 1);
