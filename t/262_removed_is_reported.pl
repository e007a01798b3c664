# What the target had beside its server's files, and the source does not have, is removed: the report names it with its
# size, once for a whole directory, and before it happens. (Nothing here depends on the server's version.)
# (Rule O7.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;

sub make_foreign
{
    my ($target) = @_;
    mkdir $target->path($_) or die for 'backup', 'backup/nested', 'base/saved', 'empty', 'kept';
    spew($target->path('backup/one'), 'x' x 3000);
    spew($target->path('backup/nested/two'), 'x' x 1500);
    spew($target->path('base/saved/three'), 'x' x 70);
    spew($target->path('notes.txt'), 'x' x 5);
    spew($target->path('kept/four'), 'x');
    symlink($target->dir, $target->path('a link')) or die;
    # The server's own: neither is worth a word.
    spew($target->path('backup_manifest'), '{}') if $target->version >= 13;
    $target->start;
    $target->sql('CREATE TABLE of_target AS SELECT 1; CREATE DATABASE of_target');
    $target->stop;
    return;
}

my @removed = (
    { path => 'a link', files => 1, bytes => 0 },
    { path => 'backup', files => 2, bytes => 4500 },
    { path => 'base/saved', files => 1, bytes => 70 },
    { path => 'empty', files => 0, bytes => 0 },
    { path => 'notes.txt', files => 1, bytes => 5 },
);

sub names_all
{
    my ($name, $result) = @_;
    my $report = JSON::PP->new->utf8->decode($result->{stdout});
    my $list = JSON::PP->new->canonical;
    is(join("\n", map { $list->encode($_) } @{ $report->{removed} // [] }),
        join("\n", map { $list->encode($_) } @removed),
        "$name: all is named with its size");
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    make_foreign($target);
    my @options = ('--no-sync', '--keep=kept');
    names_all('a dry run', rewind($target, $source, options => [ @options, qw(-n --report=json) ]));
    my $copy = $target->copy('text');
    my $file = work_dir() . '/report';
    rewinds($copy, $source, options => [ @options, "--report-file=$file" ]);
    like(slurp($file), qr{^Removed from the target, which the source does not have
  1 file, 0 bytes           a link
  2 files, 4\.4 kB           backup
  1 file, 70 bytes          base/saved
  0 files, 0 bytes          empty
  1 file, 5 bytes           notes\.txt
$}m, 'the text names all');
    $copy->discard;
    names_all('a rewind', rewind($target, $source, options => [ @options, '--report=json' ]));
    ok(!-e $target->path($_->{path}) && !-l $target->path($_->{path}), "$_->{path} is gone") for @removed;
    ok(-e $target->path('kept/four'), 'what --keep names is not');
});
