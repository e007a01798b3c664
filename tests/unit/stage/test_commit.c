/*
 * The state of a target that an earlier run left is read from backup_label and pg_control, compared
 * with the journal. (Invariants 3, 4, 9.)
 */
#include "rewind.h"

#include "apply/commit.h"

#define OTHER_RUN_ID "ffeeddccbbaa99887766554433221100"
#define OWN_LABEL "the target's own\n"

/* Files that the target may have as backup_label. */
typedef enum Label
{
    LABEL_NONE,
    LABEL_BLOCKER,
    LABEL_OTHER_BLOCKER,
    LABEL_SERVER,
    LABEL_COUNT
} Label;

static Error error;

static void put_blocker(const char *run_id)
{
    Buffer text = {0};

    backup_label_make_blocker(run_id, &text);
    put_text("target/backup_label", buffer_string(&text));
    buffer_free(&text);
}

static void put_label(Label label)
{
    unlink("target/backup_label");
    if (label == LABEL_BLOCKER || label == LABEL_OTHER_BLOCKER)
        put_blocker(label == LABEL_BLOCKER ? RUN_ID : OTHER_RUN_ID);
    else if (label == LABEL_SERVER)
        put_text("target/backup_label", OWN_LABEL);
}

static void put_journal(void)
{
    const JournalHead head = make_head();
    JournalWriter *writer;

    assert_true(journal_create("target", &head, &writer, &error));
    assert_true(journal_close(writer, &error));
}

/* State of the target now, by commit_state and apply_pending, which must agree. */
static PendingState state_now(void)
{
    const JournalHead head = make_head();
    Arena *arena = arena_create();
    PendingRewind pending;
    PendingState state;

    assert_true(commit_state("target", &head, &state, &error));
    assert_true(apply_pending("target", arena, &pending, &error));
    assert_int_equal(pending.state, state);
    assert_string_equal(pending.divergence, "0/3000148 on timeline 1");
    arena_destroy(arena);
    return state;
}

static void check_label(const char *text)
{
    Buffer buffer = {0};

    assert_true(file_read_all("target/backup_label", 4096, &buffer, NULL, &error));
    assert_string_equal(buffer_string(&buffer), text);
    buffer_free(&buffer);
}

static void test_states(void **state)
{
    static const struct
    {
        char control;
        PendingState states[LABEL_COUNT]; /* expected for each Label */
    } rows[] = {
        {'o', {PENDING_STALE, PENDING_APPLY, PENDING_STALE, PENDING_STALE}},
        {'p', {PENDING_APPLY, PENDING_APPLY, PENDING_APPLY, PENDING_APPLY}},
        {'n', {PENDING_CLEANUP, PENDING_CLEANUP, PENDING_CLEANUP, PENDING_CLEANUP}},
        {'s', {PENDING_STALE, PENDING_STALE, PENDING_STALE, PENDING_STALE}},
    };

    (void) state;
    put_journal();
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
    {
        put_control(rows[row].control);
        if (rows[row].control == 's')
            put_server_control();
        for (int label = 0; label < LABEL_COUNT; label++)
        {
            put_label((Label) label);
            assert_int_equal(state_now(), rows[row].states[label]);
        }
    }
}

/* Without a whole pg_control there is no state, whatever backup_label is, and nothing is removed.
 * (Rule I81.) */
static void test_no_control(void **state)
{
    static const char *const losses[] = {"rm target/global/pg_control",
                                         "truncate -s 0 target/global/pg_control",
                                         "printf x >>target/global/pg_control"};
    const JournalHead head = make_head();
    PendingState found;

    (void) state;
    put_journal();
    for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++)
    {
        put_server_control();
        shell("%s", losses[i]);
        for (int label = 0; label < LABEL_COUNT; label++)
        {
            put_label((Label) label);
            assert_false(commit_state("target", &head, &found, &error));
            assert_false(stage_remove_stale("target", &error));
            assert_true(size_of("target/" JOURNAL_PATH) > 0);
            assert_int_equal(apply_look_for_pending("target", false), PENDING_UNCERTAIN);
        }
    }
}

