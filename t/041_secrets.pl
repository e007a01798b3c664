# No secret of a configuration is in a message, a report, or what --check says: of commands, scripts and settings of
# extensions only that they differ, of connection strings all but the password.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳   each setting differs on both
# (Rules T4, T5, T14.)

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

# The options that a server was started with are among those of its next start, which is printed.
sub options_of_the_last_start
{
    my ($version, $source, $target) = @_;
    my %option = ('my.password' => 'SECT', 'My.Thing' => 'a SECT', work_mem => '5MB');
    # Before 12 it is a setting of recovery.conf.
    $option{archive_cleanup_command} = 'curl -u u:SECT http://x' if $version >= 12;
    my $options = join ' ', map { "-c '$_=$option{$_}'" } sort keys %option;
    my @start = ('pg_ctl', '-D', $target->data, '-w', '-l', "$target->{dir}/log");
    my $start = sub {
        $start[0] = $target->bindir . '/pg_ctl';
        is(run([ @start, '-o', "-k $target->{dir} -c listen_addresses= $options", 'start' ])->{status}, 0,
            'the target runs with options');
    };
    my $report = work_dir() . "/start_$version";
    my $looks = sub {
        my ($name, $status, @options) = @_;
        my $result = run([ rewind_argv($target->data, '--source-server', $source->conninfo, qw(--rejoin --no-sync
            --rejoin-timeout=30 --report=json -B), $target->bindir, "--report-file=$report", @options) ]);
        is($result->{status}, $status, $name) or diag($result->{stderr});
        my $text = $result->{stdout} . $result->{stderr} . slurp($report);
        unlike($text, qr/SEC ?T/, 'and shows no secret');
        like($text, qr/ -c work_mem=5MB\b/, 'but the other options') or diag($text);
        like($text, qr/my\.password=\*{8}/i, 'and stars');
        # A shell refuses the whole line.
        my @commands = $result->{stderr} =~ /: (\S*\/pg_ctl .* start\b.*)/g;
        isnt(run([ 'sh', '-n', '-c', $_ ])->{status}, 0, 'what is printed is no command') for @commands;
        cmp_ok(scalar(@commands), '>', 1, 'it is printed') if $status != 0;
        unlink $report;
        return $result->{stderr};
    };
    $start->();
    $looks->('a dry run while the server runs', 0, '-n');
    my $kept = $target->path('pg_rewind.work.start');
    append($target->last_settings, "max_connections = 'many'\n");
    my $said = $looks->('a start that fails', 2, '--keep-config');
    like($said, qr/the whole command is in "\Q$kept\E"/, 'says where the whole command is');
    like(slurp($kept), qr/my\.password=SECT/, 'where it is');
    is((stat $kept)[2] & 0777, 0600, 'for its owner alone');
    $target->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    options_of_the_last_start($version, $source, $target->copy('started'));
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
