# The place of a new tablespace is made in a directory that is synced, and so has to be opened: one in which the user
# may make files, but which he may not read, is a problem that a dry run finds too. (Servers have no part in it.)
# (Rule C88.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $place;
    my ($source, $target) = split_brain($version,
        source => sub {
            my ($source) = @_;
            $place = $source->tablespace_location('made');
            $source->sql("CREATE TABLESPACE made LOCATION '$place'");
            $source->sql('CREATE TABLE t TABLESPACE made AS SELECT 1 AS a; CHECKPOINT');
        },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
    my $closed = $target->dir . '/closed';
    mkdir $closed or die;
    chmod 0311, $closed or die;
    my @mapping = ('-T', "$place=$closed/made");
    for my $options ([], ['--dry-run'])
    {
        my $result = rewind($target, $source, options => [ @mapping, @$options ], not_foretold => 1);
        is($result->{status}, 1, "@$options: a directory that cannot be opened is a problem");
        like($result->{stderr},
            qr/^pg_rewind: error: cannot create tablespace directory "\Q$closed\E\/made": Permission denied$/m,
            'it says so');
    }
    my $unsynced = rewind($target, $source, options => [ @mapping, '--no-sync', '--dry-run' ], not_foretold => 1);
    is($unsynced->{status}, 0, 'without syncing it is none') or diag($unsynced->{stderr});
    chmod 0711, $closed or die;
    rewinds($target, $source, options => \@mapping);
    ok(-d "$closed/made", 'the place is made');
}, only => [15]);
