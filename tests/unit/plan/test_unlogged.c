/* Rule C76. */
#include "../../every_version.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/plan.h"

#include <string.h>

#define DIVERGENCE 0x5000100
#define NEXT_OID 24576
#define FIRST_OID 24000 /* next OID of the earliest start */
#define LAST_OID 32768  /* OIDs below may be assigned by the end of the chain */
#define DATABASE 5
#define OTHER_DATABASE 6 /* copied as files */

/* All forks of one relation lie on the source, the init fork where a row says so. */
typedef struct Case
{
    BlockMap *chain_blocks, *target_blocks;
    BlockMap *made_before; /* see PlanInput; NULL: recovery starts at the earliest start */
    ScanResult chain, target;
    ScanDatabase copy;
    bool not_scanned;
    ListedFile files[4];
    PlanEntry entries[4];
    Listing source;
    PlanInput input;
    Plan plan;
} Case;

static const char *const no_init[] = {"base/5/24580", "base/5/24580_fsm", "base/5/24580_vm", NULL};
static const char *const with_init[] = {"base/5/24580", "base/5/24580_fsm", "base/5/24580_init",
                                        NULL};
static const char *const older[] = {"base/5/24575", "base/5/24575.1", NULL};
static const char *const copied[] = {"base/6/24580", NULL};

static void begin(Case *c, const char *const *paths)
{
    memset(c, 0, sizeof(*c));
    c->chain_blocks = blockmap_create();
    c->target_blocks = blockmap_create();
    c->copy = (ScanDatabase){.kind = WAL_EVENT_DATABASE_FILE_COPY,
                             .tablespace = TABLESPACE_DEFAULT,
                             .database = OTHER_DATABASE};
    c->chain = (ScanResult){.blocks = c->chain_blocks,
                            .databases = &c->copy,
                            .database_count = 1,
                            .next_oid = LAST_OID};
    c->target = (ScanResult){.blocks = c->target_blocks};
    c->source.files = c->files;
    c->plan.entries = c->entries;
    for (; *paths != NULL; paths++)
    {
        const bool main_fork = strchr(*paths, '_') == NULL;

        c->files[c->source.count++] = (ListedFile){.path = *paths, .type = FILE_REGULAR};
        c->entries[c->plan.count++] = (PlanEntry){.path = *paths,
                                                  .action = ACTION_COPY,
                                                  .type = FILE_REGULAR,
                                                  .kind = main_fork ? KIND_RELATION : KIND_FORK};
    }
    c->input = (PlanInput){.version = version_of_major(15),
                           .source = &c->source,
                           .scan = &c->target,
                           .next_oid = NEXT_OID,
                           .divergence = DIVERGENCE};
}

/* Returns how many entries plan_becomes_unlogged leaves out, and frees the case's maps. */
static size_t end(Case *c)
{
    const UnloggedEvidence evidence = {
        .chain = &c->chain, .target_scanned = !c->not_scanned, .first_oid = FIRST_OID};
    size_t count = 0;

    c->input.made_before = c->made_before;
    for (size_t i = 0; i < c->plan.count; i++)
        count += plan_becomes_unlogged(&c->input, &evidence, &c->plan.entries[i]);
    blockmap_destroy(c->chain_blocks);
    blockmap_destroy(c->target_blocks);
    blockmap_destroy(c->made_before);
    return count;
}

/* The entries that the caller warns of. */
static size_t unknown(const Case *c)
{
    const UnloggedEvidence evidence = {.chain = &c->chain, .target_scanned = !c->not_scanned};
    size_t count = 0;

    for (size_t i = 0; i < c->plan.count; i++)
        count += plan_is_of_unknown_origin(&c->input, &evidence, &c->plan.entries[i]);
    return count;
}

static RelationId relation_of(Oid database, Oid number)
{
    return (RelationId){.tablespace = TABLESPACE_DEFAULT, .database = database, .relation = number};
}

static void test_init_fork_made_meanwhile(void **state)
{
    Case c;

    (void) state;
    begin(&c, older);
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24575), FORK_INIT);
    assert_int_equal(end(&c), 2);
    /* The server takes care of one that is there when it starts. */
    begin(&c, with_init);
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24580), FORK_INIT);
    assert_int_equal(end(&c), 0);
}

static void test_init_fork_to_come(void **state)
{
    Case c;

    (void) state;
    begin(&c, no_init);
    assert_int_equal(end(&c), 3);
    begin(&c, no_init); /* a logged relation */
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24580), FORK_MAIN);
    assert_int_equal(end(&c), 0);
    begin(&c, older); /* a relation that may be in common history */
    assert_int_equal(end(&c), 0);
}

