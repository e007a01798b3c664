# Of which types the script of --save-lost-rows leaves values out is what the guide says: all of PostgreSQL's own that
# take a value are tried. And rows of a database are there whatever its name is, also one with a line break, a quote or
# a backslash. Names with control characters are written without these.
# (Rules L12, L16.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;
use File::Basename qw(dirname);

my ($said) = slurp(dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/docs/look-before-you-rewind.md')
    =~ /^- Types without a text here:(.*?)\.\n/ms or die "the guide does not say it\n";
my %said = map { $_ => 1 } $said =~ /`([^`]+)`/g;

my @samples = ('1', 'a', 'true', '(1,2)', '[1,2]', '{1,2,3}', '((1,1),(2,2))', '<(1,1),1>', '127.0.0.1',
    '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '1:2:',
    '11111111-2222-3333-4444-555555555555', '1 day', '2020-01-01', '10:00', 'postgres=r/postgres', '0/1', '0101', '$');
my $types =
    q{SELECT typname FROM pg_type WHERE typtype IN ('b', 'r', 'm') AND typnamespace = 'pg_catalog'::regnamespace AND typcategory <> 'A' ORDER BY 1};

my $controls = qq{"e\x1bsc" ("c\x1b[2Jol" int PRIMARY KEY)};    # a terminal would take these for commands
my $name = qq{of two\nlines\r and 'one"\\};

each_version(sub {
    my ($version) = @_;
    my $odd = "'" . $name =~ s/([\\'])/\\$1/gr . "'";
    my @tried;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql($server->version >= 19 ? 'SELECT 1' : 'CREATE DATABASE "' . $name =~ s/"/""/gr . '"');
            $server->sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE $controls", $odd) if $server->version < 19;
            for my $type (split /\n/, $server->sql($types))
            {
                my ($sample) = grep { $server->try_sql(qq{SELECT '$_'::pg_catalog."$type"})->{status} == 0 } @samples
                    or next;
                next if $server->try_sql(qq{CREATE TABLE "t $type" (v pg_catalog."$type")})->{status} != 0;
                push @tried, [ $type, $sample ];
            }
        },
        target => sub {
            my ($server) = @_;
            $server->sql(qq{INSERT INTO "t $_->[0]" VALUES ('$_->[1]')}) for @tried;
            $server->sql(qq{INSERT INTO t VALUES (1); INSERT INTO "e\x1bsc" VALUES (2); UPDATE "e\x1bsc" SET "c\x1b[2Jol" = 3},
                $odd) if $server->version < 19;
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my %left_out = map { $_ => 1 } slurp($script) =~ /^-- left out: INSERT of public\.t (\S+) /mg;
    cmp_ok(scalar @tried, '>', 50, 'types have been tried');
    is(join(' ', sort keys %left_out), join(' ', grep { $said{$_} } map { $_->[0] } @tried),
        'the guide names those that are left out');
    if ($version < 19)
    {
        unlike(slurp($script), qr/name of its database/, 'the database is known');
        $source->sql(q{CREATE ROLE lost_rows_writer LOGIN; ALTER ROLE lost_rows_writer SET session_replication_role = replica; CREATE ROLE app; GRANT app TO lost_rows_writer});
        $source->sql('CREATE SCHEMA lost_rows AUTHORIZATION lost_rows_writer; ALTER TABLE t OWNER TO app', $odd);
        $source->sql(qq{ALTER TABLE "e\x1bsc" OWNER TO app}, $odd);
        unlike(slurp($script), qr/\x1b/, 'no name has a control character there');
        $source->sql(q{CREATE SCHEMA lost_rows AUTHORIZATION lost_rows_writer});
        my $result = run([ program('psql'), '-X', '-d', $source->conninfo =~ s/user=postgres/user=lost_rows_writer/r,
            '-f', $script ]);
        is($result->{status}, 0, 'the script runs') or diag($result->{stderr});
        is($source->sql('SELECT id FROM t', $odd), 1, 'the row of that database is put back');
        is($source->sql(qq{SELECT * FROM "e\x1bsc"}, $odd), 3,
            'and that of a table whose names have control characters');
    }
}, sample => 1);
