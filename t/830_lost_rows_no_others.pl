# The script of --save-lost-rows changes no row that the lost transaction did not change, and does nothing that the new
# primary has done as well: where a value that would tell the row apart is not in WAL, where a session changes the row
# at the same moment, where a transaction was prepared before the divergence, where triggers fire nevertheless, and
# where a deferrable constraint is in the way. Keys may be of any type, or generated.
# (Rules L4, L5, L6, L8, L9, L10, L11.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $tables = <<'END';
CREATE TABLE long_key (k text PRIMARY KEY, n int);
ALTER TABLE long_key ALTER k SET STORAGE EXTERNAL;
INSERT INTO long_key SELECT i || repeat('k', 2500), 1 FROM generate_series(1, 3) i;
CREATE TABLE long_text (body text, n int);
ALTER TABLE long_text ALTER body SET STORAGE EXTERNAL;
INSERT INTO long_text SELECT i || repeat('b', 5000), 1 FROM generate_series(1, 3) i;
INSERT INTO long_text VALUES ('like the new one', 2);
CREATE TABLE no_key (a int, b text);
INSERT INTO no_key SELECT i, 'b' FROM generate_series(1, 4) i;
CREATE TYPE pair AS (a int, b text);
CREATE TABLE composite_key (k pair PRIMARY KEY, v text);
INSERT INTO composite_key VALUES ('(1,x)', 'v'), ('(2,x)', 'v');
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE DOMAIN of_mood AS mood;
CREATE TABLE domain_key (k of_mood PRIMARY KEY, v text);
INSERT INTO domain_key VALUES ('a', 'v'), ('b', 'v');
CREATE TABLE pg_temp_77 (id int PRIMARY KEY);
CREATE TABLE swapped (id int PRIMARY KEY DEFERRABLE);
INSERT INTO swapped VALUES (1), (2);
CREATE TABLE ruled (id int PRIMARY KEY, other int UNIQUE);
CREATE RULE ruled AS ON UPDATE TO ruled DO ALSO NOTHING;
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, r int4range, EXCLUDE USING gist (r WITH &&) DEFERRABLE);
INSERT INTO deferred SELECT i, int4range(10 * i, 10 * i + 5) FROM generate_series(1, 4) i;
CREATE TABLE audit (what text);
CREATE TABLE audited (id int PRIMARY KEY, v text);
INSERT INTO audited VALUES (1, 'v');
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON audited FOR EACH ROW EXECUTE PROCEDURE note();
ALTER TABLE audited ENABLE ALWAYS TRIGGER note;
END
my $generated = <<'END';
CREATE TABLE generated_key (a int, b text, k int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY);
CREATE RULE ruled AS ON UPDATE TO generated_key DO ALSO NOTHING;
INSERT INTO generated_key SELECT i, 'b' FROM generate_series(1, 5) i;
END

sub lost
{
    my ($version) = @_;
    return (
        q{UPDATE audited SET v = 'lost'}, q{UPDATE long_key SET n = 2 WHERE k LIKE '2%'},
        q{UPDATE long_text SET n = 2 WHERE body LIKE '2%'},
        q{COMMIT PREPARED 'on both'}, q{UPDATE no_key SET b = 'lost' WHERE a = 3}, q{DELETE FROM no_key WHERE a = 4},
        q{UPDATE composite_key SET v = 'lost' WHERE k = ROW(1, 'x')::pair; DELETE FROM composite_key WHERE k = ROW(2, 'x')::pair},
        q{UPDATE domain_key SET v = 'lost' WHERE v = 'v' AND k::text = 'a'}, q{INSERT INTO pg_temp_77 VALUES (5)},
        q{INSERT INTO ruled VALUES (6, 1)}, 'UPDATE swapped SET id = 3 - id',
        $version >= 12
        ? q{INSERT INTO generated_key VALUES (9, 'new'); UPDATE generated_key SET b = 'lost' WHERE a = 1; DELETE FROM generated_key WHERE a = 2}
        : (),
        # At last, since the script stops there.
        q{UPDATE deferred SET id = 4 - id WHERE id < 4}, q{UPDATE deferred SET id = 10 WHERE id = 2});
}

