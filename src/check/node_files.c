#include "check/readiness.h"

#include "base/text_lines.h"
#include "io/dir.h"
#include "io/place.h"
#include "plan/decide.h"
#include "standby/target_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 10 /* names listed in one finding */
#define DEVICES_MAX 64
#define MEGABYTE (1024ull * 1024)
#define MAX_WAL_SIZE_DEFAULT_MB 1024

/* PGDATA/path */
static const char *node_path(const Node *node, const char *path)
{
    return arena_printf(node->arena, "%s/%s", node->clusters->target.directory, path);
}

/* The names in PGDATA/path, up to a NULL; none if it cannot be read. */
static const char **list_names(const Node *node, const char *path)
{
    const char **names;

    (void) !dir_list(node_path(node, path), node->arena, &names, NULL, NULL);
    return names;
}

/* ---- Files that could not be replaced ---- */

typedef enum FileFault
{
    FAULT_OBSTACLE, /* immutable and the like: cannot be replaced */
    FAULT_CLOSED,   /* cannot be read, or not be written to */
    FAULT_MOUNTED,  /* a file */
    FAULT_NOWHERE,  /* a link to a directory that is not there */
    FAULT_STICKY,   /* owned by somebody else, in a directory with the sticky bit */
    FAULT_FOREIGN,  /* owned by somebody else */
    FAULT_COUNT
} FileFault;

static FileType type_of(mode_t mode)
{
    return S_ISDIR(mode)   ? FILE_DIRECTORY
           : S_ISLNK(mode) ? FILE_LINK
           : S_ISREG(mode) ? FILE_REGULAR
                           : FILE_OTHER;
}

/* rules: how a plan would treat the file, which has no fault if no rewind changes it. */
static void look_at_file(const Node *node, const PlanInput *rules, const char *relative,
                         TextList lists[FAULT_COUNT])
{
    const char *path = node_path(node, relative);
    struct stat status;
    Obstacle obstacle;
    Place place;
    bool found;

    if (!file_lstat(path, &status, &found, NULL) || !found ||
        path_stays(rules, relative, type_of(status.st_mode)))
        return;
    obstacle = place_obstacle(path);
    if (obstacle == OBSTACLE_IMMUTABLE || obstacle == OBSTACLE_APPEND_ONLY)
        text_list_add(&lists[FAULT_OBSTACLE], "\"%s\": %s", relative, obstacle_text(obstacle));
    else if (obstacle == OBSTACLE_MOUNTED && !S_ISDIR(status.st_mode))
        text_list_add(&lists[FAULT_MOUNTED], "\"%s\"", relative);
    else if (obstacle == OBSTACLE_STICKY)
        text_list_add(&lists[FAULT_STICKY], "\"%s\"", relative);
    /* Tablespaces are looked at apart. */
    if (node->version != NULL && strcmp(relative, node->version->wal_directory) == 0 &&
        place_find(path, &place, &found, NULL) && !found)
        text_list_add(&lists[FAULT_NOWHERE], "\"%s\"", relative);
    if ((S_ISDIR(status.st_mode) && (!place_can_change_names(path) || !place_can_be_read(path))) ||
        (S_ISREG(status.st_mode) && path_is_read(rules, relative) && !place_can_be_read(path)))
        text_list_add(&lists[FAULT_CLOSED], "\"%s\": %s", relative, strerror(errno));
    else if (status.st_uid != geteuid() && obstacle != OBSTACLE_STICKY)
        text_list_add(&lists[FAULT_FOREIGN], "\"%s\"", relative);
}

