# What a disk may hold after a power cut: the states that a recording of all changes allows.
#
#   my $recording = RewindTest::PowerCut->new($record, base => $snapshot, root => $dir);
#   my $moment = $recording->moment(117);             # the power fails after 117 changes
#   my @units = $moment->pending;                     # changes that nothing has synced
#   $moment->restore($dir, { $units[3] => 1 });       # the disk holds only this one of them
#   my $key = $moment->key({ $units[3] => 1 });       # what that state is told by
#
# The record is made by tests/faults/faults.c: what was written, renamed, linked, truncated, removed and synced. A
# file's bytes, size and mode are safe once the file is synced, a name once its directory is. Of what is not safe the
# disk holds any subset, in any order; a write may be there in part, or as zeros of the right length. Two things no file
# system in use does are left out: a rename never loses both names of a file, and a name never goes back to an older
# value than one that was synced.
#
# The record's paths are below root; base holds what was there, all of it safe, before the record began.
#
#   my $recording = RewindTest::PowerCut->new($record, base => $synced, killed => $snapshot, root => $dir);
#   $moment->restore_before($dir, $kept);             # the same disk, without what the program has done
#
# A server that was killed had written what nothing has synced: base is then what it had synced, killed what it left.
# Its writes come before the record's changes, and are as pending as those.

package RewindTest::PowerCut;

use strict;
use warnings;

use Digest::MD5 ();
use File::Find ();
use RewindTest::Command;

sub new
{
    my ($class, $record, %option) = @_;
    my @changes = map { [ split /\t/, $_, -1 ] } split /\n/, slurp($record);
    my $self = bless { %option, changes => \@changes, data => "$record.data", begin => 0 }, $class;
    if (defined $self->{killed})
    {
        my @before = $self->changes_of_killed;
        $self->{begin} = @before;
        unshift @{ $self->{changes} }, @before;
    }
    return $self;
}

# How many changes the server had made that was killed.
sub begin { my ($self) = @_; return $self->{begin} }

# path => type of all below a directory.
sub paths_below
{
    my ($directory) = @_;
    my %type;
    File::Find::find({ no_chdir => 1, wanted => sub {
        $type{ substr($_, length($directory) + 1) } = -l $_ ? 'link' : -d _ ? 'directory' : 'file' if $_ ne $directory;
    } }, $directory);
    return \%type;
}

# What makes base what the server left: one write for the blocks that follow each other.
sub changes_of_killed
{
    my ($self) = @_;
    my ($old, $new) = map { paths_below($self->{$_}) } qw(base killed);
    my @changes;
    for my $path (sort keys %$new)
    {
        my ($here, $there) = ("$self->{root}/$path", "$self->{killed}/$path");
        my $mode = sprintf('%o', (lstat $there)[2] & 07777);
        if ($new->{$path} eq 'file') { push @changes, $self->writes_of_killed($path, $mode, exists $old->{$path}) }
        elsif (!exists $old->{$path}) { push @changes, $new->{$path} eq 'link' ? [ 'symlink', readlink $there, $here ]
            : [ 'mkdir', $here, $mode ] }
    }
    push @changes, map { [ $old->{$_} eq 'directory' ? 'rmdir' : 'unlink', "$self->{root}/$_" ] }
        grep { !exists $new->{$_} } reverse sort keys %$old;
    return @changes;
}

use constant BLOCK => 8192;

sub writes_of_killed
{
    my ($self, $path, $mode, $exists) = @_;
    my $there = "$self->{killed}/$path";
    my $handle = "killed $path";
    my $new = slurp($there);
    my $old = $exists ? slurp("$self->{base}/$path") : '';
    return if $exists && $new eq $old;
    my ($begin, @changes) = (undef, [ 'open', $handle, "$self->{root}/$path", $exists ? 'opened' : 'created', $mode ]);
    for (my $offset = 0; $offset < length($new) + BLOCK; $offset += BLOCK)
    {
        my $end = $offset < length($new) ? $offset : length($new);
        my $differs = $end == $offset && substr($new, $offset, BLOCK)
            ne ($offset < length($old) ? substr($old, $offset, BLOCK) : '');
        push @changes, [ 'write', $handle, $begin, $end - $begin, $begin, $there ] if defined $begin && !$differs;
        $begin = $differs ? $begin // $offset : undef;
    }
    push @changes, [ 'truncate', $handle, length($new) ] if length($new) < length($old);
    return @changes;
}

