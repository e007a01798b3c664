# -R writes no option into primary_conninfo that the libpq of the target's server does not know: the standby streams,
# and what was left out is told. Where the standby would be less safe without the option that is an error, before
# anything is changed.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳ ── 2 ──▶
# (Rule S5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub written
{
    my ($target) = @_;
    return slurp($target->path($target->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'));
}

sub rejoin
{
    my ($target, $conninfo, $env, @options) = @_;
    return run([ rewind_argv($target->data, qw(--rejoin --no-sync --keep-config --rejoin-timeout=60
        -B), $target->bindir, '--source-server', $conninfo, @options) ], env => $env);
}

# A value that is newer than its option.
sub newer_value
{
    my ($version, $result, $target) = @_;
    return if $version >= 14;
    like($result->{stderr}, qr/^pg_rewind: warning: option "target_session_attrs=primary" is not written /m,
        'a value that is newer than its option is left out, too');
    unlike(written($target), qr/target_session_attrs/, 'and not written');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a integer)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $target->configure("unix_socket_directories = '$target->{dir}'");

    # Revoked certificates are refused by that directory alone.
    if ($version < 14)
    {
        my ($variable, $value, $keyword) = (PGSSLCRLDIR => '/nonexistent', 'sslcrldir');
        my $before = slurp($target->path('global/pg_control'));
        my $result = rejoin($target, $source->conninfo, { $variable => $value });
        is($result->{status}, 1, "$keyword: exit status 1") or diag($result->{stderr});
        like($result->{stderr},
            qr/^pg_rewind: error: option "$keyword=\Q$value\E" cannot be written into primary_conninfo: PostgreSQL $version does not know it\npg_rewind: detail: Without it /m,
            "$keyword is not left out in silence");
        ok(slurp($target->path('global/pg_control')) eq $before && !-e $target->path('backup_label'),
            "$keyword: the target is unchanged");
    }

    my $conninfo = $source->conninfo . ' sslsni=0' . ($version < 14 ? ' target_session_attrs=primary' : '');
    my $result = rejoin($target, $conninfo, { PGSSLMINPROTOCOLVERSION => 'TLSv1.3' });
    is($result->{status}, 0, 'the standby streams') or diag($result->{stderr});
    for ([ ssl_min_protocol_version => 13 ], [ sslsni => 14 ])
    {
        my ($keyword, $since) = @$_;
        my $left_out =
            qr/^pg_rewind: warning: option "$keyword" is not written into primary_conninfo: PostgreSQL \d+ does not know it$/m;
        $version < $since ? like($result->{stderr}, $left_out, "$keyword is left out, and told")
            : unlike($result->{stderr}, $left_out, "$keyword is not left out");
        $version < $since ? unlike(written($target), qr/$keyword/, "$keyword is not written")
            : like(written($target), qr/$keyword/, "$keyword is written");
    }
    newer_value($version, $result, $target);
}, only => [ 10, 12, 13, 15, 18 ]);
