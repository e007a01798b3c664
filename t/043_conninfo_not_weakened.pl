# What -R writes is not weaker than what the environment asks for, though the target's former primary_conninfo is kept:
# that of pg_basebackup -R has sslmode=prefer, which nobody chose. (The attacker: the network between the servers.)
# (Rule S3.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Privileged;

# Its own address of this machine: others may use the same port.
my $address = join '.', 127, 1, $$ >> 8 & 255, ($$ & 255) | 1;

# The options of primary_conninfo after -R, those that are asked for.
sub written
{
    my ($target, $source, $former, $more, $env, @options) = @_;
    my $old = $target->version < 12;
    unlink $target->path('recovery.conf');
    spew($target->path($old ? 'recovery.done' : 'postgresql.auto.conf'), "primary_conninfo = '$former'\n");
    my $result =
        run([ rewind_argv($target->data, '-R', '--source-server',
        ($source->conninfo =~ s/host=\S+/host=localhost hostaddr=$address/r) . " $more") ], env => $env);
    is($result->{status}, 0, "-R with '$former'") or diag($result->{stderr});
    my $text = slurp($target->path($old ? 'recovery.conf' : 'postgresql.auto.conf')) =~ s/''//gr;
    return join ' ', map { $text =~ /\b$_=(\S*?)(?:'|\s|$)/ ? $1 : '-' } @options;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a integer)') },
        source => sub {
            my ($source) = @_;
            must_run([ qw(openssl req -new -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj
                /CN=localhost), '-keyout', $source->path('server.key'), '-out', $source->path('server.crt') ]);
            chmod 0600, $source->path('server.key') or die;
            append($source->path('postgresql.conf'), "ssl = on\nlisten_addresses = '$address'\n");
            $source->restart;
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    rewinds($target, $source, options => ['-R']);
    my $root = $source->path('server.crt');
    my %env = (PGSSLMODE => 'verify-full', PGSSLROOTCERT => $root);
    my @tls = qw(sslmode sslrootcert);
    is(written($target, $source, 'sslmode=prefer sslrootcert=/former', '', \%env, @tls), "verify-full $root",
        'a stronger mode of the environment counts, with its certificate');
    is(written($target, $source, "sslmode=verify-full sslrootcert=$root", '', { PGSSLMODE => 'require' }, @tls),
        "verify-full $root", 'a weaker one does not');
    is(written($target, $source, 'sslmode=prefer', 'sslmode=require', \%env, 'sslmode'), 'require',
        'what the string sets counts') ;
    is(written($target, $source, 'sslmode=allow', '', { PGSSLMODE => 'disable' }, 'sslmode'), 'allow',
        'the weakest one is the environment\'s');
}, sample => 1);
