# Two servers that each made a timeline 2 have different histories, also when their history files are equal.
# So have a cluster and a copy of its files that runs on by itself. (Equal timeline numbers prove nothing. Both
# sources.)
#
#   source   1 ───●────┬──── 2 ─────────▶        1 ──┬─────▶
#   target             └──── 2 ─────▶                └──▶
# (Rules C16, C17, C20, C21, C22, C67, W3, W7.)

use strict;
use warnings;

use RewindTest;

# Segments full of nothing, so that old WAL goes.
sub leave_segments
{
    my ($server, $count) = @_;
    $server->sql("INSERT INTO t VALUES (-$_); SELECT pg_switch_wal(); CHECKPOINT") for 1 .. $count;
    return;
}

# Two clusters of one system identifier and one timeline, which nobody replicated.
sub copied_volume
{
    my ($version, %option) = @_;
    my $few_segments = $version >= 13 ? 'wal_keep_size = 0' : 'wal_keep_segments = 0';
    my $target = make_cluster('target', $version, settings => $option{archive}
        ? "archive_mode = on\narchive_command = 'cp %p $option{archive}/%f'" : '')->start;
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my $source = $target->stop->copy('source');
    my $archives = $option{source_archive} ? "cp %p $option{source_archive}/%f" : 'true';
    $source->configure("archive_command = '$archives'") if $option{archive};
    my %cluster = (source => $source, target => $target);
    $cluster{$_}->configure($few_segments) for @{ $option{forget} // [] };
    $_->start for $source, $target;
    # Alike, but for what is in them: records of both begin at the same places.
    $source->sql('UPDATE t SET g = 100000 + g WHERE g % 3 = 0');
    $target->sql('UPDATE t SET g = 200000 + g WHERE g % 3 = 0');
    $_->sql('SELECT pg_switch_wal(); CHECKPOINT') for $source, $target;
    leave_segments($_, 6) for $source, $target;
    $target->sql('CREATE TABLE u (a int)');
    $target->stop;
    return ($source, $target);
}

# All of its WAL is summarized, but one of its summaries that the target has, too, is gone.
sub forget_first_summary
{
    my ($source) = @_;
    wait_until('the source summarizes its WAL',
        sub {
        $source->query('SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= (SELECT redo_lsn FROM pg_control_checkpoint())') > 0 });
    my ($first) = sort glob($source->path('pg_wal/summaries/00000001*'));
    unlink $first or die "could not remove $first: $!";
    return;
}

sub names_of_summaries { my ($server) = @_; return map { s{.*/}{}r } glob($server->path('pg_wal/summaries/*')) }

# The source was promoted right after a switch of segments, and the target went on: the last record before that lies in
# both at the same place.
sub promoted_behind_switch
{
    my ($version, %option) = @_;
    my %keep = (source => '0', target => '0', %{ $option{keep} // {} });
    my $target = make_cluster('target', $version, settings => $option{summaries} ? 'summarize_wal = on' : '')->start;
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g; CREATE TABLE of_target AS SELECT g FROM generate_series(1, 1000) g; CREATE TABLE beat (a int)');
    my $source = $target->stop->copy('source');
    my %cluster = (source => $source, target => $target);
    $cluster{$_}->configure(($version >= 13 ? 'wal_keep_size = ' : 'wal_keep_segments = ') . $keep{$_})
        for keys %cluster;
    $_->start for $source, $target;
    $source->sql('UPDATE t SET g = 100000 + g WHERE g % 3 = 0; DELETE FROM t WHERE g % 7 = 1; CREATE TABLE of_source AS SELECT 1 AS x');
    $target->sql('UPDATE t SET g = 200000 + g WHERE g % 3 = 0; UPDATE of_target SET g = -g');
    for my $server ($source, $target)
    {
        $server->sql('SELECT pg_switch_wal()');
        $server->sql('CHECKPOINT') if $option{summaries};
        $server->sql("INSERT INTO beat VALUES ($_)"), $server->sql('SELECT pg_switch_wal()') for 1 .. 3;
    }
    is($source->lsn, $target->lsn, 'WAL of both ends at the same place');
    $source->stop('kill');
    $version < 12 ? spew($source->path('recovery.conf'), "standby_mode = 'on'\n")
        : spew($source->path('standby.signal'), '');
    $source->start->promote;
    $source->sql("CHECKPOINT; INSERT INTO beat VALUES ($_)") for 1 .. 3;
    forget_first_summary($source) if $option{summaries};
    $target->sql('CREATE TABLE u (a int)');
    $target->stop($option{stop});
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;

    subtest('both were promoted to timeline 2', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
        my $source = $primary->standby('source');
        my $target = $primary->standby('target');
        $primary->stop;
        $_->promote for $source, $target;
        $source->sql('INSERT INTO t SELECT g FROM generate_series(1, 500) g; CHECKPOINT');
        $target->sql('INSERT INTO t SELECT g FROM generate_series(1, 700) g; CREATE TABLE u (a int)');
        $target->stop;
        $primary->discard;
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
        RewindTest::Cluster::discard_all();
    });

    # No timeline switch at all: the signal file was deleted, so both go on writing timeline 1.
    subtest('the target was opened without a promotion', sub {
        my $source = make_cluster('source', $version)->start;
        $source->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
        my $target = $source->standby('target');
        $target->wait_for_replay_of($source);
        $target->open_without_promotion;
        $target->sql('INSERT INTO t SELECT g FROM generate_series(1, 700) g; CREATE TABLE u (a int)');
        $source->sql('INSERT INTO t SELECT g FROM generate_series(1, 500) g; CHECKPOINT');
        $target->stop;
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
    });
    return if !grep { $_ == $version } 11, 15, 18;
    RewindTest::Cluster::discard_all();

    subtest('a copied volume', sub {
        my ($source, $target) = copied_volume($version);
        rewinds_from_both_kinds($source, $target,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'the divergence is found') });
        RewindTest::Cluster::discard_all();
    });

    my $much = $version >= 13 ? '1GB' : 64;
    for my $case (
        [ 'in no WAL of the source', stop => 'kill' ],
        [ 'in no WAL of the source, but in an archive of the target', stop => 'kill', archive => work_dir()
        . "/archived_$version" ],
        ($version >= 17 ? [ 'in no WAL of the source, which has summaries of it', stop => 'kill', summaries => 1 ]
        : ()),
        [ 'in no WAL of the target', stop => 'fast', keep => { source => $much } ])
    {
        my ($where, %option) = @$case;
        subtest("a copied volume, promoted behind a switch of segments; where they parted is $where", sub {
            my ($source, $target) = promoted_behind_switch($version, %option);
            my @archive;
            if ($option{archive})
            {
                mkdir $option{archive} or die "could not create $option{archive}: $!";
                must_run([ 'cp', glob($target->path('pg_wal/00000001*')), $option{archive} ]);
                @archive = ("--wal-archive=$option{archive}");
            }
            my $early = rewind($target, $source, options => [ '--early-start', @archive ]);
            is($early->{status}, 1, '--early-start is refused');
            like($early->{stderr},
                qr/^pg_rewind: error: (?:the source no longer has WAL that|could not prove that source and target have the same history before )/m,
                'with the reason');
            rewinds_from_both_kinds($source, $target, options => \@archive, rewound => sub {
                like($_[2]{stderr}, qr/^pg_rewind: comparing all blocks with the source's, \d+ MB: /m,
                    'all blocks are compared');
                my %of_source = map { $_ => 1 } names_of_summaries($source);
                is(join(' ', grep { !$of_source{$_} } names_of_summaries($_[0])), '',
                    'summaries of WAL that may be of another history are not kept');
            });
            RewindTest::Cluster::discard_all();
        });
    }

    # What only the one that stayed on the old timeline can have archived proves enough: blocks are not compared.
    subtest('the segment of the divergence is in an archive alone', sub {
        my $archive = work_dir() . "/shared_$version";
        mkdir $archive or die "could not create $archive: $!";
        my $old = make_cluster('old', $version,
            settings => "archive_mode = on\narchive_command = 'cp %p $archive/%f'\n"
            . ($version >= 13 ? 'wal_keep_size = 0' : 'wal_keep_segments = 0'))->start;
        $old->sql('CREATE TABLE t (g int); CHECKPOINT');
        my $new = $old->standby('new');
        $old->sql("INSERT INTO t VALUES ($_); SELECT pg_switch_wal()") for 1 .. 2;
        $old->sql('INSERT INTO t VALUES (3)');
        $new->wait_for_replay_of($old);
        $new->promote;
        my $parted = $old->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
        $_->sql('CHECKPOINT; INSERT INTO t VALUES (4)') for $new, $old;
        leave_segments($old, 4);
        wait_until('the old timeline is archived, and gone', sub { $old->sql('CHECKPOINT'); return -e "$archive/$parted"
            && !-e $old->path("pg_wal/$parted") });
        $old->stop;
        for my $pair ([ $old, $new ], [ $new, $old ])
        {
            my ($target, $source) = @$pair;
            $target->stop if $target->is_running;
            $source->start if !$source->is_running;
            my $copy = $target->copy('rewound_' . $target->name);
            my $result = rewinds($copy, $source, options => [ "--wal-archive=$archive", '--early-start' ]);
            unlike($result->{stderr}, qr/comparing all blocks/, 'no blocks are compared');
            rejoins($copy, $source, quick => 1) if $result->{status} == 0;
        }
        RewindTest::Cluster::discard_all();
    });

    # Where they parted is in no WAL of the source, of the target, or of either.
    for my $forgetful (['source'], ['target'], [ 'source', 'target' ])
    {
        subtest("a copied volume, whose parting is in no WAL of the @$forgetful", sub {
            my ($source, $target) = copied_volume($version, forget => $forgetful);
            for my $kind (qw(server directory))
            {
                $source->stop if $kind eq 'directory';
                my $copy = $target->copy("from_$kind");
                my $result = rewind($copy, $source, kind => $kind);
                isnt($result->{status}, 0, "a $kind is refused");
                like($result->{stderr},
                    qr/error: could not find where source and target diverged|detail: could not find previous WAL record/,
                    'for want of proof');
                ok(!-e $copy->path('pg_rewind.work'), 'nothing is left in the target');
            }
            RewindTest::Cluster::discard_all();
        });
    }

    # Records of both have the same lengths, so the links of the source's own WAL fit to the target's before it.
    subtest('a copied volume, and an archive of what the target has written', sub {
        my $archive = work_dir() . "/archive_$version";
        mkdir $archive or die "could not create $archive: $!";
        my ($source, $target) = copied_volume($version, forget => ['source'], archive => $archive);
        wait_until('what the source has archived goes', sub {
            $source->sql('CHECKPOINT');
            return !-e $source->path('pg_wal/' . (sort map { m{([^/]+)$} } glob("$archive/*"))[-2]);
        });
        my $result = rewind($target, $source, options => ["--wal-archive=$archive"]);
        is($result->{status}, 1, 'the archive proves nothing') or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: error: could not find where source and target diverged: before/m,
            'which is said');
        like($result->{stderr},
            qr/^pg_rewind: detail: The archive has more of it, but that may be what the target itself has archived\.$/m,
            'with the reason');
        rewinds($target, $source, options => ['--compare']);
        rejoins($target, $source);
        RewindTest::Cluster::discard_all();
    });

    # The look at what the target's server would restore (Rule C67) meets a segment of the target's with the name of one
    # that the source has archived, and that the rewind needs.
    return if $version < 12;
    subtest('a copied volume, and an archive of each side', sub {
        my ($of_source, $of_target) = map { work_dir() . "/archive_of_${_}_$version" } qw(source target);
        mkdir $_ or die "could not create $_: $!" for $of_source, $of_target;
        my ($source, $target) = copied_volume($version, forget => ['source'], archive => $of_target,
            source_archive => $of_source);
        wait_until('what the source has archived goes', sub {
            $source->sql('CHECKPOINT');
            return !-e $source->path('pg_wal/' . (sort map { m{([^/]+)$} } glob("$of_source/*"))[-2]);
        });
        $_->configure("restore_command = 'cp $of_target/%f %p'") for $source, $target;
        my $result = rewinds($target, $source, options => [ "--wal-archive=$of_source", '--early-start' ]);
        like($result->{stderr}, qr/the archive has a file with a source file's name and other content/,
            'what would mislead the server is told');
        $_->configure("restore_command = ''") for $target;
        rejoins($target, $source);
        RewindTest::Cluster::discard_all();
    });
}, only => [ 10, 15, 18, 19 ]);