static void look_at_replaceable(Node *node)
{
    static const char *const directories[] = {"", "global/", "base/", "pg_tblspc/"};
    static const struct
    {
        AdviceSeverity state;
        const char *before, *after, *remedy;
    } rows[] = {
        [FAULT_OBSTACLE] = {ADVICE_PROBLEM, "Files that cannot be replaced: ", ".",
                            "chattr -i -a on these files. --keep=NAME leaves alone what the server "
                            "does not write"},
        [FAULT_CLOSED] = {ADVICE_PROBLEM,
                          "Files that cannot be read, or directories that cannot be written to: ",
                          ".",
                          "Make the user that runs the server and pg_rewind their owner: chown. "
                          "--keep=NAME leaves alone what the server does not write"},
        [FAULT_MOUNTED] = {ADVICE_WARNING, "Something is mounted on ",
                           ": it cannot be replaced, where the source has another content.",
                           "--keep=NAME for each, or unmount it before a rewind"},
        [FAULT_NOWHERE] = {ADVICE_PROBLEM, "This link leads to no directory: ", ".",
                           "Mount the volume that belongs there"},
        [FAULT_STICKY] = {ADVICE_PROBLEM, "Another user owns ",
                          ", and the sticky bit of its directory forbids to replace it.",
                          "chown, or chmod -t on the directory"},
        [FAULT_FOREIGN] = {ADVICE_WARNING, "Another user owns ",
                           ". What is replaced is then owned by the user that runs pg_rewind.",
                           "chown, or --keep=NAME"},
    };
    const char *directory = node->clusters->target.directory;
    Buffer texts[FAULT_COUNT] = {{0}};
    TextList lists[FAULT_COUNT];
    PlanInput rules = {0};
    Keep keep;
    size_t faults = 0;
    const char **names;

    prepare_input(&node->look.session, &node->standby_settings, &keep, &rules);
    for (int i = 0; i < FAULT_COUNT; i++)
        lists[i] = (TextList){&texts[i], ", ", NAMES_MAX, 0};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        for (names = list_names(node, directories[i]); *names != NULL; names++)
            look_at_file(node, &rules, arena_printf(node->arena, "%s%s", directories[i], *names),
                         lists);
    keep_free(&keep);
    if (!place_can_change_names(directory))
        text_list_add(&lists[FAULT_CLOSED], "\"%s\"", directory);
    for (int i = 0; i < FAULT_COUNT; i++)
    {
        faults += lists[i].count;
        text_list_end(&lists[i]);
        if (lists[i].count > 0)
            node_add(node, "files", rows[i].state, rows[i].remedy, "%s%s%s", rows[i].before,
                     buffer_string(&texts[i]), rows[i].after);
        buffer_free(&texts[i]);
    }
    if (faults == 0)
        node_ok(node, "files",
                "All files that a rewind may change at the top of the data directory, in global "
                "and base, and all places of tablespaces can be replaced or written to.");
}

/* ---- Tablespaces ---- */

static void look_at_tablespaces(Node *node)
{
    AUTO_BUFFER Buffer names = {0};
    TextList lost = {&names, ", ", NAMES_MAX, 0};
    const char **entries;
    size_t count = 0;
    Place place;
    bool found;
    Error error;

    if (!dir_list(node_path(node, "pg_tblspc"), node->arena, &entries, &found, &error) ||
        !neighbours_check(&node->clusters->target, node->options->source_directory, &error))
    {
        node_add_error(node, "tablespaces", ADVICE_PROBLEM, &error);
        return;
    }
    for (; entries[count] != NULL; count++)
    {
        const char *link = arena_printf(node->arena, "pg_tblspc/%s", entries[count]);

        if (!place_find(node_path(node, link), &place, &found, NULL) || !found ||
            !place.is_directory)
            text_list_add(&lost, "%s", link);
    }
    text_list_end(&lost);
    if (lost.count > 0)
        node_add(node, "tablespaces", ADVICE_PROBLEM,
                 "Mount what belongs there, or remove a link that no tablespace needs.",
                 "These lead to no directory: %s.", buffer_string(&names));
    else if (count == 0)
        node_ok(node, "tablespaces", "There are no tablespaces.");
    else
        node_ok(node, "tablespaces",
                "%zu outside the data directory; each exists and is of this cluster alone.", count);
}

/* ---- Space ---- */

/* A pool of space, by one of the target's directories that take theirs from it. */
typedef struct SpaceLook
{
    const char *directory, *pool;
    uint64_t needed;
} SpaceLook;

/* Add what is needed at a path to its pool, of which there are *count. */
static void add_space(Node *node, SpaceLook *looks, size_t *count, const char *path, uint64_t bytes)
{
    AUTO_BUFFER Buffer pool = {0};
    size_t index = 0;

    if (!place_pool(path, &pool, NULL))
        return;
    while (index < *count && strcmp(looks[index].pool, buffer_string(&pool)) != 0)
        index++;
    if (index == DEVICES_MAX)
        return;
    if (index == *count)
        looks[(*count)++] = (SpaceLook){path, arena_strdup(node->arena, buffer_string(&pool)), 0};
    looks[index].needed += bytes;
}

/*
 * Ask for the space of a typical rewind, whose divergence is not much older than a checkpoint. It
 * fetches the WAL between two checkpoints, and the blocks that this WAL changed: at most as large
 * as the WAL. Tablespaces on other file systems get a share of the blocks, at most all.
 */
