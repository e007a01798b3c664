# Numbers that look like chance and follow from a seed alone, on every perl.
#
#   my $dice = RewindTest::Dice->new(test_seed());
#   my $other = RewindTest::Dice->new('7/source');
#   $dice->number(6);           # 0 to 5
#   $dice->pick('a', 'b');      # one of them
#   $dice->chance(30);          # true in 30 of 100 cases

package RewindTest::Dice;

use strict;
use warnings;

use Digest::MD5 ();
use Exporter 'import';
use Test::More ();

our @EXPORT = qw(test_seed);

# The seed of a test file that throws dice: the same in each run, unless PG_REWIND_TEST_SEED names another. It is
# printed; at the end too if a test has failed.
my ($seed, $owner_pid);

sub test_seed
{
    my ($usual) = @_;
    $seed = $ENV{PG_REWIND_TEST_SEED} // $usual // 1;
    $owner_pid = $$;
    Test::More::note("PG_REWIND_TEST_SEED=$seed");
    return $seed;
}

sub END
{
    Test::More::diag("$0: PG_REWIND_TEST_SEED=$seed") if defined $seed && $$ == $owner_pid
        && ($? || !Test::More->builder->is_passing);
    return;
}

sub new
{
    my ($class, $seed) = @_;
    return bless { seed => $seed, throws => 0 }, $class;
}

sub number
{
    my ($self, $limit) = @_;
    return unpack('N', Digest::MD5::md5("$self->{seed}/" . $self->{throws}++)) % $limit;
}

sub pick { my ($self, @choices) = @_; return $choices[ $self->number(scalar @choices) ] }

sub chance { my ($self, $percent) = @_; return $self->number(100) < $percent }

1;