/* Byte for byte, and not one more or less. */
static void test_control_is(void **state)
{
    const JournalHead head = make_head();
    bool same;

    (void) state;
    assert_true(commit_control_is("target", head.old_control, &same, &error));
    assert_true(same);
    assert_true(commit_control_is("target", head.poison, &same, &error));
    assert_false(same);

    shell("truncate -s 512 target/global/pg_control");
    assert_true(commit_control_is("target", head.old_control, &same, &error));
    assert_false(same);
    put_control('o');
    shell("printf o >>target/global/pg_control");
    assert_true(commit_control_is("target", head.old_control, &same, &error));
    assert_false(same);
    unlink("target/global/pg_control");
    assert_true(commit_control_is("target", head.old_control, &same, &error));
    assert_false(same);
}

/* Only a regular file is taken for the blocker. */
static void test_label_of_another_type(void **state)
{
    (void) state;
    put_journal();
    put_blocker(RUN_ID);
    assert_int_equal(rename("target/backup_label", "target/elsewhere"), 0);
    assert_int_equal(symlink("elsewhere", "target/backup_label"), 0);
    assert_int_equal(state_now(), PENDING_STALE);
    unlink("target/backup_label");
    assert_int_equal(mkdir("target/backup_label", 0700), 0);
    assert_int_equal(state_now(), PENDING_STALE);
}

static void test_no_journal(void **state)
{
    Arena *arena = arena_create();
    PendingRewind pending;
    bool committed = true;

    (void) state;
    put_blocker(RUN_ID);
    assert_true(apply_pending("target", arena, &pending, &error));
    assert_int_equal(pending.state, PENDING_NONE);
    assert_string_equal(pending.divergence, "");
    assert_true(commit_take_back("target", &error));
    assert_true(size_of("target/backup_label") > 0);
    assert_false(apply_commit("target", NULL, &committed, &error));
    assert_string_equal(error.message, "there is no journal in \"target\"");
    assert_false(committed);
    arena_destroy(arena);
}

/* A server got in at the instant of the commit, and we were killed: pg_control is the server's, the
 * blocker is in its way. */
static void test_take_back(void **state)
{
    (void) state;
    put_journal();
    put_control('x');

    put_text("target/" WORK_DIRECTORY "/old_backup_label", OWN_LABEL);
    put_label(LABEL_BLOCKER);
    assert_true(commit_take_back("target", &error));
    check_label(OWN_LABEL);
    assert_int_equal(size_of("target/" WORK_DIRECTORY "/old_backup_label"), -1);

    /* Without an old backup_label, the blocker is only removed. */
    put_label(LABEL_BLOCKER);
    assert_true(commit_take_back("target", &error));
    assert_int_equal(size_of("target/backup_label"), -1);
    assert_true(commit_take_back("target", &error));
}

/* A backup_label that is not this run's blocker stays, even if an old label was kept. */
static void test_foreign_label_is_not_taken_back(void **state)
{
    (void) state;
    put_journal();
    put_control('x');
    put_text("target/" WORK_DIRECTORY "/old_backup_label", "older\n");
    put_label(LABEL_SERVER);
    assert_true(commit_take_back("target", &error));
    check_label(OWN_LABEL);

    put_label(LABEL_OTHER_BLOCKER);
    assert_true(commit_take_back("target", &error));
    shell("grep -q %s target/backup_label", OTHER_RUN_ID);
}

/* The next run finds such a target: the blocker goes with the rest of it. */
static void test_the_next_run_takes_back(void **state)
{
    (void) state;
    put_journal();
    put_server_control();
    put_text("target/" WORK_DIRECTORY "/old_backup_label", OWN_LABEL);
    put_label(LABEL_BLOCKER);
    assert_int_equal(state_now(), PENDING_STALE);
    assert_true(stage_remove_stale("target", &error));
    check_label(OWN_LABEL);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    check_server_control();
}

/* A committed target is not taken for a stale one. */
static void test_live_is_not_removed(void **state)
{
    (void) state;
    put_journal();
    put_label(LABEL_BLOCKER);
    assert_false(stage_remove_stale("target", &error));
    shell("grep -q %s target/backup_label", RUN_ID);
    assert_true(size_of("target/" WORK_DIRECTORY "/" JOURNAL_NAME) > 0);
}

static int fresh_target(void **state)
{
    (void) state;
    reset_target();
    shell("mkdir target/" WORK_DIRECTORY);
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    make_fixture();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    remove_fixture();
    return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh_target)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_states),
        FRESH(test_no_control),
        FRESH(test_control_is),
        FRESH(test_label_of_another_type),
        FRESH(test_no_journal),
        FRESH(test_take_back),
        FRESH(test_foreign_label_is_not_taken_back),
        FRESH(test_the_next_run_takes_back),
        FRESH(test_live_is_not_removed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
