# --save-diverged-wal keeps the WAL that a rewind discards, before the target loses it: pg_waldump reads it from the
# divergence to the end. Killed anywhere in it, the same command goes on. What can be checked is checked before.
# (Invariants 1 and 3.)
# (Rule D5.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Interrupted;

sub refused
{
    my ($name, $source, $target, $directory, $message) = @_;
    my $result = rewind($target, $source, kind => 'directory', options => ["--save-diverged-wal=$directory"]);
    is($result->{status}, 1, "$name: refused");
    like($result->{stderr}, $message, "$name: why");
    return;
}

sub interrupted
{
    my ($version) = @_;
    my $saved = work_dir() . '/interrupted';
    my $pair = RewindTest::Interrupted->new($version, kind => 'directory', options => ["--save-diverged-wal=$saved"]);
    my $calls = $pair->calls;
    must_run([ 'rm', '-rf', $saved ]);
    my @about = grep { $calls->[ $_ - 1 ]{path} =~ m{\Q$saved\E} } 1 .. @$calls;
    cmp_ok(scalar @about, '>', 4, 'there are such calls');
    for my $number (@about)
    {
        subtest("kill:$number, $calls->[ $number - 1 ]{call} $calls->[ $number - 1 ]{path}", sub {
            $pair->reset->attempt(fault => "kill:$number");
            $pair->judge;
        });
    }
    for my $number (@about[ 0, 2, -1 ])
    {
        must_run([ 'rm', '-rf', $saved ]);
        subtest("fail:$number:ENOSPC, $calls->[ $number - 1 ]{call}", sub {
            my $result = $pair->reset->attempt(fault => "fail:$number:ENOSPC");
            is($result->{status}, 1, 'it fails');
            $pair->judge;
        });
    }
    return;
}

# Without a scan no divergence is known.
sub all_is_kept
{
    my ($target, $source, $wal) = @_;
    my $saved = work_dir() . '/all';
    my $copy = $target->copy('copy');
    is(rewind($copy, $source, kind => 'directory', options => [ '--compare', "--save-diverged-wal=$saved" ])->{status},
        0, 'with --compare');
    is(scalar(grep { !-e "$saved/$_" || slurp("$saved/$_") ne $wal->{$_} } keys %$wal), 0,
        'all segments of pg_wal are kept');
    $copy->discard;
    return;
}

# The command to read it is pasted into a shell: what the directory's name has in it is not run, and nothing is left out
# of it.
sub pasted
{
    my ($target, $source) = @_;
    my $copy = $target->copy('pasted');
    my $trap = work_dir() . '/trap';
    my $saved = work_dir() . qq{/it's "\$(touch trap)" `touch trap`};
    my $result = rewind($copy, $source, kind => 'directory', options => [ "--save-diverged-wal=$saved",
        '--report=json' ]);
    is($result->{status}, 0, 'a directory with quotes in its name');
    my $printed = JSON::PP->new->utf8->decode($result->{stdout})->{discarded}{saved_wal}{command};
    like($result->{stderr}, qr/to read it: \Q$printed\E$/m, 'the message has the same command');
    my $bindir = $target->bindir;
    my $dump = run([ 'sh', '-c', "cd '" . work_dir() . "' && PATH=$bindir:\$PATH && $printed" ]);
    ok(!-e $trap, 'nothing in the name is run');
    is($dump->{status}, 0, 'the command reads that directory') if -x "$bindir/pg_waldump";
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $saved = work_dir() . "/saved.$version";
    my $switch = 'SELECT pg_switch_wal()';
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT 1 AS a') },
        target => sub { $_[0]->sql($_) for 'INSERT INTO t VALUES (2)', $switch, 'INSERT INTO t VALUES (3)', $switch,
            'INSERT INTO t VALUES (4)' });
    $target->stop;
    $source->stop;
    refused('in the target', $source, $target, $target->path('saved'), qr/must not be inside/);
    refused('in the source', $source, $target, $source->path('saved'), qr/must not be inside/);
    refused('no parent', $source, $target, work_dir() . '/none/saved', qr/could not write to directory/);
    spew(work_dir() . '/file', 'x');
    refused('a file', $source, $target, work_dir() . '/file', qr/is not a directory/);
    is(rewind($target, $source, kind => 'directory', options => [ "--save-diverged-wal=$saved",
        '--dry-run' ])->{status}, 0, 'a dry run');
    ok(!-e $saved, 'makes nothing');

    my %wal = map { m{([^/]+)$} ? ($1 => slurp($_)) : () } grep { /00000001[0-9A-F]{16}$/ }
        glob($target->path('pg_wal/*'));
    all_is_kept($target, $source, \%wal) if $version == 18;
    pasted($target, $source) if $version == 15;
    my $plan = JSON::PP->new->utf8->decode(rewind($target, $source, kind => 'directory',
        options => [ '-n', '--report=json' ])->{stdout});
    my ($high, $low) = map { hex } split m{/}, $plan->{divergence}{lsn};
    my ($last) = map { sprintf('00000001%08X%08X', $high, $low / length($wal{$_})) } (keys %wal)[0];
    mkdir $saved;
    spew("$saved/$last", 'other bytes');
    my $result = rewind($target, $source, kind => 'directory', options => ["--save-diverged-wal=$saved"]);
    is($result->{status}, 1, 'other content is an error');
    like($result->{stderr}, qr/exists with other content/, 'that says so');
    unlink "$saved/$last";

    $result = rewind($target, $source, kind => 'directory', options => [ "--save-diverged-wal=$saved",
        '--report=json' ]);
    is($result->{status}, 0, 'rewound');
    my $report = JSON::PP->new->utf8->decode($result->{stdout});
    my @kept = sort grep { /^[0-9A-F]{24}$/ } map { m{([^/]+)$} } glob("$saved/*");
    cmp_ok(scalar @kept, '>=', 3, 'all segments are kept');
    is(scalar(grep { slurp("$saved/$_") ne $wal{$_} } @kept), 0, 'with their bytes');
    is(scalar(grep { /pg_rewind/ } glob("$saved/*")), 0, 'and nothing else');
    my $waldump = $target->bindir . '/pg_waldump';
    if (-x $waldump)
    {
        my $command = $report->{discarded}{saved_wal}{command} =~ s/^pg_waldump/$waldump/r;
        my $dump = run([ 'sh', '-c', $command ]);
        is($dump->{status}, 0, 'pg_waldump reads all of it') or diag($dump->{stderr});
        is(scalar(() = $dump->{stdout} =~ /desc: COMMIT/g), $report->{discarded}{transactions},
            'and finds each commit');
    }
    $_->discard for $target, $source;
    interrupted($version) if $version == 15;
}, only => [ 10, 15, 18 ]);
