# No role gets rights on the source by what pg_rewind advises if a setting has chosen it: the owner of the source's
# database switches the sessions of a superuser to her own role. Printed is how the setting is removed.
# (Rule T13. The source is a server.)
#
#   pg_rewind ── superuser ──▶ database "my d", role = "the owner"     GRANT ... TO "the owner" is not said

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my $rights = qr/GRANT|(?:SUPERUSER|REPLICATION);|Name a superuser/;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql('CREATE ROLE "the owner" LOGIN; CREATE DATABASE "my d" OWNER "the owner"');
            $_[0]->sql('CREATE ROLE reader; CREATE ROLE login LOGIN REPLICATION; GRANT reader TO login');
            $_[0]->sql('CREATE TABLE t (a int)');
        },
        source => sub { $_[0]->sql('CREATE TABLE s AS SELECT 1 AS a') },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 3 AS a') });
    my $looks = sub {
        my ($user, @options) = @_;
        my $result = run([ rewind_argv($target->data, '--no-sync', @options,
            '--source-server', "host=$source->{dir} dbname='my d' user=$user") ]);
        return ($result->{status}, $result->{stdout} . $result->{stderr});
    };
    my $refused = sub {
        my ($name, $user, @lines) = @_;
        for my $options ([ qw(-n -R) ], [ qw(--check -R) ], [ qw(--check -R --report=json) ])
        {
            my ($status, $said) = $looks->($user, @$options);
            is($status, 1, "$name, @$options: an obstacle") or diag($said);
            unlike($said, $rights, 'no advice to give the role rights') or diag($said);
            $said =~ s/\\"/"/g;
            like($said, qr/\Q$_\E/, "but $_") or diag($said) for @lines;
        }
    };

    my $superuser = $source->query('SELECT current_user');
    $source->sql('SET ROLE "the owner"; ALTER DATABASE "my d" SET role = "the owner"');
    $refused->('a role of the database', $superuser, 'ALTER DATABASE "my d" RESET role;',
        "ALTER ROLE $superuser IN DATABASE \"my d\" RESET role;");
    $source->sql('ALTER DATABASE "my d" RESET role');

    $source->sql('ALTER DATABASE "my d" SET session_authorization = "the owner"');
    my ($status, $said) = $looks->($superuser, '-n');
    is($status, 0, 'session_authorization of a database has no effect on who connects') or diag($said);
    $source->sql('ALTER DATABASE "my d" RESET session_authorization');

    ($status, $said) = $looks->($superuser, '-n');
    is($status, 0, 'without the setting it goes on') or diag($said);

    # A role that an operator has set on purpose.
    if ($version >= 11)
    {
        ($status, $said) = $looks->('login', '-n');
        like($said, qr/GRANT EXECUTE .* TO login;/, 'a role that is not switched gets its lines');
    }
    $source->sql('ALTER ROLE login SET role = reader');
    $refused->('a role that lacks rights', 'login', 'ALTER ROLE login IN DATABASE "my d" RESET role;')
        if $version >= 11;
    $source->sql('ALTER ROLE reader SUPERUSER');
    ($status, $said) = $looks->('login', '-n');
    is($status, 0, 'a role that has rights is used') or diag($said);
}, from => 9.6);
