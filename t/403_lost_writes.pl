# A write that the kernel took and later could not bring to the disk is never missed, also if the kernel has forgotten
# the file by then, or has told another process: then only descriptors that were open at that time are told, of the file
# or of the file system. (Invariants 2 and 3. Alike for all versions.)
#
# Files lose their first write, once with as many open files as there are by default, once with so few that descriptors
# cannot be kept. Of files whose names differ in numbers only two are tried; PG_REWIND_TEST_POINTS=all tries all.
# (Rule I28.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Interrupted;

# The library is for pg_rewind, not for the shell.
sub with_few_files
{
    my $program = work_dir() . '/few_files';
    spew($program, "#!/bin/sh\nulimit -n 250\nLD_PRELOAD=\$FAULTS exec '$ENV{PG_REWIND}' \"\$@\"\n");
    chmod 0755, $program;
    return $program;
}

sub attempt_with_few_files
{
    my ($pair, %option) = @_;
    my %env = (FAULTS => $ENV{PG_REWIND_FAULTS}, %{ $option{env} // {} });
    local $ENV{PG_REWIND} = with_few_files();
    local $ENV{PG_REWIND_FAULTS} = '';
    return $pair->reset->attempt(%option, env => \%env);
}

sub lose
{
    my ($pair, $path, $limit) = @_;
    my @fault = (fault => "lose:write\@$path");
    return $limit eq 'default' ? $pair->reset->attempt(@fault) : attempt_with_few_files($pair, @fault);
}

# Where syncfs tells no error, a sync of each file does.
sub each_file_is_synced_after_syncfs
{
    my ($pair) = @_;
    my $log = work_dir() . '/few_files_calls';
    my $result = attempt_with_few_files($pair, fault => '', options => ['--sync-method=syncfs'],
        env => { PG_REWIND_FAULT_LOG => $log });
    is($result->{status}, 0, 'a run that syncs file systems as a whole');
    my %unsynced;
    for (slurp($log) =~ m{^\d+ ((?:write|sync) /\S+/base/\S+)$}mg)
    {
        my ($call, $path) = split / /;
        if ($call eq 'write') { $unsynced{$path} = 1 }
        else { $unsynced{$path} = 0 if exists $unsynced{$path} }
    }
    cmp_ok(scalar keys %unsynced, '>', 1, 'it patches files whose descriptors it cannot keep');
    is(join(' ', grep { $unsynced{$_} } sort keys %unsynced), '', 'and syncs each of them');
    return;
}

each_version(sub {
    my ($version) = @_;
    # A late start, for then more blocks are patched in place.
    my $pair = RewindTest::Interrupted->new($version, options => ['--late-start']);
    my $calls = $pair->calls;
    my $commit = RewindTest::Interrupted::commit_number($calls);
    my (%seen, %alike, %ended);
    for my $number (grep { $calls->[ $_ - 1 ]{call} eq 'write' } 1 .. @$calls)
    {
        my $path = $calls->[ $number - 1 ]{path};
        next if $seen{$path}++ || ($alike{ $path =~ s/[0-9A-F]+/N/gr }++ >= 2 && ($ENV{PG_REWIND_TEST_POINTS} // '')
            ne 'all');
        for my $limit (qw(default few))
        {
            subtest("the first write to $path is lost, $limit files", sub {
                my $result = lose($pair, $path, $limit);
                $ended{ $number < $commit ? 'before' : 'after' }{ $result->{status} }++;
                is($pair->judge, $result->{status} == 0 ? 'done' : $result->{status} == 1 ? 'before'
                    : 'after', "the result is what status $result->{status} says")
                    or diag($result->{stderr});
                like($result->{stderr}, qr/Input\/output error|could not read WAL record|damaged/, 'the reason is said')
                    if $result->{status} != 0;
            });
        }
    }
    each_file_is_synced_after_syncfs($pair);
    cmp_ok($ended{before}{1} // 0, '>=', 6, 'before the commit runs fail');
    cmp_ok(scalar(grep { m{/base/} } keys %seen), '>', 1, 'and files that are patched after it are among them');
    is(join(' ', sort keys %{ $ended{after} // {} }), '0', 'where it is written once more');
    note(explain(\%ended));
    $pair->discard;
}, only => [ 10, 18 ]);
