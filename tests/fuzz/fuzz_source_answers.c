/*
 * A source server that answers nonsense. What must come out of it: pieces in order and no longer
 * than asked for, a listing of paths that stay in the data directory, a plan of ranges inside of
 * the files.
 *
 * The input begins with three bytes: version; primary or standby (lowest bit), what is asked (the
 * next two), whether it comes along with another question (the next one); how many queries are
 * answered as a server would. Later ones are, too, but for what the next bytes say: kind of twist
 * (0: none), and then what the twist needs. No more bytes: no more twists.
 */
#include "source/source.h"
#include "format/crc32c.h"
#include "plan/plan.h"
#include "wal/blockmap.h"

#include "../every_version.h"
#include "fake_libpq.h"
#include "memory_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTEA 17
#define BLOCK 8192
#define NEW_ROWS_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static Cursor input;
static const Version *version;
static bool is_standby;
static int untouched; /* queries that are still answered as a server would */

/* ---- Right answers ---- */

static const FetchRequest requests[] = {{"PG_VERSION", 0, 100},
                                        {"base/5/1000", 0, BLOCK},
                                        {"base/5/1000", 2 * BLOCK, BLOCK},
                                        {"global/1", 1073733632, FETCH_SIZE_MAX},
                                        {"with \"quotes\\", UINT64_C(1) << 40, 1}};
static const char replayed[] = "0/3000148 0/3000148";
#define REQUEST_COUNT (sizeof(requests) / sizeof(requests[0]))

static void answer_text(FakeAnswer *answer, const char *text)
{
    answer->rows = 1;
    answer->values[0][0] = (FakeValue){text, strlen(text)};
}

static void answer_control(FakeAnswer *answer)
{
    static uint8_t control[CONTROL_FILE_SIZE];
    const ControlOffsets *offsets = &version->control;
    const uint8_t given = untouched > 0 ? 0 : cursor_u8(&input);
    const uint8_t *bytes = cursor_bytes(&input, given);

    memset(control, 0, sizeof(control));
    store_u64(control, 7000000000000000001);
    store_u32(control + 8, version->control_version);
    store_u32(control + 12, version->catalog_version);
    store_u32(control + 16, 6); /* in production */
    store_u64(control + 32, 0x3000060);
    store_u64(control + offsets->checkpoint_copy + version->checkpoint.redo, 0x3000028);
    store_u32(control + offsets->checkpoint_copy + version->checkpoint.timeline, 1);
    store_u32(control + offsets->block_size, BLOCK);
    store_u32(control + offsets->relation_segment_blocks, 131072);
    store_u32(control + offsets->wal_block_size, BLOCK);
    store_u32(control + offsets->wal_segment_size, 16 * 1024 * 1024);
    /* Places (u16) and bytes that are different there. */
    for (size_t i = 0; bytes != NULL && i + 3 <= given; i += 3)
        control[(bytes[i] | (size_t) bytes[i + 1] << 8) % offsets->crc] ^= bytes[i + 2];
    store_u32(control + offsets->crc, crc_of_version(version, control, offsets->crc));
    answer->rows = 1;
    answer->values[0][0] = (FakeValue){(const char *) control, sizeof(control)};
}

static void answer_file(FakeAnswer *answer, const char *path)
{
    if (strcmp(path, CONTROL_PATH) == 0)
        answer_control(answer);
    else
        answer_text(answer, "1\t0/3000148\tno recovery target specified\n");
}

static void add_row(FakeAnswer *answer, const char *path, const char *number, const char *type,
                    const char *location)
{
    FakeValue *row = answer->values[answer->rows++];

    row[0] = (FakeValue){path, strlen(path)};
    row[1] = (FakeValue){number, strlen(number)};
    row[2] = (FakeValue){type, strlen(type)};
    row[3] = (FakeValue){location, location != NULL ? strlen(location) : 0};
    row[4] = (FakeValue){type[0] == 'f' ? "1" : NULL, type[0] == 'f' ? 1 : 0};
}

