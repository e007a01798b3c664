# Run the original beside the program: before each rewind that a test makes, on a copy of the same target, with those of
# its options that the original knows. tests/beside.sh runs tests so, and makes a table of what differs.
#
# Where the original succeeds and the program does not, two things are found out: whether what the original left is
# right (as a standby of the source, and promoted), and whether the program succeeds without options of its own (but
# those that say how long it waits).
#
# PG_REWIND_TEST_ORIGINALS=DIRECTORY loads this: DIRECTORY/15/pg_rewind is the original of 15, with its postgres beside
# it; rows are added to DIRECTORY/rows.jsonl.

package RewindTest::Beside;

use strict;
use warnings;

use Cwd qw(abs_path);
use Fcntl ':flock';
use File::Basename qw(basename);
use File::Find ();
use Getopt::Long ();
use JSON::PP ();
use RewindTest::Cluster;
use RewindTest::Command;
use RewindTest::Comparison;
use Test::More;

my $originals = $ENV{PG_REWIND_TEST_ORIGINALS} // die "PG_REWIND_TEST_ORIGINALS names no directory\n";
our $busy = 0;     # what runs is this module's own
my $copies = 0;    # for their names

$RewindTest::Command::watch = \&watch;

# Called before a command runs; returns a function for its result, or nothing.
sub watch
{
    my ($argv, $option) = @_;
    return if $busy || $argv->[0] ne ($ENV{PG_REWIND} // '');
    local $busy = 1;
    my $row = { test => basename($0), lines => lines_of_test() };
    my $begun = eval { begin($row, $argv, $option) };
    return if $@ eq '' && !$begun;
    $row->{skipped} = $@ if $@ ne '';
    return sub {
        my ($result) = @_;
        local $busy = 1;
        @$row{qw(status said)} = @{ outcome($result) }{qw(status said)};
        eval { compare($row, $begun) if $begun; 1 } or $row->{judgement} = "not judged: $@";
        discard($_) for $begun ? @{ $begun->{copies} } : ();
        add_row($row);
    };
}

# What is known before the program runs; nothing if it is no rewind, dies where the original cannot be tried.
sub begin
{
    my ($row, $argv, $option) = @_;
    my @given = parse($argv);
    my %given = map { @$_ } @given;
    return if !defined $given{'target-pgdata'} || !defined($given{'source-pgdata'} // $given{'source-server'})
        || exists $given{check};
    my $ours = join ' ', map { $_->[0] . ($_->[1] =~ m{^(1|.*/.*|)$} ? '' : "=$_->[1]") }
        grep { $_->[0] !~ /^(source|target)-/ } @given;
    @$row{qw(kind options)} = (exists $given{'source-server'} ? 'server' : 'directory', $ours);
    my %env = %{ $option->{env} // {} };
    die "a fault is injected\n" if defined $env{LD_PRELOAD};

    my $target = cluster_in($given{'target-pgdata'}) // die "the target is no cluster of the test\n";
    my $source = exists $given{'source-pgdata'} ? cluster_in($given{'source-pgdata'})
        : $given{'source-server'} =~ /host='?([^' ]+)/ ? cluster_in("$1/data") : undef;
    $row->{version} = $target->version;
    die "the source is no cluster of the test\n" if !$source;
    die "the target runs\n" if $target->is_running;
    my $program = "$originals/$row->{version}/pg_rewind";
    die "there is no original\n" if !-x $program;

    my %known = map { $_ => 1 } keys %{ { options_of($program) } };
    my @arguments = map { "--$_->[0]" . ($known{ $_->[0] } && takes_value($program, $_->[0]) ? "=$_->[1]" : '') }
        grep { $known{ $_->[0] } && $_->[0] !~ /^(target-pgdata|dry-run)$/ } @given;
    my @patience = map { "--$_->[0]=$_->[1]" } grep { $_->[0] =~ /-timeout$/ } @given;
    my $begun = { target => $target, source => $source, env => \%env, arguments => [ @arguments, @patience ],
        copies => [] };
    my $theirs = copy($begun, $target);
    $begun->{restore_command} = setting($theirs, 'restore_command');
    my $result = run([ $program, '-D', $theirs->data, @arguments ], env => \%env);
    $row->{original} = outcome($result);
    # The program is going to change the target.
    $begun->{again} = copy($begun, $target) if $row->{original}{status} == 0;
    return $begun;
}

sub compare
{
    my ($row, $begun) = @_;
    return if $row->{original}{status} != 0 || $row->{status} == 0;
    $row->{without} = outcome(run([ $ENV{PG_REWIND}, '-D', $begun->{again}->data, @{ $begun->{arguments} } ],
        env => $begun->{env}));
    $row->{judgement} = judge($begun);
    return;
}

sub outcome
{
    my ($result) = @_;
    my @errors = grep { /error:|fatal:/ } split /\n/, $result->{stderr};
    my $nothing = $result->{stderr} =~ /^pg_rewind: (no rewind required)/m ? $1 : '';
    return { status => $result->{signal} ? "signal $result->{signal}" : $result->{status}, said => $errors[-1]
        // $nothing };
}

# ---------------------------------------------------------------- options

my %options;    # by program: name => specification for Getopt::Long

# The options of a program, as its help has them.
sub options_of
{
    my ($program) = @_;
    $options{$program} //= { map { /^ {2}(?:-(.), | {4})--([a-z-]+)(\[?=)?/
            ? ($2 => $2 . (defined $1 ? "|$1" : '') . (!defined $3 ? '' : $3 eq '=' ? '=s' : ':s')) : () }
        split /\n/, must_run([ $program, '--help' ]) };
    return %{ $options{$program} };
}

