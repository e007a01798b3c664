# The source's prepared transactions are all there after a promotion of the rewound target, and each can be committed or
# rolled back: whatever lies between their begin, their PREPARE, a checkpoint and the divergence.
# (Prepared transactions. Both sources; early and late start.)
#
#                  ● checkpoint       ┬ divergence        ● checkpoint
#   begun_early    b ──────── P       │                   │               resolved otherwise on the target
#   early        b ── P    │          │                   │
#   late           │       b ── P     │                   │
#   own            │                  │   b ── P          │               the target has one of the same name
#   last           │                  │                   │   b ── P
#
# Of each there is one that stays, one that the source commits, and one that it rolls back.
# (Rule C79.)

use strict;
use warnings;

use RewindTest;

my @fates = qw(stays commits rolls_back);

sub begin
{
    my ($session, $name) = @_;
    $session->sql("BEGIN; INSERT INTO t VALUES ('$name'); SAVEPOINT s; INSERT INTO t VALUES ('$name, below'); RELEASE s;
        SAVEPOINT s; INSERT INTO t VALUES ('$name, undone'); ROLLBACK TO s");
    return;
}

sub prepare
{
    my ($server, $when) = @_;
    for my $fate (@fates)
    {
        my $session = $server->session;
        begin($session, "${when}_$fate");
        $session->sql("PREPARE TRANSACTION '${when}_$fate'");
        $session->end;
    }
    return;
}

sub resolve
{
    my ($server, @when) = @_;
    $server->sql("COMMIT PREPARED '${_}_commits'; ROLLBACK PREPARED '${_}_rolls_back'") for @when;
    return;
}

sub write_together
{
    my ($primary) = @_;
    my %begun = map { $_ => $primary->session } @fates;
    begin($begun{$_}, "begun_early_$_") for @fates;
    prepare($primary, 'early');
    $primary->sql('CHECKPOINT');
    $begun{$_}->sql("PREPARE TRANSACTION 'begun_early_$_'"), $begun{$_}->end for @fates;
    prepare($primary, 'late');
    return;
}

sub write_on_source
{
    my ($source) = @_;
    prepare($source, 'own');
    $source->sql('CHECKPOINT');
    prepare($source, 'last');
    resolve($source, qw(early begun_early late own last));
    return;
}

sub write_on_target
{
    my ($target) = @_;
    prepare($target, 'own');
    $target->sql('CHECKPOINT');
    $target->sql("ROLLBACK PREPARED 'early_stays'; COMMIT PREPARED 'early_rolls_back'; COMMIT PREPARED 'begun_early_stays'; ROLLBACK PREPARED 'late_commits'");
    return;
}

sub resolve_rest
{
    my ($server) = @_;
    $server->sql("COMMIT PREPARED '${_}_stays'") for qw(early late last);
    $server->sql("ROLLBACK PREPARED '${_}_stays'") for qw(begun_early own);
    return $server->query("SELECT string_agg(a, E'\n' ORDER BY a) FROM t");
}

my $expected = join "\n", sort map { ($_, "$_, below") }
    (map { "${_}_commits" } qw(early begun_early late own last)), (map { "${_}_stays" } qw(early late last));

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'max_prepared_transactions = 30' },
        before => sub { $_[0]->sql('CREATE TABLE t (a text COLLATE "C")') },
        together => \&write_together,
        source => \&write_on_source,
        target => \&write_on_target);
    for my $kind (qw(server directory))
    {
        for my $option ([], ['--late-start'])
        {
            # Up to 11 a standby that starts at a shutdown checkpoint does not know subtransactions of prepared
            # transactions, takes them for failed, and notes that on the page. (ProcArrayApplyRecoveryInfo, mended in
            # 12.)
            next if $version < 12 && $kind eq 'directory' && "@$option " . ($ENV{PG_REWIND_TEST_OPTIONS}
                // '') =~ /--late-start/;
            subtest("source is a $kind @$option", sub {
                my $rewound = $target->copy('rewound');
                $source->stop if $kind eq 'directory';
                rewinds($rewound, $source, kind => $kind, options => [ '-N', @$option ]);
                $source->start if $kind eq 'directory';
                rejoins($rewound, $source);
                is(resolve_rest($rewound), $expected, 'each can be resolved, with its subtransactions');
                $rewound->discard;
            });
        }
    }
}, only => [ 10, 15, 17, 18 ]);
