# A chart as SVG: bars by workload and program, the longest of each workload as long as any.

package Chart;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max);

our @EXPORT = qw(chart_of);

my %width = (all => 760, label => 150, bar => 500);
my %height = (head => 48, group => 26, row => 20, gap => 8);

# Colours for both kinds of background: the chart has none of its own.
my $style = <<'END';
  <style>
    text { font: 13px sans-serif; fill: #24292f }
    .title { font-size: 15px; font-weight: bold }
    .group { font-weight: bold }
    .small { fill: #57606a }
    .ours { fill: #1f6feb }
    .other { fill: #9aa4af }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .small { fill: #9da7b1 }
      .ours { fill: #58a6ff }
      .other { fill: #6e7681 }
    }
  </style>
END

# title, small: text; groups: [ name, [ label, value, text, class ]... ].
sub chart_of
{
    my ($title, $small, @groups) = @_;
    my $y = $height{head};
    my $body = '';
    for my $group (@groups)
    {
        my ($name, @bars) = @$group;
        my $most = max(map { $_->[1] } @bars);
        $body .= text_at(16, $y + 14, 'group', $name);
        $y += $height{group};
        for my $bar (@bars)
        {
            my ($label, $value, $text, $class) = @$bar;
            my $length = sprintf '%.1f', max(1, $width{bar} * $value / $most);
            $body .= text_at(28, $y + 12, 'small', $label)
                . qq(  <rect class="$class" x="$width{label}" y="$y" width="$length" height="15" rx="2"/>\n)
                . text_at($width{label} + $length + 6, $y + 12, '', $text);
            $y += $height{row};
        }
        $y += $height{gap};
    }
    return qq(<svg xmlns="http://www.w3.org/2000/svg" width="$width{all}" height="$y" viewBox="0 0 $width{all} $y" role="img">\n)
        . '  <title>' . escaped($title) . "</title>\n$style"
        . text_at(16, 22, 'title', $title) . text_at(16, 38, 'small', $small) . "$body</svg>\n";
}

sub text_at
{
    my ($x, $y, $class, $text) = @_;
    my $attribute = $class eq '' ? '' : qq( class="$class");
    return qq(  <text$attribute x="$x" y="$y">) . escaped($text) . "</text>\n";
}

sub escaped { my ($text) = @_; return $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr }

1;
