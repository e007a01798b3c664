# With -R the target's former primary_conninfo is the new one's where the connection string says nothing: the standby
# streams under its own name, so that synchronous commits wait for it, and as securely as before. What the string says
# counts, and where the source is and the role come from the connection. A password of the environment is written only
# if the source asks for it. (10: recovery.conf, and a server program that is older than libpq. 17 and later: dbname.)
# (Rules S1, S2, S20, S21.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

# The options of primary_conninfo as the target has it now.
sub conninfo_of
{
    my ($target) = @_;
    my ($value) = slurp($target->path($target->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'))
        =~ /^primary_conninfo = '(.*)'$/m;
    my %option;
    $value =~ s/''/'/g;
    $option{$1} = $2 // $3 while $value =~ /(\w+)=(?:'((?:[^'\\]|\\.)*)'|(\S+))/g;
    s/\\\\(.)/$1/g for values %option;
    return \%option;
}

# As it is on a server that has been a standby before.
sub have_former
{
    my ($target, $conninfo) = @_;
    spew($target->path($target->version < 12 ? 'recovery.done' : 'postgresql.auto.conf'),
        "primary_conninfo = '$conninfo'\n");
    return;
}

my $former =
    q{host=/nowhere port=1 user=somebody password=old application_name=''node one'' sslmode=prefer connect_timeout=7}
    . q{ target_session_attrs=read-write client_encoding=UTF8 passfile=DATA/own_passwords future_option=''a b''};

sub streams_under_its_own_name
{
    my ($target, $source) = @_;
    my $result = rewind($target, $source, options => [ '-R', '--report=json' ]);
    is($result->{status}, 0, 'pg_rewind -R succeeds') or diag($result->{stderr});
    my $conninfo = conninfo_of($target);
    is($conninfo->{application_name}, 'node one', 'the name stays');
    is_deeply([ @$conninfo{qw(sslmode connect_timeout client_encoding)} ], [qw(prefer 7
        UTF8)], 'and so do other options');
    is_deeply([ @$conninfo{qw(host port
        user)} ], [ $source->dir, 5432, 'postgres' ], 'where the source is, and the role, are the connection\'s');
    is_deeply([ grep { exists $conninfo->{$_} } qw(password
        target_session_attrs) ], [], 'what belongs to the former server and role is gone');
    ok(-e $target->path('own_passwords'), 'so does the file that it names in the data directory');
    is($conninfo->{future_option}, 'a b', 'an option that libpq does not know stays');
    my $told = JSON::PP->new->utf8->decode($result->{stdout})->{next}{conninfo};
    is_deeply($told, { kept => [qw(application_name sslmode connect_timeout client_encoding passfile future_option)],
            changed => [qw(host port user password
            target_session_attrs)] }, 'the report has what was kept, and what has changed');
    like($result->{stderr},
        qr/^pg_rewind: detail: Options of the target's former primary_conninfo: kept application_name, sslmode, .*; changed host, port, user, password, target_session_attrs\.$/m,
        'and so has the log');
    unlike($result->{stderr} . $result->{stdout}, qr/password=old/, 'no password is shown');
    return;
}

sub is_synchronous
{
    my ($target, $source) = @_;
    my $file = $target->path($target->version < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    my $unknown = $target->version < 10 ? qr/ (?:future_option=''a b''|passfile=\S+)/ : qr/ future_option=''a b''/;
    spew($file, slurp($file) =~ s/$unknown//gr);    # these servers do not know it either
    $source->sql(q{ALTER SYSTEM SET synchronous_standby_names = '"node one"'; SELECT pg_reload_conf()});
    # what it commits waits for the standby
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    my $state =
        sub { $source->query(q{SELECT sync_state FROM pg_stat_replication WHERE application_name = 'node one'}) };
    wait_until('the standby is synchronous', sub { $state->() eq 'sync' });
    is($state->(), 'sync', 'the standby is synchronous');
    $source->sql('ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()');
    return;
}

# Nothing is to be rewound: only what -R writes is looked at. The result, and the options.
sub written
{
    my ($target, $source, $former, $more, %env) = @_;
    unlink $target->path('recovery.conf');
    have_former($target, $former);
    my $result = run([ rewind_argv($target->data, '--source-server', $source->conninfo . " $more", '-R') ],
        env => \%env);
    is($result->{status}, 0, "-R with '$more'") or diag($result->{stderr});
    return ($result, conninfo_of($target));
}

sub string_counts
{
    my ($target, $source) = @_;
    my ($result, $conninfo) = written($target, $source, 'application_name=former sslmode=allow sslcert=/c sslkey=/k',
        'application_name=new sslmode=prefer sslcert=/d');
    is_deeply([ @$conninfo{qw(application_name sslmode sslcert
        sslkey)} ], [ 'new', 'prefer', '/d', undef ],
        'what the string sets counts, a default and a certificate without its key too');
    ($result, $conninfo) = written($target, $source, 'application_name=former sslmode=allow passfile=/former', '',
        PGAPPNAME => 'tool', PGSSLMODE => 'disable', PGPASSFILE => '/tool');
    is_deeply([ @$conninfo{qw(application_name sslmode passfile)} ], [qw(former allow
        /former)], 'what the environment sets does not');
    ($result, $conninfo) = written($target, $source, 'postgresql://u@h/d?application_name=of%20uri', '');
    is($conninfo->{application_name}, 'of uri', 'the former one may be a URI');
    ($result, $conninfo) = written($target, $source, "application_name", '');
    like($result->{stderr},
        qr/^pg_rewind: warning: the target's former primary_conninfo cannot be read: nothing of it is kept$/m,
        'one that cannot be read is told');
    ($result, $conninfo) = written($target, $source, 'dbname=former', '');
    is($conninfo->{dbname}, $target->version < 17 ? 'former' : 'postgres', 'dbname');
    my $database = $target->version < 17 ? undef : 'postgres';    # that of the role's name
    (my $unnamed = $source->conninfo) =~ s/(?:dbname|port)=\S+//g;
    unlink $target->path($target->version < 12 ? 'recovery.done' : 'postgresql.auto.conf');
    unlink $target->path('recovery.conf');
    spew($target->path('postgresql.auto.conf'), '');
    $result = run([ rewind_argv($target->data, '--source-server', $unnamed, '-R') ]);
    is(conninfo_of($target)->{port}, 5432, 'a port that nothing sets is written');
    is(conninfo_of($target)->{dbname}, $database,
        'where nothing names a database, it is the one of the connection: slots are synchronized through it');
    have_former($target, 'dbname=former');
    unlink $target->path('recovery.conf');
    $result = run([ rewind_argv($target->data, '--source-server', $unnamed, '-R') ]);
    is(conninfo_of($target)->{dbname}, 'former', 'unless the former primary_conninfo names one');
    # A rewind without -R has brought the source's own here.
    my $file = $source->path($source->version < 12 ? 'recovery.done' : 'postgresql.auto.conf');
    my $settings = -e $file ? slurp($file) : '';
    spew($file, "primary_conninfo = 'application_name=of_source connect_timeout=9'\n");
    ($result, $conninfo) = written($target, $source, 'application_name=of_source connect_timeout=9', '');
    is_deeply([ @$conninfo{qw(application_name
        connect_timeout)} ], [ undef, 9 ], 'the name that is the source\'s own is not taken for the target\'s');
    spew($file, $settings);
    return;
}

# The standby has no variable of ours: neither one that only a replication connection needs, nor one that leads away.
sub asked_by_replication
{
    my ($target, $source) = @_;
    spew($source->path('pg_hba.conf'), "local replication guarded md5\nlocal all,replication all trust\n");
    $source->sql('SELECT pg_reload_conf()');
    my ($result, $conninfo) = written($target, $source, '', 'user=guarded', PGPASSWORD => 'geheim');
    is($conninfo->{password}, 'geheim', 'so is one that the source asks for only where it replicates');
    like($result->{stderr}, qr/^pg_rewind: warning: the password in PGPASSWORD is written into primary_conninfo$/m,
        'with the warning');
    my $service = work_dir() . '/services';
    spew($service, "[new]\nhost=" . $source->dir . "\nuser=guarded\npassword=geheim\n");
    ($result, $conninfo) = written($target, $source, '', 'user=guarded service=new', PGSERVICEFILE => $service);
    is_deeply([ @$conninfo{qw(service password)} ], [ undef, 'geheim' ],
        'what a service sets is written, and not its name');
    like($result->{stderr}, qr/^pg_rewind: warning: the password of the service is written into primary_conninfo$/m,
        'with the warning');
    my $passfile = work_dir() . '/passwords';
    ($result, $conninfo) =
        written($target, $source, '', 'user=guarded', PGPASSWORD => 'wrong', PGPASSFILE => $passfile);
    is_deeply([ @$conninfo{qw(password passfile)} ], [ undef, $passfile ], 'a wrong one is not');
    unlike($result->{stderr}, qr/warning/, 'and not taken for the trial, since the standby does not have it');
    ($result, $conninfo) = written($target, $source, '', 'port=5432', PGPORT => 1, PGSSLMODE => 'prefer');
    is_deeply([ @$conninfo{qw(port sslmode)} ], [ 5432, undef ], 'a port that is libpq\'s default is written');
    unlike($result->{stderr}, qr/warning/, 'and taken for the trial');
    # libpq's default directory of sockets, which the server's libpq may have elsewhere.
    my $port = 20000 + $$ % 40000;
    my ($socket) = run([ rewind_argv($target->data, '-n', '--source-server', "port=$port") ])->{stderr}
        =~ /on socket "(.*)" failed/;
    SKIP: {
        skip('the directory that libpq was built with is missing here, or closed to this account', 2)
            if !$socket || !symlink($source->dir . '/.s.PGSQL.5432', $socket);
        ($result, $conninfo) = written($target, $source, '', "host='' port=$port");
        unlink $socket;
        is("$conninfo->{host}/.s.PGSQL.$conninfo->{port}", $socket, 'so is that directory');
    }
    return;
}

sub passwords
{
    my ($target, $source) = @_;
    $source->sql("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'geheim'");
    spew($source->path('pg_hba.conf'),
        "local all,replication guarded md5\nlocal all all trust\nlocal replication all trust\n");
    $source->sql('SELECT pg_reload_conf()');
    my ($result, $conninfo) = written($target, $source, 'application_name=a', 'user=guarded', PGPASSWORD => 'geheim');
    is($conninfo->{password}, 'geheim',
        'a password of the environment that the source asks for is written: the standby needs it');
    like($result->{stderr}, qr/^pg_rewind: warning: the password in PGPASSWORD is written into primary_conninfo$/m,
        'and that is told');
    like($result->{stderr}, qr/^pg_rewind: hint: Put it into the password file /m, 'with what to do');
    ($result, $conninfo) = written($target, $source, 'application_name=a', '', PGPASSWORD => 'geheim');
    is($conninfo->{password}, undef, 'one that it does not ask for is not');
    unlike($result->{stderr}, qr/warning/, 'and is of no interest');
    ($result, $conninfo) = written($target, $source, 'user=guarded password=geheim', 'user=guarded',
        PGPASSWORD => 'geheim');
    is($conninfo->{password}, 'geheim', 'that of the same role stays');
    unlike($result->{stderr}, qr/warning/, 'and there is nothing to be warned of');
    ($result, $conninfo) = written($target, $source, 'user=guarded password=known', 'user=guarded',
        PGPASSWORD => 'geheim');
    is($conninfo->{password}, 'geheim', 'one that is no longer right does not');
    my $passfile = work_dir() . '/passwords';
    spew($passfile, "*:*:*:*:geheim\n");
    chmod 0600, $passfile;
    ($result, $conninfo) = written($target, $source, 'user=guarded password=known', 'user=guarded',
        PGPASSFILE => $passfile);
    is($conninfo->{password}, undef, 'it would go before the password file');
    unlike($result->{stderr}, qr/warning/, 'where the right one is');
    ($result, $conninfo) = written($target, $source, 'user=guarded password=known', 'user=guarded password=geheim');
    is($conninfo->{password}, 'geheim', 'one in the connection string is written');
    like($result->{stderr},
        qr/^pg_rewind: warning: the password of the connection string is written into primary_conninfo$/m,
        'with a warning');
    unlike($result->{stderr}, qr/known|geheim/, 'which does not show it');
    asked_by_replication($target, $source);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    have_former($target, $former =~ s/DATA/$target->data/er);
    spew($target->path('own_passwords'), '');
    chmod 0600, $target->path('own_passwords');
    streams_under_its_own_name($target, $source);
    is_synchronous($target, $source);
    $target->stop;
    string_counts($target, $source);
    passwords($target, $source);
}, only => [ 10, 15, 17, 18 ]);
