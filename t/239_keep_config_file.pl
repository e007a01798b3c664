# --keep-config keeps the file that --config-file names in the data directory, and what it names there, wherever it lies
# itself.
# (Rule O5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    for my $place ('inside', 'outside')
    {
        my $copy = $target->copy($place);
        my $file = ($place eq 'inside' ? $copy->data : $copy->dir) . '/own.settings';
        spew($file, slurp($copy->path('postgresql.conf')) . "hba_file = '" . $copy->path('own.list')
            . "'\ninclude_dir 'parts'\n");
        mkdir $file =~ s{own.settings$}{parts}r or die "$!";
        spew($file =~ s{own.settings$}{parts/1.conf}r, "include '" . $copy->path('more.list') . "'\n");
        spew($copy->path('own.list'), "local all all trust\nlocal replication all trust\n");
        spew($copy->path('more.list'), "work_mem = '3MB'\n");
        rewinds($copy, $source, options => [ '--keep-config', '-R', "--config-file=$file" ]);
        ok(-e $_, "$place: $_ is kept") for $file, map { $copy->path($_) } qw(own.list more.list);
        my $start = $copy->try_start(settings => { config_file => $file });
        is($start->{status}, 0, "$place: the server starts with it") or diag($copy->log);
        $copy->discard;
    }
});
