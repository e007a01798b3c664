# What was measured is kept by workload, a file of JSON each, so that one can be measured again without the others.

package Results;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;

our @EXPORT = qw(keep_result kept_results);

# A workload's result, as table_of() takes it.
sub keep_result
{
    my ($directory, $workload) = @_;
    my $name = lc($workload->{title}) =~ s/[^a-z0-9]+/-/gr;
    my $path = "$directory/$name.json";
    mkdir $directory;
    open(my $file, '>', $path) or die "could not create $path: $!";
    print {$file} JSON::PP->new->latin1->canonical->pretty->encode($workload);
    close($file) or die "could not write $path: $!";
    return;
}

# All that are there, by title.
sub kept_results
{
    my ($directory) = @_;
    my %by_title;
    for my $path (glob("$directory/*.json"))
    {
        open(my $file, '<', $path) or die "could not open $path: $!";
        local $/ = undef;
        my $workload = JSON::PP->new->latin1->decode(<$file>);
        $by_title{ $workload->{title} } = $workload;
    }
    return \%by_title;
}

1;