each_version(sub {
    my ($version) = @_;
    my $damaged = $version >= 15 ? 'base/99999' : undef;    # a CREATE DATABASE that was killed leaves such a directory
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'max_prepared_transactions = 2' },
        before => sub { $_[0]->sql($tables . ($version >= 12 ? $generated : '')) },
        together => sub {
        $_[0]->sql(q{BEGIN; INSERT INTO no_key VALUES (100, 'prepared'); PREPARE TRANSACTION 'on both'}) },
        source => sub { $_[0]->sql($_) for q{COMMIT PREPARED 'on both'}, q{UPDATE deferred SET id = 10 WHERE id = 4},
        q{INSERT INTO ruled VALUES (5, 1)},
        q{SET client_min_messages = error; CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert')} },
        target => sub { my ($server) = @_; $server->sql($_) for lost($version) });
    $source->stop;
    if ($damaged)
    {
        mkdir $target->path($damaged);
        spew($target->path("$damaged/$_"), slurp($target->path("base/1/$_"))) for qw(PG_VERSION pg_filenode.map);
        must_run([ 'chmod', '-R', 'go-rwx', $target->path($damaged) ]);
    }
    my $file = save_lost_rows($target, $source);
    return if !$file->{sql};
    $source->start;

    my $refused = try_script($source, $file->{sql});
    is($refused->{status}, 3, 'the script stops where triggers fire nevertheless');
    like($refused->{stderr},
        qr/ERROR:  what these triggers and rules do would be done twice: note of (?:public\.)?audited/,
        'and names them');
    $source->sql('ALTER TABLE audited ENABLE TRIGGER note');

    # It updates a row just before the script does.
    my $session = $source->session;
    $session->sql(q{BEGIN; UPDATE no_key SET b = 'theirs' WHERE a = 3});
    $session->send(q{DO $$ BEGIN WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; COMMIT});
    my $result = try_script($source, $file->{sql});
    $session->end;
    like($result->{stderr},
        qr/ERROR:  could not create unique index "deferred_pkey"\nDETAIL:  Key \(id\)=\(10\) is duplicated/,
        'it stops where a deferrable constraint is broken');
    is(scalar(() = $result->{stderr} =~ /ERROR/g), 1, 'and nowhere else');
    is($result->{stdout} =~ s/\d+|\(.*\)//gr,
        qq{conflict: UPDATE of "public"."long_text" \ntransaction  is done already\nconflict: UPDATE of "public"."no_key" \nconflict: INSERT of "public"."ruled" WHERE "id" = '' \n},
        'it says what it did not do');
    is($source->sql(q{SELECT count(*) FROM pg_publication_tables WHERE schemaname = 'lost_rows'}), 0,
        'subscribers of all tables do not get a table that they lack');
    my %rows = map { $_ => $source->sql("SELECT string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\") FROM $_ t") }
        qw(swapped no_key composite_key domain_key pg_temp_77 audit deferred), $version >= 12 ? 'generated_key' : ();
    is($source->sql(q{SELECT string_agg(DISTINCT n::text, ' ') FROM (SELECT n FROM long_key UNION ALL SELECT n FROM long_text WHERE body NOT LIKE 'like%') x}),
        '1', 'no row changes that cannot be told apart');
    like(slurp($file->{sql}), qr/^-- left out: UPDATE of public\.long_key /m, 'the script says so');
    is($rows{no_key}, '(1,b) (100,prepared) (2,b) (3,theirs)',
        'a row that a session changes at the same moment is a conflict; a transaction that both committed is not done again');
    is($rows{composite_key}, '("(1,x)",lost)', 'a composite key');
    is($rows{domain_key}, '(a,lost) (b,v)', 'a key of a domain over an enum, which has no operators');
    is($rows{swapped}, '(1) (2)', 'rows that have one key amid a transaction');
    is($rows{pg_temp_77}, '(5)', 'a table with the name of a copy');
    is($rows{audit}, '(UPDATE)', 'a trigger has fired once');
    is($rows{deferred}, '(1,"[30,35)") (10,"[40,45)") (2,"[20,25)") (3,"[10,15)")',
        'a primary key that is deferrable has no value twice');
    is($rows{generated_key}, '(1,lost,2) (3,b,6) (4,b,8) (5,b,10) (9,new,18)', 'a generated key') if $version >= 12;
});
