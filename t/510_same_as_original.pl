# A rewound directory is what the original leaves, byte by byte, but for a list of differences; design/overview.md has
# the same list, and a difference that is not on it fails this test. (Invariant 7. Both sources. 15 and 19: Debian has
# the original.)
#
# Blocks that recovery rebuilds are not fetched. Of each that differs pg_waldump must say that its first record restores
# it; and when both directories have been recovered, no block of a relation may differ any more.
# (Rules C48, R2, R3, R4, R5, R6, R7.)

use strict;
use warnings;
use lib 't/lib';
use Digest::MD5;
use File::Basename qw(basename dirname);
use File::Find ();
use RewindTest;

my $programs;    # the directory of the original, and of the pg_waldump beside it
my %offset;      # of values in pg_control

my %used;    # names of allowed differences that were seen, and how often

# What may differ: a name, the paths, why, and what must be true for it. Each condition is given the file as the
# original left it, as we did (undef: not there), its path, and all files of the original's and of ours.
my @allowed = (
    [ 'label', qr{^backup_label$}, 'it says when it was made',
        sub { my ($theirs, $ours) = @_; return $theirs && $ours && without_time($theirs) eq without_time($ours) } ],
    [ 'control', qr{^global/pg_control$},
        'it says when it was made; minimum recovery point: the end of the source\'s last record, '
            . 'where the original has the beginning (a stopped source), or the insert position, where no record may end (a running one); '
            . 'a server that finds no backup_label waits for the end of a backup that began one byte after the start '
            . 'of recovery, as none does',
        sub { my ($theirs, $ours, undef, undef, $all) = @_; return $theirs && $ours && without_end($theirs)
            eq without_end($ours) && end_of($ours) >= end_of($theirs) - 8192
            && awaited_backup($ours) eq lsn_number($all->{backup_label}{content}) + 1 . ' 0 1'
            && awaited_backup($theirs) eq '0 0 0' } ],
    [ 'rebuilt', qr{^(base|global|tablespace)/(.*/)?\d+(\.\d+)?$},
        'recovery writes these blocks whole, whatever they hold: not fetched',
        sub { my ($theirs, $ours, $path) = @_; return $theirs && $ours && $theirs->{mode} == $ours->{mode}
        && are_rebuilt($theirs->{content}, $ours->{content}, $path) } ],
    [ 'unlogged', qr{/\d+(\.\d+)?$},
        'the server makes the main fork of an unlogged relation anew from its initialization fork: not copied, not removed',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return $all->{ ($path =~ s/\.\d+$//r) . '_init' } } ],
    [ 'prepared', qr{^pg_twophase/},
        'replay makes it anew, and 17 and 18 lose the transaction if it is there: not copied',
        sub { my ($theirs, $ours) = @_; return !$ours } ],
    [ 'last segment', qr{^pg_wal/[0-9A-F]{24}$},
        'behind the end of the source\'s WAL there are zeros, not what a recycled segment held',
        sub { my ($theirs, $ours, $path, $all_theirs, $all) = @_; return $theirs && $ours
        && is_alike_to_its_end($theirs, $ours, $all_theirs, $all) } ],
    [ 'left segment', qr{^pg_wal/00000001[0-9A-F]{16}$},
        'the segment where the histories part keeps their common part, which the next timeline\'s has too, and no lost records',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return $theirs && $ours
        && is_beginning($ours, $all->{ $path =~ s/00000001(\w{16})$/00000002$1/r }) } ],
    [ 'old segment', qr{^pg_wal/[0-9A-F]{24}$}, 'recovery starts behind it: not copied',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return !$ours && $path lt redo_segment($all) } ],
    [ 'recycled segment', qr{^pg_wal/[0-9A-F]{24}$}, 'it lies behind the end of the source\'s WAL: not copied',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return !$ours
        && $path gt (sort grep { m{^pg_wal/[0-9A-F]{24}$} } keys %$all)[-1] } ],
    [ 'rubbish among WAL', qr{^pg_wal/(xlogtemp\.\d+|[0-9A-F]{24}\.partial)$}, 'nobody reads it: not copied',
        sub { my ($theirs, $ours) = @_; return !$ours } ],
    [ 'archived', qr{^pg_wal/archive_status/.*\.done$}, 'a segment that was copied counts as archived',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return !$theirs
        && $all->{ 'pg_wal/' . $path =~ s{.*/(.*)\.done}{$1}r } } ],
    [ 'to be archived', qr{^pg_wal/archive_status/.*\.ready$},
        'a segment that the target had and keeps is to be archived by it as before',
        sub { my ($theirs, $ours, $path, undef, $all) = @_; return !$theirs
        && $all->{ 'pg_wal/' . $path =~ s{.*/(.*)\.ready}{$1}r } } ],
    [ 'foreign markers', qr{^pg_wal/archive_status/}, 'the source\'s markers are about its own archiving: not copied',
        sub { my ($theirs, $ours) = @_; return !$ours } ],
    [ 'logs', qr{^(log(/.*)?|server[^/]*\.log|current_logfiles)$},
        'server logs are no data: neither copied nor removed',
        sub { return 1 } ],
);

