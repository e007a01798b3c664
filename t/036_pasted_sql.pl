# SQL that pg_rewind prints for being pasted runs PostgreSQL's own functions, operators and views only, whoever made
# others of their names in schemas that come first in search_path. A superuser pastes it. (The attackers: a user with
# CREATE on schema public, whose functions fit the literals better than PostgreSQL's; the owner of a database, who puts
# a schema before pg_catalog.)
#
#   source   1 ──┬── 2 ──▶      the SQL is pasted there, in a database with the functions
#   target       └── 1 ──╳
# (Rule D7.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Each says who it is.
sub hostile
{
    my ($version) = @_;
    my $caught = sub { my ($signature, $result, $value) = @_;
        "CREATE FUNCTION public.$signature RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'hostile $signature'; END \$\$" };
    my @functions = (
        [ 'pg_drop_replication_slot(text)', 'void' ], [ 'pg_drop_replication_slot(name)', 'void' ],
        [ 'pg_create_physical_replication_slot(text)', 'void' ], [ 'pg_create_physical_replication_slot(text, boolean)',
        'void' ],
        [ 'pg_create_physical_replication_slot(name, boolean)', 'void' ], [ 'pg_create_physical_replication_slot(name)',
        'void' ],
        [ 'pg_reload_conf()', 'boolean' ],
        [ 'pg_sleep(int)', 'void' ], [ 'pg_sleep(float8)', 'void' ], [ 'caught_by_view()', 'int' ],
        [ 'equals(tid, tid)', 'boolean' ], [ 'equals(oid, oid)', 'boolean' ], [ 'equals(oid, int)', 'boolean' ],
        [ 'greater(int, int)', 'boolean' ], [ 'other(text, text)', 'boolean' ],
    );
    return join ";\n", (map { $caught->(@$_) } @functions),
        (map { "CREATE OPERATOR public.= (PROCEDURE = public.equals, LEFTARG = $_->[0], RIGHTARG = $_->[1])" } [ 'tid',
        'tid' ], [ 'oid', 'oid' ], [ 'oid', 'int' ]),
        'CREATE OPERATOR public.> (PROCEDURE = public.greater, LEFTARG = int, RIGHTARG = int)',
        'CREATE OPERATOR public.<> (PROCEDURE = public.other, LEFTARG = text, RIGHTARG = text)',
        map {
            "CREATE VIEW public.$_ AS SELECT public.caught_by_view() AS gid, NULL::int AS prepared, NULL::int AS owner, NULL::int AS database" } qw(pg_prepared_xacts
            pg_stat_archiver);
}

# It does catch what has no schema.
sub paste
{
    my ($source, $sql, $path) = @_;
    return run([ program('psql'), '-X', '-d', $source->conninfo, '-v', 'VERBOSITY=terse' ],
        stdin => "SET search_path = $path;\n$sql\n");
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 10) g; SELECT pg_create_physical_replication_slot('own')") },
        source => sub { my ($source) = @_; $source->sql($_) for split /;\n/, hostile($version) },
        target => sub { $_[0]->sql('UPDATE t SET a = -a WHERE a > 7; DELETE FROM t WHERE a = 1') });
    my @collected;
    my $collect = sub {
        my ($text) = @_;
        push @collected, $text =~ /\b((?:SELECT|ALTER SYSTEM)\b[^;]*;)/g;
        return;
    };
    my $check = run([ rewind_argv($target->data, qw(--check --verbose -R), '--source-server', $source->conninfo) ]);
    $collect->($check->{stdout} =~ s/\n {3,}/ /gr);
    # A slot that the source lacks; slots that the target keeps.
    append($target->path('postgresql.auto.conf'), "primary_slot_name = 'wanted'\n"),
        spew($target->path('standby.signal'), '') if $version >= 12;
    append($target->path('recovery.conf'), "standby_mode = on\nprimary_slot_name = 'wanted'\n") if $version < 12;
    my $dry = rewinds($target, $source, options => [ '-n', '--report-file', work_dir() . '/report', '--keep-config',
        $version < 12 ? '--keep=recovery.conf' : '--keep=standby.signal' ], not_foretold => 'it is one');
    $collect->($dry->{stderr});
    $collect->(slurp(work_dir() . '/report'));
    $source->sql("ALTER SYSTEM SET full_page_writes = off; SELECT pg_catalog.pg_reload_conf()");
    wait_until('full_page_writes is off', sub { $source->query('SHOW full_page_writes') eq 'off' });
    $collect->(run([ rewind_argv($target->data, '-n', '--source-server', $source->conninfo) ])->{stderr});
    $collect->(run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ])->{stdout}
        =~ s/\n {3,}/ /gr);
    my $all = join "\n", @collected;
    like($all, $_, "there is $_") for qr/pg_create_physical_replication_slot\('wanted'/, qr/pg_reload_conf\(\)/,
        qr/full_page_writes = on/;
    for my $path ('public', 'public, pg_catalog')
    {
        my $result = paste($source, $all, $path);
        unlike($result->{stderr}, qr/hostile/, "search_path = $path: none of the others' functions is called")
            or diag($all);
        is($result->{status}, 0, "search_path = $path: it can be pasted");
        $source->sql("SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE NOT active");
    }
    # The test would see it.
    like(paste($source, $all =~ s/\bpg_catalog\.(?=\w+\()//gr, 'public, pg_catalog')->{stderr}, qr/hostile/,
        'without their schema they would be called');
    like(paste($source, "SELECT pg_drop_replication_slot('x');", 'public')->{stderr},
        qr/hostile pg_drop_replication_slot\(text\)/, 'one that fits better by default as well');
});
