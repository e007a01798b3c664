# --keep-config keeps what the configuration includes, and what that names, also where the path is absolute, has "..",
# or is a link in the data directory: link by link. It also keeps what pg_hba.conf, pg_ident.conf and, from 19 on,
# pg_hosts.conf include or name: without these files the server does not start.
# (Rule O5.)

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

# Files that pg_hba.conf names in every version, and what it and others include from 16 on. Those that pg_hba.conf names
# by a relative path lie beside it, in more.
my %named = (
    'more/people' => "no_one, \@\"list of others\"\n",
    'more/list of others' => "some_one\n",
    'more/databases' => "template1\n",
);
my %included = (
    'rules.list' => "include_if_exists DATA/optional.list # by an absolute path\n",
    'optional.list' => "local all some_one reject\n",
    'more/rules/1.conf' => "local all \@users reject\n",
    'more/rules/users' => "some_one\n",
    'mapped.list' => "map someone some_one\n",
);
my %of_hosts = ('more/of_host' => "# a certificate\n", 'more/its_key' => "# its key\n");

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    my $data = $target->data;
    my %kept = (%kept, %named, $version >= 16 ? %included : (), $version >= 19 ? %of_hosts : ());
    mkdir $target->path($_) for qw(more more/parts more/rules);
    spew($target->path($_), $kept{$_} =~ s/DATA/$data/r) for keys %kept;
    append($target->path('leads_to.list'), "local template1,\@databases \@people reject\n");
    append($target->path('leads_to.list'), "include ../rules.list\ninclude_dir \\\nrules\n") if $version >= 16;
    append($target->path('pg_hosts.conf'), "example.org more/of_host more/its_key\n") if $version >= 19;
    append($target->path('ident.list'), "include \"mapped.list\"\n") if $version >= 16;
    $target->configure("include '$data/absolute.list'\nhba_file = '$data/more/link.list'");
    my %link = ('more/link.list' => '../second.list', 'second.list' => "$data/leads_to.list",
        'pg_ident.conf' => 'ident.list');
    unlink $target->path('pg_ident.conf') or die;
    symlink($link{$_}, $target->path($_)) or die "$_: $!" for keys %link;

    mkdir $source->path($_) for qw(more more/parts);
    spew($source->path('more/parts/2.conf'), "work_mem = '4MB'\n");

    rewinds($target, $source, options => [ '--keep-config', '-R' ]);
    ok(!-e $target->path('more/parts/2.conf'), 'a directory that is included gets no files of the source');
    ok(-e $target->path($_), "$_ is kept") for sort keys %kept;
    is(readlink($target->path($_)), $link{$_}, "the link $_ is kept") for sort keys %link;
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($target->query('SHOW work_mem'), '3MB', 'the server reads them all');
    is($target->query('SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL'), 0, 'also those of pg_hba.conf')
        if $version >= 10;
});
