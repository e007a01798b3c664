# --keep-config keeps what the configuration includes, and what that names, also where the path is absolute, has "..", or is a link in
# the data directory: link by link.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my %kept = (
    'absolute.list' => "include_dir 'more/parts'\nssl_ca_file = 'DATA/./more//named.list'\n",
    'more/parts/1.conf' => "include '../../up.list'\n",
    'up.list' => "work_mem = '3MB'\n",
    'more/named.list' => "# of the target\n",
    'ident.list' => "# of the target\n",
    'leads_to.list' => "local all all trust\nlocal replication all trust\n",
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $data = $target->data;
    mkdir $target->path($_) for qw(more more/parts);
    spew($target->path($_), $kept{$_} =~ s/DATA/$data/r) for keys %kept;
    $target->configure("include '$data/absolute.list'\nhba_file = '$data/more/link.list'");
    my %link = ('more/link.list' => '../second.list', 'second.list' => "$data/leads_to.list", 'pg_ident.conf' => 'ident.list');
    unlink $target->path('pg_ident.conf') or die;
    symlink($link{$_}, $target->path($_)) or die "$_: $!" for keys %link;

    rewinds($target, $source, options => [ '--keep-config', '-R' ]);
    ok(-e $target->path($_), "$_ is kept") for sort keys %kept;
    is(readlink($target->path($_)), $link{$_}, "the link $_ is kept") for sort keys %link;
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($target->query('SHOW work_mem'), '3MB', 'the server reads them all');
});
