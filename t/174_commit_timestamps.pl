# track_commit_timestamp that the source was switched to after the divergence: pg_control of the rewound target says
# that it was off where recovery starts. Otherwise replay would note the times of commits on pages that nobody has made:
# "could not access status of transaction". (Where recovery starts. Both sources.)
#
#   source       ┌── 2 ── commits ── on ── commits ──▶    on all along, or by the promotion: the times are there
#   target   1 ──┴── 1 ──▶
# (Rule C49.)

use strict;
use warnings;

use RewindTest;

# Each row has a transaction of its own: a page holds the times of 819.
sub commit_many
{
    my ($cluster) = @_;
    $cluster->sql('DO $$ BEGIN FOR i IN 1..3000 LOOP BEGIN INSERT INTO stamped VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$');
    return;
}

sub switch { my ($cluster, $value) = @_; $cluster->sql("ALTER SYSTEM SET track_commit_timestamp = $value");
    $cluster->restart; return }

# With the number of those that have one.
sub commit_times
{
    my ($cluster) = @_;
    return $cluster->query("SELECT count(time), md5(string_agg(xmin || ' ' || time, ',' ORDER BY ctid)) FROM (SELECT ctid, xmin::text, pg_xact_commit_timestamp(xmin)::text AS time FROM stamped) s");
}

my %histories = (
    'switched on' => { before => 'off', source => sub { commit_many($_[0]); switch($_[0], 'on'); commit_many($_[0]) },
    count => 3000 },
    'switched on, by the promotion' => { before => 'off', no_checkpoint => 1, on_standby => 1, source => \&commit_many,
    count => 3000 },
    'on all along' => { before => 'on', source => \&commit_many, count => 9000 },
    'switched off' => { before => 'on', source => sub { commit_many($_[0]); switch($_[0], 'off');
    commit_many($_[0]) } },
);

each_version(sub {
    my ($version) = @_;
    for my $name (sort keys %histories)
    {
        my $history = $histories{$name};
        subtest($name, sub {
            my ($source, $target) = split_brain($version,
                no_checkpoint => $history->{no_checkpoint},
                cluster => { settings => "track_commit_timestamp = $history->{before}" },
                before => sub { $_[0]->sql('CREATE TABLE stamped (a int)'); commit_many($_[0]) },
                together => sub {
                    my ($primary, $standby) = @_;
                    switch($standby, 'on') if $history->{on_standby};
                    $primary->sql('CHECKPOINT');
                    commit_many($primary);
                },
                source => $history->{source},
                target => \&commit_many);
            like(commit_times($source), qr/^\Q$history->{count}\E\|/, 'the source has the times of commits')
                if $history->{count};
            rewinds_from_both_kinds($source, $target, options => ['--early-start'], quick => 1,
                check => sub { is(commit_times($_[0]), commit_times($_[1]), 'so has the rewound target')
                if $history->{count} });
            RewindTest::Cluster::discard_all();
        });
    }
}, from => 9.5);
