#include "rejoin/rejoin_steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Facts as they come one after the other, and the step that follows from each. */
static void steps_follow_from_facts(void **state)
{
    static const struct
    {
        const char *when;
        RejoinFacts facts;
        RejoinStep step;
    } rows[] = {
        {"nothing is known", {0}, REJOIN_FIND},
        {"a server runs", {.runs = REJOIN_YES}, REJOIN_EXAMINE},
        {"it may be stopped", {.runs = REJOIN_YES, .examined = true}, REJOIN_WATCH},
        {"it follows", {.runs = REJOIN_YES, .examined = true, .follows = REJOIN_YES}, REJOIN_WAIT},
        {"it follows, as process 1",
         {.runs = REJOIN_YES, .ends_container = true, .examined = true, .follows = REJOIN_YES},
         REJOIN_WAIT},
        {"it follows with the slot",
         {.names_slot = true,
          .has_slot = true,
          .runs = REJOIN_YES,
          .examined = true,
          .follows = REJOIN_YES},
         REJOIN_WAIT},
        {"it follows without the slot",
         {.names_slot = true, .runs = REJOIN_YES, .examined = true, .follows = REJOIN_YES},
         REJOIN_STOP},
        {"a dry run, it follows",
         {.dry_run = true, .runs = REJOIN_YES, .examined = true, .follows = REJOIN_YES},
         REJOIN_END},
        {"it does not follow",
         {.runs = REJOIN_YES, .examined = true, .follows = REJOIN_NO},
         REJOIN_STOP},
        {"process 1 does not follow",
         {.runs = REJOIN_YES, .ends_container = true, .examined = true, .follows = REJOIN_NO},
         REJOIN_REFUSE_CONTAINER},
        {"process 1 follows without the slot",
         {.names_slot = true,
          .runs = REJOIN_YES,
          .ends_container = true,
          .examined = true,
          .follows = REJOIN_YES},
         REJOIN_REFUSE_CONTAINER},
        {"a dry run would stop it",
         {.dry_run = true,
          .runs = REJOIN_YES,
          .examined = true,
          .follows = REJOIN_NO,
          .printed = true},
         REJOIN_END},
        {"no server runs", {.runs = REJOIN_NO}, REJOIN_YIELD},
        {"it was stopped",
         {.runs = REJOIN_NO, .examined = true, .follows = REJOIN_NO, .stopped = true},
         REJOIN_YIELD},
        {"another --rejoin has started a server", {.yielded = true}, REJOIN_FIND},
        {"that one follows",
         {.yielded = true, .runs = REJOIN_YES, .examined = true, .follows = REJOIN_YES},
         REJOIN_WAIT},
        {"that one was stopped",
         {.yielded = true, .runs = REJOIN_NO, .stopped = true},
         REJOIN_REWIND},
        {"nobody else starts one", {.runs = REJOIN_NO, .yielded = true}, REJOIN_REWIND},
        {"the rewind is done",
         {.runs = REJOIN_NO, .yielded = true, .rewound = true, .is_standby = true},
         REJOIN_START},
        {"an interrupted rewind was not to make a standby",
         {.runs = REJOIN_NO, .yielded = true, .rewound = true},
         REJOIN_REFUSE_NO_STANDBY},
        {"a dry run makes none",
         {.dry_run = true, .runs = REJOIN_NO, .yielded = true, .rewound = true},
         REJOIN_START},
        {"a dry run would start it",
         {.dry_run = true, .runs = REJOIN_NO, .yielded = true, .rewound = true, .printed = true},
         REJOIN_END},
        {"the server was started",
         {.runs = REJOIN_NO, .yielded = true, .rewound = true, .is_standby = true, .started = true},
         REJOIN_WAIT},
        {"it has replayed all",
         {.runs = REJOIN_NO,
          .yielded = true,
          .rewound = true,
          .is_standby = true,
          .started = true,
          .followed = true},
         REJOIN_END},
        {"one that followed already has replayed all",
         {.runs = REJOIN_YES, .examined = true, .follows = REJOIN_YES, .followed = true},
         REJOIN_END},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        print_message("%s\n", rows[i].when);
        assert_int_equal(rejoin_decide(&rows[i].facts), rows[i].step);
    }
}

/* Whatever the facts are: no server is stopped before it was examined, no target rewound while its
 * server runs, none started that was not rewound, and a dry run waits for nothing. */
static void no_combination_breaks_the_order(void **state)
{
    (void) state;
    for (unsigned bits = 0; bits < 1u << 12; bits++)
        for (RejoinFact runs = REJOIN_UNKNOWN; runs <= REJOIN_YES; runs++)
            for (RejoinFact follows = REJOIN_UNKNOWN; follows <= REJOIN_YES; follows++)
            {
                const RejoinFacts facts = {.dry_run = bits & 1,
                                           .names_slot = bits & 2,
                                           .runs = runs,
                                           .ends_container = bits & 4,
                                           .examined = bits & 8,
                                           .follows = follows,
                                           .has_slot = bits & 16,
                                           .printed = bits & 32,
                                           .stopped = bits & 64,
                                           .yielded = bits & 128,
                                           .rewound = bits & 256,
                                           .is_standby = bits & 512,
                                           .started = bits & 1024,
                                           .followed = bits & 2048};
                const RejoinStep step = rejoin_decide(&facts);

                if (step == REJOIN_STOP)
                    assert_true(facts.examined && runs == REJOIN_YES && !facts.ends_container);
                if (step == REJOIN_REWIND)
                    assert_true(runs == REJOIN_NO && facts.yielded && !facts.rewound);
                if (step == REJOIN_START)
                    assert_true(facts.rewound && (facts.is_standby || facts.dry_run));
                if (step == REJOIN_WAIT && !facts.started)
                    assert_true(!facts.dry_run && follows == REJOIN_YES);
            }
}

