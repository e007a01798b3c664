# Have done what only root may: small file systems, immutable files, files of other users. Tests run as an ordinary
# user; when root runs them, tests/privileged.sh serves.
#
#   skip_unless_privileged();                  else the whole test file is skipped; the end of the run says so
#   privileged('make-file-system', 64, $dir);  dies where root cannot do it; returns how it was done

package RewindTest::Privileged;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;
use Test::More;

our @EXPORT = qw(privileged is_privileged skip_unless_privileged);

my $requests = 0;

sub is_privileged { return defined $ENV{PG_REWIND_PRIVILEGED} }

sub skip_unless_privileged
{
    return if is_privileged();
    plan(skip_all => 'not run by root who may mount: no small file systems, no networks, no files of other users');
    return;
}

sub privileged
{
    my (@words) = @_;
    my $directory = $ENV{PG_REWIND_PRIVILEGED};
    my $number = $$ . sprintf('%04d', ++$requests);
    my $answer = "$directory/$number";
    append("$directory/requests", "$number @words\n");
    wait_until("root does: @words", sub { -e $answer });
    my $text = slurp($answer);
    unlink $answer;
    return $1 if $text =~ /^ok ?(\w*)$/m;
    die "root could not do: @words\n$text";
}

1;