static const char *take_kept(FakeAnswer *answer)
{
    const uint8_t length = cursor_u8(&input);
    const uint8_t *bytes = cursor_bytes(&input, length);

    return fake_keep(answer, bytes, bytes != NULL ? length : 0);
}

/* Forget the rows that are not in one of the directories asked for. */
static void keep_asked(FakeAnswer *answer, const char *asked)
{
    int kept = 0;

    for (int i = 0; i < answer->rows; i++)
    {
        const char *path = answer->values[i][0].bytes;
        const char *slash = strrchr(path, '/');
        char quoted[256];

        snprintf(quoted, sizeof(quoted), "\"%.*s\"", slash != NULL ? (int) (slash + 1 - path) : 0,
                 path);
        if (strstr(asked, quoted) != NULL)
            memmove(answer->values[kept++], answer->values[i], sizeof(answer->values[0]));
    }
    answer->rows = kept;
}

static void answer_list(FakeAnswer *answer, const char *asked)
{
    static char own_directory[128];
    static char database[160];
    static char relation[192];
    const uint8_t new_rows = untouched > 0 ? 0 : cursor_u8(&input) % NEW_ROWS_MAX;

    snprintf(own_directory, sizeof(own_directory), "pg_tblspc/16400/%s",
             directory_of_release(version).name);
    snprintf(database, sizeof(database), "%s/5", own_directory);
    snprintf(relation, sizeof(relation), "%s/1001", database);
    answer->columns = 5;
    add_row(answer, "PG_VERSION", "3", "f", NULL);
    add_row(answer, "base", "4096", "t", NULL);
    add_row(answer, "base/5", "4096", "t", NULL);
    add_row(answer, "base/5/1000", "24576", "f", NULL);
    add_row(answer, "base/5/1000_vm", "8192", "f", NULL);
    add_row(answer, "global", "4096", "t", NULL);
    add_row(answer, "global/pg_control", "8192", "f", NULL);
    add_row(answer, "pg_tblspc", "4096", "t", NULL);
    add_row(answer, "pg_tblspc/16400", "4096", "t", "/space/one");
    add_row(answer, own_directory, "4096", "t", NULL);
    add_row(answer, database, "4096", "t", NULL);
    add_row(answer, relation, "8192", "f", NULL);
    add_row(answer, "pg_wal", "4096", "t", NULL);
    add_row(answer, "pg_wal/archive_status", "4096", "t", NULL);
    keep_asked(answer, asked);
    for (uint8_t i = 0; i < new_rows && cursor_left(&input) > 0; i++)
    {
        const uint8_t flags = cursor_u8(&input);
        const char *path = take_kept(answer);
        const char *number = flags & 1 ? take_kept(answer) : "8192";
        const char *location = flags & 2 ? take_kept(answer) : NULL;

        add_row(answer, path, number, flags & 4 ? "t" : "f", location);
    }
}

static void answer_pieces(FakeAnswer *answer, bool digest)
{
    static char content[1000];

    answer->columns = is_standby ? 5 : 4;
    for (size_t i = 0; i < REQUEST_COUNT; i++)
    {
        const FetchRequest *request = &requests[i];
        FakeValue *row = answer->values[answer->rows++];
        char begin[8];

        for (int k = 0; k < 8; k++)
            begin[k] = (char) (request->offset >> (56 - 8 * k));
        row[0] = (FakeValue){request->path, strlen(request->path)};
        row[1] = (FakeValue){fake_keep(answer, begin, 8), 8};
        row[2] = digest ? (FakeValue){content, DIGEST_SIZE}
                        : (FakeValue){content, request->size < sizeof(content) ? request->size
                                                                               : sizeof(content)};
        row[3] = (FakeValue){NULL, 0};
        row[4] = (FakeValue){replayed, strlen(replayed)};
    }
}

