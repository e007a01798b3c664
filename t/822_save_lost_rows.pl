# --save-lost-rows writes what lost transactions did to rows, before the target loses it: a file of JSON lines and a
# script for psql. The script makes the tables of the new primary those of the old one, twice run it changes nothing,
# and it reports conflicts. The files are never replaced; killed anywhere, or out of space anywhere with
# --require-lost-rows, the same command goes on. (Invariants 1 and 3.)
# (Rules L1, L2, L29.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Interrupted;
use RewindTest::LostRows qw(try_script);

my $tables = <<'END';
CREATE TABLE orders (id int PRIMARY KEY, item text, state text, doc json);
CREATE TABLE note (text text);
CREATE TABLE "odd ""name" ("Key" text PRIMARY KEY, big text);
INSERT INTO orders SELECT i, 'item ' || i, 'ordered', '{"i": 1}' FROM generate_series(1, 20) i;
INSERT INTO note VALUES ('twice'), ('twice'), ('once');
INSERT INTO "odd ""name" VALUES ('it''s', 'x'), (E'back\\slash', 'y');
CHECKPOINT;
END
my @lost = (
    q{INSERT INTO orders VALUES (21, 'lamp', 'ordered', NULL), (22, E'a\nb', NULL, '[2]')},
    q{UPDATE orders SET state = 'paid' WHERE id < 4},
    q{DELETE FROM orders WHERE id = 10},
    q{INSERT INTO note VALUES ('twice'), ('new')},
    q{DELETE FROM note WHERE ctid = (SELECT min(ctid::text)::tid FROM note WHERE text = 'twice')},
    q{UPDATE "odd ""name" SET big = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i) WHERE "Key" = 'it''s'},
    q{UPDATE "odd ""name" SET "Key" = 'other' WHERE "Key" = 'it''s'},
    q{BEGIN; INSERT INTO orders VALUES (30, 'gone', '', NULL); ROLLBACK},
    q{CREATE ROLE without_rows},
);
my $contents =
    q{SELECT 'o', o::text FROM orders o UNION ALL SELECT 'n', n::text FROM note n UNION ALL SELECT 'q', q::text FROM "odd ""name" q ORDER BY 1, 2};

sub lines_of { my ($path) = @_; return map { JSON::PP->new->utf8->decode($_) } split /\n/, slurp($path) }
sub files { my ($directory) = @_; return sort map { m{([^/]+)$} } glob "$directory/*" }

sub save
{
    my ($target, $source, $directory, @options) = @_;
    return rewind($target, $source, kind => 'directory', options => [ "--save-lost-rows=$directory", @options ]);
}

sub refused
{
    my ($name, $source, $target, $directory, $message) = @_;
    my $result = save($target, $source, $directory);
    is($result->{status}, 1, "$name: refused");
    like($result->{stderr}, $message, "$name: why");
    return;
}

