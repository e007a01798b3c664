# A full backup of the target that ended after the divergence is no base for an incremental backup of the rewound
# target: it has lost changes, and the server compares only where it began. Where the rewound server summarizes its WAL,
# the last lines say so. (17 and later, which have such backups.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $step = qr{Take a full backup when the target follows the source, unless there is one that ended before ([0-9A-F]+/[0-9A-F]+)\. .*};

each_version(sub {
    my ($version) = @_;
    for my $setting (qw(on off))
    {
        my ($source, $target) = split_brain($version, cluster => { settings => "summarize_wal = $setting" },
            source => sub { $_[0]->sql('CREATE TABLE t (a int)') },
            target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
        my $result = rewind($target, $source, options => ['--no-sync']);
        is($result->{status}, 0, "pg_rewind succeeds with summarize_wal = $setting") or diag($result->{stderr});
        my ($divergence) = $result->{stderr} =~ m{diverged at WAL location ([0-9A-F]+/[0-9A-F]+)};
        my @said = $result->{stderr} =~ /^pg_rewind: hint: $step$/mg;
        is("@said", $setting eq 'on' ? $divergence
            : '', 'a hint says which backup is no base, if there are incremental ones');
        RewindTest::Cluster::discard_all();
    }
}, only => [ 17, 18 ]);
