# Every row change of every lost committed transaction is in the file of --save-lost-rows or in a count of it:
# pg_waldump adds them up.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

# Changes of rows by lost committed transactions, by storage and kind, as pg_waldump lists them.
sub changes_by_waldump
{
    my ($target, $from) = @_;
    my ($program) = grep { -x } $target->bindir . '/pg_waldump', program('pg_waldump');
    my ($high, $low) = map { hex } split '/', $from;
    my $first = sprintf '%08X%08X%08X', 1, $high, $low >> 20;
    # Without names of segments, 19 asks any file for their size, also one that has no WAL yet.
    my @segments = grep { $_ ge $first && slurp($target->path("pg_wal/$_")) !~ /\A\0/ } map { m{/(0000[0-9A-F]{20})$} }
        sort glob($target->path('pg_wal/*'));
    my $result = run([ $program, '-p', $target->path('pg_wal'), '-s', $from, @segments[0, -1] ]);
    my (%changes, %commits);
    for my $line (split /\n/, $result->{stdout})
    {
        my ($manager, $xid, $said) = $line =~ /^rmgr: (\S+) .* tx: +(\d+), .* desc: (.*)/ or next;
        if ($manager eq 'Transaction' && $said =~ /^COMMIT/)
        {
            my ($prepared) = $said =~ /^COMMIT_PREPARED (\d+)/;
            my ($subtransactions) = $said =~ /subxacts: ([\d ]+)/;
            $commits{$_} = 1 for $prepared // $xid, split ' ', $subtransactions // '';
        }
        next if $manager !~ /^Heap2?$/ || $said !~ /^(INSERT|UPDATE|HOT_UPDATE|DELETE|MULTI_INSERT)/;
        my $kind = $1;
        my ($count) = $kind eq 'MULTI_INSERT' ? $said =~ /(\d+) tuples|ntuples: (\d+)/ ? $1 // $2 : 0 : 1;
        my ($storage) = $said =~ /blkref #0: rel ([\d\/]+)/;
        $changes{$xid}{$storage}{ $kind =~ /INSERT/ ? 'inserted' : $kind =~ /UPDATE/ ? 'updated'
            : 'deleted' } += $count;
    }
    my (%sum, $all);
    for my $xid (grep { $commits{$_} } keys %changes)
    {
        for my $storage (keys %{ $changes{$xid} })
        {
            my $of = $changes{$xid}{$storage};
            $sum{$storage}{$_} += $of->{$_}, $all += $of->{$_} for keys %$of;
        }
    }
    return (\%sum, $all);
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version);
    my ($source) = diverged_copies($target, 'source');
    my $from = $target->start->query('SELECT redo_lsn FROM pg_control_checkpoint()');
    run_workload($target, qw(rows.sql keyless.sql schema.sql));
    my %storage = map { my ($table, $path) = split /\|/; $table => $path } split /\n/, $target->sql(
        q{SELECT relname, '1663/' || d.oid || '/' || pg_relation_filenode(c.oid) FROM pg_class c, pg_database d WHERE datname = current_database() AND relname IN}
            . q{ ('accounts', 'types', 'toasted', 'locked', 'pruned', 'frozen', 'made', 'filled', 'child')});
    $target->stop('immediate');
    my $file = save_lost_rows($target, $source)->{jsonl};
    return if !$file;

    my ($expected, $all) = changes_by_waldump($target, $from);
    my ($transactions, $others) = saved_rows($file);
    my $end = $others->[-1];
    my %of_table = map { $_->{table} => $_ } @{ $end->{tables} };
    my $text = sub { my ($counts) = @_; return join ' ', map { "$_ " . ($counts->{$_} // 0) } qw(inserted updated
        deleted) };
    is($text->($of_table{$_} // {}), $text->($expected->{ $storage{$_} } // {}), "of $_ all are in the file")
        for sort keys %storage;
    is($end->{changes}, $all, "all $all are counted");
    my $sum = $end->{catalog_changes} + $end->{toast_changes} + $end->{rewrite_changes};
    $sum += $_->{inserted} + $_->{updated} + $_->{deleted} for @{ $end->{tables} };
    $sum += $_->{changes} for @{ $end->{unknown} };
    $sum -= $_->{unknown} for @{ $end->{tables} };    # they are in both
    is($sum, $all, 'the counts add up');
    my $lines = grep { $_->{kind} ne 'T' } map { @{ $_->{changes} } } @$transactions;
    is($lines, eval { my $rows = 0; $rows += $_->{inserted} + $_->{updated} + $_->{deleted} for @{ $end->{tables} };
        $rows }, 'each row has a line');
    is_deeply([ map { $_->{reason} } grep { $_->{changes} } @{ $end->{unknown} } ],
        ['ALTER TABLE wrote the rows of its table again'], 'all is known but what ALTER TABLE wrote again (Rule L41)');
}, only => [ 15, 19 ]);
