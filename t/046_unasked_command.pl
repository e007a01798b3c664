# A restore_command that no option names is announced before it runs, also in a dry run; what it prints does not stand
# bare among the run's own messages; and one that fails is not run again in that run, whoever asks.
#
#   source   1 ──┬── 2 ──▶     both have the same restore_command
#   target       └── 1 ──╳
# (Rule K5.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

my ($source, $diverged, $runs);

sub set_command
{
    my ($name, $command) = @_;
    my $target = $diverged->copy($name);
    for my $file ($target->path('postgresql.auto.conf'), $source->path('postgresql.auto.conf'))
    {
        spew($file, slurp($file) =~ s/^restore_command.*\n//mgr . "restore_command = '$command'\n");
    }
    unlink $runs;
    return $target;
}

sub times_run { return -e $runs ? scalar(() = slurp($runs) =~ /^/mg) : 0 }

my $announced =
    qr/^pg_rewind: asking the "restore_command" that the target's server will have for WAL that would lead it away from the source\n/m;

each_version(sub {
    my ($version) = @_;
    $runs = work_dir() . "/runs.$version";
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });

    my $target = set_command('lacks', "echo %f >>$runs; echo there is no %f; echo \"not here\" >&2; exit 1");
    for my $options (['-n'], [])
    {
        unlink $runs;
        my $result = rewinds($target, $source, options => $options,
            not_foretold => 'the commands that run are counted');
        my $what = @$options ? 'a dry run' : 'a rewind';
        like($result->{stderr},
            qr/$announced(?:pg_rewind: detail: .*\n)*pg_rewind: detail: "restore_command" for "0000000\d\.history": there is no 0000000\d\.history\npg_rewind: detail: "restore_command" for "0000000\d\.history": not here$/m,
            "$what says so before it asks, and whose messages follow") or diag($result->{stderr});
        is(join('', grep { !/^pg_rewind: / } split /^/, $result->{stderr}), '', "$what: no line stands bare");
        cmp_ok(times_run(), '>', 1, 'it is asked for each file');
    }
    $target->discard;

    $target = set_command('fails',
        "echo %f >>$runs; test %p = pg_wal/RECOVERYHISTORY -o %p = pg_wal/RECOVERYXLOG && exit 1; exit 127");
    my $result = rewinds($target, $source, options => ['-n'], not_foretold => 'the commands that run are counted');
    is(times_run(), 1, 'one that fails is run once');
    is(scalar(() = $result->{stderr}
        =~ /^pg_rewind: warning: "restore_command" failed: command not found\npg_rewind: detail: The target's own "restore_command" is not asked again\.$/mg),
        1, 'and a warning says so');
    unlink $runs;
    $target->start;
    # With the target's own start command such a failure is an error before the stop.
    my $start = "$target->{bindir}/pg_ctl -D $target->{dir}/data -l $target->{dir}/log -w -o '-k $target->{dir}' start";
    $result = run([ rewind_argv($target->data, '--rejoin', '--no-sync', '-B', $target->bindir,
        "--start-command=$start", '--source-server', $source->conninfo) ]);
    is($result->{status}, 0, '--rejoin, which looks before it stops the server, and again after that')
        or diag($result->{stderr});
    is(scalar(() = $result->{stderr} =~ /^pg_rewind: warning: "restore_command" failed/mg), 1, 'one warning')
        or diag($result->{stderr});
    $target->discard;
}, from => 12);
