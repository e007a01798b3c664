# Saved WAL and rows are not written into a file that another account has made in the moment before: in a directory with
# the sticky bit, such as /tmp, it would own what is saved. (The attacker: a second account of the host, which watches
# the directory.)
# (Rule T9.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t (a integer)') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    my $directory = work_dir() . "/sticky.$version";
    mkdir $directory or die;
    chmod 01777, $directory or die;
    for my $option (qw(save-diverged-wal save-lost-rows))
    {
        my $copy = $target->copy("copy_$option");
        my $mine = "$directory/of_another.$option";
        spew($mine, "of another\n");
        # What another run writes tells the names.
        my $twin = $target->copy('twin');
        is(run([ rewind_argv($twin->data, '--no-sync', '--source-server', $source->conninfo,
            "--$option=$directory") ])->{status}, 0, 'a run nobody disturbs');
        $twin->discard;
        my @names = grep { $_ ne $mine } glob "$directory/*";
        unlink @names;
        my $run = hold($copy, $source, "create\@$directory/*.pg_rewind.new", '--no-sync', "--$option=$directory");
        link $mine, "$_.pg_rewind.new" or die for @names;
        my $result = go_on($run);
        ok(slurp($mine) eq "of another\n", "--$option: nothing is written into another's file");
        like($result->{stderr}, qr/could not create file "\Q$directory\E\/[^"]+\.pg_rewind\.new": File exists/,
            'and it is told') or diag($result->{stderr});
        $copy->discard;
        unlink glob "$directory/*";
    }
}, sample => 1);
