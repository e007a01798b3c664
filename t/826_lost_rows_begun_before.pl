# Of a transaction that began before the last common checkpoint the file of --save-lost-rows has the changes since, and
# says that there may be others. Those between that checkpoint and the divergence are there, also of prepared
# transactions. Other databases have names and text of their own encoding, which become UTF-8.
#
#                 ● checkpoint       ┬ divergence
#   early    b ── │ ─────────────────┼──── c       some changes are before the checkpoint
#   late          │  b ──────────────┼──── c
#   prepared      │  b ── P          ┼──── c
#   rolled        │  b ── P          ┼──── r

use strict;
use warnings;
use utf8;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;
use RewindTest::Outcome;

sub utf8_bytes { my ($text) = @_; utf8::encode($text); return $text }

my $odd = q{'o="d d\'b'};    # a database, quoted as a connection string wants it
my %slot = (postgres => 'of_postgres', latin => 'of_latin', $odd => 'of_odd');

sub make_databases
{
    my ($primary) = @_;
    $primary->sql('CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat(n::text, 50) FROM generate_series(1, 200) n; ALTER TABLE t REPLICA IDENTITY FULL');
    $primary->sql(q{CREATE DATABASE "o=""d d'b"});
    $primary->sql('CREATE DATABASE template0');
    $primary->sql(q{CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0});
    $primary->sql('CREATE TABLE t (id integer, v text); ALTER TABLE t REPLICA IDENTITY FULL', $odd);
    $primary->sql(utf8_bytes(q{SET client_encoding = 'UTF8'; CREATE TABLE "tablé" (id integer PRIMARY KEY, "ñ" text); INSERT INTO "tablé" VALUES (1, 'é'); ALTER TABLE "tablé" REPLICA IDENTITY FULL;
        CREATE TYPE "typé" AS ENUM ('ü'); ALTER TABLE "tablé" ADD e "typé"}), 'latin');
    return;
}

sub change
{
    my ($what, $id) = @_;
    return "UPDATE t SET v = '$what' WHERE id = $id; INSERT INTO t VALUES (1000 + $id, '$what'); DELETE FROM t WHERE id = $id + 1; SAVEPOINT s; UPDATE t SET v = '$what, later' WHERE id = $id;";
}

each_version(sub {
    my ($version) = @_;
    my ($early, $late, @decoded);
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'wal_level = logical' },
        before => \&make_databases,
        together => sub {
            my ($primary) = @_;
            $primary->sql("SELECT pg_create_logical_replication_slot('$slot{$_}', 'test_decoding')", $_)
                for sort keys %slot;
            ($early, $late) = map { $primary->session } 1, 2;
            $early->sql('BEGIN; ' . change('early, before the checkpoint', 10));
            $primary->sql('CHECKPOINT');
            $early->sql(change('early', 20));
            $late->sql('BEGIN; ' . change('late', 30));
            $primary->sql('BEGIN; ' . change('prepared', 40) . q{PREPARE TRANSACTION 'prepared'});
            $primary->sql('BEGIN; ' . change('rolled back', 50) . q{PREPARE TRANSACTION 'rolled back'});
            $primary->sql(q{UPDATE t SET v = 'common' WHERE id BETWEEN 60 AND 70; DELETE FROM t WHERE id = 71});
            $primary->sql("SELECT count(*) FROM pg_logical_slot_get_changes('$slot{$_}', NULL, NULL)", $_)
                for sort keys %slot;
        },
        target => sub {
            my ($primary) = @_;
            $primary->sql(q{UPDATE t SET v = 'lost' WHERE id BETWEEN 65 AND 75});
            $primary->sql(q{COMMIT PREPARED 'prepared'; ROLLBACK PREPARED 'rolled back'});
            $late->sql(change('late, after the divergence', 80) . 'COMMIT');
            $early->sql(change('early, after the divergence', 90) . 'COMMIT');
            $_->end for $early, $late;
            $primary->sql(q{INSERT INTO t VALUES (1, 'elsewhere'); UPDATE t SET v = NULL}, $odd);
            $primary->sql(utf8_bytes(q{SET client_encoding = 'UTF8'; INSERT INTO "tablé" VALUES (2, 'ÿ¡', 'ü'); UPDATE "tablé" SET "ñ" = 'changé' WHERE id = 1; DELETE FROM "tablé" WHERE id = 2}),
                'latin');
            @decoded = map { @{ decoded_rows($primary, $slot{$_}, $_) } } sort keys %slot;
        },
        stop => 'immediate');
    $source->stop;
    my $file = save_lost_rows($target, $source);
    return if !$file->{jsonl};
    like($file->{said},
        qr/warning: 1 transaction may have changed rows before the WAL that was read, from .* on: these changes are not saved/,
        'the run says that not all is saved');
    ends(rewind($target, $source, kind => 'directory',
        options => [ "--save-lost-rows=@{[ $target->dir ]}/lost", '--require-lost-rows' ]), 1,
        'with --require-lost-rows',
        qr/^pg_rewind: error: not all lost rows are known$/m);
    my ($saved) = saved_rows($file->{jsonl});
    my ($begun) = grep { $_->{began_before} } @$saved;
    my ($of_server) = grep { defined $begun && $_->{xid} == $begun->{xid} } @decoded;
    ok($begun && $of_server, 'one transaction began before the checkpoint') or return;
    splice @{ $of_server->{changes} }, 0, 4;
    my %order = map { $saved->[$_]{xid} => $_ } 0 .. $#$saved;
    are_same_rows($saved, [ sort { ($order{ $a->{xid} } // 0) <=> ($order{ $b->{xid} } // 0) } @decoded ],
        'the rows are those that the server decodes', by => 'xid', version => $version);
    is(join(' ', map { $_->{gid} // () } @$saved), 'prepared', 'a prepared transaction is marked');

    # Prepared before the divergence, they are the new primary's as well, and have locks there.
    $source->start->sql(q{ROLLBACK PREPARED 'rolled back'});
    my $refused = try_script($source, $file->{sql}, superusers => 1);
    is($refused->{status}, 3, 'the script stops at a transaction that is still prepared');
    my ($hint) = $refused->{stderr} =~ /HINT:  As a superuser: (COMMIT PREPARED 'prepared'); then run/;
    ok(defined $hint, 'it says what to do') or diag($refused->{stderr});
    $source->sql($hint) if defined $hint;
    my $result = try_script($source, $file->{sql}, superusers => 1);
    $result->{stdout} =~ s/^transaction \d+ is done already\n//mg;
    is($result->{status} . $result->{stderr} . $result->{stdout}, '0', 'the script has nothing else to say');
    is($source->sql(utf8_bytes(q{SET client_encoding = 'UTF8'; SELECT * FROM "tablé"}), 'latin'),
        utf8_bytes('1|changé|'), 'it changes a database of another encoding');
    is($source->sql('SELECT * FROM t', $odd), '1|', 'and one with an odd name');
}, only => [ 10, 15, 18 ]);
