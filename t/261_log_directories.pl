# Where the target's server logs to stays as it is: log, pg_log, and what log_directory names, be it a directory, an
# empty one, or a link to elsewhere. (Both sources; nothing here depends on the server's version.)
# (Rule O4.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# log_directory names one inside of a link, by an absolute path; in postgresql.conf, which the source's replaces.
sub make_logs
{
    my ($target) = @_;
    my $outside = $target->dir . '/outside';
    mkdir $_ or die "$_: $!" for $outside, "$outside/log", "$outside/pg_log", "$outside/own";
    spew("$outside/$_/server.log", "in $_") for qw(log pg_log own);
    symlink("$outside/log", $target->path('log')) or die;
    symlink('../outside/pg_log', $target->path('pg_log')) or die;
    symlink($outside, $target->path('linked logs')) or die;
    append($target->path('postgresql.conf'), "log_directory = '" . $target->path('linked logs/own/') . "'\n");
    return;
}

sub logs_are_there
{
    my ($target) = @_;
    my $outside = $target->dir . '/outside';
    is(readlink($target->path('log')), "$outside/log", 'a link log stays');
    is(readlink($target->path('pg_log')), '../outside/pg_log', 'a link pg_log stays');
    is(readlink($target->path('linked logs')), $outside, 'a link that log_directory goes through stays');
    is(slurp("$outside/$_/server.log"), "in $_", "the logs in $_ are as they were") for qw(log pg_log own);
    ok(!-e "$outside/own/of_source.log", 'and nothing was written there');
    return;
}

# A directory in place, which a file names that postgresql.conf includes.
sub directory_stays
{
    my ($source, $target) = @_;
    my $copy = $target->copy('in_place');
    my $with_content = $target->copy('with_content');
    mkdir $_->path('sub') for $copy, $with_content;
    mkdir $_->path('sub/own logs') for $copy, $with_content;
    mkdir $copy->path('log');
    for my $cluster ($copy, $with_content)
    {
        spew($cluster->path('sub/more.conf'), "log_directory = './sub/own logs'\n");
        append($cluster->path('postgresql.conf'), "include 'sub/more.conf'\n");
    }
    spew($with_content->path('sub/own logs/server.log'), 'of target');
    rewinds($_, $source, options => ['--no-sync']) for $copy, $with_content;
    ok(-d $copy->path($_), "the empty directory $_ stays") for 'log', 'sub/own logs';
    is(slurp($with_content->path('sub/own logs/server.log')), 'of target',
        'a log in the directory that log_directory names stays');
    ok(!-e $with_content->path('sub/more.conf'), 'what is beside it is removed');
    $_->discard for $copy, $with_content;
    return;
}

# The server's own directories are the source's whatever the setting says.
sub own_directory_is_no_log
{
    my ($source, $target) = @_;
    for my $directory ('.', 'base', '', '..', 'pg_xact')
    {
        my $copy = $target->copy('no_log');
        append($copy->path('postgresql.conf'), "log_directory = '$directory'\n");
        spew($copy->path('of_target'), 'x');
        rewinds($copy, $source, options => ['--no-sync']);
        ok(!-e $copy->path('of_target'), "log_directory = '$directory' keeps nothing else");
        rejoins($copy, $source, no_promotion => 1, quick => 1) if $directory eq 'base';
        $copy->discard;
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        source => sub { my ($source) = @_; $source->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    rewinds_from_both_kinds($source, $target,
        prepare => \&make_logs,
        rewound => \&logs_are_there,
        no_promotion => 1,
        quick => 1);
    directory_stays($source, $target);
    own_directory_is_no_log($source, $target);
}, only => [ 10, 15, 18 ]);
