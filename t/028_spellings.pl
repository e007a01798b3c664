# The target may be written in any way: with a slash at the end, relative, through a link, with "//" in it. Files of its
# own that its configuration names, by whatever path, are kept; a restore command finds where to put a file; an
# interrupted run is finished. (Invariants 1 and 3.)
# (Rules D5, O5.)

use strict;
use warnings;

use Cwd ();
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

# The target as it is called, with a working directory in which that is right.
my %spelling = (
    'a slash at the end' => sub { my ($data) = @_; return ("$data/", '/') },
    './' => sub { my ($data) = @_; my ($parent, $name) = $data =~ m{(.*)/(.*)}; return ("./$name", $parent) },
    'a relative path' => sub { my ($data) = @_; my ($parent, $name) = $data =~ m{.*/(.*)/(.*)};
    return ("../$parent/$name", $data =~ s{/[^/]+$}{}r) },
    'a link' => sub { my ($data) = @_; symlink($data, "$data.link"); return ("$data.link", '/') },
    'two slashes' => sub { my ($data) = @_; return ($data =~ s{/}{//}gr, '/') },
);

# Run pg_rewind for the target in that spelling.
sub rewind_spelled
{
    my ($target, $source, $spelling, $options, %option) = @_;
    my ($spelled, $directory) = $spelling{$spelling}->($target->data);
    my $former = Cwd::getcwd();
    chdir $directory or die "$directory: $!";
    my $result = run([ rewind_argv($spelled, defined $option{fault} ? ONCE : (), '--source-server', $source->conninfo,
        @$options) ],
        env => defined $option{fault} ? { LD_PRELOAD => $ENV{PG_REWIND_FAULTS}, PG_REWIND_FAULT => $option{fault},
        PG_REWIND_FAULT_LOG => $option{log} } : {});
    chdir $former or die "$former: $!";
    return $result;
}

# Files of the target's own, named by absolute paths in several spellings.
sub name_own_files
{
    my ($target) = @_;
    my $data = $target->data;
    mkdir "$data/own";
    symlink('.', "$data/here");
    spew("$data/own/hba", "local all all trust\nlocal replication all trust\n");
    spew("$data/own/ident", "# empty\n");
    spew("$data/own/included.settings", "log_min_messages = notice\n");
    spew("$data/own/relative.settings", "log_min_error_statement = error\n");
    $target->configure("hba_file = '$data//own/hba'\nident_file = '$data/here/own/ident'\n"
        . "include '$data/own/included.settings'\ninclude './/own/./relative.settings'");
    return;
}

sub is_rewound
{
    my ($target, $source, $what) = @_;
    ok(-e $target->path("own/$_"), "$what: own/$_ is kept") for qw(hba ident included.settings relative.settings);
    $target->follow($source);
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    return;
}

# The target is called by a link, which leads to another cluster soon after.
sub link_leads_elsewhere
{
    my ($target, $source) = @_;
    my ($copy, $other) = map { $target->copy($_) } qw(meant other);
    my $before = tree($other);
    my $called = bless { %$copy, dir => $copy->dir . '.called' }, ref $copy;
    mkdir $called->dir or die;
    symlink($copy->data, $called->data) or die;
    my $held = hold($called, $source, 'commit');
    unlink $called->data or die;
    symlink($other->data, $called->data) or die;
    my $result = go_on($held);
    is($result->{status}, 0, 'the link to the target leads elsewhere meanwhile') or diag($result->{stderr});
    is_same_tree(tree($other), $before, 'the other cluster is left alone');
    $copy->follow($source);
    rejoins($copy, $source, no_promotion => 1, quick => 1);
    $_->discard for $copy, $other;
    must_run([ 'rm', '-rf', $called->dir ]);
    return;
}

each_version(sub {
    my ($version) = @_;
    my $segment;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1); SELECT pg_switch_wal(); INSERT INTO t VALUES (2)') },
        target => sub {
            my ($target) = @_;
            $segment = $target->query('INSERT INTO t VALUES (3); SELECT pg_walfile_name(pg_current_wal_lsn())');
            $target->sql('SELECT pg_switch_wal(); INSERT INTO t VALUES (4)');
        });
    link_leads_elsewhere($target, $source);

    # One of its segments only an archive has: a restore command fetches it.
    my $archive = work_dir() . "/archive.$version";
    mkdir $archive;
    must_run([ 'cp', (glob($target->path('pg_wal/0000000100*'))), $archive ]);

    for my $spelling (sort keys %spelling)
    {
        my $copy = $target->copy('spelled');
        name_own_files($copy);
        my $saved = work_dir() . "/saved.$version";
        unlink $copy->path("pg_wal/$segment") or die "$segment: $!";
        my @options = ('--keep-config', "--restore-command=cp $archive/%f %p", "--save-diverged-wal=$saved/");

        is(rewind_spelled($copy, $source, $spelling, [ @options, '-n' ])->{status}, 0, "$spelling: a dry run");
        my $killed = rewind_spelled($copy, $source, $spelling, \@options, fault => 'kill:rename@*/global/pg_control',
            log => "$saved.log");
        is($killed->{signal}, 9, "$spelling: killed behind the commit") or diag($killed->{stderr});
        ok(slurp("$saved.log") =~ / sync \Q${\ work_dir()}\E$/m,
            'the directory that holds the one for the diverged WAL was synced');
        my $finished = rewind_spelled($copy, $source, 'a link', \@options);
        is($finished->{status}, 0, "$spelling: finished in another spelling") or diag($finished->{stderr});
        is_rewound($copy, $source, $spelling);
        $copy->discard;
        must_run([ 'rm', '-rf', $saved ]);
    }
}, only => [ 10, 13, 15, 18 ]);