# How many changes there are, and the numbers, counting from 1, of those of a kind with these fields: all, or the first.
sub count { my ($self) = @_; return scalar @{ $self->{changes} } }

sub find_all
{
    my ($self, $kind, $pattern) = @_;
    my @numbers = grep { my ($is, @fields) = @{ $self->{changes}[ $_ - 1 ] }; $is eq $kind
        && "@fields" =~ $pattern } 1 .. $self->count;
    return @numbers ? @numbers : die "there is no $kind $pattern";
}

sub find { my ($self, @what) = @_; return ($self->find_all(@what))[0] }

# The number of the first sync, after change number $after, of a file or directory whose path matches.
sub find_sync
{
    my ($self, $pattern, $after) = @_;
    my %path;
    for my $number (1 .. $self->count)
    {
        my ($kind, $handle, $path) = @{ $self->{changes}[ $number - 1 ] };
        %path = () if $kind eq 'begin';
        $path{$handle} = $path if $kind eq 'open';
        return $number if $number > $after && $kind eq 'sync' && $path{$handle} =~ $pattern;
    }
    die "there is no sync of $pattern";
}

# ---------------------------------------------------------------- the disk at a moment

sub moment
{
    my ($self, $count) = @_;
    my $moment = bless { %$self, nodes => [], handle => {} }, 'RewindTest::PowerCut::Moment';
    $moment->{top} = $moment->add_node(type => 'directory', base => '');
    for my $number (1 .. $count)
    {
        my ($kind, @fields) = @{ $self->{changes}[ $number - 1 ] };
        $moment->{number} = $number;
        $moment->can("change_$kind")->($moment, @fields);
    }
    return $moment;
}

package RewindTest::PowerCut::Moment;

use RewindTest::Command;

# A node is a file, directory or link: base, its path in base, if it was there at the beginning; safe and pending
# changes of its bytes; of a directory the names whose nodes are known, each with its safe node and the pending ones.
sub add_node
{
    my ($self, %node) = @_;
    push @{ $self->{nodes} }, { id => scalar @{ $self->{nodes} }, safe => [], pending => [], names => {}, %node };
    return $self->{nodes}[-1];
}

# A name in a directory, which is looked up in base when it is met first.
sub name
{
    my ($self, $directory, $name) = @_;
    return $directory->{names}{$name} if $directory->{names}{$name};
    my $node;
    if (defined $directory->{base})
    {
        my $base = length $directory->{base} ? "$directory->{base}/$name" : $name;
        my $path = "$self->{base}/$base";
        $node = $self->add_node(type => -l $path ? 'link' : -d _ ? 'directory' : 'file', base => $base) if -l $path
            || -e _;
    }
    return $directory->{names}{$name} = { name => $name, original => $node, safe => $node, pending => [] };
}

sub current { my ($name) = @_; return @{ $name->{pending} } ? $name->{pending}[-1]{node} : $name->{safe} }

# The name at a path, undef for a path outside of root.
sub find
{
    my ($self, $path) = @_;
    return if index($path, "$self->{root}/") != 0;
    my @parts = split m{/}, substr($path, length($self->{root}) + 1);
    my $last = pop @parts;
    my $node = $self->{top};
    for my $part (@parts)
    {
        $node = current($self->name($node, $part)) // die "there is no directory of $path at change $self->{number}\n";
    }
    return $self->name($node, $last);
}

sub set_name
{
    my ($self, $path, $node, $needs) = @_;
    my $name = $self->find($path) // return;
    push @{ $name->{pending} }, { unit => "$self->{number}.name" . ($needs ? '.gone' : ''), node => $node,
        needs => $needs };
    return $name->{pending}[-1];
}

sub change_begin { my ($self) = @_; $self->{handle} = {}; return }

sub change_open
{
    my ($self, $handle, $path, $how, $mode) = @_;
    my $name = $self->find($path);
    if ($how eq 'created' && $name)
    {
        $self->set_name($path, $self->add_node(type => 'file', mode => $mode));
    }
    $self->{handle}{$handle} = $name ? current($name) : undef;
    $self->change_bytes($handle, 'truncate', 0) if $how eq 'truncated';
    return;
}

