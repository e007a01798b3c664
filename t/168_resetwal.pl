# WAL that pg_resetwal has thrown away cannot be scanned or replayed: what the target lacks of its own is refused,
# whatever the files seem to say, unless both sides were made from what it left; what the source lacks is replaced by
# comparing. (WAL decides. Both sources. There is a pg_resetwal of 15.)
# (Rules C30, K4.)

use strict;
use warnings;

use RewindTest;

sub reset_wal { must_run([ program('pg_resetwal'), '-D', $_[0]->data ]); return $_[0] }

sub is_refused
{
    my ($source, $target, $message, @kinds) = @_;
    for my $kind (@kinds)
    {
        $source->stop if $kind eq 'directory';
        my $copy = $target->copy("from_$kind");
        my $control = slurp($copy->path('global/pg_control'));
        my $result = rewind($copy, $source, kind => $kind);
        isnt($result->{status}, 0, "a $kind is refused");
        like($result->{stderr}, $message, 'with the reason');
        is(slurp($copy->path('global/pg_control')), $control, 'the target is unchanged');
    }
    RewindTest::Cluster::discard_all();
    return;
}

my %cluster = (checksums => 1);
sub write_lost { $_[0]->sql('DELETE FROM t WHERE a % 3 = 0; CREATE TABLE lost AS SELECT 1 AS a'); return }
sub diverge
{
    my ($version, %option) = @_;
    return split_brain($version,
        cluster => \%cluster,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a') },
        source => sub { $_[0]->sql('DELETE FROM t WHERE a % 2 = 0') },
        target => \&write_lost,
        %option);
}

each_version(sub {
    my ($version) = @_;
    subtest('of the target, after the divergence', sub {
        my ($source, $target) = diverge($version);
        is_refused($source, reset_wal($target), qr/error: could not find previous WAL record at 0\/0/, qw(server
            directory));
    });
    subtest('of the target, which then ran on', sub {
        my ($source, $target) = diverge($version);
        reset_wal($target)->start;
        $target->sql('INSERT INTO t SELECT generate_series(1, 100); CHECKPOINT');
        is_refused($source, $target->stop, qr/error: could not find previous WAL record at 0\/0/, qw(server directory));
    });
    subtest('of the target, which then ran on beside the old primary', sub {
        my $source = make_cluster('source', $version, %cluster)->start;
        $source->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a');
        my $target = $source->standby('target');
        $target->wait_for_replay_of($source);
        $target->open_without_promotion;
        write_lost($target);
        reset_wal($target->stop)->start;
        write_lost($source);
        $source->sql('CREATE TABLE kept AS SELECT 1 AS a; SELECT pg_switch_wal()'), $source->sql('DROP TABLE kept')
            for 1 .. 4;
        is_refused($source, $target->stop, qr/error: could not open file|error: could not find previous WAL record/,
            qw(server directory));
    });
    subtest('of the source, after the divergence', sub {
        my ($source, $target) = diverge($version);
        reset_wal($source->stop);
        is_refused($source, $target, qr/error: source server runs with "wal_level = minimal"/, 'directory');
    });
    subtest('of the source, which then ran on', sub {
        my ($source, $target) = diverge($version);
        reset_wal($source->stop)->start;
        $source->sql('INSERT INTO t SELECT generate_series(1, 100); CHECKPOINT');
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]->{stderr}, qr/^pg_rewind: comparing all blocks with the source's, /m,
            'its WAL is gone, so all blocks are compared') });
        RewindTest::Cluster::discard_all();
    });
    subtest('before both were one', sub {
        my $target = make_cluster('target', $version, %cluster)->start;
        $target->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a');
        reset_wal($target->stop)->start;
        my $source = $target->standby('source');
        $source->wait_for_replay_of($target);
        $source->promote;
        write_lost($target);
        $source->sql('DELETE FROM t WHERE a % 2 = 0');
        rewinds_from_both_kinds($source, $target->stop);
    });
}, only => [15]);
