# A relation of the source has blocks that are all zero and in no WAL: a crash came between the file's growth and the
# WAL of what filled it (since 16, COPY grows files ahead as well). What the target has under the same number is in no
# WAL either, so nothing would overwrite it, and it would be taken for the source's rows: an index whose build was cut
# off, an unlogged table. An index of an unlogged table has no record at all until its build ends. (Storage with equal
# names. Both sources.)
#
#   file on the source   rows ... ....          . all zero
#   file on the target   xxxxxxxxxxxxx          x logged when the build ends, or never
# (Rules C71, C72, C73.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Held;

# Numbers of the file's blocks that are all zero.
sub zero_blocks
{
    my ($cluster, $path) = @_;
    my $bytes = slurp($cluster->path($path));
    return grep { substr($bytes, $_ * 8192, 8192) !~ /[^\0]/ } 0 .. length($bytes) / 8192 - 1;
}

sub make_table_with_zero_blocks
{
    my ($source) = @_;
    $source->stop->start(settings => { wal_buffers => '16MB' });
    $source->sql('CREATE TABLE with_zeros (a int); INSERT INTO with_zeros SELECT generate_series(1, 3000)');
    my $path = $source->query(q{SELECT pg_relation_filepath('with_zeros')});
    $source->sql('CHECKPOINT');
    my $session = $source->session;
    stop_in_system_call($source->wal_writer_pid);    # WAL that nobody waits for stays in memory
    $session->sql('BEGIN; INSERT INTO with_zeros SELECT generate_series(1, 20000)');
    $source->stop('kill')->start;
    $session->end;
    return $path;
}

# Stopped by a lock at the last row; the pages that it has made by then are on disk.
sub cut_off_an_index_build
{
    my ($target, $table) = @_;
    my ($holder, $builder) = map { $target->session } 1 .. 2;
    $holder->sql('SELECT pg_advisory_lock(1)');
    $builder->send("CREATE INDEX ON $table USING spgist (place(a))");
    my $pid;
    wait_until('the build waits',
        sub { $pid = $target->query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") });
    # The checkpoint before files are copied writes pages of unlogged relations as well.
    $target->sql('CREATE DATABASE copied' . ($target->version >= 15 ? ' STRATEGY file_copy' : ''));
    stop_in_system_call($pid);    # it would remove the file when it sees the others die
    $target->stop('kill');
    $_->end for $holder, $builder;
    return;
}

my $place = <<'END';
CREATE FUNCTION place(a int) RETURNS point IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF a = 40000 THEN PERFORM pg_advisory_xact_lock(1); END IF;
    RETURN point(a, a % 77);
END $$;
CREATE TABLE t AS SELECT generate_series(1, 40000) AS a;
CREATE UNLOGGED TABLE unlogged (a int);
END

my %of_target = (
    'an index whose build was cut off' => sub { cut_off_an_index_build($_[0], 't') },
    'an index of an unlogged table, whose build was cut off' => sub {
        my ($target) = @_;
        $target->sql('INSERT INTO unlogged SELECT generate_series(1, 40000)');
        cut_off_an_index_build($target, 'unlogged');
    },
    'an unlogged table' => sub {
        my ($target) = @_;
        $target->sql('CREATE UNLOGGED TABLE of_target (a int)');
        $target->sql('INSERT INTO of_target SELECT generate_series(-90000, 0)');
        $target->sql('CHECKPOINT');
        $target->stop;
    },
);

each_version(sub {
    my ($version) = @_;
    for my $what (sort keys %of_target)
    {
        next if $what =~ /index/ && $version < 12;    # up to 11 a build logs each step
        subtest($what, sub {
            my $path;
            my ($source, $target) = split_brain($version,
                before => sub { $_[0]->sql($place) },
                source => sub { $path = make_table_with_zero_blocks($_[0]) },
                target => sub {
                    my ($target) = @_;
                    # After a crash, as after a promotion, object ids go on where the last WAL record about them says.
                    $target->stop('immediate')->start;
                    $of_target{$what}->($target);
                });
            ok(-e $target->path($path), 'the target has a file under the same number');
            my %zero_on_target = map { $_ => 1 } zero_blocks($target, $path);
            my $blocks_of_target = (-s $target->path($path)) / 8192;
            ok(scalar(grep { $_ < $blocks_of_target && !$zero_on_target{$_} } zero_blocks($source, $path)),
                'and there blocks that are all zero on the source');
            rewinds_from_both_kinds($source, $target, no_promotion => 1);
            rewinds_from_both_kinds($source, $target, no_promotion => 1, options => ['--late-start'])
                if $what eq 'an index whose build was cut off';
            RewindTest::Cluster::discard_all();
        });
    }
    # A late start is at an online checkpoint: it counts the numbers as given away that the server has only reserved.
    for my $case ($version >= 16 ? ([ 'another' ], [ 'equal' ], [ 'equal', '--late-start' ]) : ())
    {
        my ($size, @late) = @$case;
        subtest("the source makes its table while pg_rewind works: files of $size size @late", sub {
            my ($source, $target) = split_brain($version,
                before => sub { $_[0]->sql($place) },
                source => sub { $_[0]->sql('CREATE TABLE first (a int)'), $_[0]->sql('CHECKPOINT') if @late },
                target => sub {
                    my ($target) = @_;
                    $target->stop('immediate')->start;
                    $target->sql('CREATE TABLE first (a int)') if @late;
                    $of_target{'an index of an unlogged table, whose build was cut off'}->($target);
                });
            # The end of its WAL is known then, and the list of its files is not.
            my $held = hold($target, $source, 'link', '--debug', @late);
            $source->sql('CREATE TABLE with_zeros AS SELECT generate_series(1, 3000)');
            my $path = $source->query(q{SELECT pg_relation_filepath('with_zeros')});
            ok(-e $target->path($path), 'the target has a file under the same number');
            truncate($target->path($path), -s $source->path($path)) or die "$path: $!" if $size eq 'equal';
            my $result = go_on($held);
            is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
            unlike($result->{stderr}, qr/ \Q$path\E \(REMOVE\)/, 'the list of files was made after the table');
            $source->sql('CHECKPOINT');
            ok(scalar(zero_blocks($source, $path)), 'the table of the source has blocks that are all zero');
            rejoins($target, $source) if $result->{status} == 0;
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 10, 15, 18 ]);
