# Data checksums of the source only are refused, those of the target only are not; half enabled ones are none. (Both
# sources. There are two pg_checksums, of 15 and 19. In 19 more pages stay unused, which it does not write.)
# (Rules C3, C4, U7, U14.)

use strict;
use warnings;

use File::stat;
use RewindTest;

sub pg_checksums
{
    my ($cluster, $option) = @_;
    my $own = $cluster->bindir . '/pg_checksums';
    must_run([ -x $own ? $own : program('pg_checksums'), $option, '-N', '-D', $cluster->data ]);
    return;
}

# As pg_checksums leaves a cluster when it is killed: every other relation file is rewritten, pg_control is not.
sub enable_half
{
    my ($cluster) = @_;
    my $enabled = $cluster->copy('enabled');
    pg_checksums($enabled, '--enable');
    my @files = grep { m{/\d+$} } map { glob($enabled->path($_)) } 'base/*/*', 'global/*';
    my $count = 0;
    for my $file (@files)
    {
        next if $count++ % 2;
        my $path = $file =~ s/^\Q$enabled->{dir}\E/$cluster->{dir}/r;
        spew($path, slurp($file));
    }
    $enabled->discard;
    return;
}

sub diverge
{
    my ($version, $checksums) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { checksums => $checksums, settings => 'wal_log_hints = on' },
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 3000) AS a') },
        source => sub { $_[0]->sql('DELETE FROM t WHERE a % 2 = 0') },
        target => sub { $_[0]->sql('DELETE FROM t WHERE a % 3 = 0') });
    return ($source, $target);
}

sub is_refused
{
    my ($source, $target) = @_;
    for my $kind (qw(directory server))
    {
        $source->start if $kind eq 'server';
        my $result = rewind($target, $source, kind => $kind);
        is($result->{status}, 1, "a $kind as source is refused") or diag($result->{stderr});
        like($result->{stderr}, qr/error: source and target differ in data checksums$/m, 'with the reason');
    }
    return;
}

sub has_none { my ($standby) = @_;
    is($standby->query('SHOW data_checksums'), 'off', 'the standby has no checksums, as the source'); return }

# On one side, half, on both. What the target has and the source does not have, nobody reads.
sub switched_where_hints_were_logged
{
    my ($version) = @_;
    for my $side (qw(source target))
    {
        for my $option (qw(enable disable))
        {
            subtest("${option}d on the $side only", sub {
                my ($source, $target) = diverge($version, $option eq 'disable');
                $source->stop;
                pg_checksums($side eq 'source' ? $source : $target, "--$option");
                if (($side eq 'source') == ($option eq 'enable')) { is_refused($source, $target) }
                else { rewinds_from_both_kinds($source->start, $target, check => \&has_none) }
                RewindTest::Cluster::discard_all();
            });
        }
        subtest("half enabled on the $side", sub {
            my ($source, $target) = diverge($version, 0);
            $source->stop;
            enable_half($side eq 'source' ? $source : $target);
            $source->start;
            rewinds_from_both_kinds($source, $target);
            RewindTest::Cluster::discard_all();
        });
    }

    subtest('enabled on both sides', sub {
        my ($source, $target) = diverge($version, 0);
        $source->stop;
        pg_checksums($_, '--enable') for $source, $target;
        $source->start;
        rewinds_from_both_kinds($source, $target);
    });
    RewindTest::Cluster::discard_all();
    return;
}

each_version(sub {
    my ($version) = @_;
    switched_where_hints_were_logged($version);

    # Who was told that source and target differ may do that. What the target wrote before is in no WAL: rows of a lost
    # transaction stay visible.
    for my $crashed (0, 1)
    {
        my $when = $crashed ? ', in a crash recovery that was stopped' : '';
        subtest("enabled on both sides, when hints had not been logged$when", sub {
            my $session;
            my ($source, $target) = split_brain($version,
                cluster => { checksums => 0, settings => 'wal_log_hints = off' },
                before => sub { $_[0]->sql('CREATE TABLE lost (a int)') },
                together => sub {
                    $session = $_[0]->session;
                    $session->sql('BEGIN; INSERT INTO lost SELECT generate_series(1, 2000)');
                    $_[0]->sql('CHECKPOINT');
                },
                target => sub {
                    my ($cluster) = @_;
                    $session->sql('COMMIT');
                    $session->end;
                    $cluster->sql('SELECT count(*) FROM lost; CHECKPOINT');
                    return if !$crashed;
                    $cluster->sql("CREATE TABLE work AS SELECT a, repeat('x', 100) FROM generate_series(1, 100000) a");
                    $cluster->stop('kill')->stop_amid_crash_recovery;
                });
            $source->stop;
            sleep(1) while stat($target->path('global/pg_control'))->mtime >= time;
            pg_checksums($_, '--enable') for $source, $target;
            for my $kind (qw(directory server))
            {
                $source->start if $kind eq 'server';
                my $result = rewind($target, $source, kind => $kind);
                is($result->{status}, 1, "a $kind as source is refused") or diag($result->{stderr});
                like($result->{stderr},
                    qr/error: data checksums of the target seem to have been enabled after it was shut down$/m,
                    'with the reason');
            }
        });
        RewindTest::Cluster::discard_all();
    }
}, only => [ 15, 19 ]);
