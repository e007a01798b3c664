# pg_auto_failover: a monitor and its nodes, whose keepers call pg_rewind, and take a base backup when it fails.

use strict;
use warnings;

use File::Basename qw(dirname);
use POSIX ();
use RewindTest;
use RewindTest::Guide;
use RewindTest::Manager;

my $guide = slurp(dirname($ENV{PG_REWIND}) . '/docs/pg_auto_failover.md');
my $monitor;    # the monitor of the formation that is being tested

# What pg_autoctl finds its files by; its servers' sockets lie in the node's directory.
sub autoctl_environment
{
    my ($node) = @_;
    my $dir = $node->{dir};
    return (XDG_RUNTIME_DIR => "$dir/tmp", PG_REGRESS_SOCK_DIR => $dir, PGHOST => $dir);
}

sub autoctl
{
    my ($node, @arguments) = @_;
    my $result = $node->run_program([ 'pg_autoctl', @arguments, '--pgdata', $node->data ],
        env => { autoctl_environment($node) });
    is($result->{status}, 0, "pg_autoctl @arguments[0, 1]") or diag($result->{stdout}, $result->{stderr});
    return $result->{stdout};
}

sub start_keeper
{
    my ($node) = @_;
    $node->{keeper} = $node->start_program([ 'pg_autoctl', 'run', '--pgdata', $node->data ], name => 'keeper',
        env => { autoctl_environment($node) });
    return;
}

# Short times, so that a failover takes seconds.
sub make_monitor
{
    $monitor = RewindTest::Manager->new('monitor', user => 'autoctl_node');
    autoctl($monitor, 'create', 'monitor', '--pgport', $monitor->port, '--hostname', '127.0.0.1', '--auth', 'trust',
        '--no-ssl',
        '--pgctl', $monitor->bindir . '/pg_ctl');
    append($monitor->path('postgresql.conf'), <<'END');
fsync = off
pgautofailover.health_check_period = 500
pgautofailover.health_check_timeout = 1000
pgautofailover.health_check_max_retries = 1
pgautofailover.health_check_retry_delay = 300
pgautofailover.node_considered_unhealthy_timeout = 3000
pgautofailover.startup_grace_period = 500
pgautofailover.primary_demote_timeout = 2000
END
    start_keeper($monitor);
    wait_until('the monitor answers', sub { $monitor->answers });
    return;
}

sub make_node
{
    my ($name) = @_;
    my $node = RewindTest::Manager->new($name);
    autoctl($node, 'create', 'postgres', '--pgport', $node->port, '--name', $name, '--hostname', '127.0.0.1', '--auth',
        'trust', '--no-ssl',
        '--pgctl', $node->bindir . '/pg_ctl', '--monitor', 'postgres://autoctl_node@127.0.0.1:' . $monitor->port
        . '/pg_auto_failover?sslmode=disable');
    start_keeper($node);
    return $node;
}

# What the monitor says of its nodes: name => "reported state, assigned state".
sub states
{
    return map { split /\|/ } split /\n/,
        $monitor->try_sql("SELECT nodename, reportedstate || ', ' || goalstate FROM pgautofailover.node",
        'pg_auto_failover')->{stdout};
}

