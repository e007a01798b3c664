# Relation files that grew, shrank, or were written anew on the target get the source's contents and size.
# (Invariant 7. Both sources.)
#
#   source       ┌──── 2 ─────────▶      ┬ divergence: on each side tables are extended, truncated, vacuumed, rewritten
#   target   1 ──┴──── 1 ─────────▶        and dropped; some the same way, some the other way round
# (Rules C74, C75.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# What may happen to a table of 2,000 rows with an index.
my %fate = (
    nothing => sub { '' },
    extended => sub { "INSERT INTO $_[0] SELECT i, repeat('more', 50) FROM generate_series(10000, 16000) i;" },
    emptied => sub { "TRUNCATE $_[0]; INSERT INTO $_[0] VALUES (1, 'first after truncation');" },
    tail_cut => sub { "DELETE FROM $_[0] WHERE a > 500; VACUUM $_[0];" },
    holes => sub {
    "DELETE FROM $_[0] WHERE a % 3 = 0; VACUUM $_[0]; INSERT INTO $_[0] SELECT i, 'in a hole' FROM generate_series(1, 100) i;" },
    cut_and_grown => sub {
    "DELETE FROM $_[0] WHERE a > 500; VACUUM $_[0]; INSERT INTO $_[0] SELECT i, 'again' FROM generate_series(501, 900) i;" },
    vacuumed_full => sub { "DELETE FROM $_[0] WHERE a % 2 = 0; VACUUM FULL $_[0];" },
    clustered => sub { "UPDATE $_[0] SET b = 'new' WHERE a % 5 = 0; CLUSTER $_[0] USING $_[0]_a;" },
    retyped => sub { "ALTER TABLE $_[0] ALTER a TYPE bigint;" },
    reindexed => sub { "UPDATE $_[0] SET a = -a WHERE a % 7 = 0; REINDEX TABLE $_[0];" },
    frozen => sub { "UPDATE $_[0] SET b = 'cold' WHERE a < 100; VACUUM FREEZE $_[0];" },
    dropped => sub { "DROP TABLE $_[0];" },
);

# Each fate on the target, beside a few on the source.
my @pairs = map { my $on_target = $_; map { [ $on_target, $_ ] } qw(nothing extended tail_cut
    dropped) } sort keys %fate;

sub table_name { my ($on_target, $on_source) = @_; return "t_${on_target}_s_$on_source" }

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql(join "\n", map { my $table = table_name(@$_); "
                CREATE TABLE $table (a int, b text);
                CREATE INDEX ${table}_a ON $table (a);
                INSERT INTO $table SELECT i, repeat('x', 50) FROM generate_series(1, 2000) i;" } @pairs);
        },
        source => sub { $_[0]->sql(join "\n", map { $fate{ $_->[1] }->(table_name(@$_)) } @pairs) },
        target => sub { $_[0]->sql(join "\n", map { $fate{ $_->[0] }->(table_name(@$_)) } @pairs) });
    rewinds_from_both_kinds($source, $target);
}, sample => 1);
