# The server of the target runs with a libpq that is newer than itself, as from PGDG's packages. Options that its former
# primary_conninfo had stay there, also those that the libpq of its own version does not know: without them the
# standby would be less safe than it was. Those of a primary_conninfo that is a copy of the source's are left out.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳ ── 2 ──▶   libpq of 18
# (Rule S5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# sslcertmode demands nothing of the server, require_auth does.
my %former = (require_auth => 'none', sslcertmode => 'disable');

sub settings { my ($target) = @_; return slurp($target->path($target->version < 12 ? 'recovery.conf'
    : 'postgresql.auto.conf')) }

# Start the server with that libpq.
sub start_with_newer_libpq
{
    my ($target) = @_;
    my $libraries = RewindTest::Cluster::bindir_of_version(18) . '/../lib';
    local $ENV{LD_LIBRARY_PATH} = join ':', $libraries, $ENV{LD_LIBRARY_PATH} // ();
    return $target->try_start;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a integer)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $former = join ' ', map { "$_=$former{$_}" } sort keys %former;
    append($target->path('postgresql.auto.conf'), "primary_conninfo = 'host=/nowhere $former'\n");

    my $result = rewinds($target, $source, options => ['-R']);
    unlike($result->{stderr}, qr/is not written into primary_conninfo/, 'nothing is left out');
    like(settings($target), qr/\b$_=$former{$_}/, "$_ is written") for sort keys %former;
    is(start_with_newer_libpq($target)->{status}, 0, 'the target starts');
    $target->wait_for_stream_from($source);
    RewindTest::Cluster::discard_all();

    # The source has the same one: by a copy of its file, which the target's libpq has never read.
    my $sources = "primary_conninfo = 'host=/nowhere sslcertmode=disable'\n";
    ($source, $target) = split_brain($version,
        source => sub { append($_[0]->path('postgresql.auto.conf'), $sources) },
        target => sub { append($_[0]->path('postgresql.auto.conf'), $sources); $_[0]->sql('CREATE TABLE t ()') });
    $result = rewinds($target, $source, options => ['-R']);
    like($result->{stderr}, qr/"sslcertmode" is not written into primary_conninfo/, 'it is left out');
    unlike(settings($target) =~ s/\Q$sources\E//r, qr/sslcertmode/, 'it is left out of the settings');
}, only => [ 12, 15 ]);
