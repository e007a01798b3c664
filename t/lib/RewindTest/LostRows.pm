# The changes of rows that a server lost: those that it decodes itself, and those that --save-lost-rows has written, in
# one form.
#
#   run_workload($server, 'tables.sql');                      # of t/lost_rows
#   my $ours = saved_rows($path);                             # of the .jsonl
#   my $theirs = decoded_rows($server, $slot);                # of test_decoding
#   are_same_rows($ours, $theirs, 'the rows are those that the server decodes');
#
# The form: a list of transactions, each { xid, gid, changes => [ { kind, table, new, old } ] }; kind is I, U, D or T;
# new and old are lists of [ name, type, value ], where an undefined value is NULL. A TOASTed value that an update did
# not change is told neither in old nor in new.

package RewindTest::LostRows;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use RewindTest::Command;
use Test::More;

our @EXPORT = qw(run_workload run_sessions diverged_copies save_lost_rows save_lost_rows_within decoded_rows saved_rows
    keep_texts are_same_rows without_rewritten none_is_wrong all_rows make_writer try_script refuses_superuser
    run_script is_same_text);

use constant UNCHANGED => \'unchanged';

# How values are printed: as value_text.h says.
my $settings = "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';"
    . " SET lc_monetary = 'C'; SET extra_float_digits = 3; SET client_min_messages = 'error'; SET xmloption = 'content';";

# A dry run that saves rows, from a stopped source, within a limit of ulimit. Returns the result and the directory of
# the rows. A sanitizer's library takes terabytes of addresses: with it these (-v) are not limited.
sub save_lost_rows_within
{
    my ($limit, $target, $source) = @_;
    $limit = '' if $limit =~ /^-v/ && $ENV{PG_REWIND_FAULTS} =~ /lib[at]san/;
    my $directory = work_dir() . '/rows.' . $target->version;
    my $result = run([ 'sh', '-c', ($limit ? "ulimit $limit; " : '') . 'exec "$0" "$@"', $ENV{PG_REWIND}, '-D',
        $target->data, '--source-pgdata', $source->data, '-n', "--save-lost-rows=$directory" ]);
    return ($result, $directory);
}

# Run files of t/lost_rows, in one session.
sub run_workload
{
    my ($server, @files) = @_;
    my $version = $server->version;
    my $can = sub { my ($sql) = @_; return $server->try_sql($sql)->{status} == 0 ? 'true' : 'false' };
    my %variable = (
        (map { my $name = "from_$_" =~ tr/./_/r; $name => $version >= $_ ? 'true' : 'false' } 9.4, 9.5, 10 .. 19),
        with_xml => $can->(q{SELECT '<a/>'::xml}),
        with_lz4 => $version < 14 ? 'false' : $can->("SET default_toast_compression = 'lz4'"),
        bulk_file => $server->dir . '/bulk', parted_file => $server->dir . '/parted',
    );
    my $script = join '', $settings, "SET lock_timeout = '20s';\n\\o /dev/null\n",
        map({ "\\set $_ $variable{$_}\n" } sort keys %variable), map { slurp("t/lost_rows/$_") } @files;
    return $server->sql($script);
}

# Sessions beside each other: rows with more than one locker, and transactions that end in another order than they
# begin.
sub run_sessions
{
    my ($server) = @_;
    my ($first, $second) = map { $server->session } 1, 2;
    $first->sql('BEGIN; SELECT * FROM locked WHERE id BETWEEN 20 AND 27 FOR KEY SHARE');
    $first->sql(q{UPDATE accounts SET note = 'first' WHERE id = 380});
    $second->sql(q{UPDATE locked SET v = 'beside a locker' WHERE id IN (20, 21, 26)});
    $second->sql(q{BEGIN; UPDATE locked SET v = 'rolled back' WHERE id IN (21, 23); ROLLBACK});
    $second->sql(q{BEGIN; SELECT * FROM locked WHERE id IN (22, 24) FOR KEY SHARE; SAVEPOINT s; UPDATE locked SET v = 'of a subtransaction' WHERE id = 24; RELEASE s});
    $second->sql(q{UPDATE accounts SET note = 'second' WHERE id = 381});
    $first->sql(q{UPDATE locked SET v = 'beside two lockers' WHERE id = 22});
    $first->sql(q{UPDATE accounts SET note = 'first again' WHERE id = 380; INSERT INTO accounts VALUES (30000, 'first', 0, NULL)});
    $second->sql('COMMIT');
    $server->sql(q{UPDATE accounts SET note = 'between' WHERE id = 382});
    $first->sql('COMMIT');
    $_->end for $first, $second;
    $server->sql(q{UPDATE locked SET v = 'later' WHERE id IN (20, 22, 23); DELETE FROM locked WHERE id IN (21, 24, 26, 27)});
    return;
}

