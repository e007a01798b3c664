# A file of the source that it may not read, as one of root's with mode 0600: --check, a dry run and --rejoin find it
# before anything is stopped or fetched, name it, and --keep where that may leave it alone. (Invariant 1. Both sources.)
# (Rules O1, P1.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Tree;

# Who has to read them, by the kind of source.
my %reader = (server => "The source's server", directory => 'The user that runs pg_rewind');

# The error and the hints of each of these files.
sub names_all
{
    my ($result, $what, @files) = @_;
    for my $file (@files)
    {
        my ($path, $kept, $by) = @$file;
        like($result->{stderr},
            qr/^pg_rewind: error: could not (?:fetch remote file "\Q$path\E": ERROR:  could not open file "\Q$path\E" for reading|open file "[^"]*\/\Q$path\E"): Permission denied$/m,
            "$what: $path is named");
        like($result->{stderr},
            qr/\Q$path\E"[^\n]*\npg_rewind: hint: $reader{$by} must be able to read it\.\n\Q$kept\E/,
            "$what: and what helps");
    }
    is(scalar(() = $result->{stderr} =~ /Permission denied/g), scalar @files, "$what: no other is")
        or diag($result->{stderr});
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE DATABASE other') },
        target => sub { $_[0]->sql('CREATE TABLE lost (a int)') });
    # whose files no session opens
    my $database = $source->query(q{SELECT oid FROM pg_database WHERE datname = 'other'});
    my @closed = ('own.conf', 'scripts/a b', "base/$database/pg_filenode.map");
    my @keep = map { "pg_rewind: hint: To leave the target without it, or with its own, use: --keep=$_\n" } 'own.conf',
        "'scripts/a b'";
    my $files = sub { my ($by) = @_; return [ $closed[0], $keep[0], $by ], [ $closed[1], $keep[1], $by ],
        [ $closed[2], '', $by ] };
    mkdir $source->path('scripts');
    spew($source->path($_), "for others\n") for @closed[ 0, 1 ];
    for (@closed) { chmod(0, $source->path($_)) or die "could not change $_: $!" }
    # Reading these would block, and their server lists them as empty files.
    system('mkfifo', $source->path('fifo')) == 0 or die;
    # Those are not fetched.
    mkdir $source->path('log') if !-d $source->path('log');
    spew($source->path($_), "not fetched\n"), chmod 0, $source->path($_) for 'log/old', 'base/pgsql_tmp_x',
        $version >= 11 ? 'pg_stat_tmp/x' : ();

    for my $kind (qw(server directory))
    {
        $source->stop if $kind eq 'directory';
        for my $argument ('--dry-run', '--compare', undef)
        {
            my $copy = $target->copy('copy');
            my $what = "$kind, " . ($argument // 'a rewind');
            my $before = tree($copy);
            my $result = rewind($copy, $source, kind => $kind, options => [ '--no-sync', $argument // () ], check => 0);
            is($result->{status}, 1, "$what: an error") or diag($result->{stderr});
            names_all($result, $what, $files->($kind));
            like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\./m, "$what: the target is unchanged");
            is_deeply(tree($copy), $before, "$what: it is");
            $copy->discard;
        }
        my $check = run([ $ENV{PG_REWIND}, '--check', '--report=json', '-D', $target->data,
            $kind eq 'server' ? ('--source-server', $source->conninfo) : ('--source-pgdata', $source->data) ]);
        is($check->{status}, 1, "$kind, --check: not ready");
        my $said = JSON::PP->new->utf8->decode($check->{stdout});
        my @found = grep { $_->{name} eq 'source_files' } @{ $said->{findings} };
        is(join(' ', map { $_->{state} } @found), 'problem problem problem', "$kind, --check: three problems")
            or diag($check->{stdout});
        is($said->{verdict}{state}, 'not possible', "$kind, --check: the verdict");
        my ($own) = grep { $_->{text} =~ /own\.conf.*Permission denied/ } @found;
        like($own->{remedy}, qr/use: --keep=own\.conf$/m, "$kind, --check: it is named, and what helps");
    }

    # Of many, those that come first are named.
    $source->start;
    mkdir $source->path('many');
    spew($source->path(sprintf 'many/%04d', $_), "x\n"), $_ >= 1490 && chmod 0, $source->path(sprintf 'many/%04d', $_)
        for 1 .. 1501;
    my $of_many = rewind($target, $source, options => [ '--dry-run', '--keep=own.conf', '--keep=scripts', "--no-sync" ],
        check => 0);
    is($of_many->{status}, 1, 'many: an error');
    is(join(' ', $of_many->{stderr} =~ /fetch remote file "([^"]+)"/g),
        join(' ', $closed[2], map { "many/$_" } 1490 .. 1498), 'many: ten of them are named');
    run([ 'rm', '-rf', $source->path('many') ]);

    # With --keep, and once it may be read.
    chmod 0600, $source->path($closed[2]);
    my @options = ('--keep=own.conf', '--keep=scripts/a b');
    my $copy = $target->copy('kept');
    my $result = rewind($copy, $source, options => [ '--no-sync', @options ]);
    is($result->{status}, 0, 'with --keep it succeeds') or diag($result->{stderr});
    ok(!-e $copy->path($_), "the target stays without $_") for @closed[ 0, 1 ];
    ok(!-e $copy->path('fifo') || !-s $copy->path('fifo'), 'a fifo was not read');
    $copy->discard;

    # --rejoin does not stop a server for it.
    $target->start;
    my $pid = $target->postmaster_pid;
    my $rejoin = sub {
        return run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir, '--source-server',
            $source->conninfo . ' application_name=target', @_) ]);
    };
    for my $argument ('--dry-run', undef)
    {
        my $what = '--rejoin' . (defined $argument ? ' -n' : '');
        $result = $rejoin->($argument // ());
        is($result->{status}, 1, "$what: an error");
        names_all($result, $what, ($files->('server'))[ 0, 1 ]);
        is($target->postmaster_pid, $pid, "$what: the server goes on");
    }
    my $check = run([ $ENV{PG_REWIND}, '--check', '--report=json', '-D', $target->data, '--source-server',
        $source->conninfo ]);
    is(join(' ', map { $_->{state} }
        grep { $_->{name} eq 'source_files' } @{ JSON::PP->new->utf8->decode($check->{stdout})->{findings} }),
        'problem problem', '--check beside the server finds both');
    is($rejoin->(@options)->{status}, 0, 'with --keep it joins');
}, sample => 1);