sub without_time { my ($file) = @_; return $file->{content} =~ s/^START TIME: .*$//mr }

# In pg_control the time is at 24.
sub without_end
{
    my ($file) = @_;
    my $bytes = $file->{content};
    substr($bytes, $_->[0], $_->[1]) = '' for [ $offset{checksum}, 4 ], [ $offset{minimum} + 16, 17 ],
        [ $offset{minimum}, 8 ], [ 24, 8 ];
    return $bytes;
}
# Where the backup began and ends, and whether WAL must show its end.
sub awaited_backup { my ($file) = @_; return join ' ',
    unpack('Q< Q< C', substr($file->{content}, $offset{minimum} + 16, 17)) }
sub lsn_number { my ($label) = @_; my ($high, $low) = $label =~ m{^START WAL LOCATION: (\w+)/(\w+)}m;
    return hex($high) << 32 | hex $low }
sub end_of { my ($file) = @_; return unpack('Q<', substr($file->{content}, $offset{minimum}, 8)) }

my %first_record;    # "RELATION BLOCK" => does the first record from the redo position on that names it restore it

# Records that initialise a page; of others pg_waldump says FPW.
my $initialises =
    qr{\+INIT |desc: (NEWROOT|SPLIT_L|SPLIT_R|META_CLEANUP|REUSE_PAGE|UNLINK_PAGE\w*|CREATE\w*|INIT_\w+|ADD_OVFL_PAGE|SPLIT_ALLOCATE_PAGE|LOG|INSERT_LISTPAGE|DELETE_LISTPAGE|UPDATE_META_PAGE) };

# Asks pg_waldump, which does not follow a switch of timelines: all segments get names of one.
sub read_first_records
{
    my ($rewound) = @_;
    my ($redo) = slurp($rewound->path('backup_label')) =~ m{^START WAL LOCATION: ([0-9A-F/]+)}m or die;
    my $links = $rewound->dir . '/one_timeline';
    %first_record = ();
    mkdir $links or die;
    for my $segment (sort grep { m{/[0-9A-F]{24}$} } glob($rewound->path('pg_wal/*')))
    {
        my $link = "$links/" . basename($segment) =~ s/^.{8}/00000002/r;
        unlink $link;
        symlink($segment, $link) or die;
    }
    # It ends with an error, since WAL does.
    my $dump = run([ "$programs/pg_waldump", '-p', $links, '-t', 2, '-s', $redo ])->{stdout};
    for my $line (split /\n/, $dump)
    {
        my $init = $line =~ $initialises;
        while ($line =~ m{blkref #(\d+): rel (\d+/\d+/\d+) blk (\d+)( FPW)?}g)
        {
            $first_record{"$2 $3"} //= defined $4 || $init;
        }
    }
    die "pg_waldump shows nothing\n" if !%first_record;
    return;
}

sub are_rebuilt
{
    my ($theirs, $ours, $path) = @_;
    my ($directory, $number, $segment) = $path =~ m{^(.*)/(\d+)(?:\.(\d+))?$} or return 0;
    my $database = $directory eq 'global' ? '1664/0' : $directory =~ m{^base/(\d+)$} ? "1663/$1"
        : $directory =~ m{/(\d+)$} ? "\\d+/$1" : return 0;
    return 0 if length $theirs != length $ours;
    for my $block (0 .. length($ours) / 8192 - 1)
    {
        next if substr($theirs, $block * 8192, 8192) eq substr($ours, $block * 8192, 8192);
        my @restored = grep { m{^$database/$number $block$} } keys %first_record;
        return 0 if @restored != 1 || !$first_record{ $restored[0] };
    }
    return 1;
}

# Replay what both have, and compare all that is data. Nobody reads there: no hint is set.
sub is_same_after_recovery
{
    my (@clusters) = @_;
    for my $cluster (@clusters)
    {
        spew($cluster->path('standby.signal'), '');
        $cluster->start(settings => { hot_standby => 'off', archive_mode => 'off', max_prepared_transactions => 10 });
        wait_until('all WAL is replayed', sub { $cluster->log =~ /consistent recovery state reached/ });
        $cluster->stop;
    }
    my ($expected, $found) = map { files($_) } @clusters;
    my @wrong = grep { m{^(base|global|tablespace|pg_xact|pg_multixact)/} && $_ ne 'global/pg_control'
        && differ($expected->{$_}, $found->{$_}) }
        sort keys %{ { %$expected, %$found } };
    is("@wrong", '', 'recovered, all relations are the same, byte by byte');
    return;
}

sub is_beginning
{
    my ($file, $other) = @_;
    my $written = $file->{content} =~ s/\0+\z//r;
    return $other && length $written && substr($other->{content}, 0, length $written) eq $written;
}

# Up to the end that both know the bytes are the same; behind it we have zeros.
sub is_alike_to_its_end
{
    my ($theirs, $ours, $all_theirs, $all) = @_;
    my ($their_end, $our_end) = map { end_of($_->{'global/pg_control'}) % length $ours->{content} } $all_theirs, $all;
    my $common = $their_end < $our_end ? $their_end : $our_end;
    return substr($ours->{content}, 0, $common) eq substr($theirs->{content}, 0, $common)
        && substr($ours->{content}, $our_end) !~ /[^\0]/;
}

# The segment that recovery of a rewound directory starts in.
sub redo_segment
{
    my ($all) = @_;
    my ($name) = $all->{backup_label}{content} =~ /^START WAL LOCATION: .* \(file ([0-9A-F]{24})\)/m or die;
    return "pg_wal/$name";
}

# Every file of a cluster, its tablespaces' too: path => { type, mode, content }.
sub files
{
    my ($cluster) = @_;
    my $dir = $cluster->dir;
    my %file;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my $path = substr($_, length "$dir/");
        return if $path eq 'data' || $path eq 'tablespace';
        $path =~ s{^data/}{};
        my $mode = (lstat)[2];
        $file{$path} = -l _ ? { type => 'link', mode => 0, content => readlink =~ s/^\Q$dir\E//r }
            : -d _ ? { type => 'directory', mode => $mode & 07777, content => '' }
            : -f _ ? { type => 'file', mode => $mode & 07777, content => slurp($_) }
            : { type => 'other', mode => $mode, content => '' };
    } }, "$dir/data", "$dir/tablespace");
    return \%file;
}

sub differ { my ($a, $b) = @_; return !$a || !$b || $a->{type} ne $b->{type} || $a->{mode} != $b->{mode}
    || $a->{content} ne $b->{content} }

sub describe
{
    my ($file) = @_;
    return 'nothing' if !$file;
    return sprintf('%s, mode %o, %d bytes, %s', @$file{qw(type
        mode)}, length $file->{content}, Digest::MD5::md5_hex($file->{content}));
}

sub is_same_but_for_what_is_allowed
{
    my ($theirs, $ours) = @_;
    my ($expected, $found) = map { files($_) } $theirs, $ours;
    my %path = (%$expected, %$found);
    my @wrong;
    for my $path (sort keys %path)
    {
        my ($a, $b) = ($expected->{$path}, $found->{$path});
        next if !differ($a, $b);
        my ($reason) = grep { $path =~ $_->[1] && $_->[3]->($a, $b, $path, $expected, $found) } @allowed;
        if ($reason) { $used{ $reason->[0] }++ }
        else { push @wrong, "$path: " . describe($b) . '; the original: ' . describe($a) }
    }
    is(join("\n", @wrong), '', 'there is no difference but those allowed');
    return;
}

sub build
{
    my ($primary) = @_;
    my $location = $primary->tablespace_location('space');
    $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
    $primary->sql(<<'END');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 2000) i;
CREATE TABLE in_space (LIKE t INCLUDING ALL) TABLESPACE space;
INSERT INTO in_space SELECT * FROM t;
CREATE TABLE shrunk AS SELECT * FROM t;
CREATE TABLE dropped_on_source AS SELECT * FROM t;
CREATE TABLE dropped_on_target AS SELECT * FROM t;
CREATE INDEX ON t USING gin (string_to_array(b, '0'));
CREATE INDEX ON t USING hash (b);
CREATE UNLOGGED TABLE unlogged AS SELECT * FROM t;
CREATE SEQUENCE counter;
SELECT lo_from_bytea(1000, convert_to(repeat('large', 5000), 'UTF8'));
CREATE DATABASE other;
END
    return;
}