sub change_bytes
{
    my ($self, $handle, @change) = @_;
    my $node = $self->{handle}{$handle} // return;
    push @{ $node->{pending} }, { unit => "$self->{number}.$change[0]", change => \@change };
    return;
}

sub change_write    { my ($self, $handle, @fields) = @_; $self->change_bytes($handle, 'write', @fields); return }
sub change_truncate { my ($self, $handle, $size)   = @_; $self->change_bytes($handle, 'truncate', $size); return }
sub change_reserve  { my ($self, $handle, $size)   = @_; $self->change_bytes($handle, 'reserve', $size); return }
sub change_chmod    { my ($self, $handle, $mode)   = @_; $self->change_bytes($handle, 'chmod', $mode); return }

sub sync_node
{
    my ($node) = @_;
    push @{ $node->{safe} }, map { $_->{change} } @{ $node->{pending} };
    $node->{pending} = [];
    for my $name (values %{ $node->{names} })
    {
        $name->{safe} = current($name);
        $name->{pending} = [];
    }
    return;
}

sub change_sync   { my ($self, $handle) = @_; sync_node($self->{handle}{$handle}) if $self->{handle}{$handle}; return }
sub change_syncfs { my ($self) = @_; sync_node($_) for @{ $self->{nodes} }; return }

