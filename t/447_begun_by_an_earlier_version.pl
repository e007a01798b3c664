# A rewind that a version before 1.1.0 has begun is finished, with a warning: the plan can be one that leaves a wrong
# standby. The cure that the warning names works before the server was started. (Invariant 1. The same on all versions.)
#
#   target   ── 1.0.0: committed ──✕── 1.1.0 finishes ── a wrong block ── --compare ──▶ as the source    ✕ killed
# (Rules I78, I79.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::ControlFile;
use RewindTest::Held;

# An entry of a journal: JOURNAL_INSTALL is 2, JOURNAL_WORK_DIRECTORY 7.
sub entry { my ($kind, $path, $other) = @_; return pack('V/a*', pack('C x24 v/a* v/a*', $kind, $path, $other // '')) }

# The journal's format is that of 1.0.0, which differs by its number and the checksum at the end. If the target's
# pg_stat_tmp was a mount, 1.0.0 staged files of the source there; in memory they are gone after a restart.
sub make_earlier
{
    my ($target) = @_;
    my $path = $target->path('pg_rewind.work/journal');
    my $journal = slurp($path);
    is(unpack('V', substr($journal, 8, 4)), 3, 'the format of 1.1.0');
    substr($journal, 8, 4) = pack('V', 2);
    substr($journal, -20, 8) = pack('Q<', unpack('Q<', substr($journal, -20, 8)) + 2);
    substr($journal, -20, 0) = entry(2, 'pg_stat_tmp/global.stat', 'pg_stat_tmp/pg_rewind.work/f1');
    substr($journal, 16 + unpack('V', substr($journal, 12, 4)), 0) = entry(7, 'pg_stat_tmp/pg_rewind.work');
    substr($journal, -4) = pack('V', RewindTest::ControlFile::crc32c(substr($journal, 0, -4)));
    spew($path, $journal);
    return;
}

my $warns =
    qr/^pg_rewind: warning: the interrupted rewind was begun by a version before 1\.1\.0, whose rewinds can be wrong$/m;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($p) = @_; $p->sql('CREATE TABLE t AS SELECT g, 0 AS v FROM generate_series(1, 2000) g') },
        source => sub { my ($p) = @_; $p->sql('UPDATE t SET v = 1 WHERE g % 2 = 0; CHECKPOINT') },
        target => sub { my ($p) = @_; $p->sql('UPDATE t SET v = 2 WHERE g % 3 = 0') });
    my $file = $source->query(q{SELECT pg_relation_filepath('t')});

    my $own = $target->copy('own');
    end_by_kill(hold($own, $source, 'patch'));
    unlike(rewinds($own, $source)->{stderr}, $warns, 'of a rewind that this version has begun nothing is said');
    $own->discard;

    end_by_kill(hold($target, $source, 'patch'));
    make_earlier($target);
    like(rewind($target, $source, options => ['-n'])->{stderr}, $warns, 'a dry run warns');
    unlike(rewind($target, $source, options => [ '-n', '--compare' ])->{stderr}, $warns,
        'not where the command compares afterwards');
    my $result = rewinds($target, $source);
    like($result->{stderr}, $warns, 'and so does the run that finishes it');
    like($result->{stderr}, qr/^pg_rewind: detail: When it is finished, run pg_rewind once more with --compare, /m,
        'it names the cure');

    my $bytes = slurp($target->path($file));
    substr($bytes, 8192, 8192) = "\0" x 8192;
    spew($target->path($file), $bytes);
    rewinds($target, $source, options => ['--compare']);
    rejoins($target, $source, quick => 1, no_promotion => 1);
    is($target->query('SELECT count(*), sum(v) FROM t'), $source->query('SELECT count(*), sum(v) FROM t'),
        'with --compare a wrong block is copied');
    $target->stop;
    $_->discard for $target, $source;
}, only => [ 10, 18 ]);