typedef enum FakeQuery
{
    QUERY_TEXT,
    QUERY_STATE,
    QUERY_SEEN,
    QUERY_CONFIG,
    QUERY_ROLE,
    QUERY_RIGHTS,
    QUERY_LIST,
    QUERY_PIECES,
    QUERY_DIGESTS,
    QUERY_TIMES,
    QUERY_FILE
} FakeQuery;

static const char names_of_wal[] =
    "00000002.history/00000003.history/000000020000000000000003/000000030000000000000003";

/* Words of a query, and what it is; the first row that fits. */
static const struct
{
    const char *words;
    FakeQuery query;
    const char *text;
} rows_of_queries[] = {
    {"AS standby", QUERY_STATE, NULL},
    {"UNION ALL SELECT path", QUERY_SEEN, NULL},
    {"CASE WHEN size > 0", QUERY_CONFIG, NULL},
    {"rolreplication", QUERY_ROLE, NULL},
    {"pg_tablespace_location", QUERY_LIST, NULL},
    {"md5(pg_catalog.pg_read_binary_file(path", QUERY_DIGESTS, NULL},
    {"sha256(pg_catalog.pg_read_binary_file(path", QUERY_DIGESTS, NULL},
    {"clock_timestamp", QUERY_TIMES, NULL},
    {"AS len", QUERY_PIECES, NULL},
    {"coalesce(pg_catalog.pg_last_", QUERY_TEXT, replayed},
    {"pg_read_binary_file($1", QUERY_FILE, NULL},
    {"has_function_privilege", QUERY_RIGHTS, NULL},
    {"pg_ls_dir($1", QUERY_TEXT, names_of_wal},
    {"md5(''", QUERY_TEXT, "d41d8cd98f00b204e9800998ecf8427e"},
    {"pg_postmaster_start_time", QUERY_TEXT, "false 1700000000000"},
    {"", QUERY_TEXT, ""},
};

/* Which row. */
static size_t row_of_query(const char *sql)
{
    size_t row = 0;

    while (strstr(sql, rows_of_queries[row].words) == NULL)
        row++;
    return row;
}

static void answer_columns(FakeAnswer *answer, int count, const char *const *texts)
{
    answer->rows = 1;
    answer->columns = count;
    for (int i = 0; i < count; i++)
        answer->values[0][i] = (FakeValue){texts[i], texts[i] != NULL ? strlen(texts[i]) : 0};
}

static void answer_state(FakeAnswer *answer)
{
    static const char *const primary[] = {
        NULL, "false 1700000000/1700000001 0/3000148", "0/3000148 00000001", NULL, NULL, "false"};
    static const char *const standby[] = {
        NULL, "true 1700000000/1700000001 0/0", NULL, "0/3000148", "0/3000148", "false"};
    FakeValue control;

    answer_control(answer);
    control = answer->values[0][0];
    answer_columns(answer, 6, is_standby ? standby : primary);
    answer->values[0][0] = control;
}

static void answer_rightly(const char *sql, const char *const *parameters, FakeAnswer *answer)
{
    static const char *const rights[] = {"rewind", "postgres", "on", "on\nreplica", ""};
    static const char *const names[] = {"pg_wal", NULL, names_of_wal};
    static const char *const config[] = {"postgresql.conf", "port = 5432\n", "12"};
    static const char *const role[] = {"t", "rewind", "10.0.0.1/32", "f"};
    static const char *const times[] = {"350", "150"};
    const size_t row = row_of_query(sql);

    switch (rows_of_queries[row].query)
    {
    case QUERY_STATE:
        answer_state(answer);
        break;
    case QUERY_SEEN:
        answer_columns(answer, 3, names);
        break;
    case QUERY_CONFIG:
        answer_columns(answer, 3, config);
        break;
    case QUERY_ROLE:
        answer_columns(answer, 4, role);
        break;
    case QUERY_RIGHTS:
        answer_columns(answer, 5, rights);
        break;
    case QUERY_LIST:
        answer_list(answer, parameters[0]);
        break;
    case QUERY_PIECES:
        answer_pieces(answer, false);
        break;
    case QUERY_DIGESTS:
        answer_pieces(answer, true);
        break;
    case QUERY_TIMES:
        answer_columns(answer, 2, times);
        break;
    case QUERY_FILE:
        answer_file(answer, parameters[0]);
        break;
    case QUERY_TEXT:
        answer_text(answer, rows_of_queries[row].text);
    }
}

