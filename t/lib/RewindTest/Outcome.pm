# How a run of the program ended, and what it said.

package RewindTest::Outcome;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(ends);

# A result of `run` has this exit status, and stderr matches all of the patterns: the result.
sub ends
{
    my ($result, $status, $what, @says) = @_;
    is($result->{signal} || $result->{status}, $status, "$what: exit status $status") or diag($result->{stderr});
    like($result->{stderr}, $_, "$what: it says so") for @says;
    return $result;
}

1;