# Some segments before the checkpoint, some after.
sub write_together
{
    my ($primary) = @_;
    $primary->sql('INSERT INTO t SELECT min(a) - 1 FROM t'), $primary->sql('SELECT pg_switch_wal()') for 1 .. 2;
    $primary->sql('CHECKPOINT');
    $primary->sql('INSERT INTO t SELECT min(a) - 1 FROM t'), $primary->sql('SELECT pg_switch_wal()') for 1 .. 2;
    $primary->sql('INSERT INTO t SELECT min(a) - 1 FROM t');
    return;
}

# What no server makes within a test.
sub place_files
{
    my ($cluster, $side) = @_;
    mkdir $cluster->path('log') or die;
    spew($cluster->path("log/postgresql-$side.log"), $side);
    spew($cluster->path('current_logfiles'), "stderr log/postgresql-$side.log\n");
    spew($cluster->path("server_$side.log"), $side);
    spew($cluster->path('pg_wal/xlogtemp.' . length $side), $side);
    return;
}

# Let the end of a segment, which no record has reached yet, be that of an older one.
sub recycle
{
    my ($old, $segment) = @_;
    must_run([ 'dd', "if=$old", "of=$segment", 'bs=64k', 'skip=15', 'seek=15', 'count=1', 'conv=notrunc' ]);
    return;
}