# Copies of a cluster with the workload's tables, none of which runs: their histories part at its shutdown checkpoint.
# The first is the source, promoted since. Names that end in .sql are files of more tables.
sub diverged_copies
{
    my ($cluster, @names) = @_;
    $cluster->start;
    run_workload($cluster, 'tables.sql', grep { /\.sql$/ } @names);
    @names = grep { !/\.sql$/ } @names;
    # The old value of each column is to be decoded.
    $cluster->sql(<<'END');
SELECT format('ALTER TABLE %s REPLICA IDENTITY FULL', oid::regclass) FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema')) \gexec
END
    $cluster->stop;
    my @copies = map { $cluster->copy($_) } @names;
    $copies[0]->switch_timeline->stop;
    return @copies;
}

# Save what a stopped target lost to a stopped source; the paths of the files. Options as those of rewind.
sub save_lost_rows
{
    my ($target, $source, %option) = @_;
    my $directory = $target->dir . '/lost';
    mkdir $directory;
    my $result = RewindTest::rewind($target, $source, kind => 'directory',
        options => [ '--dry-run', "--save-lost-rows=$directory", @{ $option{options} // [] } ]);
    is($result->{status}, 0, "the lost rows of " . $target->name . ' are saved') or diag($result->{stderr});
    my %file = map { /\.(\w+)\z/ ? ($1 => $_) : () } glob "$directory/lost-*";
    is(join(' ', sort keys %file), 'jsonl sql', 'in two files') or diag($result->{stderr});
    return { %file, said => $result->{stderr} };
}

# ---------------------------------------------------------------- what the server decodes

my $name = qr/(?:"(?:[^"]++|"")*+"|[\w\$]++)/;
my $type = qr/(?:"(?:[^"]++|"")*+"|\[\]|[^"\[\]])++/;