static void look_at_space(Node *node)
{
    const uint64_t wal =
        node_setting_bytes(node, "max_wal_size", MAX_WAL_SIZE_DEFAULT_MB * MEGABYTE);
    const uint32_t segment_size = node->clusters->shape.segment_size;
    SpaceLook looks[DEVICES_MAX];
    size_t count = 0;
    AdviceSeverity state = ADVICE_OK;
    AUTO_BUFFER Buffer text = {0};

    add_space(node, looks, &count, node->clusters->target.directory, wal);
    add_space(node, looks, &count, node_path(node, node->version->wal_directory),
              wal + segment_size);
    for (const char **name = list_names(node, "pg_tblspc"); *name != NULL; name++)
        add_space(node, looks, &count,
                  node_path(node, arena_printf(node->arena, "pg_tblspc/%s", *name)), 0);
    for (size_t i = 0; i < count; i++)
    {
        const uint64_t needed = looks[i].needed > 0 ? looks[i].needed : wal;
        FileSpace space;

        if (!file_space(looks[i].directory, &space, NULL))
            continue;
        if (space.free_bytes < 2ull * segment_size)
            state = ADVICE_PROBLEM;
        else if (space.free_bytes < needed && state == ADVICE_OK)
            state = ADVICE_WARNING;
        buffer_printf(&text, "%s%llu MB are free at \"%s\", %llu MB are typically needed.",
                      i > 0 ? "\n" : "", (unsigned long long) (space.free_bytes / MEGABYTE),
                      looks[i].directory, (unsigned long long) (needed / MEGABYTE));
    }
    node_add(node, "space", state,
             state == ADVICE_OK ? NULL : "Make room; --dry-run tells what a rewind really needs.",
             "%s", buffer_string(&text));
}

/* ---- Configuration ---- */

static void look_at_configuration(Node *node)
{
    const char *directory = node->clusters->target.directory;
    const char *used = node->configuration.config_file, *found = node->clusters->target.config_file;
    const char *below = used != NULL ? place_below(used, directory) : NULL;
    AUTO_BUFFER Buffer names = {0}, word = {0};
    TextList outside = {&names, ", ", NAMES_MAX, 0};

    if (used == NULL && !file_exists(directory, "postgresql.conf"))
    {
        node_add(node, "configuration", ADVICE_WARNING,
                 "--config-file=/etc/postgresql/VERSION/CLUSTER/postgresql.conf",
                 "There is no postgresql.conf in the data directory: the configuration is "
                 "elsewhere, and what it says is not known here.");
        return;
    }
    if (used != NULL && (found == NULL || strcmp(used, found) != 0) &&
        (below == NULL || strcmp(below, "postgresql.conf") != 0))
    {
        buffer_append_shown_word(&word, used);
        node_add(node, "configuration", ADVICE_WARNING,
                 arena_printf(node->arena, "--config-file=%s", buffer_string(&word)),
                 "The server was started with \"%s\". pg_rewind does not find that file without "
                 "this option, and -c reads no restore_command in it.",
                 used);
        return;
    }
    if (node->settings.unread != NULL)
    {
        node_add(
            node, "configuration", ADVICE_UNKNOWN,
            "Let the user that runs pg_rewind read it, or remove the line that includes it.",
            "\"%s\", which the configuration names, cannot be read: what it sets is not known, "
            "as a recovery target or primary_conninfo.",
            node->settings.unread);
        return;
    }
    for (size_t i = 0; i < node->settings.file_count; i++)
        if (node->settings.files[i][0] == '/' &&
            place_below(node->settings.files[i], directory) == NULL)
            text_list_add(&outside, "\"%s\"", node->settings.files[i]);
    text_list_end(&outside);
    if (outside.count > 0)
        node_ok(node, "configuration",
                "Outside the data directory, so a rewind leaves it as it is: %s.",
                buffer_string(&names));
    else if (node->options->config_file == NULL && used != NULL)
        node_ok(node, "configuration", "It is \"%s\".", used);
    else
        node_ok(node, "configuration",
                "In the data directory: a rewind replaces it by the source's, unless --keep-config "
                "is given.%s",
                node->settings.incomplete ? " Some files that it includes were not read." : "");
}

void node_look_at_files(Node *node)
{
    if (!node->look.start.lacks_room)
        look_at_space(node);
    look_at_replaceable(node);
    look_at_tablespaces(node);
    look_at_configuration(node);
}

/* ---- Losses by a failover ---- */

/* The kinds of slots that a rewind removes; each needs its own advice. */
typedef enum SlotLoss
{
    LOSS_PHYSICAL, /* a slot of an unknown type counts as physical */
    LOSS_LOGICAL,
    LOSS_FAILOVER,
    LOSS_COUNT
} SlotLoss;

/* Rule S24: the finding names each kind of slot with what really helps. If no rewind is needed,
 * `stay`, slots from the target's time as a primary are advised on elsewhere. */
