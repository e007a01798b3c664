# A server takes no name that is invalid in its encoding, whichever that is: a foreign file with a UTF-8 name in the
# directory of a server that uses EUC_JP is left alone with a warning; one whose name is valid there is copied.
# (Invariant 9.)
# (Rule C85.)

use strict;
use warnings;

use RewindTest;

my $japanese = "\xc6\xfc\xcb\xdc";                     # in EUC_JP
my $utf8 = "\xe6\x97\xa5\xe6\x9c\xac";          # the same in UTF-8

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        # (The clusters of the tests have no template0, from which such a database is made.)
        before => sub {
            $_[0]->sql("CREATE DATABASE japanese; UPDATE pg_database SET encoding = pg_char_to_encoding('EUC_JP') WHERE datname = 'japanese'") },
        source => sub { $_[0]->sql('CREATE TABLE kept AS SELECT generate_series(1, 100) AS a') },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT generate_series(1, 100) AS a') });
    my $directory = $source->path('scripts');
    mkdir $directory or die;
    spew("$directory/$_", $_) for $japanese, $utf8, map { "$_ $utf8" } 1 .. 20;
    mkdir "$directory/dir $utf8" or die;
    spew("$directory/dir $utf8/in it", 'x');
    my $conninfo = $source->conninfo =~ s/dbname=\S+/dbname=japanese/r;
    my $result = run([ rewind_argv($target->data, '--source-server', $conninfo) ]);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    like($result->{stderr},
        qr{^pg_rewind: warning: "scripts/\Q$utf8\E" cannot be fetched and is left alone: its name is not valid in the }m,
        'with a warning');
    is(-e $target->path("scripts/$japanese") ? slurp($target->path("scripts/$japanese")) : '', $japanese,
        'a name in its encoding is no obstacle');
    ok(!-e $target->path("scripts/$_"), "the file is not copied: $_") for $utf8, "dir $utf8";
    rejoins($target, $source, quick => 1);
}, only => [ 10, 15, 18 ]);
