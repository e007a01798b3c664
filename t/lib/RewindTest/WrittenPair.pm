# A diverged pair of data directories, written byte by byte: of servers that were built with other sizes of pages, of
# WAL's pages and of relation segments than usual, of which there is no server to ask. What is common to all builds
# (pg_control's other fields, the checkpoint's, configuration) is taken from a cluster that initdb has made.
#
#   source       ┌── 2 ── switch ── 2 ──▶      C  checkpoint, common to both      ┬ divergence
#   target   1 ─C┴── 1 ── switch ── 1 ──▶
#
# Each side gives up a record before its switch.  A page is filled with its name: who wrote it, its relation and number.

package RewindTest::WrittenPair;

use strict;
use warnings;

use RewindTest::Cluster;
use RewindTest::Command;
use RewindTest::ControlFile;
use RewindTest::WrittenWal;

use constant {
    SEGMENT => 1048576,
    CHANGED => 16384,      # both sides changed blocks, not the same ones
    LONGER => 16385,       # on the source
    SHORTER => 16386,      # on the source
    CUT => 16387,          # by the target, which then wrote other blocks
    MAPPED => 16388,       # has maps
    OF_SOURCE => 16389,
    OF_TARGET => 16390,
    INDEX => 16391,        # the source has marked an entry as dead, without WAL
};

# Sizes: block, wal_block in bytes, relation_segment in blocks (at least 8).
sub new
{
    my ($class, $version, %size) = @_;
    my $template = RewindTest::Cluster->new('template', $version);
    my $self = bless { %size, version => $version, template => $template, files => { source => {}, target => {} } },
        $class;
    $self->read_template;
    $self->write_relations;
    $self->write_wal;
    $self->{source} = $self->write_directory('source', 2);
    $self->{target} = $self->write_directory('target', 1);
    return $self;
}

# What is taken from a cluster of that version. Its last checkpoint's record has the fields that pg_control repeats.
sub read_template
{
    my ($self) = @_;
    my $control = slurp($self->{template}->path('global/pg_control'));
    my ($checkpoint) = unpack('x32 Q<', $control);
    my $sizes_at = index($control, pack('L<3', 8192, 131072, 8192));
    my $segment = unpack('L<', substr($control, $sizes_at + 12, 4));
    my $wal = slurp($self->{template}->path(sprintf('pg_wal/00000001%08X%08X', 0, $checkpoint / $segment)));
    my ($length) = unpack('L<', substr($wal, $checkpoint % $segment));
    my $record = substr($wal, $checkpoint % $segment, $length);
    # Where it goes on on the next page, that one's header lies within it.
    my $on_page = 8192 - $checkpoint % 8192;
    substr($record, $on_page) = substr($wal, ($checkpoint + $on_page) % $segment + 24, $length - $on_page)
        if $on_page < $length;

    $self->{magic} = unpack('S<', $wal);
    $self->{system} = unpack('Q<', $control);
    $self->{sizes_at} = $sizes_at;
    $self->{checkpoint} = substr($record, 24 + 2, $length - 24 - 2);
    $self->{checkpoint_at} = index($control, $self->{checkpoint});
    die "no checkpoint in pg_control\n" if $sizes_at < 0 || $self->{checkpoint_at} < 0;
    return;
}

# ---------------------------------------------------------------- pages

# A quarter of the page is a hole; of an index, it has a special area and one entry, which may be marked as dead.
sub page
{
    my ($self, $who, $relation, $number, %option) = @_;
    my $size = $self->{block};
    my $special = $option{entry} ? $size - 16 : $size;
    my $lower = $option{entry} ? 28 : 24;
    my $upper = ($lower + $size / 4) & ~7;
    my $name = "$who $relation $number. ";
    my $item = $option{entry} ? pack('L<', $upper | ($option{entry} eq 'dead' ? 3 : 1) << 15 | 16 << 17) : '';
    return pack('Q< S< S< S< S< S< S< L<', 0, 0, 0, $lower, $upper, $special, $size | 4, 0) . $item
        . "\0" x ($upper - $lower)
        . substr($name x ($size / length($name) + 1), 0, $special - $upper) . "\0" x ($size - $special);
}

sub pages { my ($self, $who, $relation, @numbers) = @_;
    return { map { $_ => $self->page($who, $relation, $_) } @numbers } }