/* ---- Twists ---- */

static void drop_row(FakeAnswer *answer, int row)
{
    answer->rows--;
    memmove(answer->values[row], answer->values[row + 1],
            (size_t) (answer->rows - row) * sizeof(answer->values[0]));
}

static void repeat_row(FakeAnswer *answer, int row)
{
    if (answer->rows == FAKE_ROWS_MAX)
        return;
    memcpy(answer->values[answer->rows], answer->values[row], sizeof(answer->values[0]));
    answer->rows++;
}

static void add_column(FakeAnswer *answer)
{
    for (int row = 0; row < answer->rows; row++)
        answer->values[row][answer->columns] = answer->values[row][0];
    answer->columns++;
}

/* A value of other bytes, once or many times over. */
static void replace_value(FakeAnswer *answer, FakeValue *value)
{
    const uint8_t times = cursor_u8(&input);
    const uint8_t length = cursor_u8(&input);
    const uint8_t *bytes = cursor_bytes(&input, length);
    Buffer made = {0};
    const char *kept;

    if (bytes == NULL)
        return;
    for (int i = 0; i <= times; i++)
        buffer_append(&made, bytes, length);
    kept = fake_keep(answer, made.bytes, made.size);
    if (kept != NULL)
        *value = (FakeValue){kept, made.size};
    buffer_free(&made);
}

static void twist_one(FakeAnswer *answer, uint8_t twist)
{
    static const char *const states[] = {"57P01", "42501", "53300", "58P01", "XX000", "08006"};
    const int row = answer->rows > 0 ? cursor_u8(&input) % answer->rows : -1;
    const int column = answer->columns > 0 ? cursor_u8(&input) % answer->columns : 0;

    switch (twist % 11)
    {
    case 1:
    case 2:
        if (row >= 0)
            replace_value(answer, &answer->values[row][column]);
        break;
    case 3:
        if (row >= 0)
            answer->values[row][column] = (FakeValue){NULL, 0};
        break;
    case 4:
        answer->columns = column;
        break;
    case 5:
        if (answer->columns < FAKE_COLUMNS_MAX)
            add_column(answer);
        break;
    case 6:
        if (row >= 0)
            repeat_row(answer, row);
        break;
    case 7:
        if (row >= 0)
            drop_row(answer, row);
        break;
    case 8:
        answer->sqlstate = states[(size_t) column % (sizeof(states) / sizeof(states[0]))];
        if (row >= 0)
            answer->rows = row;
        break;
    case 9:
        answer->lost = true;
        break;
    case 10:
        answer->format = 1 - answer->format;
        break;
    default:
        answer->type = BYTEA + 8;
    }
}

static void answer_query(const char *sql, int count, const char *const *parameters, bool binary,
                         FakeAnswer *answer)
{
    (void) count;
    (void) binary;
    answer_rightly(sql, parameters, answer);
    if (strncmp(sql, "BEGIN", 5) == 0 || strncmp(sql, "SAVEPOINT", 9) == 0)
        return;
    if (untouched-- > 0)
        return;
    untouched = 0;
    for (uint8_t left = 3; left > 0 && cursor_left(&input) > 0; left--)
    {
        const uint8_t twist = cursor_u8(&input);

        if (twist == 0)
            break;
        twist_one(answer, twist);
    }
}

/* ---- Checks of the results ---- */

