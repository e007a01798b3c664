# An index of an unlogged table that the source builds while pg_rewind works does not keep the rewound target from being
# promoted.  (What is fetched. Source is a server.)
#
#   source     main fork ───────────────── init fork ──▶      the server makes the main fork from the init fork, and where
#   pg_rewind          list, fetch ─── end ─── or here        one lies already: "could not create file: File exists"
# (Rules C76, C77.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Held;

sub before
{
    my ($primary) = @_;
    $primary->sql(<<'END');
CREATE UNLOGGED TABLE u (a int);
CREATE TABLE p AS SELECT i AS a FROM generate_series(1, 100) i;
CREATE FUNCTION waits(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF $1 = 100 THEN PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1); END IF; RETURN $1; END';
END
    return;
}

# Builds of indexes that get to their last row, and go no further until they are let go.
sub begin_builds
{
    my ($source, @methods) = @_;
    $source->sql("DROP INDEX IF EXISTS u_$_, p_$_") for @methods;
    my $lock = $source->session;
    $lock->sql('SELECT pg_advisory_lock(1)');
    my @builds;
    for my $method (@methods)
    {
        for my $table (qw(u p))
        {
            my $key = $method eq 'gist' ? 'point(waits(a), 0)' : 'waits(a)';
            push @builds, $source->session;
            $builds[-1]->send("CREATE INDEX ${table}_$method ON $table USING $method ($key)");
        }
    }
    wait_until(sub { 'the builds wait' },
        sub { $source->query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == @builds });
    return { lock => $lock, builds => \@builds };
}

sub end_builds
{
    my ($under_way) = @_;
    $under_way->{lock}->end;
    $_->sql('SELECT 1') for @{ $under_way->{builds} };
    $_->end for @{ $under_way->{builds} };
    return;
}

# The target's relations have the numbers that the source gives its own: they go on where WAL says, after a crash as
# after a promotion.
sub make_equal_numbers
{
    my ($target) = @_;
    $target->stop('immediate')->start;
    $target->sql("CREATE INDEX lost_$_ ON p (a)") for 1 .. 30;
    $target->sql('INSERT INTO p SELECT generate_series(1, 1000)');
    return;
}

# What pg_control is made to say of the counter: a position in WAL that is older than the pair.
my $counter = 0x180000;

sub is_counted
{
    my ($path, $page_id) = @_;
    open my $file, '<:raw', $path or return 0;
    return 0 if (read($file, my $page, 8192) // 0) < 8192;
    my ($high, $low) = unpack 'L<2', $page;
    return $high == 0 && $low >= $counter && $low < $counter + 10000 && unpack('S<', substr($page, -2)) == $page_id;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version, before => \&before,
        source => sub { $_[0]->sql('INSERT INTO u SELECT generate_series(1, 100)') },
        target => \&make_equal_numbers);

    # With --compare nobody knows what the target has made or dropped: the init fork alone says that the relation is
    # unlogged. (Up to 10 the WAL has only an image of its block.)
    for my $option ([], ['--compare'])
    {
        subtest("it ends while files are fetched @$option", sub {
            my $copy = $target->copy("meanwhile_@$option");
            # before 10 no standby has a hash index of an unlogged table
            my $builds = begin_builds($source, 'btree', $version >= 10 ? 'hash' : ());
            my $held = hold($copy, $source, 'create@*/pg_rewind.work/*', @$option);
            end_builds($builds);
            my $result = go_on($held);
            ok(-e $target->path($source->query("SELECT pg_relation_filepath('u_btree')")),
                'the target has a relation of that number');
            is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
            rejoins($copy, $source) if $result->{status} == 0;
            $copy->discard;
        });
    }

    for my $option ([], ['--late-start'])
    {
        subtest("it ends after pg_rewind @$option", sub {
            my $copy = $target->copy("after_@$option");
            my $builds = begin_builds($source, 'btree', $version >= 9.5 ? 'brin' : ());
            rewinds($copy, $source, options => [ '--no-sync', @$option ]);
            end_builds($builds);
            rejoins($copy, $source);
            $copy->discard;
        });
    }

    my ($method, $page_id) = @{ { 11 => [ 'gist', 0xFF81 ], 19 => [ 'hash', 0xFF80 ] }->{$version} // return };
    subtest("its pages have the numbers of a counter: $method", sub {
        RewindTest::Cluster::discard_all();
        ($source, $target) = split_brain($version, before => \&before,
            cluster => { settings => 'shared_buffers = 256kB' },
            source => sub { $_[0]->sql('INSERT INTO u SELECT generate_series(1, 100)') },
            target => sub { $_[0]->sql('INSERT INTO p VALUES (0)') });
        $source->stop;
        patch_control($source, $version == 11 ? 120 : 136, pack('Q<', $counter));
        $source->start;
        my $builds = begin_builds($source, $method);
        $source->sql("CREATE TABLE evicts (a text); INSERT INTO evicts SELECT repeat('x', 100) FROM generate_series(1, 50000)");
        ok((grep { is_counted($_, $page_id) } glob($source->path('base/*/*'))), 'such a page was written');
        rewinds($target, $source, options => [ '--no-sync', '--early-start' ]);
        end_builds($builds);
        rejoins($target, $source);
    });
});
