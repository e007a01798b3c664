# Connection options and environment variables that only a newer libpq knows are told as such; so is an account without
# a name, which libpq needs where user=... is missing.
#
#   source   1 ──┬── 2 ──▶
#   target       └── 1 ──╳
# (Rule T17.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Proxy;

# Of the newest libpq, so that most systems do not know them yet.
my %option = (oauth_ca_file => [ 'PGOAUTHCAFILE', 19 ], max_protocol_version => [ 'PGMAXPROTOCOLVERSION', 18 ],
    sslnegotiation => [ 'PGSSLNEGOTIATION', 17 ], require_auth => [ 'PGREQUIREAUTH', 16 ]);

sub dry_run
{
    my ($target, $conninfo, @env) = @_;
    my @options = @env % 2 ? shift @env : ();
    return run([ rewind_argv($target->data, '-n', @options, '--source-server', $conninfo) ], env => {@env});
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $any = 0;
    for my $name (sort keys %option)
    {
        my ($variable, $since) = @{ $option{$name} };
        my $unknown = 0;
        for my $conninfo ($source->conninfo . " $name=x", "postgresql:///postgres?$name=x")
        {
            my $result = dry_run($target, $conninfo);
            next if $result->{stderr} !~ /invalid (?:connection option|URI query parameter)[: ]+"$name"/;
            $unknown++;
            like($result->{stderr},
                qr/^pg_rewind: error: .*"$name"\npg_rewind: detail: It is an option of libpq $since and later\. pg_rewind runs with libpq \d+\.\npg_rewind: hint: Leave it out, or let pg_rewind run with a newer libpq: /m,
                "$name: why it is unknown, and what helps")
                or diag($result->{stderr});
            unlike($result->{stderr}, qr/takes a connection string of libpq, such as/, 'it is not misspelt');
        }
        my $result = dry_run($target, $source->conninfo, $variable => 'x');
        like($result->{stderr},
            qr/^pg_rewind: warning: libpq \d+, with which pg_rewind runs, does not heed $variable \(of $since and later\)$/m,
            "$variable is not passed over in silence") or diag($result->{stderr})
            if $unknown;
        my $check = run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ],
            env => { $variable => 'x' });
        like($check->{stdout} =~ s/\n {3,}/ /gr,
            qr/^warning  source +libpq \d+, with which pg_rewind runs, does not heed $variable \(of $since and later\)\./m,
            '--check has it as well') if $unknown;
        $any += $unknown;
    }
    diag('this libpq knows all of them') if !$any;

    # libpq 15 would look for a file of this name, find none, and trust any server.
    SKIP: {
        my $older = dry_run($target, $source->conninfo . ' require_auth=x')->{stderr} =~ /"require_auth"/;
        skip('this libpq knows sslrootcert=system', 9) if !$older;
        for my $case ([ "host=localhost port=1 user=postgres dbname=postgres sslrootcert=system", {} ],
            [ "host=localhost port=1 user=postgres dbname=postgres", { PGSSLROOTCERT => 'system' } ])
        {
            my ($conninfo, $env) = @$case;
            my $refused = dry_run($target, $conninfo, %$env);
            is($refused->{status}, 1, 'sslrootcert=system is refused where libpq does not know it');
            like($refused->{stderr}, qr/^pg_rewind: error: "sslrootcert=system" is not known to libpq, which would/m,
                'why') or diag($refused->{stderr});
            like($refused->{stderr}, qr/^pg_rewind: detail: It is a value of libpq 16 .*\n.*: hint: Name a file/m,
                'what helps') or diag($refused->{stderr});
        }
        is(dry_run($target, $source->conninfo, PGSSLROOTCERT => 'system')->{status}, 0,
            'a Unix socket needs no certificate');
        # The standby's libpq knows it: its connection cannot be tried by ours, which is no error of the source.
        my $proxy = RewindTest::Proxy->new('proxy', $source, tcp => 1);
        my $before = slurp($target->path('postgresql.auto.conf'));
        append($target->path('postgresql.auto.conf'), "primary_conninfo = 'host=/nowhere sslrootcert=system'\n");
        my $tried = dry_run($target, $proxy->conninfo, '-R');
        is($tried->{status}, 0, 'a primary_conninfo that our libpq would misread');
        unlike($tried->{stderr}, qr/does not accept a replication connection/, 'it is not tried');
        spew($target->path('postgresql.auto.conf'), $before);
        $proxy->end;
    }
    my $result = dry_run($target, $source->conninfo . ' nonsense=x');
    like($result->{stderr},
        qr/^pg_rewind: error: invalid connection option "nonsense"\npg_rewind: hint: --source-server takes a connection string of libpq, such as /m,
        'what no libpq knows is misspelt');
    unlike(dry_run($target, $source->conninfo)->{stderr}, qr/does not heed/, 'nothing is said without such a variable');

    my @without_name = qw(unshare --user --map-user=54321 --map-group=54321);
    SKIP: {
        skip('no user namespace can be made here', 1) if run([ @without_name, 'true' ])->{status} != 0;
        $result =
            run([ @without_name, rewind_argv($target->data, '--check', '--source-server',
            $source->conninfo =~ s/user=\S+//r) ]);
        is($result->{status}, 1, 'an account without a name') or diag($result->{stderr});
        my $text = $result->{stdout} =~ s/\n {3,}/ /gr;
        like($text,
            qr/^problem  source +.*local user .*54321.* to do: Name the role in the connection string: user=\.\.\. Otherwise libpq takes the name of the operating system's user, and this one has none \(no line in \/etc\/passwd\)\.$/m,
            'is told to name the role')
            or diag($result->{stdout}, $result->{stderr});
        unlike($text, qr/firewall/, 'firewalls have no part in it');
    }
}, only => [15]);