# The blocks that a side has of a relation's fork; both start with the common ones.
sub blocks { my ($self, $side, $relation, $fork) = @_;
    return $self->{files}{$side}{ $relation . ($fork // '') } //= {} }

sub write_relations
{
    my ($self) = @_;
    my $per_segment = $self->{relation_segment};
    my %blocks = (
        CHANGED() => 2 * $per_segment + 3, LONGER() => $per_segment - 2, SHORTER() => $per_segment + 4,
        CUT() => $per_segment + 5, MAPPED() => 3, INDEX() => 6);
    for my $side (qw(source target))
    {
        for my $relation (keys %blocks)
        {
            my $pages = $self->pages('common', $relation, 0 .. $blocks{$relation} - 1);
            %{ $self->blocks($side, $relation) } = %$pages;
        }
        %{ $self->blocks($side, INDEX) } = map { $_ => $self->page('common', INDEX, $_, entry => $side eq 'source'
            && $_ == 4 ? 'dead' : 'live') } 0 .. 5;
        # The map of visibility is in WAL, that of free space is not.
        %{ $self->blocks($side, MAPPED, '_vm') } = %{ $self->pages('common', MAPPED, 0, 1) };
        %{ $self->blocks($side, MAPPED, '_fsm') } = %{ $self->pages($side, MAPPED, 0 .. 3) };
    }
    return;
}

# ---------------------------------------------------------------- WAL

# A side writes these blocks of a relation; what its recovery has to do is kept. A block with an odd number has an image
# in WAL. The record of another changes what is there: recovery needs it as it was.
sub writes
{
    my ($self, $side, $relation, $numbers, $fork) = @_;
    my $wal = $self->{wal}{$side};
    for my $number (@$numbers)
    {
        my $page = $self->page($side, $relation, $number);
        my $blocks = $self->blocks($side, $relation, $fork);
        my $has_image = $number % 2 || !defined $blocks->{$number};
        my $lsn = $has_image ? $wal->full_page_image($relation, $number, $page, $fork ? 2 : 0)
            : $wal->change(800, [ $relation, $number ]);
        push @{ $self->{redo}{$side} }, { lsn => $lsn, relation => $relation, fork => $fork, block => $number,
            page => $page, before => $has_image ? undef : $blocks->{$number} };
        $blocks->{$number} = $page;
    }
    return;
}

sub cut
{
    my ($self, $side, $relation, $blocks) = @_;
    push @{ $self->{redo}{$side} }, { lsn => $self->{wal}{$side}->truncate($relation, $blocks), relation => $relation,
        cut => $blocks };
    my $pages = $self->blocks($side, $relation);
    delete @$pages{ grep { $_ >= $blocks } keys %$pages };
    return;
}

# A checkpoint's fields, with this redo position and these timelines.
sub checkpoint_fields { my ($self, $redo, @timelines) = @_; return pack('Q< L< L<', $redo, @timelines)
    . substr($self->{checkpoint}, 16) }

sub shutdown_checkpoint
{
    my ($self, $wal, @timelines) = @_;
    return $wal->record(0, 0x00, data => $self->checkpoint_fields($wal->next_lsn, @timelines));
}

sub write_wal
{
    my ($self) = @_;
    my $per_segment = $self->{relation_segment};
    my $wal = RewindTest::WrittenWal->new(magic => $self->{magic}, system => $self->{system},
        version => $self->{version},
        page => $self->{wal_block}, block => $self->{block}, segment => SEGMENT);

    # Records that begin on a page and end on another, one over several; then some that end with their page, or leave
    # room for a part of the next one's header.
    $wal->filler($_) for $self->{wal_block}, 3 * $self->{wal_block} + 500;
    for my $left (0, 8, 16, 24)
    {
        $wal->filler(100);
        $wal->filler($self->{wal_block} - $wal->next_lsn % $self->{wal_block} - 29 - $left);
    }
    my $redo = $wal->filler(64);
    $wal->filler(2 * $self->{wal_block});
    $wal->record(0, 0x10, data => $self->checkpoint_fields($redo, 1, 1));
    $self->{divergence} = $wal->position;
    $self->{wal} = { source => $wal->continued(2), target => $wal->continued };
    $self->write_source_wal;
    $self->write_target_wal;
    return;
}

# The promoted side writes before its first checkpoint: hints of that time are in no WAL.
sub write_source_wal
{
    my ($self) = @_;
    my $per_segment = $self->{relation_segment};
    my $wal = $self->{wal}{source};
    $wal->record(0, 0x90, data => pack('q< L<2', 0, 2, 1) . ($self->{version} < 17 ? '' : pack('L< x4', 1)));
    $wal->filler(3 * $self->{wal_block});
    $self->writes('source', CHANGED, [ 1 .. 3, $per_segment, 2 * $per_segment ]);
    $wal->commit(800, 1000);
    my $redo = $wal->filler(64);
    $wal->record(0, 0x10, data => $self->checkpoint_fields($redo, 2, 2));
    $wal->abandon(4 * $self->{wal_block}, 2 * $self->{wal_block});
    $self->writes('source', LONGER, [ $per_segment - 2 .. $per_segment + 2 ]);
    $self->cut('source', SHORTER, $per_segment - 1);
    $wal->switch;
    $wal->create(OF_SOURCE);
    $self->writes('source', OF_SOURCE, [ 0 .. $per_segment ]);
    $wal->commit(801, 1001);
    $self->{end}{source} = $self->shutdown_checkpoint($wal, 2, 2);
    return;
}

sub write_target_wal
{
    my ($self) = @_;
    my $per_segment = $self->{relation_segment};
    my $wal = $self->{wal}{target};
    $self->writes('target', CHANGED, [ 0, 1, $per_segment - 1 .. $per_segment + 2, 2 * $per_segment - 1,
        2 * $per_segment + 1 ]);
    $wal->abandon(3 * $self->{wal_block}, $self->{wal_block} + 100);
    $self->writes('target', SHORTER, [ $per_segment + 4, $per_segment + 5 ]);
    $wal->switch;
    $self->cut('target', CUT, $per_segment - 3);
    $self->writes('target', CUT, [ $per_segment - 3 .. $per_segment + 1 ]);
    $self->writes('target', MAPPED, [1], '_vm');
    $wal->create(OF_TARGET);
    $self->writes('target', OF_TARGET, [ 0 .. $per_segment ]);
    $wal->commit(900, 2000);
    $self->{end}{target} = $self->shutdown_checkpoint($wal, 1, 1);
    return;
}

# ---------------------------------------------------------------- directories

# The files of a relation's fork: its blocks, in pieces of a segment's size.
sub write_relation
{
    my ($self, $directory, $name, $blocks) = @_;
    my ($relation, $fork) = $name =~ /^(\d+)(.*)/;
    my $bytes = join '', map { $blocks->{$_} } sort { $a <=> $b } keys %$blocks;
    my $size = $self->{relation_segment} * $self->{block};
    for (my $number = 0; $number == 0 || $number * $size < length $bytes; $number++)
    {
        spew("$directory/$relation$fork" . ($number ? ".$number" : ''), substr($bytes, $number * $size, $size));
    }
    return;
}

sub write_control
{
    my ($self, $cluster, $checkpoint, @timelines) = @_;
    patch_control($cluster, 16, pack('L<', 1));    # shut down
    patch_control($cluster, 32, pack('Q<', $checkpoint));
    patch_control($cluster, $self->{checkpoint_at}, $self->checkpoint_fields($checkpoint, @timelines));
    patch_control($cluster, $self->{sizes_at}, pack('L<4', $self->{block}, $self->{relation_segment},
        $self->{wal_block}, SEGMENT));
    return;
}

sub write_directory
{
    my ($self, $side, $timeline) = @_;
    my $cluster = RewindTest::Cluster->allocate($side, $self->{version}, $self->{template}->bindir);
    must_run([ 'cp', '-a', $self->{template}->data, $cluster->data ]);
    must_run([ 'sh', '-c', 'cd "$0" && rm -rf base/* pg_wal/0* global/[0-9]* && mkdir base/5', $cluster->data ]);
    spew($cluster->path('base/5/PG_VERSION'), "$self->{version}\n");
    $self->write_relation($cluster->path('base/5'), $_, $self->{files}{$side}{$_}) for keys %{ $self->{files}{$side} };
    spew($cluster->path('pg_xact/0000'), substr("$side " x $self->{block}, 0, $self->{block}));
    $self->{segments}{$side} = [ $self->{wal}{$side}->save($cluster->path('pg_wal')) ];
    spew($cluster->path('pg_wal/00000002.history'), sprintf("1\t%X/%X\tno recovery target specified\n", 0,
        $self->{divergence})) if $timeline == 2;
    $self->write_control($cluster, $self->{end}{$side}, $timeline, $timeline);
    return $cluster;
}

# ---------------------------------------------------------------- what is left

# The relation files of a directory, by name.
sub relation_files { my ($self, $cluster) = @_;
    return { map { m{([^/]+)$} => slurp($_) } glob($cluster->path('base/5/*')) } }

# The blocks of a relation's fork in these files, by number.
sub blocks_of_files
{
    my ($self, $files, $name) = @_;
    my ($relation, $fork) = $name =~ /^(\d+)(.*)/;
    my %blocks;
    for (my $segment = 0; defined(my $bytes = $files->{ $name . ($segment ? ".$segment" : '') }); $segment++)
    {
        $blocks{ $segment * $self->{relation_segment} + $_ } = substr($bytes, $_ * $self->{block}, $self->{block})
            for 0 .. length($bytes) / $self->{block} - 1;
    }
    return \%blocks;
}

# The names of a side's WAL segments, from the one on that holds a position. (The first one has number 1.)
sub segments
{
    my ($self, $side, $from) = @_;
    my @names = @{ $self->{segments}{$side} };
    return @names[ int($from / SEGMENT) - 1 .. $#names ];
}

# What is in the relations of a directory, by name of the fork: as it is, or after recovery by one side's WAL from a
# position on. A change that does not find its page as it was leaves it.
sub recovered
{
    my ($self, $cluster, $side, $from) = @_;
    my @redo = defined $side ? grep { $_->{lsn} >= $from } @{ $self->{redo}{$side} } : ();
    my $files = $self->relation_files($cluster);
    my %forks = map { $_ => $self->blocks_of_files($files, $_) } grep { /^\d+(_\w+)?$/ } keys %$files;
    for my $redo (@redo)
    {
        my $blocks = $forks{ $redo->{relation} . ($redo->{fork} // '') } //= {};
        if (defined $redo->{cut}) { delete @$blocks{ grep { $_ >= $redo->{cut} } keys %$blocks } }
        elsif (!defined $redo->{before} || ($blocks->{ $redo->{block} } // '')
            eq $redo->{before}) { $blocks->{ $redo->{block} } = $redo->{page} }
    }
    return \%forks;
}

1;
