# Through the link of a tablespace nothing comes to the target's host but what a tablespace has: its directory
# PG_VERSION_CATALOG. So a source cannot have ~/.ssh/authorized_keys written, which the original does. Nothing that is
# there is changed. (The attacker: the source. Both kinds.)
#
#   source   1 ──┬── 2 ──▶   pg_tblspc/99990 leads to a directory with a tablespace's files, and with others
#   target       └── 1 ──╳

use strict;
use warnings;
use lib 't/lib';
use File::Find ();
use RewindTest;

sub files_of
{
    my ($directory) = @_;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, s{^\Q$directory\E/}{}r if -f } }, $directory)
        if -d $directory;
    return join ' ', sort @found;
}

each_version(sub {
    my ($version) = @_;
    my $inner;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub {
            my $location = $_[0]->tablespace_location('space');
            $_[0]->sql("CREATE TABLESPACE space LOCATION '$location'");
            ($inner) = map { m{([^/]+)$} } glob("$location/PG_*");
            $_[0]->sql('DROP TABLESPACE space');
            $_[0]->sql('CHECKPOINT');
        },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my ($theirs, $home) = map { work_dir() . "/$_.$version" } qw(theirs home);
    must_run([ 'mkdir', '-p', "$theirs/.ssh", "$theirs/$inner/5", $home ]);
    chmod 0700, $theirs, $home;
    spew("$theirs/$_", 'of the attacker') for '.ssh/authorized_keys', '.profile', "$inner/5/16999";
    spew("$home/.profile", 'former');
    symlink($theirs, $source->path('pg_tblspc/99990')) or die;
    for my $kind (qw(server directory))
    {
        my $copy = $target->copy("copy_$kind");
        $source->stop if $kind eq 'directory';
        my $result = rewind($copy, $source, kind => $kind, options => [ '--no-sync', '-T', "$theirs=$home" ],
            not_foretold => 'it is about what is written');
        is($result->{status}, 0, "$kind: it is rewound") or diag($result->{stderr});
        ok(-d "$home/$inner", "$kind: with what a tablespace has");
        is(files_of($home) =~ s{ ?\Q$inner\E\S*}{}gr, '.profile', "$kind: nothing else is written");
        is(slurp("$home/.profile"), 'former', "$kind: and what is there stays");
        must_run([ 'rm', '-rf', "$home/$inner" ]);
        $copy->discard;
    }
}, only => [ 10, 15, 18 ]);