sub unquoted_name { my ($text) = @_; return $text =~ s/\A"(.*)"\z/$1/sr =~ s/""/"/gr }

# "a[integer]:1 b[text]:'x'", from where the last match ended.
sub decoded_columns
{
    my ($text, $version) = @_;
    my @columns;
    while ($$text =~ /\G ?($name)\[($type)\]:(?:(null)|(unchanged-toast-datum)|B?'((?:[^']++|'')*+)'|([^ ]++))/gcs)
    {
        my ($column, $of_type, $null, $unchanged, $quoted, $plain) = ($1, $2, $3, $4, $5, $6);
        next if $column eq 'oid' && $of_type eq 'oid' && $version < 12;    # of a table WITH OIDS
        next if $column eq 'twice_virtual';               # it has no value
        push @columns, [ unquoted_name($column), $of_type, $null ? undef : $unchanged ? UNCHANGED : defined $quoted
            ? $quoted =~ s/''/'/gr : $plain ];
    }
    return \@columns;
}

sub decoded_change
{
    my ($text, $version) = @_;
    $text =~ /\Gtable ((?:$name(?:\.$name)?(?:, )?)+): (INSERT|UPDATE|DELETE|TRUNCATE):/gc
        or die "test_decoding says: $text\n";
    my ($tables, $verb) = ($1, $2);
    my @tables = map { join '.', map { unquoted_name($_) } /($name)/g } $tables =~ /($name(?:\.$name)?)/g;
    return map { { kind => 'T', table => $_ } } @tables if $verb eq 'TRUNCATE';
    my $change = { kind => substr($verb, 0, 1), table => $tables[0] };
    return $change if $text =~ /\G \(no-tuple-data\)\z/gc;
    $change->{old} = decoded_columns(\$text, $version) if $verb eq 'DELETE' || $text =~ /\G old-key:/gc;
    $change->{new} = decoded_columns(\$text, $version) if $verb eq 'INSERT' || $text =~ /\G new-tuple:/gc;
    if ($change->{old} && $change->{new})
    {
        my %unchanged = map { ref $_->[2] ? ($_->[0] => 1) : () } @{ $change->{new} };
        $_->[2] = UNCHANGED for grep { $unchanged{ $_->[0] } } @{ $change->{old} };
    }
    my $read = pos($text) // 0;
    die 'test_decoding says more: ' . substr($text, $read, 100) . "\n" if $read != length $text;
    return $change;
}

# What a slot of test_decoding gives, without using it up. Of millions of changes only what the function leaves of each
# transaction is kept in memory: keep_texts, for example.
sub decoded_rows
{
    my ($server, $slot, $database, $function) = @_;
    my $path = $server->dir . "/decoded.$slot";
    $server->sql(<<"END", $database);
$settings SET search_path = pg_catalog;
COPY (SELECT encode(convert_to(data, 'UTF8'), 'hex')
    FROM pg_logical_slot_peek_changes('$slot', NULL, NULL)) TO '$path';
END
    open(my $file, '<:raw', $path) or die "could not open $path: $!";
    my (@transactions, $transaction);
    while (defined(my $hex = <$file>))
    {
        chomp $hex;
        my $line = pack 'H*', $hex;
        if ($line =~ /^BEGIN (\d+)/) { $transaction = { xid => $1, changes => [] } }
        elsif ($line =~ /^COMMIT/)
        {
            push @transactions, $transaction if @{ $transaction->{changes} };
            $function->($transaction) if $function;
        }
        elsif ($line eq 'message: transactional: 1 prefix: flush, sz: 0 content:') { next }    # of wait_for_replay_of
        # Before 11 what a command that rewrites a table fills is decoded.
        elsif ($line !~ /^table \w+\.pg_temp_\d+: /) { push @{ $transaction->{changes} },
            decoded_change($line, $server->version) }
    }
    return \@transactions;
}

# ---------------------------------------------------------------- what was saved

# A string of JSON after its first quote, with bytes as test_decoding gives them.
my %escaped = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", map { $_ => $_ } '"', '\\', '/');

sub json_string
{
    my ($text) = @_;
    my $string = '';
    while (1)
    {
        if    ($$text =~ /\G([^"\\\x00-\x1f]++)/gc) { $string .= $1 }
        elsif ($$text =~ /\G"/gc)                   { return $string }
        elsif ($$text =~ m{\G\\(["\\/bfnrt])}gc)    { $string .= $escaped{$1} }
        elsif ($$text =~ /\G\\u(d[89ab][[:xdigit:]]{2})\\u(d[c-f][[:xdigit:]]{2})/gci) { my $character =
            chr(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff)); utf8::encode($character);
            $string .= $character }
        elsif ($$text =~ /\G\\u([[:xdigit:]]{4})/gc && hex($1) >> 11 != 0x1b) { my $character = chr hex $1;
            utf8::encode($character); $string .= $character }
        else { die 'a string that is not JSON at ' . (pos($$text) // 0) . "\n" }
    }
}

# A value of JSON; numbers stay as they are written. JSON::PP takes seconds for a file: it reads letter by letter, and
# some values have hundreds of thousands of them.
sub json_value
{
    my ($text) = @_;
    $$text =~ /\G[ \t\r\n]*/gc;
    return json_string($text) if $$text =~ /\G"/gc;
    return $1 if $$text =~ /\G(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=[,\]} \t\r\n]|\z)/gc;
    return $1 eq 'null' ? undef : $1 eq 'true' ? JSON::PP::true : JSON::PP::false
        if $$text =~ /\G(null|true|false)\b/gc;
    $$text =~ /\G([\[{])/gc or die 'no value of JSON at ' . (pos($$text) // 0) . "\n";
    my $is_object = $1 eq '{';
    my $ends = $$text =~ /\G[ \t\r\n]*([\]}])/gc ? $1 : undef;
    my @values;
    while (!$ends)
    {
        push @values, $is_object ? json_name($text) : (), json_value($text);
        $$text =~ /\G[ \t\r\n]*([,\]}])/gc or die 'no end of a list at ' . (pos($$text) // 0) . "\n";
        $ends = $1 if $1 ne ',';
    }
    die "\"$ends\" ends what another letter began\n" if $ends ne ($is_object ? '}' : ']');
    return $is_object ? {@values} : \@values;
}

sub json_name
{
    my ($text) = @_;
    $$text =~ /\G[ \t\r\n]*"/gc or die 'no name at ' . (pos($$text) // 0) . "\n";
    my $is = json_string($text);
    $$text =~ /\G[ \t\r\n]*:/gc or die 'no colon at ' . (pos($$text) // 0) . "\n";
    return $is;
}

sub json_line
{
    my ($line) = @_;
    die "not UTF-8\n" if !utf8::decode(my $copy = $line);
    my $is = json_value(\$line);
    $line =~ /\G[ \t\r\n]*\z/gc or die 'more than one value at ' . (pos($line) // 0) . "\n";
    return $is;
}

sub saved_columns
{
    my ($columns) = @_;
    return undef if !$columns;
    my $value = sub {
        my ($column) = @_;
        return UNCHANGED if $column->{unchanged};
        return "unknown: $column->{unknown}" if defined $column->{unknown};
        return ref $column->{value} ? ($column->{value} ? 'true' : 'false') : $column->{value};
    };
    return [ map { [ $_->{name}, $_->{type}, $value->($_), $_->{encoding}
        // ($_->{unknown} ? 'unknown' : undef) ] } @$columns ];
}

# The transactions; and the lines of which none is one: the first, the last, and what could not be said. The function as
# that of decoded_rows.
sub saved_rows
{
    my ($path, $function) = @_;
    my (@transactions, $transaction, @others);
    open(my $file, '<:raw', $path) or die "could not open $path: $!";
    while (defined(my $line = <$file>))
    {
        chomp $line;
        my $is = eval { json_line($line) } // die "no line of JSON: $line: $@";
        my $action = $is->{action} // '';
        if ($action eq 'B') { $transaction = { xid => $is->{xid}, gid => $is->{gid}, database => $is->{database},
            began_before => $is->{began_before}, changes => [] } }
        elsif ($action eq 'C')
        {
            push @transactions, $transaction if @{ $transaction->{changes} };
            $function->($transaction) if $function;
            undef $transaction;
        }
        elsif ($action =~ /^[IUDT]$/)
        {
            push @{ $transaction->{changes} }, { kind => $action, table => "$is->{schema}.$is->{table}", 
                new => saved_columns($is->{columns}), old => saved_columns($is->{identity}),
                    unknown => $is->{unknown} };
        }
        elsif ($action ne 'schema') { push @others, $is }
    }
    return (\@transactions, \@others);
}

# ---------------------------------------------------------------- the script

# All rows of all tables but those of the script itself; a line each.
sub all_rows
{
    my ($server) = @_;
    return $server->sql("$settings SET search_path = pg_catalog; SET quote_all_identifiers = off;" . <<'END');
SELECT format('SELECT %L, "the row"::text FROM ONLY %s "the row" ORDER BY "the row"::text COLLATE "C"', oid::regclass, oid::regclass) FROM pg_class
    WHERE relkind = 'r' AND relpersistence = 'p' AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'lost_rows'))
    ORDER BY oid::regclass::text COLLATE "C" \gexec
END
}

# What a superuser does for a run of the script, as its first lines say, in all databases: a role that is a member of
# the owner alone. The owner, a role without other rights, gets all tables of superusers first. With superusers => 1
# they keep them, and the role gets rights on each. With owner => NAME it is a member of that one, and no table changes
# hands.
my %prepare = (
    owner => <<'END',
SELECT format('ALTER TABLE %s OWNER TO app', oid::regclass) FROM changed \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO app', nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'lost_rows' \gexec
END
    superusers => <<'END',
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO lost_rows_writer', oid::regclass) FROM changed WHERE relkind = 'r' \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO lost_rows_writer', nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'lost_rows' \gexec
END
);

sub make_writer
{
    my ($server, %option) = @_;
    my $way = $option{superusers} ? 'superusers' : 'owner';
    my $prepare = defined $option{owner} ? '' : $prepare{$way};
    if (!$server->sql(q{SELECT count(*) FROM pg_roles WHERE rolname = 'lost_rows_writer'}))
    {
        $server->sql('CREATE ROLE lost_rows_writer LOGIN; ALTER ROLE lost_rows_writer SET session_replication_role = replica');
        $server->sql('CREATE ROLE app') if $way eq 'owner' && !defined $option{owner};
        $server->sql('GRANT ' . ($option{owner} // 'app') . ' TO lost_rows_writer') if $way eq 'owner';
    }
    for my $database (split /\n/,
        $server->sql(q{SELECT datname FROM pg_database WHERE datallowconn AND datname !~ '^template' ORDER BY 1}))
    {
        $server->sql(<<"END", "'" . $database =~ s/([\\'])/\\$1/gr . "'");
SET client_min_messages = error;
SET search_path = pg_catalog, pg_temp; SET ROLE NONE;
CREATE TEMP VIEW changed AS SELECT c.oid, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles o ON o.oid = relowner
    WHERE relkind IN ('r', 'p', 'v') AND rolsuper AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lost_rows') AND relpersistence <> 't';
$prepare
DROP VIEW changed;
CREATE SCHEMA IF NOT EXISTS lost_rows AUTHORIZATION lost_rows_writer;
END
    }
    return $server->conninfo =~ s/user=postgres/user=lost_rows_writer/r;
}

# The result of psql. Option psql: its arguments; the others as those of make_writer.
sub try_script
{
    my ($server, $file, %option) = @_;
    my $conninfo = make_writer($server, %option);
    return run([ program('psql'), '-X', @{ $option{psql} // [] }, '-d', $conninfo, '-f', $file ]);
}

# Nobody may run the script as a superuser; before its first transaction it says so.
sub refuses_superuser
{
    my ($server, $file, $database) = @_;
    my $result = run([ program('psql'), '-X', '-d', $server->conninfo($database), '-f', $file ]);
    is($result->{status}, 3, 'as a superuser the script stops');
    like($result->{stderr}, qr/ERROR:  the script does not run as postgres: it is a superuser, or can become one$/m,
        'and says why');
    return;
}

sub run_script
{
    my ($server, $file, %option) = @_;
    my $result = try_script($server, $file, %option);
    is($result->{status}, 0, 'the script succeeds') or diag(substr $result->{stderr}, 0, 3000);
    is($result->{stderr}, '', 'without errors');
    return $result->{stdout};
}

sub is_same_text
{
    my ($ours, $theirs, $name) = @_;
    return if ok($ours eq $theirs, $name);
    my %both = map { $_ => 1 } split /\n/, $theirs;
    my %found = map { $_ => 1 } split /\n/, $ours;
    my @wrong = ((map { "not expected: $_" } grep { !$both{$_} } sort keys %found), map { "not found: $_" }
        grep { !$found{$_} } sort keys %both);
    diag(join "\n", map { substr $_, 0, 300 } @wrong > 20 ? @wrong[ 0 .. 19 ] : @wrong ? @wrong
        : 'only their numbers differ');
    return;
}

# ---------------------------------------------------------------- both

# Before 12 servers print floating-point numbers with more digits.
sub shorter_numbers
{
    my ($text, $digits) = @_;
    return $text =~ s/(?<![\w.])(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w.])/sprintf "%.${digits}g", $1/gre;
}
my $with_floats = qr/^(?:real|double precision|point|lseg|path|box|polygon|line|circle)/;

sub columns_text
{
    my ($columns, $is_old, $version) = @_;
    my @texts;
    for my $column (@{ $columns // [] })
    {
        my ($column_name, $of_type, $value, $encoding) = @$column;
        next if !defined $value && $is_old;    # test_decoding leaves them out
        $value = 'not changed', $encoding = 'TOAST' if ref $value;
        $of_type =~ s/\([-\d,]+\)//;
        $of_type =~ s/^interval .*/interval/;
        $of_type =~ s/^bpchar\b/character/;
        $value = shorter_numbers($value, $of_type eq 'real' ? 6 : 14) if defined $value && $version < 12
            && $of_type =~ $with_floats && $value !~ /[a-df-z]/;
        push @texts, "$column_name\[$of_type]:" . (defined $value ? "'$value'" : 'null')
            . (defined $encoding ? " ($encoding)" : '');
    }
    return join ' ', @texts;
}

sub change_text
{
    my ($change, $version) = @_;
    return join ' ', $change->{kind}, $change->{table}, $change->{unknown} ? "unknown: $change->{unknown}"
        : (), map { $change->{$_} ? ("$_:", columns_text($change->{$_}, $_ eq 'old', $version)) : () } qw(old new);
}

# The texts of a transaction's changes. Tables that one TRUNCATE empties have no order, and one whose partitions have
# the rows has no storage.
sub changes_texts
{
    my ($transaction, $version) = @_;
    return $transaction->{texts} if $transaction->{texts};
    my (@texts, @truncated);
    for my $change (@{ $transaction->{changes} // [] })
    {
        next if $change->{kind} eq 'T' && $version < 11;    # which decode none
        next if $change->{table} eq 'pg_catalog.pg_largeobject';    # which none decodes
        if ($change->{kind} eq 'T') { push @truncated, $change->{table} !~ /^public\.parted(?:_3)?$/
            ? change_text($change, $version) : (); next }
        push @texts, sort(splice @truncated), change_text($change, $version);
    }
    return [ @texts, sort @truncated ];
}

# Keep nothing else of a transaction than what are_same_rows compares.
sub keep_texts
{
    my ($transaction, $version) = @_;
    $transaction->{texts} = changes_texts($transaction, $version);
    delete $transaction->{changes};
    return;
}

# From where two texts differ, with some of what is before.
sub differing_parts
{
    my (@texts) = @_;
    my $common = 0;
    if (defined $texts[0] && defined $texts[1])
    {
        my ($same) = ($texts[0] ^ $texts[1]) =~ /\A(\0*)/;
        $common = length($same) > 60 ? length($same) - 60 : 0;
    }
    return map { !defined $_ ? 'nothing' : length($_) > 1500 || $common > 300 ? substr($_, 0, 60) . ' ... '
        . substr($_, $common, 300) : $_ } @texts;
}

# Whether they agree in what both say: a value without a text here may stand for any text that has no quote, and no
# server decodes the old row that it deletes from a materialized view.
sub agree_in_what_both_say
{
    my ($our_text, $their_text) = @_;
    return 1 if $our_text eq $their_text;
    return 1 if $their_text =~ /\AD / && $their_text !~ / old: / && $our_text =~ /\A\Q$their_text\E old: /;
    return 0 if $our_text !~ /' \(binary\)/;
    my $pattern = join q{'.*?'}, map { quotemeta } split /'[[:xdigit:]]*' \(binary\)/, $our_text, -1;
    return $their_text =~ /\A$pattern\z/s;
}

# Compare transactions one by one: those of the same number if by => 'xid', otherwise in their order. What
# agree_in_what_both_say says is enough with loosely => 1.
sub are_same_rows
{
    my ($ours, $theirs, $title, %option) = @_;
    my $by_xid = ($option{by} // '') eq 'xid';
    my @said;
    ($ours, $theirs) = map { [ grep { @{ changes_texts($_, $option{version}) } } @$_ ] } $ours, $theirs;
    my %ours = map { $_->{xid} => $_ } @$ours;
    my $count = $by_xid ? @$theirs : @$ours > @$theirs ? @$ours : @$theirs;
    my $changes = 0;
    for my $index (0 .. $count - 1)
    {
        my $their = $theirs->[$index];
        my $our = $by_xid ? delete $ours{ $their->{xid} } : $ours->[$index];
        my @texts = map { changes_texts($_ // {}, $option{version}) } $our, $their;
        $changes += @{ $texts[1] };
        my ($first) = grep {
            my ($our_text, $their_text) = map { $_ // '' } $texts[0][$_], $texts[1][$_];
            $our_text ne $their_text && !($option{loosely} && agree_in_what_both_say($our_text, $their_text));
        } 0 .. ($#{ $texts[0] } > $#{ $texts[1] } ? $#{ $texts[0] } : $#{ $texts[1] });
        next if !defined $first;
        my ($our_text, $their_text) = differing_parts($texts[0][$first], $texts[1][$first]);
        push @said, 'transaction ' . ($index + 1) . ' (' . join('/', map { $_->{xid} // 'none' } $our // {}, $their
            // {}) . '), change ' . ($first + 1)
            . ' of ' . join('/', map { scalar @$_ } @texts) . "\nours:   $our_text\ntheirs: $their_text";
    }
    push @said, map { "only ours: transaction $_->{xid}: " . join "\n  ",
        map { substr $_, 0, 300 } grep { defined } @{ changes_texts($_, $option{version}) }[0 .. 4] }
        map { $ours{$_} } sort { $a <=> $b } keys %ours if $by_xid;
    my $order = join ' ', map { $_->{xid} } @$ours;
    push @said, "the transactions are in another order:\n$order\n" . join ' ', map { $_->{xid} } @$theirs if !@said
        && $by_xid && $order ne join ' ', map { $_->{xid} } @$theirs;
    $title .= " ($changes changes in " . @$theirs . ' transactions)';
    my $most = $ENV{LOST_ROWS_DIFFERENCES} // 12;
    ok(!@said, $title) or diag(join "\n", @said > $most ? (@said[ 0 .. $most - 1 ], 'and ' . (@said - $most) . ' more')
        : @said);
    return;
}

# Without the INSERTs by which we save an unlogged table that became a logged one: no server decodes these. Other
# INSERTs into the table are those of transactions in which it decodes some.
sub without_rewritten
{
    my ($ours, $theirs, $table) = @_;
    my $is_insert = sub { my ($change) = @_; return $change->{kind} eq 'I' && $change->{table} eq $table };
    my %decoded = map { $_->{xid} => 1 } grep { grep { $is_insert->($_) } @{ $_->{changes} } } @$theirs;
    my $others = sub { my ($transaction) = @_; return [ grep { !$is_insert->($_) } @{ $transaction->{changes} } ] };
    return [ map { $decoded{ $_->{xid} } ? $_ : { %$_, changes => $others->($_) } } @$ours ];
}

# Where some are not known: each that is known is one of theirs. Returns how many are not.
sub none_is_wrong
{
    my ($ours, $theirs, $title, %option) = @_;
    my %theirs;
    $theirs{ change_text($_, $option{version}) }++ for map { @{ $_->{changes} } } @$theirs;
    my @ours = map { @{ $_->{changes} } } @$ours;
    my $is_known = sub { my ($change) = @_; return !defined $change->{unknown}
        && !grep { ($_->[3] // '') eq 'unknown' } @{ $change->{old} // [] }, @{ $change->{new} // [] } };
    my @known = grep { $is_known->($_) } @ours;
    my @wrong = grep { --$theirs{$_} < 0 } map { change_text($_, $option{version}) } @known;
    my $new_text = sub { my ($change) = @_;
        return change_text({ kind => $change->{kind}, table => $change->{table}, new => $change->{new} },
        $option{version}) };
    my @halves = grep { defined $_->{unknown} && $_->{new}
        && !grep { ($_->[3] // '') eq 'unknown' } @{ $_->{new} } } @ours;
    my %new_rows;
    $new_rows{ $new_text->($_) }++ for map { @{ $_->{changes} } } @$theirs;
    push @wrong, grep { --$new_rows{$_} < 0 } map { $new_text->($_) } @halves;
    is(scalar @wrong, 0, $title . ' (' . @known . ' of ' . @ours . ' changes are known, of ' . @halves
        . ' the new row)') or diag(join "\n", map { substr $_, 0, 500 } @wrong > 10 ? @wrong[ 0 .. 9 ] : @wrong);
    return;
}

1;
