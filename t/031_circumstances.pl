# What the report tells beside the rewind itself: which program and when, who answered, what is replayed at the start,
# prepared transactions that stay and that go, lost WAL that is archived, and that incremental backups need a full one.
#
#   source  1 ──p───┬── 2 ──q──▶      p stays, q comes
#   target      └───┴──r──▶           r goes; its WAL is archived, under names that the source's does not have

use strict;
use warnings;
use lib 't/lib';
use Encode qw(decode);
use JSON::PP ();
use RewindTest;
use Time::Local qw(timegm);

sub prepare_transaction { my ($cluster, $gid) = @_;
    $cluster->sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '$gid'"); return }

sub prepared_on
{
    my ($cluster) = @_;
    return map { [ split /\|/ ] } split /\n/, $cluster->query('SELECT transaction, gid FROM pg_prepared_xacts');
}

sub seconds_of
{
    my ($time) = @_;
    my ($year, $month, @rest) = $time =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.\d{6}Z$/ or return 0;
    return timegm(reverse(@rest), $month - 1, $year);
}

# As numbers, and with the names of those whose names are known.
sub is_list
{
    my ($name, $list, %gids) = @_;
    is(join(' ', sort map { $_->{xid} } @$list), join(' ', sort keys %gids), "$name: these");
    is(join(' ', map { "$_->{gid}" } grep { defined $_->{gid} && $_->{gid} ne $gids{ $_->{xid} } } @$list), '',
        "$name: no wrong name");
    return;
}

each_version(sub {
    my ($version) = @_;
    my (%on_target, %archived);
    my ($source, $target) = split_brain($version,
        cluster => { settings => "archive_mode = on\narchive_command = 'true'\n"
        . ($version >= 17 ? "summarize_wal = on\n" : '') },
        before => sub { $_[0]->sql('CREATE TABLE t (a int)'); prepare_transaction($_[0], 'old') },
        together => sub { prepare_transaction($_[0], $_) for qw(stays ended) },
        source => sub { prepare_transaction($_[0], 'comes') },
        target => sub {
            my ($old) = @_;
            $old->sql("COMMIT PREPARED 'ended'");
            prepare_transaction($old, 'goes');
            $old->sql('SELECT pg_switch_wal()');
            $old->sql('INSERT INTO t VALUES (2)');
            my $segment = $old->query('SELECT pg_walfile_name(pg_switch_wal())');
            wait_until('the segment is archived', sub { -e $old->path("pg_wal/archive_status/$segment.done") });
            %archived = ($segment => 1);
            %on_target = map { $_->[0] => $_->[1] } prepared_on($old);
        });
    my %stay = map { $_->[0] => $_->[1] } prepared_on($source);
    # (Both have one of this number.)
    my %go = map { $_ => $on_target{$_} } grep { ($stay{$_} // '') ne $on_target{$_} } keys %on_target;
    is(join(' ', sort values %stay), 'comes ended old stays', 'what the source has');
    is(join(' ', values %go), 'goes', 'what only the target has');

    my $identifier = $source->query('SELECT system_identifier FROM pg_control_system()');
    for my $options ([ '-n' ], ['--no-sync'])
    {
        my $name = "@$options";
        my $began = time;
        my $result = rewind($target, $source, options => [ @$options, '--report=json' ],
            not_foretold => 'it was looked at');
        is($result->{status}, 0, "$name: succeeds") or diag($result->{stderr});
        my $report = JSON::PP->new->utf8->decode($result->{stdout});
        like($report->{program_version}, qr/^\d+\.\d+\.\d+(?:~git\d{14}\.[0-9a-f]{8,})?$/,
            "$name: the program's version");
        my ($begin, $end) = map { seconds_of($report->{$_}) } qw(begin end);
        ok($began - 1 <= $begin && $begin <= $end && $end <= time, "$name: begin and end");
        is($report->{seconds}{total}, $report->{run_seconds}, "$name: the total is the time of the run");
        is($report->{system_identifier}, $identifier, "$name: the system identifier");
        my ($host, $port) = $source->conninfo =~ /host=(\S+) port=(\d+)/;
        is(join(' ', map { $_ // 'null' } @{ $report->{source_connection} }{qw(host address
            port)}), "$host null $port", "$name: what answered");
        is($report->{replay}{from}, $report->{last_common_checkpoint}{redo}, "$name: where replay begins");
        is($report->{replay}{to}, $report->{min_recovery_point}, "$name: where it ends")
            if $report->{min_recovery_point};
        is($report->{replay}{bytes},
            $source->query("SELECT pg_wal_lsn_diff('$report->{replay}{to}', '$report->{replay}{from}')"),
            "$name: how much it is");
        cmp_ok($report->{replay}{segments}, '>=', 1, "$name: in segments");
        is_list("$name: prepared, stay", $report->{prepared}{stay}, %stay);
        is_list("$name: prepared, go", $report->{prepared}{go}, %go);
        is(join(' ', grep { my $segment = $_; !grep { $_ eq $segment } @{ $report->{archived_lost_wal} } }
            keys %archived), '', "$name: archived, and lost");
        is(join(' ', grep { !/^00000001[0-9A-F]{16}$/ } @{ $report->{archived_lost_wal} }), '', "$name: nothing else");
        ok(!!$report->{take_full_backup} == ($version >= 17),
            "$name: a full backup, where incremental ones can be made");
        if ($options->[0] eq '-n')
        {
            my $text = rewind($target, $source, options => [ '-n', '--report=text' ],
                env => { LC_ALL => 'C' })->{stdout};
            like($text, qr{^  source   1 --\*--\+-- 2 --> \S+     \* last common}m,
                'text: without UTF-8 another picture');
            like($text, qr{^  answered by               \Q$host\E port $port$}m, 'text: what answered');
            like($text, qr{^  the target's, which go    \d+, "goes"$}m, 'text: what goes');
            is(join("\n", grep { length $_ > 100 && !/answered by|^  source  / } split /\n/, decode('UTF-8', $text)),
                '', 'text: no line is wider than 100 columns');
        }
    }
}, only => [ 10, 18 ]);
