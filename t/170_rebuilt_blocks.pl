# Blocks that recovery writes whole by the source's WAL are not fetched; all others are: a block whose first record has
# no image or one that is not applied, one that lies behind a truncation, one that a record beyond the minimum recovery
# point restores, or one that only an archive has; and blocks that a rewound target has not rebuilt yet when it is
# rewound again. (The claim of design/rebuilt-blocks.md. A running source: only there the messages say what is fetched.)
#
# A row is as long as a block. With wal_consistency_checking the rewound server compares each page that it replays with
# the source's.
# (Rules R1, R8.)

use strict;
use warnings;

use RewindTest;

# A table of so many blocks whose hints are set; row a stands in block a.
sub table_of_blocks
{
    my ($name, $blocks, $maintenance) = @_;
    return "CREATE TABLE $name (a int, b text); ALTER TABLE $name ALTER b SET STORAGE plain;
        INSERT INTO $name SELECT i, repeat('x', 6000) FROM generate_series(0, $blocks - 1) i; $maintenance;";
}

# The blocks of a file that came from the source, as "0-9 12".
sub fetched_blocks
{
    my ($result, $path) = @_;
    my %block;
    while ($result->{stderr} =~ m{received chunk for file "\Q$path\E", offset (\d+), size (\d+)}g)
    {
        $block{$_} = 1 for $1 / 8192 .. ($1 + $2) / 8192 - 1;
    }
    my $text = '';
    for my $number (sort { $a <=> $b } keys %block)
    {
        next if $block{ $number - 1 } && $block{ $number + 1 };
        $text .= $block{ $number - 1 } ? "-$number" : " $number";
    }
    return $text =~ s/^ //r;
}

