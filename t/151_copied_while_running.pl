# A database that the source copies as files while pg_rewind works is right: the plan is made again, behind the copy.
# (Copied databases; where recovery starts. Source is a server.)
#
#   source     ────┬──── 2 ────────── copy of the template ── template changed, or dropped ──▶
#   target   1 ────┘                ▲ pg_rewind has made its plan, and stages
# (Rule C31.)

use strict;
use warnings;

use lib 't/lib';
use RewindTest;
use RewindTest::Held;

sub copy_template
{
    my ($source, $how, $strategy) = @_;
    $source->sql("CREATE DATABASE copy_of_$how TEMPLATE $how $strategy");
    return $source->sql("DROP DATABASE dropped") if $how eq 'dropped';
    return $source->sql("ALTER DATABASE moved SET TABLESPACE place") if $how eq 'moved';
    $source->sql("UPDATE t SET v = 'new' WHERE g % 2 = 0; INSERT INTO t SELECT g, 'more' FROM generate_series(1, 9000) g",
        'changed');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $strategy = $version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'allow_in_place_tablespaces = on' },
        before => sub {
            my ($primary) = @_;
            for my $name (qw(changed dropped moved))
            {
                $primary->sql("CREATE DATABASE $name");
                $primary->sql("CREATE TABLE t AS SELECT g, 'old' AS v FROM generate_series(1, 3000) g", $name);
            }
            $primary->sql("CREATE TABLESPACE place LOCATION '" . $primary->location_in_place('place') . "'");
            $primary->sql('CHECKPOINT');
        },
        target => sub {
            my ($target) = @_;
            $target->sql("UPDATE t SET v = 'target' WHERE g % 3 = 0", $_) for qw(changed dropped moved);
        });

    for my $how (qw(changed dropped moved))
    {
        subtest("the template is $how", sub {
            my $copy = $target->copy("target_$how");
            my $held = hold($copy, $source, 'create@*/pg_rewind.work/*');
            copy_template($source, $how, $strategy);
            my $result = go_on($held);
            is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
            like($result->{stderr},
                qr/^pg_rewind: the source has copied a database, created a tablespace, dropped a replication origin or logged changes without page images in the meantime: starting again$/m,
                'the plan was made again');
            rejoins($copy, $source, check => sub {
                my ($rewound) = @_;
                is($rewound->query('SELECT count(*), min(v), max(v) FROM t', "copy_of_$how"), '3000|old|old',
                    'the copy holds the rows of its time');
            }) if $result->{status} == 0;
            $copy->discard;
        });
    }

    # Without an end: a run ends all the same, and hurts nobody.
    subtest('copies are made all the time', sub {
        my $copy = $target->copy('target_endless');
        my $session = $source->session;
        $session->send("CREATE DATABASE endless_$_ TEMPLATE copy_of_changed $strategy; DROP DATABASE copy_of_changed; "
            . "ALTER DATABASE endless_$_ RENAME TO copy_of_changed") for 1 .. 30;
        my $result = rewind($copy, $source, options => ['--no-sync'],
            not_foretold => 'the source does not stand still');
        $session->end;
        $source->wait_for_clients(0);
        is($result->{signal}, 0, 'pg_rewind ends');
        if ($result->{status} != 0)
        {
            is($result->{status}, 1, 'it may give up');
            like($result->{stderr}, qr/^pg_rewind: error: replay would copy database/m, 'with the reason');
            rewinds($copy, $source);
        }
        rejoins($copy, $source);
        $copy->discard;
    });
}, only => [ 10, 14, 15, 18 ]);