typedef struct Delivered
{
    size_t next;
    bool digest;
} Delivered;

static bool look_at_piece(void *context, size_t index, const uint8_t *bytes, size_t size,
                          Error *error)
{
    Delivered *delivered = context;
    unsigned sum = 0;

    (void) error;
    if (index != delivered->next || index >= REQUEST_COUNT)
        __builtin_trap();
    delivered->next++;
    if (bytes == NULL)
        return true;
    if (delivered->digest ? size != DIGEST_SIZE : size > requests[index].size)
        __builtin_trap();
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return sum != UINT32_MAX;
}

/* Not asked of the code that is tested. */
static bool stays_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strstr(path, "//") != NULL)
        return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/'))
    {
        part += *part == '/';
        if (strncmp(part, "..", strcspn(part, "/")) == 0)
            return false; /* "..", "." or an empty part */
    }
    return true;
}

/* The entry that a path lies in is there, and is a directory or a tablespace. */
static void check_parent(const Listing *listing, const char *path)
{
    char parent[4200];
    const char *slash = strrchr(path, '/');
    const ListedFile *found;

    if (slash == NULL)
        return;
    snprintf(parent, sizeof(parent), "%.*s", (int) (slash - path), path);
    found = listing_find(listing, parent);
    if (found == NULL || (found->type != FILE_DIRECTORY &&
                          (found->type != FILE_LINK || strncmp(parent, "pg_tblspc/", 10) != 0 ||
                           strspn(parent + 10, "0123456789") != strlen(parent + 10))))
        __builtin_trap();
}

static void check_listing(const Listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
    {
        const ListedFile *file = &listing->files[i];

        if (!stays_inside(file->path) || strlen(file->path) > 4096)
            __builtin_trap();
        if (i > 0 && strcmp(listing->files[i - 1].path, file->path) >= 0)
            __builtin_trap();
        if (file->size > listing->total_size || listing->total_size > INT64_MAX)
            __builtin_trap();
        check_parent(listing, file->path);
    }
}

static ListedFile target_files[] = {{.path = "PG_VERSION", .type = FILE_REGULAR, .size = 3},
                                    {.path = "base", .type = FILE_DIRECTORY},
                                    {.path = "base/5", .type = FILE_DIRECTORY},
                                    {.path = "base/5/1000", .type = FILE_REGULAR, .size = 16384},
                                    {.path = "base/5/1002", .type = FILE_REGULAR, .size = 8192},
                                    {.path = "global", .type = FILE_DIRECTORY},
                                    {.path = "link", .type = FILE_LINK},
                                    {.path = "pg_tblspc", .type = FILE_DIRECTORY},
                                    {.path = "pg_wal", .type = FILE_DIRECTORY},
                                    {.path = "pg_wal/archive_status", .type = FILE_DIRECTORY}};

static void check_plan(const Plan *plan)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        uint64_t offset = 0;
        uint64_t before = 0;
        uint64_t size;

        if (!stays_inside(entry->path) || entry->source_size > INT64_MAX)
            __builtin_trap();
        while (plan_next_range(plan, entry, &offset, &size))
        {
            if (offset < before || size == 0 || offset >= entry->source_size ||
                size > entry->source_size - offset)
                __builtin_trap();
            offset += size;
            before = offset;
            bytes += size;
        }
    }
    if (bytes != plan->fetch_bytes || bytes > INT64_MAX)
        __builtin_trap();
}