static void demotion_follows_from_use_and_direction(void **state)
{
    static const TargetUse idle = {.known = true}, used = {.known = true, .clients = 1},
                           streamed = {.known = true, .standbys = 1}, unknown = {0};
    static const struct
    {
        const char *when;
        bool was_primary;
        Timeline named; /* the target is on 5 */
        bool doubtful;
        const TargetUse *use;
        RejoinDemotion answer;
    } rows[] = {
        {"a standby is asked nothing", false, 0, true, NULL, REJOIN_DEMOTE},
        {"a standby needs no --demote", false, 4, false, NULL, REJOIN_DEMOTE},
        {"its timeline is named", true, 5, true, NULL, REJOIN_DEMOTE},
        {"another timeline is named", true, 4, false, NULL, REJOIN_OTHER_TIMELINE},
        {"a primary is asked", true, 0, false, NULL, REJOIN_ASK_USE},
        {"a doubtful one too, for the text", true, 0, true, NULL, REJOIN_ASK_USE},
        {"nobody uses it", true, 0, false, &idle, REJOIN_DEMOTE},
        {"promoted after the source", true, 0, true, &idle, REJOIN_WRONG_DIRECTION},
        {"promoted after the source, and used", true, 0, true, &used, REJOIN_WRONG_DIRECTION},
        {"a client uses it", true, 0, false, &used, REJOIN_IN_USE},
        {"a standby uses it", true, 0, false, &streamed, REJOIN_IN_USE},
        {"it cannot be asked", true, 0, false, &unknown, REJOIN_USE_UNKNOWN},
        {"promoted after, not to be asked", true, 0, true, &unknown, REJOIN_WRONG_DIRECTION},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        print_message("%s\n", rows[i].when);
        assert_int_equal(rejoin_decide_demotion(rows[i].was_primary, 5, rows[i].named,
                                                rows[i].doubtful, rows[i].use),
                         rows[i].answer);
    }
}

static void a_primary_is_not_the_standby_of_its_standby(void **state)
{
    static HistoryEntry entries[] = {{.timeline = 1, .end = 0x1000},
                                     {.timeline = 3, .begin = 0x1000, .end = LSN_INVALID}};
    static const History history = {.entries = entries, .count = 2};
    static const struct
    {
        const char *when;
        ControlState target;
        SourcePosition source;
        bool answer;
    } rows[] = {
        {"a primary is followed by one", STATE_IN_PRODUCTION, {.timeline = 3}, false},
        {"a standby on its own timeline",
         STATE_IN_PRODUCTION,
         {.in_recovery = true, .timeline = 3, .end = 0x9000},
         true},
        {"the target is a standby",
         STATE_IN_ARCHIVE_RECOVERY,
         {.in_recovery = true, .timeline = 3},
         false},
        {"a standby that has not reached the switch",
         STATE_IN_PRODUCTION,
         {.in_recovery = true, .timeline = 1, .end = 0x800},
         true},
        {"a standby exactly at the switch",
         STATE_IN_PRODUCTION,
         {.in_recovery = true, .timeline = 1, .end = 0x1000},
         true},
        {"a standby past the switch, of another primary",
         STATE_IN_PRODUCTION,
         {.in_recovery = true, .timeline = 1, .end = 0x1001},
         false},
        {"a standby on a timeline of its own",
         STATE_IN_PRODUCTION,
         {.in_recovery = true, .timeline = 2, .end = 0x1000},
         false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const Target target = {.control = {.state = rows[i].target, .checkpoint.timeline = 3}};

        print_message("%s\n", rows[i].when);
        assert_int_equal(rejoin_leaves_no_primary(&target, false, &history, &rows[i].source),
                         rows[i].answer);
    }
}

static void a_primary_that_starts_is_one(void **state)
{
    static const History history = {0};
    static const SourcePosition source = {.in_recovery = true, .timeline = 1};
    static const struct
    {
        const char *when;
        ControlState target;
        bool starts_as_standby, answer;
    } rows[] = {
        {"a crash recovery", STATE_IN_CRASH_RECOVERY, false, true},
        {"a start after a clean stop", STATE_SHUTDOWNED, false, true},
        {"a start after a stop in crash recovery", STATE_SHUTDOWNED_IN_CRASH_RECOVERY, false, true},
        {"a standby's first start", STATE_SHUTDOWNED, true, false},
        {"a standby that starts again", STATE_SHUTDOWNED_IN_RECOVERY, true, false},
        {"a primary whose next start makes it a standby", STATE_IN_PRODUCTION, true, true},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const Target target = {.control = {.state = rows[i].target, .checkpoint.timeline = 1}};

        print_message("%s\n", rows[i].when);
        assert_int_equal(
            rejoin_leaves_no_primary(&target, rows[i].starts_as_standby, &history, &source),
            rows[i].answer);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_from_facts),
        cmocka_unit_test(no_combination_breaks_the_order),
        cmocka_unit_test(demotion_follows_from_use_and_direction),
        cmocka_unit_test(a_primary_is_not_the_standby_of_its_standby),
        cmocka_unit_test(a_primary_that_starts_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