static void add_lost_slots(Node *node, const TargetSlots *slots, bool stay)
{
    const Version *version = node->version;
    const char *create_physical =
        arena_printf(node->arena,
                     "On the new primary, after a failover:\n"
                     "SELECT pg_catalog.pg_create_physical_replication_slot("
                     "'NAME'::pg_catalog.name%s);",
                     version->sql.slot_reserves ? ", true" : "");
    const struct
    {
        AdviceSeverity state;
        const char *before, *after, *remedy;
    } rows[] = {
        [LOSS_PHYSICAL] = {ADVICE_WARNING,
                           "Replication slots are of this node alone, and a rewind removes them: ",
                           ".", create_physical},
        [LOSS_LOGICAL] = {ADVICE_WARNING,
                          "Logical replication slots are of this node alone, and a rewind removes "
                          "them: ",
                          ". A slot that is created on the new primary lacks earlier changes.",
                          version->synchronizes_slots
                              ? "Make them failover slots, which a standby with "
                                "sync_replication_slots has as well. On the subscriber, while the "
                                "subscription is disabled:\n"
                                "ALTER SUBSCRIPTION NAME SET (failover = true);"
                              : "After a failover copy the subscribers' tables again."},
        [LOSS_FAILOVER] = {ADVICE_OK,
                           "Failover slots, which a standby with sync_replication_slots has as "
                           "well: ",
                           ".", NULL},
    };
    Buffer texts[LOSS_COUNT] = {{0}};
    TextList lists[LOSS_COUNT];

    for (int i = 0; i < LOSS_COUNT; i++)
        lists[i] = (TextList){&texts[i], ", ", NAMES_MAX, 0};
    for (size_t i = 0; i < slots->count; i++)
    {
        const TargetSlot *slot = &slots->slots[i];
        const SlotLoss loss = slot->failover                 ? LOSS_FAILOVER
                              : target_slot_is_logical(slot) ? LOSS_LOGICAL
                                                             : LOSS_PHYSICAL;

        /* The new primary's server creates its own slot for conflict detection. */
        if (!slot->for_conflicts && !(stay && slot->of_primary))
            target_slot_list(&lists[loss], slot);
    }
    for (int i = 0; i < LOSS_COUNT; i++)
    {
        text_list_end(&lists[i]);
        if (lists[i].count > 0)
            node_add(node, "slots", rows[i].state, rows[i].remedy, "%s%s%s", rows[i].before,
                     buffer_string(&texts[i]), rows[i].after);
        buffer_free(&texts[i]);
    }
}

/* If no rewind is needed, add the slots that a standby keeps besides those from its time as a
 * primary. */
static void add_kept_slots(Node *node, const TargetSlots *slots)
{
    AUTO_BUFFER Buffer names = {0};
    TextList list = {&names, ", ", NAMES_MAX, 0};

    for (size_t i = 0; i < slots->count; i++)
        if (!slots->slots[i].of_primary)
            target_slot_list(&list, &slots->slots[i]);
    text_list_end(&list);
    if (list.count > 0)
        node_ok(node, "slots", "No rewind is needed, so this standby's replication slots stay: %s.",
                buffer_string(&names));
}

static void look_at_slots(Node *node)
{
    const bool has_diverged = node->verdict.state == VERDICT_NEEDED || node->look.divergence.needed;
    const bool stay = target_was_standby(&node->clusters->target)
                          ? !has_diverged
                          : node->verdict.state == VERDICT_NOT_NEEDED;
    TargetSlots slots;
    Error error;

    if (!target_slots_read(&node->clusters->target, node->arena, &slots, &error))
    {
        node_add_error(node, "slots", ADVICE_UNKNOWN, &error);
        return;
    }
    if (stay)
        target_slots_advise(&slots, node->version, &node->findings);
    if (!stay || node->clusters->source_history.count == 0)
        add_lost_slots(node, &slots, stay);
    else
        add_kept_slots(node, &slots);
    if (!advice_has(&node->findings, "slots"))
        node_ok(node, "slots", "There are no replication slots of clients.");
}

void node_look_at_losses(Node *node)
{
    const char **prepared = list_names(node, "pg_twophase");
    const size_t count = count_words(prepared);

    look_at_slots(node);
    if (count > 0)
        node_add(node, "prepared_transactions", ADVICE_WARNING,
                 "Look for forgotten ones, and end them by COMMIT PREPARED or ROLLBACK PREPARED:\n"
                 "SELECT gid, prepared, owner, database FROM pg_catalog.pg_prepared_xacts;",
                 "Prepared transactions that are older than the last checkpoint (files in "
                 "pg_twophase): %zu. Those that the source does not know are lost by a rewind.",
                 count);
    else
        node_ok(node, "prepared_transactions",
                "No prepared transaction is older than the last checkpoint.");
}
