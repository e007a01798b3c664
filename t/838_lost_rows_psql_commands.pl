# Nothing in the script of --save-lost-rows becomes a command of psql: psql reads it as it was written, whatever the
# code that a row calls sets for the session.
#
# The attacker owns a table, and may INSERT into one of bob's. Her CHECK tells the session that backslashes escape, or
# another encoding; psql believes that, and would take what is in later values for its own commands, as the user of the
# system who runs it. Values that psql skips are read, too.
#
# Her CHECK may also replace a function of the script, as the role that owns it: then the last queries of a transaction
# set another encoding, and what follows in their row are names of her tables.
# (Rule L25.)

use strict;
use warnings;
use utf8;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

sub quoted { my ($name) = @_; return '"' . $name =~ s/"/""/gr . '"' }
sub bytes { my ($text) = @_; utf8::encode($text); return $text }

# By SJIS and GBK, the last byte of each first word takes the quote after it with it.
my @values = map { my $word = $_; map { bytes("$word$_") } q{\\'; \\! touch FILE; --},
    "', E'\n\\! touch FILE\n\\endif\n\\! touch FILE\n", q{'`touch FILE`'}, q{ :'x' \\gexec} } '', 'あ', '中', 'ÿ';

# By SJIS the last byte of the second name takes the quote after it with it, so the third one is outside of quotes.
my @names = map { bytes($_) } 'a', 'xÁ', 'Á\! touch "$FILE" #';
my $replace = <<'END';
CREATE FUNCTION mallory.replace() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF session_user = 'lost_rows_writer' THEN
        CREATE OR REPLACE FUNCTION lost_rows.check_deferrable(schema text, name text) RETURNS void LANGUAGE plpgsql
            AS 'BEGIN PERFORM set_config(''client_encoding'', ''SJIS'', false); END';
    END IF;
    RETURN true; END $$;
ALTER TABLE mallory.a ADD CHECK (mallory.replace());
END

sub inserts
{
    my ($table, $file) = @_;
    # A name and a literal in one row, so that quotes are there to be taken.
    return join ' ', map { my $value = s/FILE/$file/gr; my $end = bytes('あ'); "INSERT INTO $table VALUES ("
        . join(', ', map { "E'" . s/([\\'])/\\$1/gr . "'" } $value, $end, $value) . ');' } @values;
}

each_version(sub {
    my ($version) = @_;
    my $file = work_dir() . "/touched.$version";
    my $utf8 = q{SET client_encoding = 'UTF8';};
    my $truncate = $utf8 . join ' ', map { "TRUNCATE mallory.$_;" } 't', map { quoted($_) } @names;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            make_attacker($server);
            as_mallory($server, bytes($utf8 . q{CREATE TABLE mallory.t (a text, b text, c text, "né" text)}));
            as_mallory($server, "$utf8 CREATE TABLE mallory." . quoted($_) . ' (id int PRIMARY KEY DEFERRABLE)')
                for @names;
            $server->sql(q{SET SESSION AUTHORIZATION bob; CREATE TABLE bob.t (a text, b text, c text); GRANT INSERT ON bob.t TO mallory; GRANT USAGE ON SCHEMA bob TO mallory});
        },
        target => sub {
            my ($server) = @_;
            # Each transaction has rows of both, so that those of bob are skipped amid hers.
            as_mallory($server, "$utf8 BEGIN; " . inserts('mallory.t', $file) . inserts('bob.t', $file)
                . inserts('mallory.t', $file) . inserts('bob.t', $file) . ' COMMIT') for 1 .. 2;
            my @inserts = map { 'INSERT INTO mallory.' . quoted($_) . ' VALUES (1);' } @names;
            as_mallory($server, "$utf8 BEGIN; @inserts COMMIT");
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $count = 4 * @values;
    for my $setting ("'standard_conforming_strings', 'off'", map { "'client_encoding', '$_'" } qw(SJIS GBK BIG5 UHC
        GB18030))
    {
        next if $version >= 19 && $setting =~ /standard/;
        $source->sql($truncate);
        $source->sql(q{DROP SCHEMA IF EXISTS lost_rows CASCADE});
        as_mallory($source,
            "ALTER TABLE mallory.t DROP CONSTRAINT IF EXISTS sets; ALTER TABLE mallory.t ADD CONSTRAINT sets CHECK (set_config($setting, false) IS NOT NULL)");
        my $result = try_script($source, $script, owner => 'mallory');
        ok(!-e $file, "$setting: no command of the system has run");
        is($result->{status}, 0, "$setting: the script runs") or diag(substr $result->{stderr}, 0, 2000);
        is($source->sql('SELECT count(*) FROM mallory.t') . ' ' . $source->sql('SELECT count(*) FROM bob.t'),
            "$count 0", "$setting: all rows of hers have come back, and no other");
        is($source->sql(q{SET client_encoding = 'UTF8'; SELECT count(DISTINCT (a, b, c)) FROM mallory.t}),
            scalar @values, "$setting: as they were");
        unlink $file;
    }

    $source->sql($truncate);
    $source->sql(q{DROP SCHEMA lost_rows CASCADE});
    as_mallory($source, 'ALTER TABLE mallory.t DROP CONSTRAINT sets; ' . $replace);
    local $ENV{FILE} = $file;
    my $result = try_script($source, $script, owner => 'mallory');
    ok(!-e $file, 'nor has one if she replaces a function of the script');
    is($result->{status}, 0, 'the script runs') or diag(substr $result->{stderr}, 0, 2000);
    is(join(' ', map { $source->sql("$utf8 SELECT count(*) FROM mallory." . quoted($_)) } @names), '1 1 1',
        'to its end');
}, sample => 1);