# Wait until the monitor has nothing more to do: only then does it fail over when the primary is lost.
sub is_settled
{
    my ($primary, @standbys) = @_;
    my %wanted = ($primary->{name} => 'primary, primary', map { $_->{name} => 'secondary, secondary' } @standbys);
    my %is;
    my $settled = eval {
        wait_until('the formation settles', sub { %is = states(); !grep { ($is{$_} // '') ne $wanted{$_} }
            keys %wanted });
        1;
    };
    ok($settled, "$primary->{name} is the primary, the others follow")
        or diag($@, map { "$_: $is{$_}\n" } sort keys %is);
    return $settled;
}

# (A promoted node is read-only until its keeper has looked.)
sub is_writable { my ($node) = @_; return $node->try_sql('SHOW transaction_read_only')->{stdout} eq "off\n" }

sub wait_for_primary
{
    my (@candidates) = @_;
    my $primary;
    wait_until(sub { my %is = states(); "one of them is promoted; " . join ', ', map { "$_: $is{$_}" } sort keys %is },
        sub { ($primary) = grep { is_writable($_) } @candidates });
    return $primary;
}

# The machine of the primary is lost, with commits that nobody else has; it comes back when there is another primary.
# Returns that.
#   faults => [ what its calls of pg_rewind meet ]
#   before_start => sub     while it is away
sub crash
{
    my ($old, $standbys, %option) = @_;
    my @receivers;
    wait_until('the standbys receive',
        sub { @receivers = map { split /\n/, $_->query('SELECT pid FROM pg_stat_wal_receiver') } @$standbys; @receivers
        == @$standbys });
    stop_in_system_call(@receivers);
    $old->sql("SET synchronous_commit = local; INSERT INTO t SELECT i, 'lost' FROM generate_series(1, 3000) i;
        CREATE TABLE lost AS SELECT * FROM t; SELECT pg_switch_wal(); CHECKPOINT; UPDATE t SET v = 'lost too'");
    $old->kill_all;
    # What waits in the socket is not read by one that is to end.
    kill 'TERM', @receivers;
    kill 'CONT', @receivers;
    my $new = wait_for_primary(@$standbys);
    $new->sql("INSERT INTO t SELECT i, 'new' FROM generate_series(1, 1000) i");
    $option{before_start}->() if $option{before_start};
    unlink glob "$old->{dir}/calls/fault.*";    # what no call has met
    $old->interrupt($_) for @{ $option{faults} // [] };
    $old->{calls_before} = [ $old->calls ];
    start_keeper($old);
    return $new;
}

sub new_calls
{
    my ($node, $program) = @_;
    my @calls = $node->calls;
    splice @calls, 0, scalar @{ $node->{calls_before} };
    return grep { !defined $program || $_->{program} eq $program } @calls;
}

sub shown { my ($node) = @_; return join ', ', map { "$_->{program} " . ($_->{status} // 'has not ended') }
    new_calls($node) }

# Test that the node follows, has lost what was to be lost, and was rewound; a base backup is not needed but for
# base_backup => 1.
sub rejoined
{
    my ($old, $new, %option) = @_;
    follows($old, $new);
    is($old->query("SELECT count(*) FROM t WHERE v LIKE 'lost%'"), '0', 'what was lost is lost');
    my $shown = shown($old);
    like($shown, $option{base_backup} ? qr/pg_rewind [1-9]\d*, pg_basebackup 0$/ : qr/^((?!basebackup).)*pg_rewind 0$/,
        'pg_rewind has done it')
        or diag(map { "--- " . slurp($_->{stderr}) } new_calls($old, 'pg_rewind'));
    note($shown);
    return;
}

# ---------------------------------------------------------------- what holds things up

# The process of a node that shows this title or name.
sub process_of
{
    my ($node, $title) = @_;
    return grep { process_file($_, 'cmdline') =~ /^\Q$title\E/ } $node->processes;
}

# Wait until a call of pg_rewind has begun.
sub wait_for_call
{
    my ($node, $number) = @_;
    wait_until("pg_rewind is called $number times", sub { new_calls($node, 'pg_rewind') >= $number });
    return;
}

# Test that a log has each line of the guide's block of this kind.
sub shows_lines
{
    my ($log, $kind) = @_;
    my ($lines) = map { $_->{kind} eq "text $kind" ? $_->{text} : () } blocks_of($guide);
    my @missing = grep { my $line = $_; !grep { shows("$_\n", "…$line…\n") } split /\n/, $log } split /\n/, $lines;
    is(join("\n", @missing), '', 'the log shows what the guide shows');
    return;
}

# Wait until it has stopped itself at a fault.
sub wait_for_stop
{
    my ($node) = @_;
    return $node->wait_for_stop(1 + grep { $_->{program} eq 'pg_rewind' } @{ $node->{calls_before} });
}

# The archive of a node that has lost from pg_wal what is older than its last checkpoint.
sub lose_wal
{
    my ($node) = @_;
    my $archive = "$node->{dir}/archive";
    mkdir $archive;
    my ($last) = must_run([ program('pg_controldata'), $node->data ], env => { LC_ALL => 'C' })
        =~ /REDO WAL file:\s+(\w+)/;
    my @old = grep { m{/([0-9A-F]{24})$} && substr($1, 8) lt substr($last, 8) } glob $node->path('pg_wal/*');
    cmp_ok(scalar @old, '>', 1, 'some segments are older');
    must_run([ 'mv', @old, $archive ]);
    return $archive;
}

# The path of a script that runs a command with the arguments it is given.
sub script
{
    my ($node, @command) = @_;
    my $path = "$node->{dir}/script";
    spew($path, "#!/bin/sh\nexec @command \"\$@\"\n");
    chmod 0755, $path;
    return $path;
}

# Run the number-th block of commands of the guide on a node, as its reader would.
sub follow_guide
{
    my ($node, $number, %variable) = @_;
    my @blocks = map { $_->{kind} eq 'sh' ? $_->{text} : () } blocks_of($guide);
    is(scalar @blocks, 2, 'all commands of the guide are run');
    my $result = $node->run_program([ 'sh', '-euc', $blocks[ $number - 1 ] ], env => {
        autoctl_environment($node), DATA => $node->data, PROGRAMS => "$node->{dir}/programs",
            PG_REWIND => "$node->{bindir}/pg_rewind", %variable });
    is($result->{status}, 0, 'the commands of the guide succeed') or diag($result->{stdout}, $result->{stderr});
    return;
}

my $before = 'kill:10';
my $amid = 'kill:rename@*/postmaster.pid;unlink@*';
my ($one, $two, $three);

# The primary, and the others.
sub roles
{
    my @nodes = grep { defined } $one, $two, $three;
    my $primary = wait_for_primary(@nodes);
    my @standbys = grep { $_ != $primary } @nodes;
    is_settled($primary, @standbys) or die "the formation is broken\n";
    return ($primary, @standbys);
}

my @scenarios = (
    [ 'the primary crashes with commits that were not replicated' => sub {
        my ($old, $new) = roles();
        crash($old, [$new]);
        rejoined($old, $new);
    } ],

    # The keeper lets the old server recover, tells it to stop, and does not wait for that: here its checkpointer takes
    # two seconds.
    [ 'the old server is still stopping when pg_rewind is called' => sub {
        my ($old, $new) = roles();
        crash($old, [$new]);
        my $checkpointer;
        wait_until('the old server recovers', sub { ($checkpointer) = process_of($old, 'postgres: checkpointer') });
        stop_in_system_call($checkpointer);
        wait_for_call($old, 1);
        sleep 2;
        kill 'CONT', $checkpointer;
        rejoined($old, $new);
    } ],

    [ 'pg_rewind is killed before its changes' => sub {
        my ($old, $new) = roles();
        crash($old, [$new], faults => [$before]);
        rejoined($old, $new);
    } ],

    [ 'pg_rewind is killed amid its changes' => sub {
        my ($old, $new) = roles();
        crash($old, [$new], faults => [$amid]);
        rejoined($old, $new);
    } ],

    [ 'pg_rewind is killed whenever it tries' => sub {
        my ($old, $new) = roles();
        crash($old, [$new], faults => ["each-time:$before"]);
        # The keeper itself never calls it again.
        rejoined($old, $new, base_backup => 1);
    } ],

    [ 'the node stops amid the changes' => sub {
        my ($old, $new) = roles();
        crash($old, [$new], faults => [ $amid =~ s/kill/stop/r ]);
        wait_for_stop($old);
        $old->kill_all;
        start_keeper($old);
        rejoined($old, $new);
    } ],

    [ 'the keeper dies, and the next one calls pg_rewind while the first call works' => sub {
        my ($old, $new) = roles();
        # Not held up by a stop: the kernel tells stopped processes to go on when those that started them die.
        $old->wrap('pg_rewind', script($old, $ENV{PG_REWIND}, '--max-rate=1M'));
        crash($old, [$new]);
        wait_for_call($old, 1);
        wait_until('the keeper is dead', sub {
            waitpid($_, POSIX::WNOHANG()) for @{ $old->{programs} };
            my @keeper = process_of($old, 'pg_autoctl');
            kill 'KILL', @keeper;
            return !@keeper;
        });
        start_keeper($old);
        wait_for_call($old, 2);
        rejoined($old, $new);
        $old->wrap('pg_rewind', $ENV{PG_REWIND});
    } ],

    [ 'WAL of the old primary is recycled' => sub {
        my ($old, $new) = roles();
        crash($old, [$new], before_start => sub { lose_wal($old) });
        # Nothing tells what the lost WAL has changed: the keeper takes a base backup, as it should.
        rejoined($old, $new, base_backup => 1);
        shows_lines($old->log('keeper'), 'failed');
    } ],

    [ 'more is lost than a limit allows' => sub {
        my ($old, $new) = roles();
        my $saved = sub { return join ' ', glob "$old->{dir}/lost/*" };
        my $before_crash = $saved->();
        crash($old, [$new], before_start => sub { $old->{rewind_options} = '--max-lost-transactions=1' });
        # As the guide says: the limit costs the directory, and what was lost is not saved.
        rejoined($old, $new, base_backup => 1);
        like($old->log('keeper'),
            qr/the rewind would discard more committed transactions than --max-lost-transactions=1 allows/,
            'the log says why');
        is($saved->(), $before_crash, 'no lost rows are saved');
        delete $old->{rewind_options};    # of the next keeper
    } ],

    [ 'WAL of the old primary is in the archive' => sub {
        my ($old, $new) = roles();
        # Both steps of the guide: a directory of programs, and there a script that adds what the keeper does not pass.
        crash($old, [$new], before_start => sub {
            lose_wal($old);
            follow_guide($old, 1);
            follow_guide($old, 2, ARCHIVE => "$old->{dir}/archive");
            # The node's own programs are not used any more.
            unlink "$old->{bindir}/pg_ctl" or die;
        });
        rejoined($old, $new);
        like((new_calls($old))[0]{arguments}[1], qr/^--wal-archive=/, 'with what the script adds');
        shows_lines($old->log('keeper'), 'log');
    } ],

    [ 'a switchover' => sub {
        my ($old, $new) = roles();
        $old->{calls_before} = [ $old->calls ];
        autoctl($monitor, 'perform', 'switchover');
        rejoined($old, $new);
    } ],

    # The last one: with a third node.
    [ 'the new primary of three dies amid the rewind' => sub {
        $three = make_node('three');
        my ($old, @standbys) = roles();
        my $new = crash($old, \@standbys, faults => [ $amid =~ s/kill/stop/r ]);
        my ($other) = grep { $_ != $new } @standbys;
        my $pid = wait_for_stop($old);
        wait_until(sub { join ', ', states() }, sub { my %is = states(); $is{ $other->{name} }
            eq 'secondary, secondary' });
        $new->kill_all;
        kill 'CONT', $pid;
        # The rewind ends without its source, and the rewound node may even be the one that is promoted.
        my $newest = wait_for_primary($old, $other);
        follows($_, $newest) for grep { $_ != $newest } $old, $other;
        is(shown($old), 'pg_rewind 0', 'pg_rewind has ended without its source');
        $new->{calls_before} = [ $new->calls ];
        start_keeper($new);
        rejoined($new, $newest);
    } ],
);

make_monitor();
$one = make_node('one');
wait_until('the first node is ready', sub { is_writable($one) });
$one->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 10000) i");
$two = make_node('two');

my $only = $ENV{PG_REWIND_TEST_ONLY} // '.';
for my $scenario (@scenarios)
{
    my ($name, $test) = @$scenario;
    next if $name !~ $only;
    # The next one begins where this one ends.
    last if !subtest($name, sub { eval { $test->(); 1 } or fail("the scenario came to its end: $@") });
}
done_testing();