sub interrupted
{
    my ($version) = @_;
    my $saved = work_dir() . '/interrupted';
    my $pair = RewindTest::Interrupted->new($version, kind => 'directory',
        options => [ "--save-lost-rows=$saved", '--require-lost-rows' ]);
    my $calls = $pair->calls;
    my %whole = map { $_ => slurp("$saved/$_") } files($saved);
    is(scalar keys %whole, 2, 'two files');
    my @about = grep { $calls->[ $_ - 1 ]{path} =~ m{\Q$saved\E} } 1 .. @$calls;
    cmp_ok(scalar @about, '>', 6, 'there are such calls');
    for my $fault ((map { "kill:$_" } @about), map { "fail:$_:ENOSPC" } @about)
    {
        my ($number) = $fault =~ /:(\d+)/;
        must_run([ 'rm', '-rf', $saved ]);
        subtest("$fault, $calls->[ $number - 1 ]{call} $calls->[ $number - 1 ]{path}", sub {
            my $result = $pair->reset->attempt(fault => $fault);
            is($result->{status}, 1, 'it fails') if $fault =~ /ENOSPC/ && $result->{stderr} =~ /error/;
            $pair->judge;
            is(join(' ', map { slurp("$saved/$_") eq ($whole{$_} // '') ? $_ : "other $_" } files($saved)),
                join(' ', sort keys %whole), 'both files, and no other');
        });
    }
    return;
}

sub run_script
{
    my ($server, $script) = @_;
    my $result = try_script($server, $script, psql => ['-q']);
    is($result->{status}, 0, 'the script runs') or diag($result->{stdout}, $result->{stderr});
    is($result->{stderr}, '', 'without a word');
    return $result->{stdout};
}

sub script_is_right
{
    my ($source, $script, $of_target) = @_;
    my $changed = $source->copy('changed');
    $source->start;
    is(run_script($source, $script), '', 'it finds no conflict');
    is($source->query($contents), $of_target, 'then the new primary has the rows of the old one');
    like(run_script($source, $script), qr/\A(?:transaction \d+ is done already\n)+\z/, 'a second time it does nothing');
    is($source->query($contents), $of_target, 'and changes nothing');
    $source->stop;

    $changed->start->sql(q{UPDATE orders SET item = 'other' WHERE id IN (2, 10); INSERT INTO orders VALUES (21, 'chair')});
    my @conflicts = run_script($changed, $script) =~ /^(conflict: .*) \(/mg;
    is(join("\n", @conflicts), join("\n", map { qq{conflict: $_} } q{INSERT of "public"."orders" WHERE "id" = '21'},
        q{UPDATE of "public"."orders" WHERE "id" = '2'},
        q{DELETE of "public"."orders" WHERE "id" = '10'}), 'rows that the new primary has changed are conflicts');
    is($changed->query(q{SELECT string_agg(item, ',' ORDER BY id) FROM orders WHERE id IN (2, 10, 21)}),
        'other,other,chair', 'and are not changed');
    $changed->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $saved = work_dir() . "/rows.$version";
    my $of_target;
    my ($source, $target) = split_brain($version, before => sub { $_[0]->sql($tables) },
        target => sub { my ($server) = @_; $server->sql($_) for @lost; $of_target = $server->query($contents) });
    my $database = $source->query(q{SELECT datname || ' ' || oid FROM pg_database WHERE datname = current_database()});
    $target->stop;
    $source->stop;
    refused('in the target', $source, $target, $target->path('rows'),
        qr/directory ".*" for --save-lost-rows must not be inside/);
    refused('in the source', $source, $target, $source->path('rows'), qr/must not be inside/);
    refused('no parent', $source, $target, work_dir() . '/none/rows', qr/could not write to directory/);

    my $result = save($target, $source, $saved, '-n', '--report=json');
    is($result->{status}, 0, 'a dry run') or diag($result->{stderr});
    like($result->{stderr}, qr/are saved: .*nothing else is written in a dry run/s, 'says what it has written');
    my ($jsonl, $sql) = files($saved);
    like("$jsonl $sql", qr/^(lost-\d+-1-[0-9A-F]{16})\.jsonl \1\.sql$/, 'two files');
    is(join(' ', map { sprintf '%o', (stat "$saved/$_")[2] & 07777 } $jsonl, $sql), '600 600',
        'that nobody else can read');
    my $report = JSON::PP->new->utf8->decode($result->{stdout})->{discarded}{saved_rows};
    is("$report->{jsonl} $report->{sql} $report->{unknown}", "$saved/$jsonl $saved/$sql 0", 'the report names them');

    my @lines = lines_of("$saved/$jsonl");
    is("$lines[0]{action} $lines[-1]{action}", 'rewind end', 'the first and the last line');
    is(join('', map { $_->{action} } @lines) =~ s/^rewind|end$//gr =~ s/schema//gr =~ s/BC//gr,
        'BIICBUUUCBDCBIICBDCBUCBUC', 'the others are transactions');
    is(join(' ', map { $_->{table} . ':' . join('/', @$_{qw(inserted updated deleted
        unknown)}) } @{ $lines[-1]{tables} }), 'note:2/0/1/0 odd "name:0/2/0/0 orders:2/3/1/0',
        'the last line has counts');
    my $end = $lines[-1];
    is(join(' ', map { "$_->{database} $_->{database_oid}" } $end->{tables}[0]), $database,
        'with their database by name and number');
    is(join(' ', grep { $_ ne 'postgres' } map { $_->{database} // 'null' } grep { $_->{action} eq 'B' } @lines), '',
        'which each transaction has by name, also those without rows');
    like(slurp("$saved/$jsonl"), qr/\A[^\n]*"system_identifier":\s*"\d+"/, 'the system identifier is a string');
    my $sum = $end->{catalog_changes} + $end->{toast_changes} + $end->{rewrite_changes};
    $sum += $_->{inserted} + $_->{updated} + $_->{deleted} for @{ $end->{tables} };
    is($end->{changes}, $sum, 'that add up');

    spew("$saved/$_", slurp("$saved/$_") =~ s/\A[^\n]*/-- another first line/r) for $jsonl, $sql;
    is(save($target, $source, $saved, '-n')->{status}, 0, 'the same again, also if the first lines are others');
    like(slurp("$saved/$jsonl"), qr/\A-- another first line\n/, 'does not replace the files');
    spew("$saved/$sql", "another first line\nof another build\n");
    is(save($target, $source, $saved, '-n')->{status}, 0, 'the same rows, with a script of another build');
    is(slurp("$saved/$sql"), "another first line\nof another build\n", 'which is not replaced');
    spew("$saved/$jsonl", "other\ncontent\n");
    refused('another file is there', $source, $target, $saved, qr/exists with other content/);
    is(slurp("$saved/$jsonl"), "other\ncontent\n", 'and is not replaced');
    unlink "$saved/$jsonl";
    refused('another script alone', $source, $target, "$saved", qr/$sql" exists with other content/);
    unlink "$saved/$sql";
    like(save($target, $source, "$saved.no", '-n', '--compare')->{stderr}, qr/warning: no lost rows are saved/,
        '--compare does not know what is lost');
    my $unknown = save($target, $source, "$saved.no", qw(-n --compare --require-lost-rows));
    like("$unknown->{status} $unknown->{stderr}", qr/^1 .*error: lost rows cannot be saved without the target's WAL$/ms,
        'which is an error where they are required');

    is(save($target, $source, $saved)->{status}, 0, 'rewound');
    is(scalar(() = files($saved)), 2, 'with both files');
    script_is_right($source, "$saved/$sql", $of_target);
    $_->discard for $target, $source;
    interrupted($version) if $version == 15;
}, only => [ 10, 15, 18 ]);
