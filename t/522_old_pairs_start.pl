# The rewound target of a pair of 9.3 to 9.6 starts, streams from the source, shows what the pair's makers expect, and
# can be promoted: from both kinds of source, where servers of these versions are given. (The pairs, and what is left
# before a start: t/520_old_fixtures.pl.)
#
# VERSION/pair*.expected.tsv has lines of DATABASE, SCHEMA.TABLE, rows and MD5; of a sequence its last value, which a
# standby may show up to 32 ahead; a prepared transaction, which these versions list after promotion. Answers of indexes
# are compared with the source's.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $fixtures = $ENV{PG_REWIND_TEST_FIXTURES} // '../shared/fixtures';
plan(skip_all => "there are no diverged pairs at $fixtures") if !-r "$fixtures/9.6/pair.tar.zst";

# The tiny pairs have no other database.
package OnlyTemplate
{
    our @ISA = 'RewindTest::Cluster';
    sub conninfo { my ($self, $database) = @_; return $self->SUPER::conninfo($database // 'template1') }
}

# Source and target, both stopped.
sub unpack_pair
{
    my ($version, $name) = @_;
    my $class = $name eq 'pair-tiny' ? 'OnlyTemplate' : 'RewindTest::Cluster';
    my $dir = work_dir() . '/unpacked';
    mkdir $dir or die "$dir: $!";
    must_run([ 'sh', '-c', 'zstd -q -d --long=27 <"$0" | tar -x -C "$1"', "$fixtures/$version/$name.tar.zst", $dir ]);
    return map {
        my $cluster = $class->allocate($_, $version, RewindTest::Cluster::bindir_of_version($version));
        rename("$dir/$_", $cluster->data) or die "$dir/$_: $!";
        $cluster;
    } qw(source target);
}

sub shows_what_is_expected
{
    my ($target, $file) = @_;
    my (@wrong, $tables);
    for my $line (split /\n/, slurp($file))
    {
        my ($database, $table, $rows, $md5) = split /\t/, $line;
        next if !defined $table || $table !~ /^public\./;
        $tables++;
        my $found = $rows eq 'sequence' ? $target->query("SELECT last_value || '|' || is_called FROM $table", $database)
            : $target->query("SELECT count(*) || E'\\t' || md5(string_agg(the_row::text, ',' ORDER BY the_row::text)) FROM $table the_row",
                $database);
        my $expected = "$rows\t$md5";
        if ($rows eq 'sequence')
        {
            my ($value, $called) = split /\|/, $md5;
            my ($last) = $found =~ /^(\d+)\|true$/;
            $expected = $found if $called eq 't' && defined $last && $last >= $value && $last <= $value + 32;
        }
        push @wrong, "$line: $found" if $found ne $expected;
    }
    is(join("\n", @wrong), '', 'tables and sequences are as expected');
    ok($tables > 10, 'some are');
    return;
}

sub rewound_pair_starts
{
    my ($version, $name, $kind) = @_;
    my $expected = "$fixtures/$version/$name.expected.tsv";
    my ($source, $target) = unpack_pair($version, $name);
    $source->start if $kind eq 'server';
    my $result = rewinds($target, $source, kind => $kind, options => ['--no-sync']);
    $source->start if $kind eq 'directory';
    like($source->query('SELECT gid FROM pg_prepared_xacts'), qr/^gid_new$/, 'the source has the prepared transaction');
    # As a standby it shows what it may; promoted, what it has.
    rejoins($target, $source, check => sub { shows_what_is_expected($target, $expected) }) if $result->{status} == 0;
    $_->discard for $target, $source;
    rmdir work_dir() . '/unpacked';
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $name (qw(pair-tiny pair))
    {
        for my $kind (qw(server directory))
        {
            subtest("$name, source is a $kind", sub { rewound_pair_starts($version, $name, $kind) });
        }
    }
}, only => [qw(9.3 9.4 9.5 9.6)]);
