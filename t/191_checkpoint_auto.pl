# --checkpoint=auto: CHECKPOINT is run on the source where it clearly pays, and the role may run it; otherwise the
# rewind goes on without, and without an error. Where the option is not given one line tells what it would spare. (Where
# recovery starts. Source is a server; and a directory.)
#
#   source   1 ──●──┬── 2 ── 560 MB of WAL, few blocks ──▶     no checkpoint since the divergence
#   target          └── 1 ──▶
# (Rules C41, C68, O16.)

use strict;
use warnings;

use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Hot;

my $settings = "max_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\nshared_buffers = 32MB\n";
my $runs = qr/running CHECKPOINT/;
my $ran = qr/^pg_rewind: $runs on the source\npg_rewind: detail: It should spare \d+ s of replay, and cost \d+ s\.$/m;
my $begin = "pg_rewind: the target will replay the source's WAL for about \\d+ s when it starts";
my $advice = qr/^$begin; with --checkpoint=auto it would be ready about \d+ s sooner$/m;
my $sooner = 'a checkpoint on the source would make it ready about \d+ s sooner';
my $no_right = qr/^$begin; $sooner, but the role may not run CHECKPOINT$/m;

# Rewind a copy. Returns what was said, and the report's estimate.
sub outcome
{
    my ($name, $target, $source, %option) = @_;
    my $copy = $name eq 'dry' ? $target : $target->copy('copy');
    my $file = $copy->dir . '/report.json';
    my @options = ('-N', '--report=json', "--report-file=$file", @{ $option{options} // [] });
    my $held = $option{while_staged} && hold($copy, $source, 'create@*/pg_rewind.work/*', @options);
    $source->sql($option{while_staged}) if $held;
    my $result = $held ? go_on($held) : rewinds($copy, $source, %option, options => \@options);
    my $start = JSON::PP->new->decode(slurp($file))->{recovery_start};
    rejoins($copy, $source, quick => 1) if $option{rejoins};
    $copy->discard if $name ne 'dry';
    return ($result->{stderr}, $start);
}

# A checkpoint would let the source remove its WAL since the last common one. Where there are large tables (holes
# here), comparing all blocks would cost more than that WAL's replay. No checkpoint is made then, unless the source
# keeps the WAL.
sub wal_would_be_removed
{
    my ($target, $source) = @_;
    my $version = $source->version;
    my $set = sub { $source->configure($_[0]); $source->sql('SELECT pg_reload_conf()') };
    my $keep = sub { $set->($version >= 13 ? "wal_keep_size = $_[0]MB" : 'wal_keep_segments = ' . $_[0] / 16) };
    my $is = sub {
        my ($pays, $name, $option) = @_;
        my ($said, $start) = outcome('dry', $target, $source, options => [ $option, '-n' ]);
        is($said =~ /^pg_rewind: not running CHECKPOINT on the source in a dry run/m, $pays, $name);
        is($start->{checkpoint_on_source}{pays}, $pays ? JSON::PP::true : JSON::PP::false, 'by the report, too');
        return $said;
    };
    for my $table (qw(large_1 large_2))
    {
        $source->sql("CREATE TABLE $table ()");
        truncate($source->path($source->query("SELECT pg_relation_filepath('$table')")), 1 << 30) or die "truncate: $!";
    }
    $is->(1, 'the source keeps its WAL by a setting', '--checkpoint=auto');
    $keep->(608);
    unlike($is->('', 'it keeps less than is written until all is read', '--checkpoint=auto'), qr/CHECKPOINT on the/,
        'which needs no word');
    like($is->('', 'nor is one made with --checkpoint', '--checkpoint'),
        qr/^pg_rewind: not running CHECKPOINT on the source: it could then remove WAL /m, 'which says why');
    $source->sql("SELECT pg_create_physical_replication_slot('holds', true)");
    $is->(1, 'it keeps it for a slot', '--checkpoint=auto');
    $source->sql("SELECT pg_drop_replication_slot('holds')");
    if ($version >= 17)
    {
        $set->('summarize_wal = on');
        wait_until('a summary is there', sub { glob($source->path('pg_wal/summaries/*')) });
        $is->(1, 'until it is in a summary', '--checkpoint=auto');
        $set->('summarize_wal = off');
    }
    $source->sql('DROP TABLE large_1, large_2');
    $keep->(4096);
    return;
}

# A role that may not read what tells whether a checkpoint pays is not told of one. (Rule O16.)
sub refuses_answers
{
    my ($target, $source) = @_;
    my @run = ('dry', $target, $source, user => 'rewinder', options => ['-n']);
    $source->sql("REVOKE SELECT ON $_ FROM PUBLIC") for qw(pg_roles pg_settings pg_replication_slots);
    like((outcome(@run))[0], $no_right, 'views that are closed to the role hide nothing');
    for my $function ('pg_get_replication_slots()', 'pg_show_all_settings()')
    {
        $source->sql("REVOKE EXECUTE ON FUNCTION $function FROM PUBLIC");
        unlike((outcome(@run))[0], qr/sooner/, "without $function nothing is advised");
    }
    $source->sql("GRANT SELECT ON $_ TO PUBLIC") for qw(pg_roles pg_settings pg_replication_slots);
    $source->sql("GRANT EXECUTE ON FUNCTION $_ TO PUBLIC") for 'pg_get_replication_slots()', 'pg_show_all_settings()';
    return;
}

sub little_is_replayed
{
    my ($target, $source) = @_;
    my ($said, $start) = outcome('again', $target, $source, options => ['--checkpoint=auto']);
    unlike($said, $runs, 'where little is replayed no checkpoint is made');
    is($start->{checkpoint_on_source}, undef, 'nor weighed');
    $source->stop;
    ($said) = outcome('directory', $target, $source, kind => 'directory',
        env => { PG_REWIND_OPTIONS => '--checkpoint=auto' });
    unlike($said, $runs, 'nor of a directory');
    $source->start;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $kept = $version >= 13 ? 'wal_keep_size = 4GB' : 'wal_keep_segments = 256';
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16, settings => "$settings$kept\n" },
        before => sub { make_hot($_[0]); $_[0]->sql(rewinding_role('rewinder')) if $version >= 11 },
        source => sub { write_hot($_[0], 560) },
        target => sub { $_[0]->sql('UPDATE hot SET v = -1 WHERE a % 7 = 0') });

    my ($said, $start) = outcome('unasked', $target, $source);
    like($said, $advice, 'unasked it is advised');
    unlike($said, $runs, 'and not made');
    is_deeply([ @{ $start->{checkpoint_on_source} }{qw(pays made)} ], [ JSON::PP::true, JSON::PP::false ],
        'the report has the estimate');
    ($said, $start) = outcome('no', $target, $source, options => ['--checkpoint=no']);
    unlike($said, qr/CHECKPOINT|--checkpoint/, 'with --checkpoint=no neither');
    is($start->{checkpoint_on_source}, undef, 'nor is one weighed');

    if ($version >= 11)
    {
        ($said) = outcome('role', $target, $source, user => 'rewinder', options => ['--checkpoint=auto']);
        like($said, $no_right, 'a role that may not run it is told of');
        unlike($said, $runs, 'and goes on without');
        refuses_answers($target, $source);
    }
    ($said) = outcome('dry', $target, $source, options => [qw(--checkpoint=auto -n)]);
    like($said, qr/^pg_rewind: not running CHECKPOINT on the source in a dry run/m, 'a dry run makes none');
    unlike($said, $advice, 'and advises none');

    # (The server still runs with its former setting.)
    $source->configure('archive_mode = always');
    ($said) = outcome('dry', $target, $source, options => [qw(--checkpoint=auto -n)]);
    unlike($said, qr/CHECKPOINT|--checkpoint/, 'for a standby whose archive needs all WAL none is made, nor advised');
    $source->configure('archive_mode = off');
    subtest('what the source would remove', sub { wal_would_be_removed($target, $source) });

    # A file that the source may read, but not write.
    chmod 0400, $source->path('pg_xact/0000');
    ($said, $start) = outcome('failure', $target, $source, options => ['--checkpoint=auto']);
    like($said, qr/^pg_rewind: $runs on the source\n.*^pg_rewind: warning: .*checkpoint request failed/ms,
        'one that fails is a warning');
    unlike($said, qr/$no_right|$advice/, 'and no reason to advise one');
    ok(!$start->{late} && !$start->{checkpoint_on_source}{made}, 'the run goes on without');
    chmod 0600, $source->path('pg_xact/0000');

    my @again = $version == 18 ? (while_staged => 'CREATE DATABASE copied STRATEGY = FILE_COPY') : ();
    ($said, $start) = outcome('auto', $target, $source, rejoins => 1, options => ['--checkpoint=auto'], @again);
    like($said, $ran, 'it is made where it pays');
    like($said, qr{^pg_rewind: the source has copied a database, .*: starting again$}m, 'and planned again') if @again;
    ok($start->{late}, 'recovery starts there');
    ok($start->{checkpoint_on_source}{made}, 'the report says so');
    little_is_replayed($target, $source);
}, only => [ 10, 15, 18 ]);
