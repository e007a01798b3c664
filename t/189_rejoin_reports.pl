# The report of a --rejoin that rewinds nothing, and of one that only looks, names the server as it is, with its system
# identifier.

use strict;
use warnings;
use JSON::PP ();
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT generate_series(1, 100) AS a') });
    my $identifier = $source->query('SELECT system_identifier FROM pg_control_system()');
    my $report = sub {
        my ($what, @options) = @_;
        for my $format (qw(json text))
        {
            my $result =
                run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, "--report=$format",
                '--source-server', $source->conninfo . ' application_name=target', @options) ]);
            is($result->{status}, 0, "$what: it succeeds") or diag($result->{stderr});
            if ($format eq 'text')
            {
                like($result->{stdout}, qr/^ *server version +PostgreSQL $version$/m, "$what: the version");
                like($result->{stdout}, qr/^ *system identifier +$identifier$/m, "$what: the system");
                next;
            }
            my $said = JSON::PP->new->utf8->decode($result->{stdout});
            is($said->{fork_catalog_version}, undef, "$what: no fork");
            is($said->{system_identifier}, $identifier, "$what: its system");
        }
    };
    $target->start;
    $report->('the server runs, a dry run', '-n');
    $target->stop;
    $report->('the server is stopped, a dry run', '-n');
    $report->('a rejoin, and one with nothing to do');
}, from => 10, only => [ 10, 15, 18 ]);
