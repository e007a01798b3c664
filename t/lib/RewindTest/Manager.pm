# Nodes of a real manager on this machine: what the tests in t/managers share.
#
#   my $node = RewindTest::Manager->new('one');       # a directory, a port, a directory of programs
#   $node->start_program(['patroni', ...], env => { ... }); # in the background; its output goes to
#   $node->log_path('patroni')
#   $node->interrupt('kill:40');                      # the next call of pg_rewind; see tests/faults/faults.c
#   my @calls = $node->calls('pg_rewind');            # { program, pid, arguments, began, ended, status, stderr, fault }
#   $node->kill_all;                                  # every process of the node: the machine loses its power
#   my @clients = start_clients($primary); # that commit; clients_are_saved($old, $new, @clients) after the failover
#
# Directories:  DIR/data  DIR/bin  DIR/calls (what the wrappers note)  DIR/*.log
#
# DIR/bin has links to the programs of Debian's PostgreSQL 15. pg_rewind and pg_basebackup there are scripts that note
# each call and its end, and run the real program. A node is a RewindTest::Cluster: sql, query, is_copy_of and the like
# work on it.

package RewindTest::Manager;

use strict;
use warnings;

use parent -norequire, 'RewindTest::Cluster';

use Exporter ();
use POSIX ();
use RewindTest;
use RewindTest::Command qw(free_port);
use RewindTest::LostRows qw(saved_rows run_script);
use Time::HiRes ();

our @EXPORT = qw(free_port follows no_base_backup shown_calls make_table_of_clients start_clients clients_are_saved);
sub import { goto &Exporter::import }

use constant PROGRAMS => '/usr/lib/postgresql/15/bin';
use constant MARK => 'PG_REWIND_TEST_NODE';    # in the environment of a node's processes

my $owner_pid = $$;
my @nodes;

# Options: port => number, data => directory, user => who connects, settings => more connection parameters.
sub new
{
    my ($class, $name, %option) = @_;
    my $dir = work_dir() . "/$name";
    mkdir $dir or die "could not create $dir: $!";
    my $self = bless {
        name => $name, version => 15, dir => $dir, bindir => "$dir/bin", data => $option{data} // "$dir/data",
        port => $option{port} // free_port(), user => $option{user} // 'postgres', settings => $option{settings}
        // '', faults => 0, programs => [], writers => [],
    }, $class;
    mkdir "$dir/$_" or die "could not create $dir/$_: $!" for qw(bin calls tmp);
    symlink($_, "$dir/bin/" . (m{([^/]+)$})[0]) or die "could not link $_: $!" for glob(PROGRAMS . '/*');
    $self->wrap('pg_rewind', $ENV{PG_REWIND});
    $self->wrap('pg_basebackup', PROGRAMS . '/pg_basebackup');
    push @nodes, $self;
    return $self;
}

