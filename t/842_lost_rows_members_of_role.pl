# The role that runs the script of --save-lost-rows has the rights of the owner of whom a superuser has made it a
# member, and nobody has the role's.
#
# The attacker owns a table. Before 15 she can make each role a member of herself, and her code, which runs as the role,
# can make her a member of that one.
# (Rule L21.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { make_attacker($_[0]);
        as_mallory($_[0],
        'CREATE TABLE mallory.t (id integer); SET SESSION AUTHORIZATION DEFAULT; CREATE TABLE public.of_postgres (id integer); CREATE TABLE public.enough ()') },
        target => sub {
            my ($server) = @_;
            $server->sql('INSERT INTO public.of_postgres VALUES (1)');
            as_mallory($server, 'INSERT INTO mallory.t VALUES (1)');
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start->sql('TRUNCATE mallory.calls');
    as_mallory($source, q{ALTER TABLE mallory.t ADD CHECK (mallory.gain('check'))});
    my $rows = sub { return join ' ', map { $source->sql("SELECT count(*) FROM $_") } qw(mallory.t
        public.of_postgres) };

    # As a role for tables of superusers, which has rights on them.
    make_writer($source, superusers => 1);
    # From 15 on she needs the option for that, which whoever made her role can give her.
    $source->sql($version < 15 ? 'SET SESSION AUTHORIZATION mallory; GRANT mallory TO lost_rows_writer'
        : 'CREATE ROLE clerk; GRANT mallory TO clerk WITH ADMIN OPTION; SET SESSION AUTHORIZATION clerk; GRANT mallory TO lost_rows_writer');
    my $result = try_script($source, $script, superusers => 1);
    is($result->{status}, 3, 'as a role that she has made her member the script stops');
    like($result->{stderr},
        qr/ERROR:  the script does not run as lost_rows_writer: it was made a member of a role by another than a superuser$/m,
        'and says why');
    is($rows->(), '0 0', 'it changes nothing');
    is(gains_nothing($source, 'made a member'), '', 'her code is not called');
    $source->sql('REVOKE mallory FROM lost_rows_writer' . ($version < 16 ? '' : ' GRANTED BY clerk'));

    # While it runs: it waits for the table of the superuser, which comes first.
    my $session = $source->session;
    $session->sql('BEGIN; LOCK TABLE public.of_postgres');
    $session->send(q{DO $$ BEGIN FOR i IN 1 .. 3000 LOOP EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted); PERFORM pg_sleep(0.01); END LOOP; END $$;
        SET SESSION AUTHORIZATION } . ($version < 15 ? 'mallory' : 'clerk') . '; GRANT mallory TO lost_rows_writer; COMMIT');
    # the role is there: it is given nothing more, which could wait, too
    $result = try_script($source, $script, owner => 'nobody');
    $session->end;
    is($result->{status}, 0, 'made her member while it runs, it goes on') or diag($result->{stderr});
    like($result->{stderr}, qr/WARNING:  mallory\.t belongs to mallory: this run does not change it$/m,
        'for the tables of superusers only');
    is($rows->(), '0 1', 'it has changed these');
    is(gains_nothing($source, 'made a member while it runs'), '', 'her code is not called');

    # As her code can do that runs as the role, before 15, if the role is kept for the next owner.
    $source->sql('REVOKE mallory FROM lost_rows_writer' . ($version < 16 ? '' : ' GRANTED BY clerk'));
    $source->sql(($version < 15 ? 'SET SESSION AUTHORIZATION lost_rows_writer; ' : '')
        . 'GRANT lost_rows_writer TO mallory');
    $result = try_script($source, $script, superusers => 1);
    like($result->{stderr}, qr/ERROR:  the script does not run as lost_rows_writer: another role is a member of it$/m,
        'as a role that has members the script stops');
}, sample => 1);
