# Configuration files are files like all others: the source's are copied, what only the target has is gone.
# What -R writes makes the target a standby of the source on every version, however often it is run.
# (Both sources; -R needs a server.)
# (Rules O5, S1.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# A password with all that must be quoted somewhere: in conninfo, in a configuration file.
my $password = q{it's "a" \ pass word #1};

sub quoted_password { my $quoted = $password; $quoted =~ s/([\\'])/\\$1/g; return "password='$quoted'" }

sub recovery_file { my ($cluster) = @_; return $cluster->path($cluster->version < 12 ? 'recovery.conf'
    : 'standby.signal') }

sub settings_file { my ($cluster) = @_; return $cluster->path($cluster->version < 12 ? 'recovery.conf'
    : 'postgresql.auto.conf') }

# The values that a settings file gives a setting, without their quotes.
sub values_of
{
    my ($path, $name) = @_;
    my @values = slurp($path) =~ /^\s*$name\s*=\s*'((?:[^'\\]|''|\\.)*)'\s*$/mg;
    for (@values) { s/''/'/g; s/\\(.)/$1/g }
    return @values;
}

sub make_target_own
{
    my ($target) = @_;
    append($target->path('postgresql.conf'), "log_min_messages = debug1\n# of the target\n");
    spew($target->path('postgresql.auto.conf'),
        "work_mem = '3MB'\nprimary_conninfo = 'host=/elsewhere'\nprimary_conninfo = 'host=/nowhere'\n");
    spew($target->path('pg_hba.conf'), "local all all reject\n");
    spew($target->path('conf.of_target'), "of target\n");
    spew(recovery_file($target), $target->version < 12 ? "standby_mode = 'off'\n" : "");
    return;
}

sub files_are_those_of_source
{
    my ($target, $source) = @_;
    my @gone = ('conf.of_target', recovery_file($target) =~ m{([^/]+)$});
    my @copied = qw(postgresql.conf pg_hba.conf pg_ident.conf conf.of_source);
    push @{ $target->version < 9.4 ? \@gone : \@copied }, 'postgresql.auto.conf';    # no server of 9.3 has one
    is(slurp($target->path($_)), slurp($source->path($_)), "$_ is the source's") for @copied;
    ok(!-e $target->path($_), "$_ of the target is gone") for @gone;
    return;
}

sub is_configured_by_R
{
    my ($target, $source, $conninfo) = @_;
    my @conninfo = values_of(settings_file($target), 'primary_conninfo');
    is(@conninfo, 1, 'there is one primary_conninfo') or diag(slurp(settings_file($target)));
    like($conninfo[0], qr/(^| )host='?\Q$source->{dir}\E'?( |$)/, 'it names the host');
    like($conninfo[0], qr/(^| )user='?postgres'?( |$)/, 'it names the user');
    like($conninfo[0], qr/\Q${\quoted_password()}\E/, 'it has the password, quoted');
    unlike($conninfo[0], qr/ (replication|fallback_application_name)=/, 'it has nothing that only pg_rewind needs');
    if ($target->version < 12)
    {
        is_deeply([ map { values_of(settings_file($target), $_) } qw(standby_mode
            recovery_target_timeline) ], [ 'on', 'latest' ],
            'recovery.conf makes a standby that follows the latest timeline');
    }
    else
    {
        is(-s $target->path('standby.signal'), 0, 'standby.signal is there, and empty');
        is_deeply([ values_of(settings_file($target), 'work_mem') ], [ '5MB' ], 'other settings are the source\'s');
    }
    return;
}

sub is_configured_by_R_however_often
{
    my ($source, $target) = @_;
    my $conninfo = $source->conninfo . ' application_name=rewound ' . quoted_password();
    my @command = rewind_argv($target->data, '--source-server', $conninfo, '-R');

    my $tried = run([ @command, '--dry-run' ]);
    is($tried->{status}, 0, '--dry-run succeeds') or diag($tried->{stderr});
    is_deeply([ values_of($target->path('postgresql.auto.conf'), 'work_mem') ], ['3MB'], 'and writes nothing');

    my $result = run(\@command);
    is($result->{status}, 0, 'pg_rewind -R succeeds') or diag($result->{stderr});
    is_configured_by_R($target, $source, $conninfo);
    my $settings = slurp(settings_file($target));
    $result = run(\@command);
    is($result->{status}, 0, 'it succeeds once more before the first start') or diag($result->{stderr});
    is(slurp(settings_file($target)), $settings, 'and changes nothing');

    rejoins($target, $source, recovery_written => 1, no_promotion => 1);
    is($target->query('SHOW primary_conninfo'), (values_of(settings_file($target), 'primary_conninfo'))[0],
        'the server reads it as it was meant')
        if $target->version >= 12;

    subtest('no rewind required', sub {
        $target->stop;
        unlink recovery_file($target) or die;
        append($target->path('postgresql.auto.conf'), "# the target's own\n");
        my $dry = run([ @command, '--dry-run' ]);
        is($dry->{status}, 0, '--dry-run succeeds') or diag($dry->{stderr});
        ok(!-e recovery_file($target), 'and writes nothing');
        my $again = run(\@command);
        is($again->{status}, 0, 'pg_rewind -R succeeds') or diag($again->{stderr});
        like($again->{stderr}, qr/^pg_rewind: no rewind required$/m, 'no rewind is required');
        is_configured_by_R($target, $source, $conninfo);
        like(slurp($target->path('postgresql.auto.conf')), qr/^# the target's own$/m, 'what else the file has stays');
        rejoins($target, $source, recovery_written => 1, no_promotion => 1);
    });
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    $source->sql("ALTER SYSTEM SET work_mem = '5MB'");
    append($source->path('postgresql.conf'), "# of the source\n");
    spew($source->path('conf.of_source'), "of source\n");

    rewinds_from_both_kinds($source, $target,
        prepare => \&make_target_own, rewound => \&files_are_those_of_source, no_promotion => 1);

    my $copy = $target->copy('standby_by_R');
    make_target_own($copy);
    subtest('-R', sub { is_configured_by_R_however_often($source, $copy) });
    $copy->discard;
}, sample => 1);
