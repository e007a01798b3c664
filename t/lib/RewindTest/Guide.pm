# The code blocks of a page in docs/, and whether a command printed what its page shows.

package RewindTest::Guide;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(blocks_of shows);

# The page's blocks: { kind => what follows the backquotes, text => }.
sub blocks_of
{
    my ($page) = @_;
    my @blocks;
    push @blocks, { kind => $1, text => $2 } while $page =~ /^```([^\n]*)\n(.*?)^```$/msg;
    return @blocks;
}

# Did a command print what the page shows?
sub shows
{
    my ($output, $text) = @_;
    my $pattern = '';
    for my $line (split /\n/, $text)
    {
        $pattern .= $line eq '…' ? '(?:.*\n)*?' : join('.*', map { quotemeta } split /…/, $line, -1) . '\n';
    }
    return $output =~ /\A(?:.*\n)*?$pattern/;
}

1;
