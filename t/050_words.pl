# Words of a rewind: lists are whole, a full disk is named, and what is to be done fits the version.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

use constant SLOTS => 105;

each_version(sub {
    my ($version) = @_;
    my ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t SELECT generate_series(1, 1000)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });

    my $target = $diverged->copy('slots');
    mkdir $target->path(sprintf 'pg_replslot/slot_%03d', $_) for 1 .. SLOTS;
    my $result = rewind($target, $source, options => [qw(-n --report=json)], not_foretold => 'it is one');
    my $report = JSON::PP->new->decode($result->{stdout});
    my @slots = map { $_->{name} } grep { $_->{state} eq 'removed' } @{ $report->{next}{slots} };
    is(scalar(@slots), SLOTS, 'the report has every slot') or diag(join ' ', keys %{ $report->{next} });
    my ($shown) = $result->{stderr}
        =~ /^pg_rewind: detail: Replication slots of the target that would be gone: (.*)\.$/m;
    like($shown, qr/^(?:slot_\d+, ){8}and @{[ SLOTS - 8 ]} more$/, 'a message is cut with a word');
    $target->discard;

    $target = $diverged->copy('recovery_target');
    append($target->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'), "recovery_target_name = 'x'\n"
        . ($version < 12 ? "standby_mode = on\n" : ''));
    my $check = run([ rewind_argv($target->data, qw(--check -R --keep-config
        --keep=recovery.conf), '--source-server', $source->conninfo) ]);
    my $text = $check->{stdout} =~ s/\n {3,}/ /gr;
    like($text, $version < 12
        ? qr/^warning  standby +with "recovery_target_name".* to do: Remove it from recovery\.conf\.$/m
        : qr/^warning  standby +with "recovery_target_name".* to do: Remove it: ALTER SYSTEM RESET recovery_target_name; or from the file that sets it\.$/m,
        'how to remove a setting, in this version') or diag($check->{stdout}, $check->{stderr});
    $target->discard;

    $target = $diverged->copy('full');
    $result = rewind($target, $source, fault => 'fail:write@*/pg_rewind.work/*:ENOSPC', options => ['--retries=0']);
    is($result->{status}, 1, 'a disk that is full while files are fetched') or diag($result->{stderr});
    my ($mount) = map { (split ' ')[-1] } (split /\n/, run([ 'df', '--output=target', $target->data ])->{stdout})[-1];
    like($result->{stderr},
        qr/^pg_rewind: error: could not .*: No space left on device\npg_rewind: detail: The directory is "\S+\/pg_rewind\.work"\.\npg_rewind: detail: Its file system, mounted on "\Q$mount\E", has \d+ MB free\.$/m,
        'the directory and its file system are named') or diag($result->{stderr});
    $target->discard;
}, only => [ 10, 15, 18 ]);
