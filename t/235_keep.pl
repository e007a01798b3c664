# What --keep and --keep-config name stays the target's, whatever the source has there; nothing can be kept that the
# source's state needs. (Both sources. The versions differ in what -R writes.)
# (Rule O5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Interrupted;

my %kept = (
    'postgresql.auto.conf' => "work_mem = '3MB'\n",
    'pg_hba.conf' => "local all all trust\nlocal replication all trust\n# of the target\n",
    'pg_hosts.conf' => "# hosts of the target\n",
    'server.crt' => "certificate of the target\n",
    'named.list' => "key of the target\n",
    'included.settings' => "log_min_messages = debug1\n",
    'conf.d/deep/a' => "in conf.d\n",
    'own/only_here' => "only here\n",
    'own/.hidden' => "hidden\n",
);

sub make_own
{
    my ($target, $source) = @_;
    mkdir $target->path($_) for qw(own conf.d conf.d/deep);
    spew($target->path($_), $kept{$_}) for keys %kept;
    chmod 0600, $target->path('named.list');
    append($target->path('postgresql.conf'),
        "include 'included.settings'\nssl_ca_file = 'named.list'\n# of the target\n");
    spew($target->path('other'), 'of the target');
    return;
}

sub make_sources
{
    my ($source) = @_;
    mkdir $source->path('conf.d');
    spew($source->path($_), 'of the source') for qw(conf.d/b server.crt server.key other only_source);
    return;
}

sub is_kept
{
    my ($target, %except) = @_;
    is(slurp($target->path($_)), $kept{$_}, "$_ is kept") for grep { !$except{$_} } sort keys %kept;
    like(slurp($target->path('postgresql.conf')), qr/^# of the target$/m, 'postgresql.conf is kept');
    ok(!-e $target->path($_), "$_ of the source does not come along") for qw(conf.d/b server.key);
    is(slurp($target->path('other')), 'of the source', 'what is not kept is the source\'s');
    ok(-e $target->path('only_source'), 'and what only the source has comes');
    return;
}

sub is_refused
{
    my ($target, $source) = @_;
    for my $case ([ '*' => 'PG_VERSION' ], [ 'base' => 'base' ], [ 'global/pg_control' => 'global/pg_control' ],
        [ 'pg_[vw]al/' => 'pg_wal' ],
        [ 'base/*/PG_VERSION' => 'base/1/PG_VERSION' ], [ 'backup_labe?' => undef ])
    {
        my ($pattern, $file) = @$case;
        for my $dry ([], ['-n'])
        {
            my $result = rewind($target, $source, options => [ "--keep=$pattern", @$dry ], not_foretold => 'it is one');
            next if !defined $file;
            is($result->{status}, 1, "--keep=$pattern @$dry is refused") or diag($result->{stderr});
            like($result->{stderr}, qr/error: "\Q$file\E" cannot be kept: it must come from the source$/m,
                'the file is named');
            is(() = $result->{stderr} =~ /cannot be kept/g, 1, 'once');
            like($result->{stderr}, qr/detail: The pattern "\Q$pattern\E" matches it\.$/m, 'and the pattern');
        }
        last if !defined $file;
    }
    for my $pattern ('/etc/x', '')
    {
        my $result = rewind($target, $source, options => [ '--keep', $pattern ]);
        is($result->{status}, 1, "a pattern '$pattern' is refused");
        like($result->{stderr},
            qr/error: (?:pattern "\/etc\/x" for option --keep is not relative|invalid value "" for option --keep)$/m,
            'with that reason');
    }
    return;
}

# What is kept is not touched by a run that is killed behind its commit, nor by the one that finishes it, whatever that
# is asked to keep.
sub is_kept_when_interrupted
{
    my ($version) = @_;
    my $pair = RewindTest::Interrupted->new($version, kind => 'server', options => [ '-R', '--keep=pg_hba.conf',
        '--keep=postgresql.auto.conf', '--keep=mine' ]);
    my $commit = RewindTest::Interrupted::commit_number($pair->calls);
    for my $number ($commit - 1, $commit + 2, $commit + 9)
    {
        my $target = $pair->reset->target;
        my $hba = slurp($target->path('pg_hba.conf')) . "# mine\n";
        spew($target->path('pg_hba.conf'), $hba);
        spew($target->path('postgresql.auto.conf'), "work_mem = '3MB'\n");
        mkdir $target->path('mine');
        spew($target->path('mine/a'), 'a');
        is($pair->attempt(fault => "kill:$number")->{signal}, 9, "killed before call $number");
        my $result = $pair->attempt;
        is($result->{status}, 0, 'the next run finishes it') or diag($result->{stderr});
        is(slurp($target->path('pg_hba.conf')) . slurp($target->path('mine/a')), "${hba}a",
            'what is kept is the target\'s');
        like(slurp($target->path('postgresql.auto.conf')), qr/^work_mem = '3MB'\nprimary_conninfo = '.*'\n\z/,
            'what -R writes is in it once');
    }
    rejoins($pair->target, $pair->source, recovery_written => 1, no_promotion => 1, quick => 1);
    $pair->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
    $kept{'postgresql.auto.conf'} = "work_mem = '3MB'
" . ($version >= 12 ? "primary_conninfo = 'host=/elsewhere'
" : '');
    make_own($target);
    make_sources($source);
    my @keep = qw(--keep-config --keep=own/* --keep=nowhere);

    is_refused($target->copy('refused'), $source) if $version >= 15;

    my $copy = $target->copy('kept');
    my $result = rewinds($copy, $source, options => \@keep);
    is_kept($copy);
    like($result->{stderr}, qr/^pg_rewind: warning: --keep pattern "nowhere" matches no file$/m,
        'a pattern without a file is told');
    unlike($result->{stderr}, qr/pattern "own/, 'one with files is not');

    # -R writes into the file that is kept, and the server needs no more.
    $copy = $target->copy('by_R');
    rewinds($copy, $source, options => [ @keep, '-R' ]);
    is_kept($copy, $version >= 12 ? ('postgresql.auto.conf' => 1) : ());
    my $settings = slurp($copy->path($version >= 12 ? 'postgresql.auto.conf' : 'recovery.conf'));
    is(() = $settings =~ /^primary_conninfo/mg, 1, 'there is one primary_conninfo');
    like($settings, qr/^work_mem = '3MB'$/m, 'what else the file has stays') if $version >= 12;
    rejoins($copy, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    $copy->stop;

    $source->stop;
    $copy = $target->copy('from_directory');
    rewinds($copy, $source, kind => 'directory', options => \@keep);
    is_kept($copy);
    return if $version != 15;
    RewindTest::Cluster::discard_all();
    is_kept_when_interrupted($version);
}, only => [ 10, 11, 15, 18 ]);
