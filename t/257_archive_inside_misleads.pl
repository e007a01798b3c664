# Archived WAL below the target's data directory stays, also that of a timeline that was given up: where restore_command
# reads it, the server would follow that timeline. It is reported as of any other archive. (Where recovery is
# configured: 12 and later.)
#
#   source   1 ──┬── 1 ──▶
#   target       └── 2 ──▶    a standby that was promoted by mistake, and has archived its history file

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $history = '00000002.history';
    my $source = make_cluster('source', $version,
        settings => "archive_mode = on\narchive_command = 'cp %p archive/%f'\nrestore_command = 'cp archive/%f %p 2>/dev/null'")->start;
    mkdir $source->path('archive') or die;
    $source->sql('CREATE TABLE t (a int)');
    my $target = $source->standby('target');
    $target->promote;
    $target->sql('INSERT INTO t VALUES (1); SELECT pg_switch_wal()');
    wait_until('the target has archived its history', sub { -e $target->path("archive/$history") });
    wait_until('and WAL', sub { scalar(my @files = glob($target->path('archive/00000002' . '?' x 16))) });
    $target->stop;
    $source->sql('INSERT INTO t VALUES (2)');

    my @files = map { m{([^/]+)$} } glob($target->path('archive/00000002*'));
    my $result = rewinds($target, $source);
    like($result->{stderr}, qr/^pg_rewind: warning: "archive" holds WAL: nothing in "archive" is removed or replaced$/m,
        'a warning says that the archive stays');
    like($result->{stderr},
        qr/^pg_rewind: hint: Before the server starts: the target's server would follow timeline 2, .* remove "\Q$history\E" from the archive\./m,
        'another one names the file that misleads the server');
    is(join(' ', map { m{([^/]+)$} } glob($target->path('archive/00000002*'))), join(' ', @files),
        'the archive is as it was');
    unlink $target->path("archive/$history") or die;
    rejoins($target, $source, no_promotion => 1, quick => 1);
}, only => [ 15, 18 ]);
