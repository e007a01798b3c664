# What is next is the last that is said: settings and files that are the source's now, slots that are gone or missing,
# and how the server is to be started. The report has the same. (The versions differ in where recovery is configured,
# and in slots.)
# (Rules S29, S31.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Interrupted;

my $start = q{Start the server: it replays the source's WAL and follows it.};

sub last_line { my ($result) = @_; return (split /\n/, $result->{stderr})[-1] // '' }

sub next_of { my ($result) = @_; return JSON::PP->new->utf8->decode($result->{stdout})->{next} }

sub setting_of { my ($next, $name) = @_; my ($setting) = grep { $_->{name} eq $name } @{ $next->{settings} };
    return $setting }

sub slots_of { my ($next, $state) = @_; return join ' ', sort map { "$_->{name}/" . ($_->{type} // '?') }
    grep { $_->{state} eq $state } @{ $next->{slots} } }

sub tells_what_differs
{
    my ($name, $version, $result) = @_;
    my $next = next_of($result);
    is_deeply(setting_of($next, 'cluster_name'), { name => 'cluster_name', former => 'of target', now => 'of source' },
        "$name: a setting that differs");
    is_deeply(setting_of($next, 'archive_command'), { name => 'archive_command', former => '********', now => undef },
        "$name: one that is not set now");
    is_deeply(setting_of($next, 'work_mem'), { name => 'work_mem', former => undef, now => '5MB' },
        "$name: one of ALTER SYSTEM");
    is(setting_of($next, 'max_connections'), undef, "$name: one that is the same is not told");
    is($next->{settings}[0]{name}, 'cluster_name', "$name: what matters comes first");
    ok($next->{settings_complete}, "$name: all could be read");
    is("@{ $next->{files} }", 'pg_ident.conf server.crt', "$name: files that differ");
    is(slots_of($next, 'removed'), $version < 9.4 ? '' : 'of_target/physical', "$name: slots that are gone");
    is(slots_of($next, 'copied'), $version < 11 && $version >= 9.4 ? 'of_source/?'
        : '', "$name: slots that come along");
    like($result->{stderr},
        qr/^pg_rewind: detail: Settings that (?:are now|would be) the source's: cluster_name = 'of source' \(was 'of target'\), archive_/m,
        "$name: settings are said");
    like($result->{stderr},
        qr/^pg_rewind: detail: Files that (?:are now|would be) the source's: pg_ident.conf, server.crt\.$/m,
        "$name: files are said");
    like($result->{stderr},
        qr/^pg_rewind: detail: Replication slots of the target that (?:are now|would be) gone: of_target\.$/m,
        "$name: slots are said") if $version >= 9.4;
    unlike($result->{stderr} . $result->{stdout}, qr/geheim/, "$name: no password is shown");
    is('pg_rewind: hint: ' . $next->{steps}[-1], last_line($result), "$name: the last step is the last line");
    return $next;
}

sub slot_is_missing
{
    my ($target, $source) = @_;
    my $copy = $target->copy('with_slot');
    my $settings = slurp($source->path('postgresql.conf'));
    $source->configure("primary_slot_name = 'wanted'");
    my $result = rewind($copy, $source, options => [qw(-R --report=json)]);
    is(slots_of(next_of($result), 'missing'), 'wanted/physical', 'the slot that the source lacks is told');
    my ($statement) = $result->{stderr}
        =~ /^pg_rewind: hint: Before the server starts: the source has no replication slot "wanted"\. The configuration .* Make the slot on the source: (SELECT .*\)); The source must have WAL from [0-9A-F]+\/[0-9A-F]+ on\.$/m;
    is($statement, "SELECT pg_catalog.pg_create_physical_replication_slot('wanted'::pg_catalog.name, true)",
        'with the statement that makes it') or diag($result->{stderr});
    $source->sql($statement);
    rejoins($copy, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    is($source->query("SELECT active FROM pg_replication_slots WHERE slot_name = 'wanted'"), 't',
        'and the target uses it');
    $copy->stop;
    wait_until('the slot is free',
        sub { $source->query("SELECT active FROM pg_replication_slots WHERE slot_name = 'wanted'") eq 'f' });
    $source->sql("SELECT pg_drop_replication_slot('wanted')");
    spew($source->path('postgresql.conf'), $settings);
    return;
}

# Started as it is, the server would not follow; and what hinders the start.
sub says_what_else_is_to_be_done
{
    my ($target, $source) = @_;
    my $version = $target->version;
    my $copy = $target->copy('without_R');
    my $result = rewind($copy, $source);
    like(last_line($result),
        qr/^pg_rewind: hint: Before the server starts make it a standby of the source: create @{[ $version < 12 ? 'recovery\.conf' : 'standby\.signal' ]}.* or run pg_rewind again with --write-recovery-conf \(and --source-server\); otherwise it opens for writing and diverges again\.$/,
        'without -R the target must be made a standby');
    my $again = rewind($copy, $source, options => ['-R']);
    is(last_line($again), "pg_rewind: hint: $start", 'another run with -R makes it one');
    if ($version < 12)
    {
        $copy = $target->copy('kept_conf');
        spew($copy->path('recovery.conf'), "recovery_target = 'immediate'\n");
        $result = rewind($copy, $source, options => [ '-R', '--keep=recovery.conf' ]);
        like($result->{stderr},
            qr/^pg_rewind: hint: Before the server starts: with "recovery_target" the target's server would not/m,
            'a recovery target in a recovery.conf that is kept is told');
        return;
    }

    my $configuration = slurp($source->path('postgresql.conf'));
    append($source->path('postgresql.conf'), "recovery_target = 'immediate'\n");
    $copy = $target->copy('of_source');
    $result = rewind($copy, $source);
    like($result->{stderr},
        qr/^pg_rewind: hint: Before the server starts: with "recovery_target" the target's server would not/m,
        'a recovery target of the source is told without -R, too');
    spew($source->path('postgresql.conf'), $configuration);

    spew($source->path('recovery.signal'), '');
    spew($target->path('recovery.conf'), '');
    $copy = $target->copy('leftover');
    $result = rewind($copy, $source, options => [ '-R', '--keep=recovery.conf' ]);
    like($result->{stderr},
        qr/^pg_rewind: hint: Before the server starts: .* not start with recovery\.conf\. .* Remove that file\.$/m,
        'a recovery.conf that is kept is told');
    ok(!-e $copy->path('recovery.signal'), 'a recovery.signal does not come along with -R');
    $result = rewind($target->copy('leftover_signal'), $source);
    like($result->{stderr},
        qr/^pg_rewind: hint: Remove recovery\.signal: with it the server ends recovery and opens for writing, now or after a promotion\.$/m,
        'else it is told');
    unlink $source->path('recovery.signal');
    append($target->path('postgresql.conf'), "recovery_target_timeline = latest\nrecovery_target_xid = '1000'\n");
    $result = rewind($target, $source, options => [qw(-R -n --keep-config)]);
    like($result->{stderr},
        qr/^pg_rewind: hint: Before the server starts: with "recovery_target_xid" the target's server would not follow the source\. .* Remove it/m,
        'a recovery target is told');
    spew($target->path('postgresql.conf'), slurp($target->path('postgresql.conf')) =~ s/^recovery_target.*\n//mgr);
    unlink $target->path('recovery.conf');
    return;
}

# Patroni and pg_auto_failover make it a standby themselves; what to do for that by hand is noise in their logs.
sub managers_do_the_rest
{
    my ($target, $source) = @_;
    my %file = (Patroni => 'patroni.dynamic.json', pg_auto_failover => 'postgresql-auto-failover.conf');
    for my $name (sort keys %file)
    {
        my $copy = $target->copy('managed');
        spew($copy->path($file{$name}), '');
        for my $rewind ('a rewind', 'nothing to be done')
        {
            is(last_line(rewind($copy, $source)),
                "pg_rewind: hint: Let $name start the server: it makes it a standby of the source.", "$name, $rewind");
            spew($copy->path($file{$name}), '');    # the source has none
        }
        $copy->discard;
    }
    return;
}

sub finished_by_another_run
{
    my ($version) = @_;
    my $pair = RewindTest::Interrupted->new($version, kind => 'server', options => ['-R']);
    is($pair->attempt(fault => 'kill:rename@*/backup_label;rename@*/global/pg_control')->{signal}, 9,
        'killed when it has committed');
    my $dry = $pair->attempt(options => ['-n']);
    is(last_line($dry), 'pg_rewind: hint: Run the same command without --dry-run: it finishes the interrupted rewind.',
        'a dry run tells of an interrupted rewind');
    like($dry->{stderr}, qr/^pg_rewind: an interrupted rewind is pending$/m, 'in one sentence, before what to do');
    my $result = $pair->attempt(options => ['--report=json']);
    is(last_line($result), "pg_rewind: hint: $start", 'when it is finished the same is said');
    is(next_of($result)->{settings}, undef, 'former settings are not known any more');
    $pair->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a int)') },
        source => sub { $_[0]->sql('INSERT INTO t VALUES (1)');
        $_[0]->sql("SELECT pg_create_physical_replication_slot('of_source')") },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)');
            $_[0]->sql("SELECT pg_create_physical_replication_slot('of_target')") });
    $target->configure("cluster_name = 'of target'\narchive_command = 'PGPASSWORD=geheim false'\n");
    spew($source->path('included.settings'), "Cluster_Name 'of source' # last\n");
    $source->configure("include 'included.settings'");
    $source->sql("ALTER SYSTEM SET work_mem = '5MB'");
    append($source->path('pg_ident.conf'), "# of the source\n");
    spew($source->path('server.crt'), 'one');
    spew($target->path('server.crt'), 'two');

    my $dry = rewind($target, $source, options => [qw(-R -n --report=json)]);
    is(last_line($dry),
        'pg_rewind: hint: This was a dry run, nothing was changed: run the same command without --dry-run.',
        'a dry run says that it was one');
    tells_what_differs('a dry run', $version, $dry);
    slot_is_missing($target, $source) if $version >= 12;
    says_what_else_is_to_be_done($target, $source);
    managers_do_the_rest($target, $source);

    my $kept = rewind($target->copy('kept'), $source, options => [qw(-R --keep-config --report=json)]);
    is(last_line($kept), "pg_rewind: hint: $start", 'with a kept configuration');
    is_deeply([ map { $_->{name} } @{ next_of($kept)->{settings} } ], $version < 12 ? [] : ['primary_conninfo'],
        'nothing else differs');
    is("@{ next_of($kept)->{kept} }", join(' ', qw(pg_hba.conf
        pg_ident.conf), $version < 9.4 || $version >= 12 ? () : 'postgresql.auto.conf', qw(postgresql.conf server.crt)),
        'what is kept is told, without the file that -R writes into');
    if ($version >= 12)
    {
        my $slot = rewind($target->copy('with_slot_of_R'), $source, options => [qw(-R --keep-config --slot=of_r
            --report=text)]);
        is(last_line($slot), "pg_rewind: hint: $start", 'with a kept configuration and a slot');
        unlike($slot->{stderr} . $slot->{stdout}, qr/Settings that|settings that differ/,
            'a setting that -R writes is not called the source\'s');
    }

    my $result = rewind($target, $source, options => [qw(-R --report=json)]);
    is(last_line($result), "pg_rewind: hint: $start", 'the last line says what is next') or diag($result->{stderr});
    tells_what_differs('a rewind', $version, $result);
    my $again = rewind($target, $source, options => ['-R']);
    like($again->{stderr}, qr/^pg_rewind: no rewind required\n(?:.*\n)*pg_rewind: hint: \Q$start\E\n\z/m,
        'also where no rewind is required');
    spew($target->path('included.settings'), '') if $version < 9.5;    # cluster_name is no setting there
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, quick => 1);
    return if $version != 15;
    RewindTest::Cluster::discard_all();
    finished_by_another_run($version);
}, only => [ 10, 11, 12, 15, 18 ]);
