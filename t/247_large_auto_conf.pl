# A postgresql.auto.conf of more than 1 MB comes from the source as a whole, and -R adds its lines.
# (The source is a server. Rule C100.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

use constant LINES => 12_000;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (2)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (3)') });
    my $name = 'postgresql.auto.conf';
    append($source->path($name), ('# ' . 'x' x 97 . "\n") x LINES . "work_mem = '77MB'\n");
    my $result = rewind($target, $source, options => [ '--no-sync', '-R' ]);

    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    my $own = slurp($target->path($name));
    is(scalar(() = $own =~ /^# x{97}$/mg), LINES, 'all lines of the source are there');
    like($own, qr/^work_mem = '77MB'$/m, 'with the last one');
    like($own, qr/^primary_conninfo = /m, 'and those of -R') if $version >= 12;
    $target->follow($source) if $version < 12;
    $target->start;
    is($target->query('SHOW work_mem'), '77MB', 'the server knows the last setting');
});