sub data { return $_[0]{data} }
sub port { return $_[0]{port} }
sub log_path { my ($self, $name) = @_; return "$self->{dir}/" . ($name // 'postgres') . '.log' }
sub log { my ($self, $name) = @_; return -e $self->log_path($name) ? slurp($self->log_path($name)) : '' }

sub conninfo
{
    my ($self, $database) = @_;
    return "host=127.0.0.1 port=$self->{port} user=$self->{user} dbname=" . ($database // 'postgres')
        . " connect_timeout=5 $self->{settings}";
}

# ---------------------------------------------------------------- the wrapped programs

# Put a script in the place of a program: it notes begin and end of each call, and does what interrupt and delay ask
# for.
sub wrap
{
    my ($self, $name, $program) = @_;
    my $path = "$self->{bindir}/$name";
    unlink $path;
    spew($path, <<"END" . <<'END');
#!/usr/bin/perl
my (\$name, \$program, \$calls, \$faults) = ('$name', '$program', '$self->{dir}/calls', '@{[ $ENV{PG_REWIND_FAULTS} // '' ]}');
END
use strict;
use warnings;
use Time::HiRes qw(time sleep);

exec $program, @ARGV if grep { /^(--help|--version|-V|-\?)$/ } @ARGV;

sub note
{
    open(my $file, '>>', "$calls/log") or die "$calls/log: $!";
    syswrite $file, join("\t", time, $name, $$, @_) . "\n";
}

my ($fault) = $name eq 'pg_rewind' ? map { my $taken = "$calls/taken.$$"; rename($_, $taken) ? `cat $taken` : () } (sort glob "$calls/fault.*")[0] // () : ();
$fault //= '';
note('begin', $fault, @ARGV);
sleep $1 if $fault =~ s/^delay:([\d.]+)//;
# Unbuffered, as the program's own: what it says when it dies is there.
my $errors = "$calls/$name.$$.stderr";
my $wrapper = $$;
my $pid = fork() // die "could not fork: $!";
if ($pid == 0)
{
    open(STDERR, '>', $errors) or die "$errors: $!";
    my $each_time = $fault =~ s/^each-time://;
    @ENV{qw(LD_PRELOAD PG_REWIND_FAULT)} = ($faults, $fault) if $fault ne '';
    $ENV{PG_REWIND_FAULT_ONCE} = "$calls/taken.$wrapper" if !$each_time;
    # The kernel lets a stopped process go on when its manager dies, unless it is in a group of its own.
    setpgrp(0, 0) if $fault =~ /^stop:/;
    exec { $program } $program, @ARGV;
    exit 127;
}
note('pid', $pid);
$SIG{$_} = sub { kill $_[0], $pid } for qw(INT TERM HUP QUIT);
1 while waitpid($pid, 0) == -1 && $!{EINTR};
my $status = $?;
open(my $said, '<', $errors) or die "$errors: $!";
print STDERR <$said>;
note('end', $status & 127 ? 128 + ($status & 127) : $status >> 8);
$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP QUIT);
kill $status & 127, $$ if $status & 127;
exit $status >> 8;
END
    chmod 0755, $path;
    return;
}

# What the next call that has no fault yet meets: what tests/faults/faults.c knows, or 'delay:SECONDS' before it begins.
# The program runs its work again by itself after a kill: it is met once by each call, with 'each-time:' before it by
# each of its processes.
sub interrupt
{
    my ($self, $fault) = @_;
    my $path = sprintf "%s/calls/fault.%04d", $self->{dir}, ++$self->{faults};
    spew("$self->{dir}/calls/new", $fault);
    rename("$self->{dir}/calls/new", $path) or die;
    return $self;
}

# Faults that no call has met.
sub faults_left { my ($self) = @_; return scalar(my @left = glob "$self->{dir}/calls/fault.*") }

# The calls of a program so far; one that runs has no status. One that was killed has 128 and its signal, as in a shell.
# One whose wrapper was killed with it has none either.
sub calls
{
    my ($self, $program) = @_;
    my $path = "$self->{dir}/calls/log";
    my (%call, @calls);
    for my $line (split /\n/, -e $path ? slurp($path) : '')
    {
        my ($time, $name, $wrapper, $what, @rest) = split /\t/, $line;
        if ($what eq 'begin')
        {
            $call{$wrapper} = { program => $name, wrapper => $wrapper, began => $time, fault => shift(@rest),
                arguments => [@rest],
                stderr => "$self->{dir}/calls/$name.$wrapper.stderr" };
            push @calls, $call{$wrapper};
        }
        elsif ($what eq 'pid') { $call{$wrapper}{pid} = $rest[0] }
        else { @{ $call{$wrapper} }{qw(status ended)} = ($rest[0], $time) }
    }
    return grep { !defined $program || $_->{program} eq $program } @calls;
}

# For diagnostics, and for tests of how often and how it ended: "pg_rewind 137, pg_rewind 0".
sub shown_calls
{
    my ($self) = @_;
    return join ', ', map { "$_->{program} " . ($_->{status} // 'has not ended') } $self->calls;
}

# Wait until the number-th call (from 1) of pg_rewind has stopped itself at a fault 'stop:...'; returns its process id.
sub wait_for_stop
{
    my ($self, $number) = @_;
    my $pid;
    wait_until(sub { "pg_rewind stops itself; calls: " . $self->shown_calls }, sub {
        my $call = ($self->calls('pg_rewind'))[ $number - 1 ] or return 0;
        return 0 if !$call->{pid};
        # The work may be done by a child of it.
        ($pid) = grep { state_of($_) eq 'T' } $call->{pid}, children_of($call->{pid});
        return defined $pid;
    });
    return $pid;
}

# ---------------------------------------------------------------- processes

sub stat_of
{
    my ($pid) = @_;
    my ($state, $parent) = process_file($pid, 'stat') =~ /\) (\S) (\d+)/;
    return ($state // '', $parent // 0);
}

sub state_of { return (stat_of($_[0]))[0] }

sub children_of
{
    my ($pid) = @_;
    return grep { (stat_of($_))[1] == $pid } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# Run a program in the background. Options: name => of its log; env => { }; directory => where; writes => 1 for one that
# writes to the database by itself. Returns its process id.
sub start_program
{
    my ($self, $argv, %option) = @_;
    my $name = $option{name} // ($argv->[0] =~ m{([^/]+)$})[0];
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        setpgrp(0, 0);
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', $self->log_path($name)) or POSIX::_exit(126);
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(126);
        chdir($option{directory} // $self->{dir}) or POSIX::_exit(126);
        my %env = $self->environment(%{ $option{env} // {} });
        local @ENV{ keys %env } = values %env;
        { no warnings 'exec'; exec { $argv->[0] } @$argv; }
        print STDERR "could not run $argv->[0]: $!\n";
        POSIX::_exit(127);
    }
    push @{ $self->{programs} }, $pid;
    push @{ $self->{writers} }, $pid if $option{writes};
    return $pid;
}

# What marks a process as one of this node, and lets it find its programs. Each rewind saves what is lost;
# $node->{rewind_options} has more options.
sub environment
{
    my ($self, %more) = @_;
    return (MARK, $self->{dir}, PATH => "$self->{bindir}:/usr/bin:/bin", HOME => $self->{dir},
        TMPDIR => "$self->{dir}/tmp", LC_ALL => 'C',
        PG_REWIND_OPTIONS => join(' ', "--save-lost-rows=$self->{dir}/lost", $self->{rewind_options} // ()), %more);
}

# Run a command of the node to its end: as RewindTest::Command::run.
sub run_program
{
    my ($self, $argv, %option) = @_;
    return run($argv, %option, env => { $self->environment(%{ $option{env} // {} }) });
}

# All processes that work in the node's directory, as servers do, or have its mark. (A server's children write over
# their environment.)
sub processes
{
    my ($self) = @_;
    my $dir = $self->{dir};
    my @found;
    for my $pid (map { m{(\d+)$} } glob '/proc/[0-9]*')
    {
        next if $pid == $$ || state_of($pid) eq 'Z';
        my $place = readlink("/proc/$pid/cwd") // next;
        my $environment = process_file($pid, 'environ');
        push @found, $pid if "$place/" =~ m{^\Q$dir\E/} || $environment =~ /(?:^|\0)@{[MARK]}=\Q$dir\E(?:\0|$)/;
    }
    return @found;
}

# kill -9 of everything at once, again until nothing is left: some start others. A held one comes first: when its parent
# is gone the kernel lets it go on, and it may do the rest of its work before it is killed.
sub kill_all
{
    my ($self) = @_;
    wait_until("all processes of $self->{name} are gone", sub {
        my @left = $self->processes;
        my @held = grep { state_of($_) eq 'T' } @left;
        kill 'STOP', @left;
        kill 'KILL', @held, @left;
        waitpid($_, POSIX::WNOHANG()) for @{ $self->{programs} };
        return !@left;
    });
    @{$self}{qw(programs writers)} = ([], []);
    return $self;
}

# The same for the server alone: its manager sees it crash.
sub kill_server
{
    my ($self) = @_;
    $self->kill_all_processes if $self->postmaster_pid;
    return $self;
}

sub discard
{
    my ($self) = @_;
    $self->kill_all;
    if ($ENV{PG_REWIND_TEST_KEEP})
    {
        my $kept = ($ENV{TMPDIR} // '/tmp') . '/kept';
        mkdir $kept;
        system('cp', '-a', $self->{dir}, "$kept/$$-$self->{name}-" . int Time::HiRes::time());
    }
    system('rm', '-rf', $self->{dir});
    @nodes = grep { $_ != $self } @nodes;
    return;
}

sub discard_nodes { $_->discard for my @all = reverse @nodes; return }

sub END
{
    return if $$ != $owner_pid;
    local $?;
    eval { discard_nodes() };
}

# ---------------------------------------------------------------- how it ended

sub answers { my ($self) = @_; return $self->try_sql('SELECT 1')->{stdout} eq "1\n" }

sub is_primary { my ($self) = @_; return $self->try_sql('SELECT pg_is_in_recovery()')->{stdout} eq "f\n" }

# Stop the daemons that write to the database (writes => 1 of start_program) and what they have started, and wait for
# what they have sent to the primary. Returns what lets them go on: their process groups, for kill 'CONT'.
sub hold_writers
{
    my ($primary) = @_;
    my @groups = map { -$_ } map { @{ $_->{writers} } } @nodes;
    kill 'STOP', @groups;
    wait_until('nobody else writes to the primary', sub {
        return $primary->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()")
            eq '0';
    });
    return @groups;
}

# Test that a node comes to stream from the primary, receives what is written there now, and is equal in every table.
my $letters = 0;

sub follows
{
    my ($node, $primary) = @_;
    my $letter = "$node->{name} " . ++$letters;
    my $arrived = eval {
        wait_until(sub { "$node->{name} follows $primary->{name}; calls: " . $node->shown_calls }, sub {
            return $primary->try_sql("CREATE TABLE IF NOT EXISTS letters (letter text); INSERT INTO letters VALUES ('$letter')")->{status}
                == 0;
        });
        wait_until(sub { "$node->{name} follows $primary->{name}; calls: " . $node->shown_calls }, sub {
            $node->try_sql("SELECT pg_is_in_recovery(), count(*) FROM letters WHERE letter = '$letter'")->{stdout}
                eq "t|1\n";
        });
        1;
    };
    Test::More::ok($arrived, "$node->{name} follows $primary->{name}") or do { Test::More::diag($@); return 0 };
    # A manager's daemon writes down what it saw, but not while tables are compared.
    my @held = hold_writers($primary);
    $node->wait_for_replay_of($primary);
    is_copy_of($node, $primary, quick => 1);
    kill 'CONT', @held;
    return 1;
}

# Test that no base backup was made for this node but those of before.
sub no_base_backup
{
    my ($node, $before) = @_;
    is(scalar($node->calls('pg_basebackup')), $before // 0, "$node->{name} needed no base backup");
    return;
}

# ---------------------------------------------------------------- commits that clients were told of

# Each client makes its changes one after the other, each with its number in one transaction. The number of the last one
# of each is in a table.
use constant CLIENTS => 3;
my $clients_of = 0;

sub change_of_client
{
    my ($client, $number) = @_;
    my ($id, $kind) = ($client * 1_000_000 + int($number / 3), $number % 3);
    return $kind == 0 ? ('I', undef, [ $id, "made by $number" ], "INSERT INTO paid VALUES ($id, 'made by $number')")
        : $kind == 1 ? ('U', [ $id, 'made by ' . ($number - 1) ], [ $id, "changed by $number" ],
            "UPDATE paid SET v = 'changed by $number' WHERE id = $id")
        : $id % 2 ? ('D', [ $id, 'changed by ' . ($number - 1) ], undef, "DELETE FROM paid WHERE id = $id")
        :           ('I', undef, [ -$id, "also by $number" ], "INSERT INTO paid VALUES (-$id, 'also by $number')");
}

sub make_table_of_clients
{
    my ($primary) = @_;
    $clients_of++;
    $primary->sql("DROP TABLE IF EXISTS paid, progress; CREATE TABLE paid (id integer PRIMARY KEY, v text); CREATE TABLE progress (client integer PRIMARY KEY, number integer);"
        . ' INSERT INTO progress SELECT n, -1 FROM generate_series(1, ' . CLIENTS . ') n');
    return;
}

# They go on until the server dies. Each notes a number once the server has told it that this is committed.
sub start_clients
{
    my ($primary) = @_;
    return map {
        my $client = $_;
        my ($script, $name) = ("$primary->{dir}/client$clients_of.$client", "client$clients_of.$client");
        spew($script, join '', map { my $sql = (change_of_client($client, $_))[3];
            "BEGIN; $sql; UPDATE progress SET number = $_ WHERE client = $client; COMMIT;\n\\echo $_\n" } 0 .. 30_000);
        $primary->start_program([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $primary->conninfo, '-f', $script ],
            name => $name);
        $primary->log_path($name);
    } 1 .. CLIENTS;
}

# What a client was told.
sub told_client { my ($path) = @_; my ($last) = slurp($path) =~ /(?:^|\n)(\d+)\n(?:(?!\d+\n).*\n?)*\z/; return $last
    // -1 }

sub progress { my ($node) = @_; return map { split /\|/ } split /\n/,
    $node->sql('SELECT client, number FROM progress') }

# Test that what each client was told is committed is on the new primary, or in the file of the rewind, row for row; and
# that the script of that brings it to the new primary.
sub clients_are_saved
{
    my ($old, $new, @clients) = @_;
    my %replicated = progress($new);
    my ($file) = sort { -M $a <=> -M $b } glob "$old->{dir}/lost/lost-*.jsonl";
    ok(defined $file, 'the rewind has saved the lost rows') or return;
    my ($transactions) = saved_rows($file);
    my (%saved, %last);
    for my $transaction (@$transactions)
    {
        my ($change, $progress) = @{ $transaction->{changes} };
        next if !$progress || $progress->{table} ne 'public.progress';
        my ($client, $number) = map { $_->[2] } @{ $progress->{new} };
        my $row = sub { my ($columns) = @_; return $columns ? join ':', map { $_->[2] } @$columns : '-' };
        push @{ $saved{$client} }, join ' ', $number, $change->{kind}, $row->($change->{old}), $row->($change->{new});
    }
    my $lost = 0;
    for my $client (1 .. @clients)
    {
        my $told = told_client($clients[ $client - 1 ]);
        my @saved = @{ $saved{$client} // [] };
        # One more may be committed: the server died before it could tell.
        $last{$client} = $replicated{$client} + @saved;
        cmp_ok($last{$client}, '>=', $told,
            "what client $client was told is on the new primary ($replicated{$client}), or saved (" . @saved . ')');
        my @expected = map { my ($kind, @rows) = change_of_client($client, $_); join ' ', $_, $kind,
            map { $_ ? join ':', @$_ : '-' } @rows[ 0, 1 ] } $replicated{$client} + 1 .. $last{$client};
        is(join("\n", @saved), join("\n", @expected), 'row for row');
        $lost += @saved;
    }
    cmp_ok($lost, '>', 0, "clients were told of commits that are lost ($lost)");
    is(run_script($new, $file =~ s/jsonl$/sql/r), '', 'the script finds no conflict');
    is_deeply({ progress($new) }, \%last, 'it brings them all to the new primary');
    my %rows;
    for my $client (1 .. @clients)
    {
        for my $number (0 .. $last{$client})
        {
            my (undef, $before, $after) = change_of_client($client, $number);
            delete $rows{ $before->[0] } if $before;
            $rows{ $after->[0] } = $after->[1] if $after;
        }
    }
    is_deeply({ map { split /\|/ } split /\n/, $new->sql('SELECT id, v FROM paid') }, \%rows,
        'with the rows as the clients left them');
    return;
}

1;