sub takes_value { my ($program, $name) = @_; return { options_of($program) }->{$name} =~ /=s$/ }

# Returns [ name, value ] of each option of a command of the program.
sub parse
{
    my ($argv) = @_;
    my ($program, @arguments) = @$argv;
    my @given;
    my $parser = Getopt::Long::Parser->new(config => [qw(bundling no_ignore_case pass_through)]);
    $parser->getoptionsfromarray(\@arguments, map { $_ => sub { push @given, [ "$_[0]", "$_[1]" ] } }
        values %{ { options_of($program) } });
    return @given;
}

# ---------------------------------------------------------------- clusters

sub cluster_in
{
    my ($directory) = @_;
    my $path = abs_path($directory) // return;
    my ($cluster) = grep { $path eq (abs_path($_->data) // '') } RewindTest::Cluster::all();
    return $cluster;
}

# A copy that shares no file with the cluster.
sub copy
{
    my ($begun, $cluster) = @_;
    my $copy = $cluster->copy('beside_' . ++$copies);
    push @{ $begun->{copies} }, $copy;
    my @links;
    File::Find::find({ no_chdir => 1, wanted => sub { push @links, $_ if -l } }, $copy->data);
    for my $link (@links)
    {
        my $there = abs_path($link);
        next if !defined $there || !-e $there || $there =~ m{^\Q$copy->{dir}\E/};
        my $here = "$copy->{dir}/linked_" . ++$copies;
        must_run([ 'cp', '-a', $there, $here ]);
        unlink $link;
        symlink($here, $link) or die "could not create $link: $!";
    }
    return $copy;
}

# Tests take rights away, which a copy has lost as well.
sub discard
{
    my ($copy) = @_;
    run([ 'chmod', '-R', 'u+rwX', $copy->dir ]);
    $copy->discard;
    return;
}

# The value that a cluster's own configuration files give a setting.
sub setting
{
    my ($cluster, $name) = @_;
    my $text = join "\n", map { -r $cluster->path($_) ? slurp($cluster->path($_)) : '' } qw(postgresql.conf
        postgresql.auto.conf);
    return ($text =~ /^\s*$name\s*=\s*(.*)$/mg)[-1];
}

# ---------------------------------------------------------------- is what the original left right?

# Returns 'right', or the names of the tests that failed, a line each. They are no tests of the file that runs.
sub judge
{
    my ($begun) = @_;
    my $said = '';
    local $Test::Builder::Test = Test::Builder->create;
    my $builder = Test::More->builder;
    $builder->$_(\$said) for qw(output failure_output todo_output);
    my $source = $begun->{source};
    if (!$source->is_running)
    {
        $source = copy($begun, $source);
        $source->configure('archive_mode = off');
        $source->start;
    }
    my $standby = $begun->{copies}[0];
    eval { is_right_standby($standby, $source, $begun->{restore_command}); 1 }
        or fail(join ': ', 'it does not follow', $@ =~ /(.*)/, ($standby->log =~ /\] (\w+: .*)/g)[-1] // ());
    return 'right' if $builder->is_passing;
    my %said;
    return join "\n", grep { !$said{$_}++ } $said =~ /^not ok \d+ - (.*)/mg;
}

sub is_right_standby
{
    my ($standby, $source, $restore_command) = @_;
    $standby->follow($source);
    # What is archived here must not reach an archive of the test. A manager gives the server the restore command that
    # it had before.
    append($standby->path('postgresql.auto.conf'), "archive_mode = off\n"
        . (defined $restore_command ? "restore_command = $restore_command\n" : ''));
    my ($fatal) = $standby->try_start->{status} == 0 ? () : ($standby->log =~ /((?:FATAL|PANIC): .*)/, 'too late');
    is($fatal, undef, 'the rewound target starts' . (defined $fatal ? ": $fatal" : '')) or return;
    $standby->wait_for_replay_of($source);
    wait_until('it streams', sub { $standby->query('SELECT status FROM pg_stat_wal_receiver') eq 'streaming' });
    is_copy_of($standby, $source);
    log_is_clean($standby);
    pages_are_sound($standby);
    my $prepared = prepared_transactions($source);
    $standby->promote;
    is(prepared_transactions($standby), $prepared, 'prepared transactions are those of the source');
    is_copy_of($standby, $source);
    log_is_clean($standby);
    pages_are_sound($standby);
    return;
}

# ---------------------------------------------------------------- rows

# The lines of the test file that led here, the innermost first.
sub lines_of_test
{
    my @lines;
    for (my $depth = 0; my @frame = caller($depth); $depth++)
    {
        push @lines, $frame[2] if $frame[1] eq $0 && ($lines[-1] // 0) != $frame[2];
    }
    return join ' < ', @lines;
}

sub add_row
{
    my ($row) = @_;
    my $text = JSON::PP->new->canonical->latin1->encode($row) =~ s{\Q@{[ work_dir() ]}\E/(?:beside_\d+)?}{}gr;
    open(my $file, '>>', "$originals/rows.jsonl") or die "could not open $originals/rows.jsonl: $!";
    flock($file, LOCK_EX) or die "could not lock $originals/rows.jsonl: $!";
    print {$file} "$text\n";
    close($file) or die "could not write $originals/rows.jsonl: $!";
    return;
}

1;