sub change_rename
{
    my ($self, $from, $to) = @_;
    my $node = current($self->find($from) // return);
    my $there = $self->set_name($to, $node);
    $self->set_name($from, undef, { name => $self->find($to), change => $there });
    return;
}

sub change_link    { my ($self, $from, $to) = @_; $self->set_name($to, current($self->find($from))); return }
sub change_unlink  { my ($self, $path) = @_; $self->set_name($path, undef); return }
sub change_rmdir   { my ($self, $path) = @_; $self->set_name($path, undef); return }
sub change_mkdir   { my ($self, $path, $mode) = @_;
    $self->set_name($path, $self->add_node(type => 'directory', mode => $mode)); return }
sub change_symlink { my ($self, $target, $path) = @_;
    $self->set_name($path, $self->add_node(type => 'link', target => $target)); return }

# ---------------------------------------------------------------- what is not safe

# Names of the changes that nothing has synced: "117.write", "118.name", "119.name.gone" ...
sub pending
{
    my ($self) = @_;
    my %seen;
    return grep { !$seen{$_}++ } map { my $node = $_; map { $_->{unit} } @{ $node->{pending} },
        map { @{ $_->{pending} } } @{ $node->{names} }{ sort keys %{ $node->{names} } } }
        @{ $self->{nodes} };
}

# Which of a name's nodes the disk holds: index into pending, -1 for the safe one.
sub chosen
{
    my ($name, $kept) = @_;
    for my $index (reverse 0 .. $#{ $name->{pending} })
    {
        my $change = $name->{pending}[$index];
        next if !$kept->{ $change->{unit} };
        my $needs = $change->{needs};
        return $index if !$needs;
        my ($other) = grep { $needs->{name}{pending}[$_] == $needs->{change} } 0 .. $#{ $needs->{name}{pending} };
        return $index if !defined $other || chosen($needs->{name}, $kept) >= $other;
    }
    return -1;
}

# The steps that make a copy of base what the disk holds if of the pending changes it holds those with a true value in
# $kept; for a write this may be 'begin', 'end' or 'zeros' as well. Each has a path below the copy; the node that the
# disk holds there, or undef; whether the copy has that there; another path of it, made before; changes of its bytes.
sub steps
{
    my ($self, $kept) = @_;
    return $self->steps_below($self->{top}, '', $kept, {});
}

sub steps_below
{
    my ($self, $directory, $above, $kept, $made) = @_;
    my @steps;
    for my $text (sort keys %{ $directory->{names} })
    {
        my $name = $directory->{names}{$text};
        my $index = chosen($name, $kept);
        my $node = $index < 0 ? $name->{safe} : $name->{pending}[$index]{node};
        next if !$node && !$name->{original};
        my $path = "$above/$text";
        my %step = (path => $path, node => $node, changes => [], is_there => $node && $name->{original}
            && $node == $name->{original});
        if ($node && $node->{type} eq 'file')
        {
            $step{same_as} = $made->{ $node->{id} };
            $made->{ $node->{id} } //= $path;
            $step{changes} = [ @{ $node->{safe} }, map { changed($_, $kept) } @{ $node->{pending} } ];
        }
        push @steps, \%step if !$step{is_there} || $step{same_as} || @{ $step{changes} };
        push @steps, $self->steps_below($node, $path, $kept, $made) if $node && $node->{type} eq 'directory';
    }
    return @steps;
}

# Names what the disk holds: equal ones are equal states.
sub key
{
    my ($self, $kept) = @_;
    return Digest::MD5::md5_hex(join "\n", $self->{data}, map {
        my $step = $_;
        "$step->{path} " . ($step->{node} ? $step->{node}{id} : 'nothing'), map { "@$_" } @{ $step->{changes} };
    } $self->steps($kept));
}

# Make directory, which is a copy of base, what the disk holds.
sub restore
{
    my ($self, $directory, $kept) = @_;
    open(local $self->{bytes}, '<:raw', $self->{data}) or die "could not open $self->{data}: $!";
    for my $step ($self->steps($kept))
    {
        my ($node, $path) = ($step->{node}, $directory . $step->{path});
        must_run([ 'rm', '-rf', $path ]) if !$step->{is_there} && lstat $path;
        $self->restore_node($node, $path, $step, $directory) if $node;
    }
    return;
}

# The same, without what the program has done but for what it has synced.
sub restore_before
{
    my ($self, $directory, $kept) = @_;
    my $before = RewindTest::PowerCut::moment($self, $self->{begin});
    my %pending = map { $_ => 1 } $self->pending;
    return $before->restore($directory, { %$kept, map { $_ => 1 } grep { !$pending{$_} } $before->pending });
}

sub restore_node
{
    my ($self, $node, $path, $step, $directory) = @_;
    if ($node->{type} eq 'directory')
    {
        die "a directory was renamed\n" if defined $node->{base};
        mkdir $path or die "$path: $!";
        chmod oct($node->{mode}), $path;
    }
    elsif ($node->{type} eq 'link')
    {
        symlink($node->{target} // readlink "$self->{base}/$node->{base}", $path) or die "$path: $!";
    }
    elsif (defined $step->{same_as})
    {
        unlink $path;
        link($directory . $step->{same_as}, $path) or die "$path: $!";
    }
    else
    {
        $self->restore_file($node, $path, @$step{qw(is_there changes)});
    }
    return;
}

# What the disk holds of a pending change.
sub changed
{
    my ($pending, $kept) = @_;
    my $how = $kept->{ $pending->{unit} };
    my ($kind, $offset, $size, $data, @from) = @{ $pending->{change} };
    return if !$how;
    return $pending->{change} if $kind ne 'write' || $how eq '1';
    my $half = int($size / 2 / 512) * 512;
    return [ 'write', $offset, $half, $data, @from ] if $how eq 'begin';
    return [ 'write', $offset + $half, $size - $half, $data + $half, @from ] if $how eq 'end';
    return [ 'extend', $offset + $size ];
}

sub restore_file
{
    my ($self, $node, $path, $is_there, $changes) = @_;
    if (!$is_there && defined $node->{base})
    {
        must_run([ 'cp', '-a', "$self->{base}/$node->{base}", $path ]);
    }
    open(my $file, -e $path ? '+<:raw' : '+>:raw', $path) or die "$path: $!";
    chmod oct($node->{mode}), $path if !defined $node->{base};
    for my $change (@$changes)
    {
        my ($kind, @fields) = @$change;
        if ($kind eq 'write')
        {
            my $killed;
            !defined $fields[3] or open($killed, '<:raw', $fields[3]) or die "$fields[3]: $!";
            my $from = $killed // $self->{bytes};
            seek($from, $fields[2], 0);
            read($from, my $bytes, $fields[1]) == $fields[1] or die 'the record is cut off';
            sysseek($file, $fields[0], 0);
            syswrite($file, $bytes) == $fields[1] or die "$path: $!";
        }
        elsif ($kind eq 'truncate') { truncate($file, $fields[0]) or die "$path: $!" }
        elsif ($kind eq 'chmod')    { chmod oct($fields[0]), $path or die "$path: $!" }
        else                        { truncate($file, $fields[0]) if -s $file < $fields[0] }    # reserve, extend
    }
    close($file) or die "$path: $!";
    return;
}

1;
