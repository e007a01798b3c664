# No code of an SQL user runs with the rights of the role that pg_rewind connects as: the owner of the source's database
# has put operators, functions, relations and types of the server's names before these.
# (Rule T10. The source is a server.)
#
#   pg_rewind ── superuser ──▶ database d, search_path = evil, pg_catalog   evil.||, evil.=, evil.quote_ident() ...
#                                                                           each calls evil.note(), which writes a file

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Proxy;

# Types of the arguments that get functions and operators of the owner's.
my $types = join ', ', map { "'$_'" }
    qw(text name oid int4 int8 float8 numeric bool bytea timestamptz inet regclass _text);

# What the owner makes: the real thing comes out, after the note. note() writes only with a superuser's rights.
sub code_of_owner
{
    my ($version, $mark) = @_;
    my $plain = $version >= 11 ? "prokind = 'f'" : 'NOT proisagg AND NOT proiswindow';
    my $typed = sub { my ($type) = @_; "(SELECT typname FROM pg_type WHERE oid = $type) IN ($types)" };
    return <<"END";
SET ROLE owner;
CREATE SCHEMA evil;
CREATE FUNCTION evil.note(what text) RETURNS bool LANGUAGE plpgsql AS \$note\$ BEGIN
    IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN
        EXECUTE pg_catalog.format('COPY (SELECT %L) TO PROGRAM %L', what, 'cat >> $mark');
    END IF;
    RETURN true;
END \$note\$;
SET check_function_bodies = off;
DO \$all\$
DECLARE f record; o record; r record; t record;
BEGIN
    FOR f IN
        SELECT proname, pg_get_function_identity_arguments(p.oid) AS arguments, prorettype::regtype AS result,
            (SELECT string_agg('\$' || n, ', ') FROM generate_series(1, pronargs) n) AS passed
        FROM pg_proc p
        WHERE pronamespace = 'pg_catalog'::regnamespace AND $plain AND NOT proretset AND provariadic = 0
            AND prorettype <> ALL (ARRAY['internal', 'cstring', 'trigger', 'event_trigger']::regtype[])
            AND proargmodes IS NULL
            AND NOT EXISTS (SELECT 1 FROM unnest(proargtypes) a WHERE NOT @{[ $typed->('a') ]})
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                f.proname, f.arguments, f.result,
                format('BEGIN PERFORM evil.note(%L); %s pg_catalog.%I(%s); END', 'function ' || f.proname,
                    CASE f.result WHEN 'void'::regtype THEN 'PERFORM' ELSE 'RETURN' END, f.proname, f.passed));
        EXCEPTION WHEN others THEN NULL;
        END;
    END LOOP;
    FOR o IN
        SELECT p.oid, oprname, oprleft::regtype AS a, oprright::regtype AS b, oprresult::regtype AS result
        FROM pg_operator p
        WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprcode <> 0
            AND @{[ $typed->('oprleft') ]} AND @{[ $typed->('oprright') ]}
    LOOP
        EXECUTE format('CREATE FUNCTION evil.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
            o.oid, o.a, o.b, o.result,
            format('BEGIN PERFORM evil.note(%L); RETURN \$1 OPERATOR(pg_catalog.%s) \$2; END',
                'operator ' || o.oprname, o.oprname));
        EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, PROCEDURE = evil.operator_%s)',
            o.oprname, o.a, o.b, o.oid);
    END LOOP;
    FOR r IN SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
    LOOP
        BEGIN
            EXECUTE format('CREATE VIEW evil.%I AS SELECT * FROM pg_catalog.%I WHERE evil.note(%L)',
                r.relname, r.relname, 'relation ' || r.relname);
        EXCEPTION WHEN others THEN NULL;
        END;
    END LOOP;
    FOR t IN SELECT unnest(ARRAY[$types, 'pg_lsn', 'json', 'char', 'xid']) AS typname
    LOOP
        EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.note(%L))',
            t.typname, t.typname, 'type ' || t.typname);
    END LOOP;
END \$all\$;
ALTER DATABASE d SET search_path = evil, pg_catalog;
END
}

each_version(sub {
    my ($version) = @_;
    my $mark = work_dir() . "/called_$version";
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql('CREATE ROLE owner LOGIN; CREATE DATABASE d OWNER owner; CREATE TABLE t AS SELECT 1 AS a');
            $_[0]->sql(code_of_owner($version, $mark), 'd');
        },
        source => sub { $_[0]->sql('CREATE TABLE s AS SELECT 1 AS a') },
        target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 3 AS a') });
    # With the owner's names this would start a program for each of the functions.
    cmp_ok($source->query("SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc
        WHERE pronamespace OPERATOR(pg_catalog.=) 'evil'::pg_catalog.regnamespace", 'd'), '>', 500,
        'the owner has functions of most names');
    $source->try_sql('SELECT 1 = 1', 'd');
    ok(-e $mark, 'which a superuser calls who does not name the schema');
    unlink $mark;

    my @runs = (
        [ 'a look', 0, '--check' ],
        [ 'a dry run', 0, '-n', '--report=json' ],
        [ 'a rewind of all blocks', 1, '--compare' ],
        [ 'a rewind with a checkpoint', 1, '--checkpoint', '--late-start' ],
        [ 'a rewind', 0, '-R', '--slot=d', '--create-slot', '--save-lost-rows=' . work_dir() . "/rows_$version" ]);
    for my $run (@runs)
    {
        my ($name, $of_copy, @options) = @$run;
        my $on = $of_copy ? $target->copy('copy') : $target;
        my $result = run([ rewind_argv($on->data, '--source-server', $source->conninfo('d'), '--no-sync', @options) ]);
        is($result->{status}, 0, "$name succeeds") or diag($result->{stderr});
        is(-e $mark ? slurp($mark) : '', '', 'and calls none of it');
        unlink $mark;
        $on->discard if $of_copy;
    }
    unlike($source->log, qr/there is no transaction in progress|can only be used in transaction blocks/,
        'all of it in transactions of its own');

    # Where BEGIN fails, nothing that was sent behind it may run. (A statement_timeout of the owner's can do that.)
    my $proxy = RewindTest::Proxy->new('proxy', $source, filter => sub {
        my ($number, $who, $bytes) = @_;
        return $who eq 'client' ? $bytes =~ s/BEGIN (?=ISOLATION)/BEGIM /gr : $bytes;
    });
    my $copy = $target->copy('begin_fails');
    my $result = run([ rewind_argv($copy->data, '--source-server', $proxy->conninfo('d'), '--no-sync') ]);
    is($result->{status}, 1, 'a transaction that does not begin fails');
    is(-e $mark ? slurp($mark) : '', '', 'and calls none of it');
    $proxy->end;
    $copy->discard;

    $target->start;
    $target->wait_for_replay_of($source);
    is($target->query('SELECT count(*) FROM s'), '1', 'the standby follows');
}, from => 9.6);
