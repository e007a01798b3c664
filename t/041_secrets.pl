# No secret of a configuration is in a message, a report, or what --check says: of commands, scripts and settings of
# extensions only that they differ, of connection strings all but the password.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳   each setting differs on both
# (Rules T4, T5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my %setting = (
    archive_command => 'curl -u u:SECRET -T %p',
    archive_cleanup_command => 'sshpass -p SECRET ssh x',
    recovery_end_command => 'curl -H "Authorization: Bearer SECRET" x',
    restore_command => 'PGPASS=SECRET get %f %p',
    ssl_passphrase_command => 'echo SECRET',
    'pgsodium.getkey_script' => '/bin/echo SECRET',
    'anon.salt' => 'SECRET',
    'my.thing' => 'SECRET',
    'x.password' => 'SECRET',
    primary_conninfo => 'postgresql://u:SEC RET@h@host/db',
    cluster_name => 'password=SECRET',
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    for my $side ([ $source, 'S' ], [ $target, 'T' ])
    {
        my ($cluster, $word) = @$side;
        append($cluster->path('postgresql.auto.conf'), join '', map { "$_ = '" . ($setting{$_} =~ s/RET/$word/r)
            . "'\n" } sort keys %setting);
    }
    my $secret = qr/SEC ?[ST]/;
    my $report = work_dir() . '/report';
    for my $format (qw(text json))
    {
        my $result = rewinds($target, $source, options => [ '-n', "--report=$format", "--report-file=$report" ],
            not_foretold => 'it is one');
        unlike($result->{stderr}, $secret, "messages beside $format");
        unlike(slurp($report), $secret, "a report in $format");
        like(slurp($report), qr/\b\Q$_\E\b/, "which tells that $_ differs") for sort keys %setting;
    }
    for my $run ([qw(--check -R --verbose)], [qw(--check -R --report=json)], [ qw(--rejoin -n
        -B), $target->bindir ], ['-R'])
    {
        my $result = run([ rewind_argv($target->data, @$run, '--source-server', $source->conninfo) ]);
        unlike($result->{stdout} . $result->{stderr}, $secret, "@$run");
    }
}, only => [ 10, 15, 18 ]);
