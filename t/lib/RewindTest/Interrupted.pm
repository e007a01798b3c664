# A pair of clusters on which one rewind is interrupted again and again, and the judge of what that left.
#
#   my $pair = RewindTest::Interrupted->new($version, kind => 'server');
#   my $calls = $pair->calls;                        # of an undisturbed run: [ { call => 'rename', path => ... }, ... ]
#   $pair->reset;                                    # the target as it was
#   my $result = $pair->attempt(fault => 'kill:17');
#   my $phase = $pair->judge;                        # 'before' the commit, 'after' it, or 'done'
#
# The judge looks at the directory alone, so it does not matter what has left it in that state:
#
#   before   all bytes outside the work directories are the target's own; its old server starts
#   after    no server starts, with or without postmaster.pid and backup_label, and the reader is told what to do;
#            the same command finishes it without source and archive
#   done     only cleaning up was left
#   always   pg_control is whole; the same command ends with exit status 0 and the directory of an undisturbed run

package RewindTest::Interrupted;

use strict;
use warnings;

use RewindTest;
use RewindTest::Tree;

# Options: kind => 'server' or 'directory'; jobs => 1; options => [ of pg_rewind ]; env => { for each run with a fault
# }; killed => 1: the target's server was killed, and had written what it had not synced, also in what is equal on both
# sides: synced_snapshot is without that.
sub new
{
    my ($class, $version, %option) = @_;
    my $synced = work_dir() . '/synced';
    # A checkpoint of its own would change the source's files between two runs that are compared.
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'checkpoint_timeout = 1h' },
        before => sub {
            my ($primary) = @_;
            my $location = $primary->tablespace_location('space');
            $primary->sql("CREATE TABLESPACE space LOCATION '$location'");
            $primary->sql("CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, 'before' FROM generate_series(1, 1000) i;
                CREATE TABLE in_space TABLESPACE space AS SELECT * FROM t; CREATE TABLE shrinks AS SELECT * FROM t");
            append($primary->path('pg_hba.conf'), "# before\n");
            return if !$option{killed};
            $primary->configure('shared_buffers = 1MB');
            $primary->sql("CREATE TABLE seen (a int, b text); INSERT INTO seen SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i");
        },
        together => sub {
            my ($primary) = @_;
            return if !$option{killed};
            # What changes now is in the map of visible pages, which no WAL names, and not changed again.
            $primary->sql('VACUUM seen');
            $primary->sql('CHECKPOINT');
            mkdir $synced or die;
            must_run([ 'cp', '-a', $primary->data, $primary->dir . '/tablespace', $synced ]);
            $primary->sql("UPDATE seen SET b = repeat('y', 100) WHERE a % 10 = 0");
        },
        source => sub {
            my ($source) = @_;
            $source->sql("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 3000) i;
                CREATE TABLE made_on_source AS SELECT * FROM t; DELETE FROM in_space; INSERT INTO shrinks TABLE shrinks;
                CREATE TABLE made_in_space (a int) TABLESPACE space; CHECKPOINT");
            append($source->path('pg_hba.conf'), "# source\n");
            mkdir $source->path($_) or die for qw(only_on_source only_on_source/inner);
            spew($source->path("only_on_source/$_"), "text\n") for qw(file inner/file);
        },
        target => sub {
            my ($target) = @_;
            $target->sql("INSERT INTO t SELECT i, 'target' FROM generate_series(1, 1000) i;
                CREATE TABLE made_on_target AS SELECT * FROM t; UPDATE in_space SET b = 'target'; DELETE FROM shrinks");
            $target->sql('VACUUM shrinks');
            # By this all other pages leave its memory.
            $target->sql("CREATE TABLE large AS SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i")
                if $option{killed};
            append($target->path('pg_hba.conf'), "# target\n");
            mkdir $target->path($_) or die for qw(only_on_target only_on_target/inner);
            spew($target->path("only_on_target/$_"), "text\n") for qw(file inner/file);
        },
        stop => $option{killed} ? 'kill' : 'fast');
    unlink $target->path('postmaster.pid');
    my $kind = $option{kind} // 'server';
    if ($kind eq 'directory') { $source->stop }
    else { $source->sql('SELECT 1; CHECKPOINT') }
    my $self = bless {
        kind => $kind, jobs => $option{jobs} // 1, options => $option{options} // [], env => $option{env}
            // {}, source => $source, original => $target, seen => {}, starts => 0,
        control => slurp($target->path('global/pg_control')), state => $target->copy('state'),
    }, $class;
    # Copies of the tablespace are told by their own place, which a tree does not show.
    $self->{tree} = without_ours(tree($self->{state}));
    must_run([ 'cp', '-a', $self->{state}->dir, $self->snapshot ]);
    $self->make_synced_snapshot($synced) if $option{killed};
    return $self;
}

# Of what servers sync by checkpoints what was there at the last one; all else is on the disk.
sub make_synced_snapshot
{
    my ($self, $synced) = @_;
    must_run([ 'cp', '-a', $self->snapshot, $self->synced_snapshot ]);
    for my $part (qw(data/base data/global data/pg_xact data/pg_multixact tablespace))
    {
        must_run([ 'rm', '-r', $self->synced_snapshot . "/$part" ]);
        must_run([ 'mv', "$synced/$part", $self->synced_snapshot . "/$part" ]);
    }
    must_run([ 'cp', '-a', $self->snapshot . '/data/global/pg_control', $self->synced_snapshot . '/data/global' ]);
    must_run([ 'rm', '-r', $synced ]);
    return;
}

sub discard
{
    my ($self) = @_;
    $_->discard for @$self{qw(state original source)};
    must_run([ 'rm', '-rf', $self->snapshot, $self->synced_snapshot ]);
    return;
}

sub target   { return $_[0]{state} }
sub source   { return $_[0]{source} }
sub snapshot { return $_[0]{state}->dir . '.snapshot' }
sub synced_snapshot { return $_[0]{state}->dir . '.synced' }

# The target as it was before anything, or as another snapshot has it.
sub reset
{
    my ($self, $snapshot) = @_;
    my $dir = $self->{state}->dir;
    must_run([ 'rm', '-rf', $dir ]);
    must_run([ 'cp', '-a', $snapshot // $self->snapshot, $dir ]);
    return $self;
}

# The same command each time.  Options: fault, jobs, options => [ more ], env => { more }, until => qr/what it says/.
sub attempt
{
    my ($self, %option) = @_;
    return rewind($self->{state}, $self->{source}, kind => $self->{kind}, fault => $option{fault},
        env => { %{ $self->{env} }, %{ $option{env} // {} } },
        until => $option{until}, options => [ '--jobs', $option{jobs} // $self->{jobs}, @{ $self->{options} },
        @{ $option{options} // [] } ]);
}

# The calls of an undisturbed run that change something, in order, after which the reference for judge is taken.
# Option env as in attempt; changes => 0 gives the calls that change nothing.
sub calls
{
    my ($self, %option) = @_;
    my $log = work_dir() . '/calls';
    my $changes = $option{changes} // 1;
    my %env = (PG_REWIND_FAULT_LOG => $log, %{ $option{env} // {} });
    do
    {
        $self->{end} = $self->source_end;
        unlink map { ($_, "$_.data") } values %env;
        $self->reset;
        my $result = $self->attempt(env => \%env, fault => '');
        is($result->{status}, 0, 'an undisturbed run succeeds') or die $result->{stderr};
        $self->{rewound} = without_ours(rewound_tree($self->{state}));
    } while ($self->source_end ne $self->{end});
    my $number = $changes ? qr/\d+/ : qr/r\d+/;
    return [ map { /^$number ((?:set )?\S+) (.*)/ ? { call => $1, path => $2 } : () } split /\n/, slurp($log) ];
}

# A running source may write a little WAL of its own accord, and then an undisturbed run gives another directory.
sub source_end { my ($self) = @_; return $self->{kind} eq 'server' ? $self->{source}->lsn : '' }

# Index, counting from 1, of the call that commits.
sub commit_number
{
    my ($calls) = @_;
    my ($number) = grep { $calls->[ $_ - 1 ]{call} eq 'rename'
        && $calls->[ $_ - 1 ]{path} =~ m{/backup_label$} } 1 .. @$calls;
    return $number // die 'there is no commit';
}

# ---------------------------------------------------------------- looking

# A tree without what is ours.
sub without_ours
{
    my ($tree) = @_;
    delete @$tree{ grep { m{(^|/)(pg_rewind\.work(\.\w+)?|postmaster\.pid(\.pg_rewind)?)(/|$)} } keys %$tree };
    return $tree;
}

# ---------------------------------------------------------------- judging

# Start a server that is expected to give up at once; returns exit status and what it said.
sub try_server
{
    my ($self, @options) = @_;
    my $target = $self->{state};
    return run([ $target->bindir . '/postgres', @options, '-D', $target->data, '-c', 'logging_collector=off',
        $options[0] ? 'postgres' : ('-k', $target->dir) ], stdin => "SELECT 1;\n");
}

# Returns what the servers said.
sub no_server_starts
{
    my ($self, $how) = @_;
    my $words = '';
    for my $options ([], ['--single'])
    {
        my $server = $self->try_server(@$options);
        is($server->{status}, 1, "no server starts $how (@$options)") or diag($server->{stderr});
        $words .= $server->{stderr};
    }
    return $words;
}

sub control_is_whole
{
    my ($self) = @_;
    my $target = $self->{state};
    my $control = slurp($target->path('global/pg_control'));
    ok(length $control == 8192 && defined crc_offset($control), 'pg_control is whole');
    if ($target->version == 15)
    {
        my $shown = run([ program('pg_controldata'), $target->data ]);
        ok($shown->{status} == 0 && $shown->{stderr} eq '' && $shown->{stdout} !~ /WARNING/, 'pg_controldata reads it')
            or diag($shown->{stdout}, $shown->{stderr});
    }
    return $control;
}

# The old server of an untouched target, in a copy.  Each shape of what a run can leave beside it is started once.
sub old_server_starts
{
    my ($self) = @_;
    my $target = $self->{state};
    my $shape = join ' ', map { glob $target->path($_) } qw(postmaster.pid* pg_rewind.work* pg_rewind.work*/journal*
        pg_rewind.work/backup*);
    return if $self->{seen}{$shape}++;
    my $copy = $target->copy('old_server');
    is($copy->try_start->{status}, 0, 'the old server starts') or do { diag($copy->log); $copy->discard; return };
    is($copy->query('SELECT count(*), min(b), max(b) FROM t'), '2000|before|target', 'and reads what it had');
    log_is_clean($copy);
    $copy->discard;
    return;
}

sub state_of
{
    my ($self, $control) = @_;
    my $label = $self->{state}->path('backup_label');
    my $text = -e $label ? slurp($label) : '';
    my $poisoned = $control ne $self->{control};
    return 'done' if $poisoned && ord(substr($control, 16, 1)) == 5;    # "in archive recovery": the new one
    return $poisoned || ($text ne '' && $text !~ /^START WAL/) ? 'after' : 'before';
}

sub hide { my ($path) = @_; rename($path, "$path.hidden") or die "$path: $!"; return }
sub show { my ($path) = @_; rename("$path.hidden", $path) or die "$path: $!"; return }

# Look at what an interruption has left, run the same command again, and look at that.
# Options: again => fault for the run that finishes, which is followed by an undisturbed one; before => the tree that a
# target has which is as it was; compared => the run has compared all blocks, so its directory is another one than that
# of an undisturbed run (t/406 judges such ones).
sub judge
{
    my ($self, %option) = @_;
    my $target = $self->{state};
    my $control = $self->control_is_whole;
    my $phase = $self->state_of($control);
    my $pending = -e $target->path('pg_rewind.work/journal');
    my $way_to_source = $self->{kind} eq 'server' ? "$self->{source}{dir}/.s.PGSQL.5432" : $self->{source}->data;

    if ($phase eq 'before')
    {
        my $found = without_ours(tree($target));
        is(difference($option{before} ? without_times($found) : $found, $option{before} // $self->{tree}), '',
            'before the commit the target is as it was');
        $self->old_server_starts;
    }
    elsif ($phase eq 'after')
    {
        ok($pending, 'there is a journal');
        my $says_it_itself = -e $target->path('postmaster.pid')
            && slurp($target->path('postmaster.pid')) =~ /\A-2147483648\n/;
        my $words = $self->no_server_starts('after the commit');
        $words .= slurp($target->path('pg_rewind.work/README')) if !$says_it_itself;
        like($words, qr/run the same pg_rewind command again/, 'and the reader is told what to do');
        # Whoever removes files by hand costs nothing either; every other time nobody does.
        if ($control ne $self->{control} && $self->{removals}++ % 2 == 0)
        {
            unlink $target->path('postmaster.pid');
            $self->no_server_starts('without postmaster.pid either');
            unlink $target->path('backup_label');
            $self->no_server_starts('without backup_label either');
        }
    }
    $self->refresh_reference if $phase eq 'before';
    my $hidden = $pending && $phase ne 'before';
    hide($way_to_source) if $hidden;
    if (defined $option{again})
    {
        my $again = $self->attempt(fault => $option{again});
        $self->control_is_whole;
        # Without a journal nothing is left to be finished, and whether there is anything to rewind only the source
        # knows.
        if ($hidden && !-e $target->path('pg_rewind.work/journal'))
        {
            show($way_to_source);
            $hidden = 0;
        }
    }
    my $last = $self->attempt;
    show($way_to_source) if $hidden;
    is($last->{status}, 0, 'the same command again ends with exit status 0') or diag($last->{stderr});
    is($last->{stdout}, '', 'and nothing on stdout');
    my $difference = difference(without_ours(rewound_tree($target)), $self->{rewound});
    # A running source may have written WAL of its own accord: then these differ.
    $difference =~ s{^data/(pg_(?:wal|xlog)/[0-9A-F]{24}|global/pg_control): .*\n}{}mg
        if $self->source_end ne $self->{end};
    is($difference, '', 'and the directory is that of an undisturbed run') if !$option{compared};
    ok(!-e $target->path($_), "no $_ is left") for qw(pg_rewind.work pg_rewind.work.wal postmaster.pid
        postmaster.pid.pg_rewind);
    is(must_run([ 'find', $target->dir, '-name', 'pg_rewind.work*' ]), '', 'nor anything anywhere else');
    return $phase;
}

# The source has written WAL of its own accord: what an undisturbed run gives is another directory now.
sub refresh_reference
{
    my ($self) = @_;
    return if $self->source_end eq $self->{end};
    my $dir = $self->{state}->dir;
    rename($dir, "$dir.aside") or die;
    $self->calls;
    must_run([ 'rm', '-rf', $dir ]);
    rename("$dir.aside", $dir) or die;
    return;
}

1;
