# What lies behind a record that ends a segment early (pg_switch_wal) is no content: where it differs, the histories
# have not parted. A base backup of 10 holds zeros there where its primary has page headers. (Both sources.)
#
#   source   1 ── switch ▒▒▒▒│────┬── 2 ──▶         ▒ bytes behind the switch, to the end of its segment
#   target   1 ── switch ░░░░│────┴── 1 ──▶
# (Rule C18.)

use strict;
use warnings;

use RewindTest;

sub offset_of { my ($lsn, $size) = @_; return hex($lsn =~ s{.*/}{}r) % $size }

sub fill
{
    my ($path, $offset, $byte) = @_;
    open(my $file, '+<:raw', $path) or die "could not open $path: $!";
    seek($file, $offset, 0);
    print {$file} $byte x ((-s $path) - $offset);
    close($file) or die "could not write $path: $!";
    return;
}

sub divergence
{
    my ($target, $source) = @_;
    my $result = rewind($target, $source, options => ['-n']);
    is($result->{status}, 0, 'a dry run') or diag($result->{stderr});
    return $result->{stderr} =~ /servers diverged at WAL location (\S+)/ ? $1 : 'none';
}

each_version(sub {
    my ($version) = @_;
    my ($segment, $end);
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        together => sub {
            my ($primary) = @_;
            $primary->sql('CHECKPOINT; INSERT INTO t VALUES (1)');
            $segment = $primary->query('SELECT pg_walfile_name(pg_current_wal_lsn())');
            $end = $primary->query('SELECT pg_switch_wal()');
            $primary->sql('INSERT INTO t VALUES (2)');
        },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (3)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (4)') });
    my $path = $target->path("pg_wal/$segment");
    my $offset = offset_of($end, -s $path);
    cmp_ok($offset, '<', -s $path, 'there are bytes behind the switch');
    my $expected = divergence($target, $source);

    fill($path, $offset, "\0");
    is(divergence($target, $source), $expected, 'zeros there make no divergence');
    fill($path, $offset, "\xA5");
    is(divergence($target, $source), $expected, 'nor do other bytes');
    fill($path, $offset - 8, "\xA5");
    my $damaged = rewind($target, $source, options => ['-n']);
    isnt($damaged->{status}, 0, 'the record itself counts');
    fill($path, $offset - 8, "\0");
    must_run([ 'cp', $source->path("pg_wal/$segment"), $path ]);
    fill($path, $offset, "\xA5");
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [ 10, 11, 13, 15, 18 ]);