# Options: those of rewinds.
sub fetches
{
    my ($target, $source, $writer, $expected, %option) = @_;
    my %path = map { ($_ => $writer->query("SELECT pg_relation_filepath('$_')")) } keys %$expected;
    my $result = rewinds($target, $source, options => [ '--debug', '--early-start', @{ $option{options} // [] } ]);
    is(fetched_blocks($result, $path{$_}), $expected->{$_}, "fetched of $_") for sort keys %$expected;
    return $result;
}

sub check_consistency
{
    my ($server) = @_;
    return if $server->version < 10;
    $server->sql($_) for q{ALTER SYSTEM SET wal_consistency_checking = 'all'}, 'SELECT pg_reload_conf()';
    return;
}

each_version(sub {
    my ($version) = @_;

    subtest('one by one', sub {
        my ($source, $target) = split_brain($version,
            cluster => { checksums => $version < 9.4 ? 1 : 0 },
            before => sub {
                my ($primary) = @_;
                $primary->sql(table_of_blocks('changed', 40, 'VACUUM FREEZE changed')
                    . table_of_blocks('cut', 40, 'VACUUM FREEZE cut')
                    . table_of_blocks('seen', 20, 'SELECT count(*) FROM seen') . 'CHECKPOINT');
            },
            source => sub {
                my ($source) = @_;
                check_consistency($source);
                $source->sql(q{DELETE FROM changed WHERE a >= 10 AND a < 20; INSERT INTO changed SELECT i, repeat('y', 6000) FROM generate_series(40, 49) i});
                $source->sql(q{DELETE FROM cut WHERE a >= 20 OR a < 5});
                # Cut to 20 blocks; five rows find room before that, the others make new blocks.
                $source->sql('VACUUM cut');
                $source->sql(q{INSERT INTO cut SELECT i, repeat('y', 6000) FROM generate_series(20, 39) i});
                $source->sql('CREATE TABLE made AS SELECT * FROM changed');
                # Without hints in WAL a page is marked all-visible by a record without an image: here one for checks
                # only. (9.3 has checksums.)
                $source->configure('wal_log_hints = off');
                $source->restart;
                $source->sql('VACUUM seen');
                $source->sql('SELECT txid_current()');
            },
            target => sub {
                my ($target) = @_;
                $target->sql('DELETE FROM changed WHERE a < 30; DELETE FROM cut; DELETE FROM seen');
            });
        # Of the records of 9.3 and 9.4 only images count, not the making of a new page.
        my ($new, $first) = $version < 9.5 ? (' 40-49', '0') : ('', '');
        fetches($target, $source, $source, { changed => "0-9 20-29$new", cut => '5-34', seen => $version < 9.4 ? ''
            : '0-19', made => $first });
        rejoins($target, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    # Once they have no more to do with the version.
    return if $version > 10 && $version != 15 && $version != 18;

    subtest('beyond the minimum recovery point', sub {
        my ($primary, $target) = split_brain($version,
            before => sub { $_[0]->sql(table_of_blocks('t', 40, 'VACUUM FREEZE t')) },
            target => sub { $_[0]->sql('DELETE FROM t WHERE a < 30') });
        my $source = $primary->standby('source_standby');
        $primary->sql('DELETE FROM t WHERE a < 10');
        $source->wait_for_replay_of($primary);
        $source->sql('SELECT pg_wal_replay_pause()');
        $primary->sql('DELETE FROM t WHERE a >= 10 AND a < 20');
        my $lsn = $primary->lsn;
        wait_until('the standby has received it', sub {
            my $received = $version < 13 ? 'pg_last_wal_receive_lsn()'
                : '(SELECT flushed_lsn FROM pg_stat_wal_receiver)';
            $source->query("SELECT coalesce(pg_wal_lsn_diff($received, '$lsn') >= 0, false)") eq 't';
        });
        fetches($target, $source, $primary, { t => '10-29' });
        $source->sql('SELECT pg_wal_replay_resume()');
        rejoins($target, $source, writer => $primary, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    # The segment that only the archive has names blocks 0 to 9 first, and 20, which the source has changed again later.
    subtest('only in an archive', sub {
        my $archive = work_dir() . "/archive.$version";
        my ($source, $target) = split_brain($version,
            before => sub { $_[0]->sql(table_of_blocks('t', 40, 'VACUUM FREEZE t')) },
            source => sub {
                my ($source) = @_;
                $source->sql('SELECT pg_switch_wal()');
                $source->sql('DELETE FROM t WHERE a < 10; UPDATE t SET a = 120 WHERE a = 20');
                my $segment = $source->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
                $source->sql('SELECT pg_switch_wal()');
                $source->sql('DELETE FROM t WHERE a >= 10 AND a < 25');
                $source->sql('SELECT pg_switch_wal()');
                mkdir $archive or die;
                must_run([ 'mv', $source->path("pg_wal/$segment"), $archive ]);
            },
            target => sub { $_[0]->sql('DELETE FROM t WHERE a < 30') });
        fetches($target, $source, $source, { t => '0-9 20 25-29 40' }, options => [ '--wal-archive', $archive ]);
        rejoins($target, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    # Its blocks are stale until it has replayed what the first rewind brought: the second one must find that out.
    for my $state (qw(never_started not_consistent))
    {
        subtest("rewound again, $state", sub {
            my $primary = make_cluster('primary', $version)->start;
            $primary->sql(table_of_blocks('t', 40, 'VACUUM FREEZE t') . table_of_blocks('u', 40, 'VACUUM FREEZE u'));
            my ($first, $second) = map { $primary->standby($_) } qw(first second);
            $_->wait_for_replay_of($primary) for $first, $second;
            $_->promote, $_->sql('CHECKPOINT') for $first, $second;
            $primary->sql('DELETE FROM t WHERE a < 20');
            $primary->stop;
            $first->sql('DELETE FROM t WHERE a < 10');
            $first->sql('SELECT pg_switch_wal()');
            $first->sql('DELETE FROM u WHERE a < 10');
            fetches($primary, $first, $first, { t => '10-19', u => '' });
            if ($state eq 'not_consistent')
            {
                # Without the last segment recovery stops early.
                my ($last) = reverse sort grep { m{/[0-9A-F]{24}$} } glob($primary->path('pg_wal/*'));
                must_run([ 'mv', $last, $primary->dir ]);
                $primary->follow($first);
                $first->stop;
                $primary->start(settings => { hot_standby => 'off' });
                wait_until('recovery waits for the last segment', sub { $primary->log =~ /redo starts at/
                    && $primary->log =~ /could not connect/ });
                $primary->stop('immediate');
                must_run([ 'mv', $primary->dir . '/' . $last =~ s{.*/}{}r, $last ]);
            }
            fetches($primary, $second, $second, { t => '0-9', u => '0-9' });
            rejoins($primary, $second, quick => 1);
            RewindTest::Cluster::discard_all();
        });
    }
});