sub write_apart
{
    my ($server, $side) = @_;
    my $remainder = $side eq 'source' ? 1 : 2;
    $server->sql("SELECT pg_create_physical_replication_slot('of_$side', true)");
    $server->sql(<<"END");
UPDATE t SET b = md5(b) WHERE a % 5 = $remainder;
INSERT INTO t SELECT i, '$side' FROM generate_series(10000, 10000 + 1000 * $remainder) i;
DELETE FROM in_space WHERE a % 3 = $remainder;
INSERT INTO unlogged SELECT i, '$side' FROM generate_series(1, 1000) i;
CREATE TABLE made_on_$side AS SELECT * FROM t;
CREATE INDEX ON made_on_$side (b);
CREATE UNLOGGED TABLE unlogged_on_$side AS SELECT * FROM t;
DROP TABLE dropped_on_$side;
SELECT nextval('counter') FROM generate_series(1, 50 * $remainder);
CREATE DATABASE made_on_$side STRATEGY wal_log;
BEGIN; INSERT INTO t VALUES (-100 * $remainder, 'prepared'); PREPARE TRANSACTION 'of_$side';
END
    $server->sql('DELETE FROM shrunk WHERE a > 100'), $server->sql('VACUUM shrunk') if $side eq 'source';
    $server->sql('SELECT pg_switch_wal()');
    $server->sql("INSERT INTO t VALUES (-200 * $remainder, 'after the switch')");
    append($server->path('pg_hba.conf'), "# of $side\n");
    spew($server->path("of_$side.conf"), '');
    return;
}