static void make_plan(const Listing *listing)
{
    static Error error;
    HistoryEntry entries[] = {{.timeline = 1, .end = 0x3000148},
                              {.timeline = 2, .begin = 0x3000148}};
    const History history = {.entries = entries, .count = 2};
    ListedLink link = {.path = "link", .target = "/out"};
    const Listing target = {.links = &link,
                            .link_count = 1,
                            .files = target_files,
                            .count = sizeof(target_files) / sizeof(target_files[0])};
    ScanResult scanned = {.blocks = blockmap_create()};
    const PlanInput plan_input = {
        .version = version,
        .version_directory = directory_of_release(version),
        .shape = {.version = version, .segment_size = 16 * 1024 * 1024, .block_size = BLOCK},
        .block_size = BLOCK,
        .relation_segment_blocks = 131072,
        .source = listing,
        .target = &target,
        .scan = &scanned,
        .source_history = &history,
        .divergence = 0x3000148,
        .whole_from = 0x3000148,
        .next_oid = 16384};
    const RelationId relation = {.tablespace = 1663, .database = 5, .relation = 1000};
    Plan plan;

    for (BlockNumber block = 0; block < 200000; block += 65537)
        blockmap_add(scanned.blocks, relation, block);
    if (plan_make(&plan_input, &plan, &error))
        check_plan(&plan);
    plan_free(&plan);
    blockmap_destroy(scanned.blocks);
}

static void fetch_pieces(Source *source, bool digest, bool along)
{
    static Error error;
    static Control control;
    Delivered delivered = {.digest = digest};
    SourcePosition position;
    int granted;
    bool removes;

    if ((digest && source->digest == DIGEST_NONE) ||
        !source->operations->start_workers(source, 1, 0, &granted, &error))
        return;
    if (source->operations->fetch(source, 0,
                                  &(FetchBatch){.requests = requests,
                                                .count = REQUEST_COUNT,
                                                .digests = digest,
                                                .ends_reading = along},
                                  look_at_piece, &delivered, &error))
        if (delivered.next != REQUEST_COUNT)
            __builtin_trap();
    if (along)
        (void) !source->operations->state(source, &control, &position, &removes, &error);
}

/* A question that takes others along: what a rewind expects. */
static void ask_with_others(Source *source)
{
    static Error error;
    SourceRole role;
    Arena *arena = arena_create();
    uint64_t bytes;
    bool may;

    source_server_expect_rewind(source);
    source_server_expect_wal(source, requests[0].path, requests[0].offset, requests[0].size);
    (void) !source_server_role(source, arena, &role, &error);
    (void) !source_server_may_checkpoint(source, &may, &bytes, &error);
    arena_destroy(arena);
}

static void list_files(Source *source)
{
    static Error error;
    Listing listing;

    if (listing_of_source(source, version, &listing, &error))
    {
        check_listing(&listing);
        make_plan(&listing);
    }
    listing_free(&listing);
}

static void ask_position(Source *source)
{
    static Control control;
    static Error error;
    SourcePosition position;
    Buffer history = {0};
    bool found;

    if (source->operations->read_control(source, &control, &error) &&
        source->operations->position(source, &control, &position, &error) &&
        (position.end > LSN_HIGHEST || position.minimum > LSN_HIGHEST))
        __builtin_trap();
    if (source->operations->read_file(source, "pg_wal/00000002.history", 1000, &history, &found,
                                      &error) &&
        history.size > 1000)
        __builtin_trap();
    buffer_free(&history);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    Arena *arena = arena_create();
    Source *source = NULL;
    uint8_t questions;

    memory_files_clear();
    input = cursor_over(bytes, size);
    version = version_by_number(cursor_u8(&input));
    questions = cursor_u8(&input);
    is_standby = questions % 2 == 1;
    untouched = cursor_u8(&input) % 64;
    fake_libpq_start(answer_query, version->number * 100 + 1);
    if (source_server_open("host=source", 60, 0, &source, &error))
    {
        const bool along = questions / 8 % 2 == 1;

        if (along)
            ask_with_others(source);
        switch (questions / 2 % 4)
        {
        case 0:
            list_files(source);
            break;
        case 1:
            fetch_pieces(source, false, along);
            break;
        case 2:
            fetch_pieces(source, true, along);
            break;
        default:
            ask_position(source);
        }
    }
    source_close(source);
    fake_libpq_end();
    arena_destroy(arena);
    return 0;
}
