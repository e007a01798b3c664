#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/unlogged.h"

#include <string.h>

#define NEXT_OID 24576
#define DATABASE 5
#define OTHER_DATABASE 6 /* copied as files */

/* All forks of one relation lie on the source, the init fork where a row says so. */
typedef struct Case
{
    BlockMap *chain_blocks, *before_blocks;
    ScanResult chain, before;
    ScanDatabase copy;
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
    c->before_blocks = blockmap_create();
    c->copy = (ScanDatabase){.kind = WAL_EVENT_DATABASE_FILE_COPY,
                             .tablespace = TABLESPACE_DEFAULT,
                             .database = OTHER_DATABASE};
    c->chain = (ScanResult){.blocks = c->chain_blocks, .databases = &c->copy, .database_count = 1};
    c->before = (ScanResult){.blocks = c->before_blocks};
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
    c->input = (PlanInput){.version = version_of_major(15), .source = &c->source};
}

/* How many entries are left out? */
static size_t end(Case *c, bool starts_late)
{
    const UnloggedEvidence evidence = {
        .chain = &c->chain, .before = starts_late ? &c->before : NULL, .next_oid = NEXT_OID};
    size_t count = 0;

    plan_leave_out_unlogged(&c->input, &evidence, &c->plan);
    for (size_t i = 0; i < c->plan.count; i++)
        count += c->plan.entries[i].gone;
    blockmap_destroy(c->chain_blocks);
    blockmap_destroy(c->before_blocks);
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
    assert_int_equal(end(&c, false), 2);
    /* The server takes care of one that is there when it starts. */
    begin(&c, with_init);
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24580), FORK_INIT);
    assert_int_equal(end(&c, false), 0);
}

static void test_init_fork_to_come(void **state)
{
    Case c;

    (void) state;
    begin(&c, no_init);
    assert_int_equal(end(&c, false), 3);
    begin(&c, no_init); /* a logged relation */
    blockmap_fork_made(c.chain_blocks, relation_of(DATABASE, 24580), FORK_MAIN);
    assert_int_equal(end(&c, false), 0);
    begin(&c, no_init); /* one that was made before the late start */
    blockmap_fork_made(c.before_blocks, relation_of(DATABASE, 24580), FORK_MAIN);
    assert_int_equal(end(&c, true), 0);
    begin(&c, older); /* which may be in common history */
    assert_int_equal(end(&c, false), 0);
}

static void test_copied_database(void **state)
{
    Case c;

    (void) state;
    begin(&c, copied);
    assert_int_equal(end(&c, false), 0);
    begin(&c, copied);
    c.chain.database_count = 0;
    c.before.databases = &c.copy;
    c.before.database_count = 1;
    assert_int_equal(end(&c, true), 0);
    begin(&c, copied); /* into another tablespace */
    c.copy.tablespace = 16400;
    assert_int_equal(end(&c, false), 1);
}

static void test_what_is_no_such_fork(void **state)
{
    Case c;

    (void) state;
    begin(&c, no_init);
    c.entries[0].action = ACTION_REMOVE;
    c.entries[1].kind = KIND_OTHER;
    assert_int_equal(end(&c, false), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_fork_made_meanwhile),
        cmocka_unit_test(test_init_fork_to_come),
        cmocka_unit_test(test_copied_database),
        cmocka_unit_test(test_what_is_no_such_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