# The original takes the insert position for the end of WAL, we take what is flushed: let that be the same. Records of
# hint bits are in no hurry to be flushed.
sub flush_wal
{
    my ($source) = @_;
    $source->query('SELECT txid_current()');
    wait_until('all WAL is flushed',
        sub { $source->query('SELECT pg_current_wal_flush_lsn() = pg_current_wal_insert_lsn()') eq 't' });
    return;
}

# The original always recovers from the last common checkpoint.
delete $ENV{PG_REWIND_TEST_OPTIONS};

each_version(sub {
    my ($version) = @_;
    %offset = $version >= 19 ? (minimum => 144, checksum => 308) : (minimum => 136, checksum => 288);
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 1, settings => "archive_mode = on\narchive_command = 'false'" },
        before => \&build,
        together => \&write_together,
        source => sub { my ($source) = @_; write_apart($source, 'source') },
        target => sub { my ($target) = @_; write_apart($target, 'target') });
    $programs = $source->bindir;
    $programs = dirname(program('pg_rewind')) if !-x "$programs/pg_rewind";
    my $original = "$programs/pg_rewind";
    $source->sql("ALTER SYSTEM SET archive_command = 'true'");
    $source->sql('SELECT pg_reload_conf()');
    wait_until('the source archives', sub { !(() = glob($source->path('pg_wal/archive_status/*.ready'))) });
    $source->sql("ALTER SYSTEM SET archive_command = 'false'");
    $source->sql('SELECT pg_reload_conf()');
    $source->sql("INSERT INTO t VALUES ($_)"), $source->sql('SELECT pg_switch_wal()') for 1000001, 1000002;
    $source->sql('CHECKPOINT');
    # The first look at a catalog may set hint bits, which are logged: let nothing of that be new to either program.
    rewind($target, $source, options => ['--dry-run'], program => $_) for $original, $ENV{PG_REWIND};
    flush_wal($source);
    place_files($source, 'source');
    place_files($target, 'target');
    my @segments = sort map { m{([0-9A-F]{24})$} } glob($target->path('pg_wal/*'));
    unlink $target->path("pg_wal/$segments[0]"), $target->path("pg_wal/archive_status/$segments[0].ready");
    must_run([ 'cp', $source->path("pg_wal/$segments[0]"), $source->path('pg_wal/0000000200000000000000F0') ]);
    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            if ($kind eq 'directory')
            {
                $source->stop;
                recycle($source->path("pg_wal/$segments[1]"),
                    (sort glob($source->path('pg_wal/00000002????????????????')))[-2]);
            }
            my ($theirs, $ours) = map { $target->copy($_) } qw(theirs ours);
            my $result = rewind($theirs, $source, kind => $kind, program => $original);
            is($result->{status}, 0, 'the original succeeds') or diag($result->{stderr});
            rewinds($ours, $source, kind => $kind);
            read_first_records($ours);
            is_same_but_for_what_is_allowed($theirs, $ours);
            is_same_after_recovery($theirs, $ours);
            $_->discard for $theirs, $ours;
            $source->start if $kind eq 'directory';
        });
    }
    # Whether two labels are made in the same second is a matter of luck.
    is(join(', ', grep { !$used{$_} && $_ ne 'label' } map { $_->[0] } @allowed), '',
        'each difference allowed was seen');
}, only => [ 15, 19 ]);