/* The counter of OIDs may have wrapped around: then an old relation has a number that looks new. */
static void test_an_old_relation_of_a_new_number(void **state)
{
    const RelationId id = relation_of(DATABASE, 24580);
    ScanDatabase dropped = {.kind = WAL_EVENT_DATABASE_DROP, .database = DATABASE};
    Case c;

    (void) state;
    begin(&c, no_init); /* the target has the relation, but did not make it */
    for (size_t i = 0; i < c.plan.count; i++)
        c.entries[i].on_target = true;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* the target made its own relation of that number */
    blockmap_fork_made(c.target_blocks, id, FORK_MAIN);
    for (size_t i = 0; i < c.plan.count; i++)
        c.entries[i].on_target = true;
    assert_int_equal(end(&c), 3);
    begin(&c, no_init); /* the target dropped the relation, and made its own of that number */
    blockmap_dropped(c.target_blocks, id, DIVERGENCE);
    blockmap_fork_made(c.target_blocks, id, FORK_MAIN);
    for (size_t i = 0; i < c.plan.count; i++)
        c.entries[i].on_target = true;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* the target dropped the relation's database, and made its own of both */
    c.target.databases = &dropped;
    c.target.database_count = 1;
    blockmap_fork_made(c.target_blocks, id, FORK_MAIN);
    for (size_t i = 0; i < c.plan.count; i++)
        c.entries[i].on_target = true;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* the target dropped the relation */
    blockmap_storage_changed(c.target_blocks, id, 1);
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* the target dropped the relation's database */
    c.target.databases = &dropped;
    c.target.database_count = 1;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* the target made that database, or the source before a late start */
    dropped.kind = WAL_EVENT_DATABASE_CREATE;
    dropped.lsn = DIVERGENCE;
    c.target.databases = &dropped;
    c.target.database_count = 1;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* both sides made the database, in common history */
    dropped.lsn = DIVERGENCE - 1;
    c.target.databases = &dropped;
    c.target.database_count = 1;
    assert_int_equal(end(&c), 3);
    begin(&c, no_init); /* the source's WAL names a block of the relation */
    blockmap_add(c.chain_blocks, id, 7);
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* what the target did is not known */
    c.not_scanned = true;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init); /* no number was given away after the start, or only lower ones */
    c.chain.next_oid = 0;
    assert_int_equal(end(&c), 0);
    begin(&c, no_init);
    c.chain.next_oid = 24580;
    assert_int_equal(end(&c), 0);
}

/* Recovery starts late, and the source gave out the number before that. */
static void test_a_late_start(void **state)
{
    const RelationId id = relation_of(DATABASE, 24575);
    ScanDatabase copy = {.kind = WAL_EVENT_DATABASE_FILE_COPY,
                         .tablespace = TABLESPACE_DEFAULT,
                         .database = DATABASE,
                         .lsn = DIVERGENCE};
    Case c;

    (void) state;
    begin(&c, older);
    c.made_before = blockmap_create();
    c.chain.next_oid = 0; /* the checkpoint has counted the numbers that are given out next */
    assert_int_equal(end(&c), 2);
    begin(&c, older); /* a logged relation */
    c.made_before = blockmap_create();
    blockmap_storage_changed(c.made_before, id, DIVERGENCE);
    assert_int_equal(end(&c), 0);
    begin(&c, older); /* older than both starts */
    c.made_before = blockmap_create();
    c.files[0].path = c.entries[0].path = "base/5/23999";
    assert_int_equal(end(&c), 1);
    begin(&c,
          older); /* a database that was copied; the target has made a relation of that number */
    c.made_before = blockmap_create();
    blockmap_fork_made(c.target_blocks, id, FORK_MAIN);
    c.entries[0].on_target = c.entries[1].on_target = true;
    c.target.databases = &copy;
    c.target.database_count = 1;
    assert_int_equal(end(&c), 0);
}

/* The chain makes the database by WAL: its relations have the template's numbers. */
static void test_made_database(void **state)
{
    Case c;

    (void) state;
    begin(&c, older);
    c.copy.kind = WAL_EVENT_DATABASE_CREATE;
    c.copy.database = DATABASE;
    assert_int_equal(end(&c), 2);
    begin(&c, older); /* a logged relation */
    c.copy.kind = WAL_EVENT_DATABASE_CREATE;
    c.copy.database = DATABASE;
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24575), FORK_MAIN);
    assert_int_equal(end(&c), 0);
}

static void test_unknown_origin(void **state)
{
    Case c;

    (void) state;
    begin(&c, older); /* once for both segments */
    assert_int_equal(unknown(&c), 1);
    c.not_scanned = true;
    assert_int_equal(unknown(&c), 0);
    c.not_scanned = false;
    c.entries[0].on_target = true;
    assert_int_equal(unknown(&c), 0);
    c.entries[0].on_target = false;
    blockmap_storage_changed(c.chain_blocks, relation_of(DATABASE, 24575), DIVERGENCE);
    assert_int_equal(unknown(&c), 0);
    assert_int_equal(end(&c), 0);
}

static void test_copied_database(void **state)
{
    Case c;

    (void) state;
    begin(&c, copied);
    assert_int_equal(end(&c), 0);
    begin(&c, copied); /* into another tablespace */
    c.copy.tablespace = 16400;
    assert_int_equal(end(&c), 1);
}

static void test_what_is_no_such_fork(void **state)
{
    Case c;

    (void) state;
    begin(&c, no_init);
    c.entries[0].action = ACTION_REMOVE;
    c.entries[1].kind = KIND_OTHER;
    assert_int_equal(end(&c), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_fork_made_meanwhile),
        cmocka_unit_test(test_init_fork_to_come),
        cmocka_unit_test(test_an_old_relation_of_a_new_number),
        cmocka_unit_test(test_a_late_start),
        cmocka_unit_test(test_made_database),
        cmocka_unit_test(test_unknown_origin),
        cmocka_unit_test(test_copied_database),
        cmocka_unit_test(test_what_is_no_such_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
