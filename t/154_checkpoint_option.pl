# With --checkpoint the source runs CHECKPOINT, where recovery must or shall start later than at its last one; the role
# must be allowed to, and a dry run does without. (Where recovery starts. Source is a server: promoted a moment ago; a
# standby.)
#
#   source       ─ R ── copy ──┬──── 2 ── template changed ── C ─▶      replayed from R on, the copy would be wrong; from C on not
#   target   1 ──────── copy ──┴──── 1 ─▶
# (Rules C33, C41, C99.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

# The checkpoint that follows a promotion takes an hour, and is held when it has begun; standbys make no restartpoint.
my $slow =
    "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0";
my $ran = qr/^pg_rewind: running CHECKPOINT on the source$/m;
my $advice =
    "Add --checkpoint: pg_rewind then runs CHECKPOINT on the source\\.\n"
    . 'pg_rewind: hint: One that is run before may remove WAL that the target needs\.';
my @quick = ('--no-sync', '--wait-timeout=2');

my $role = rewinding_role('rewinder');

sub files { my ($cluster) = @_; return $cluster->version >= 15 ? 'STRATEGY = FILE_COPY' : '' }

sub before
{
    my ($primary) = @_;
    $primary->sql('CREATE DATABASE mould');
    $primary->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 3000) i', 'mould');
    $primary->sql('CREATE TABLE t (a int, b text)');
    $primary->sql($role) if $primary->version >= 11;
    return;
}

sub together
{
    my ($primary) = @_;
    $primary->sql('CREATE DATABASE copied TEMPLATE mould ' . files($primary));
    $primary->sql(q{INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i});
    return;
}

sub is_refused
{
    my ($result, $error, $hint) = @_;
    is($result->{status}, 1, 'refused');
    like($result->{stderr}, qr/^pg_rewind: error: $error/m, 'with the reason');
    like($result->{stderr}, qr/^pg_rewind: hint: $hint$/m, 'and what to do');
    return;
}

# One that was promoted a moment ago.
sub promoted
{
    my ($source, $target) = @_;
    my $timeline = sub { $source->query('SELECT timeline_id FROM pg_control_checkpoint()') };

    is_refused(rewind($target, $source, options => \@quick),
        'replay would copy database \d+ from database \d+, which the source has changed since', $advice);
    if ($source->version >= 11)
    {
        is_refused(rewind($target, $source, user => 'rewinder', options => [ @quick, '--checkpoint' ]),
            'the role may not run CHECKPOINT on the source server',
            'For --checkpoint it must be a superuser or, .* pg_checkpoint:\n    GRANT pg_checkpoint TO .*;');
    }
    my $dry = rewind($target, $source, options => [ @quick, '--checkpoint', '--dry-run' ]);
    is($dry->{status}, 0, 'a dry run succeeds') or diag($dry->{stderr});
    like($dry->{stderr}, qr/^pg_rewind: not running CHECKPOINT on the source in a dry run/m,
        'and says what it did not do');
    # It would be run for the late start, and without that one again for the replay that would go wrong.
    $dry = rewind($target, $source, options => [ @quick, '--checkpoint', '--late-start', '--dry-run' ]);
    is($dry->{status}, 0, 'a dry run with --late-start succeeds') or diag($dry->{stderr});
    is(scalar(() = $dry->{stderr} =~ /^pg_rewind: not running CHECKPOINT on the source in a dry run/mg), 1,
        'and says once what it did not do');
    is($timeline->(), 1, 'the source has completed no checkpoint up to here');
    kill 'CONT', $source->checkpointer_pid;

    my $rewound = $target->copy('from_promoted');
    my %user;
    if ($source->version >= 15)
    {
        $source->sql('GRANT pg_checkpoint TO rewinder');
        %user = (user => 'rewinder');
    }
    like(rewinds($rewound, $source, %user, options => [ @quick, '--checkpoint' ])->{stderr}, $ran, 'CHECKPOINT is run');
    is($timeline->(), 2, 'the source has a checkpoint');
    return $rewound;
}

sub write_torn_pages
{
    my ($cluster) = @_;
    for my $setting (qw(off on))
    {
        $cluster->set_full_page_writes($setting);
        $cluster->sql('INSERT INTO t VALUES (1)');
    }
    return;
}

sub only_where_needed
{
    my ($source, $target) = @_;
    my $rewound = $target->copy('not_needed');
    unlike(rewinds($rewound, $source, options => [ @quick, '--checkpoint', '--late-start' ])->{stderr}, $ran,
        'a checkpoint that will do is there');
    $rewound->discard;
    write_torn_pages($source);
    is_refused(rewind($target, $source, options => \@quick), '"full_page_writes" must be enabled in the source server',
        $advice);
    # What is made before that checkpoint is in no list of files that came along with an earlier question.
    $rewound = $target->copy('torn_pages');
    my $run = hold($rewound, $source, 'create@*/source.*', @quick, '--checkpoint');
    $source->sql('CREATE TABLE made_meanwhile AS SELECT i FROM generate_series(1, 500) i');
    my $result = go_on($run);
    is($result->{status}, 0, 'pg_rewind succeeds while the source makes a table') or diag($result->{stderr});
    like($result->{stderr}, $ran, 'CHECKPOINT is run behind what may be torn');
    return $rewound;
}

sub standby
{
    my ($primary, $target) = @_;
    my $standby = $primary->standby('standby');
    my $copy_again = sub { $primary->sql("CREATE DATABASE copied_$_[0] TEMPLATE mould " . files($primary)) };
    $copy_again->('first');
    $primary->sql('INSERT INTO t VALUES (1)', 'mould');
    $standby->wait_for_replay_of($primary);
    my $changed = 'replay would copy database \d+ from database \d+, which the source has changed since';
    is_refused(rewind($target, $standby, options => \@quick), $changed, $advice);
    my $rewound = $target->copy('from_standby');
    like(rewinds($rewound, $standby, options => [ @quick, '--checkpoint' ])->{stderr}, $ran,
        'a standby makes a restartpoint');
    rejoins($rewound, $standby, writer => $primary, quick => 1);

    write_torn_pages($primary);
    $standby->wait_for_replay_of($primary);
    is_refused(rewind($target, $standby, options => [ @quick, '--checkpoint' ],
        not_foretold => 'a dry run makes no restartpoint'),
        '"full_page_writes" must be enabled in the source server',
        "A standby makes no later checkpoint than its primary's last one: run CHECKPOINT on the primary, then run pg_rewind again\\.");
    $primary->sql('CHECKPOINT');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version, cluster => { settings => $slow }, before => \&before,
        together => \&together,
        no_checkpoint => 1,
        source => sub { $_[0]->hold_first_checkpoint->sql('INSERT INTO t SELECT generate_series(1, 9000)', 'mould') },
        target => sub { $_[0]->sql("UPDATE t SET a = -a; INSERT INTO t SELECT generate_series(1, 9000)", $_)
            for qw(mould copied) });
    my $rewound;
    subtest('promoted a moment ago', sub { $rewound = promoted($source, $target) });
    subtest('the copy is that of its time', sub {
        rejoins($rewound, $source,
            check => sub { is($_[0]->query('SELECT count(*), max(a) FROM t', 'copied'), '3000|3000', 'rows') });
    });
    subtest('a standby', sub { standby($source, $target) });
    subtest('only where it is needed', sub { $rewound = only_where_needed($source, $target) });
    rejoins($rewound, $source, quick => 1);
}, only => [ 10, 14, 15, 18, 19 ]);    # from 15 on a role may be allowed to
