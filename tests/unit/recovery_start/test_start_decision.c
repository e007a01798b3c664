#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "recovery_start/start_decision.h"

#define MB ((uint64_t) 1024 * 1024)
#define EARLY (1000 * MB)
#define DIVERGENCE (1010 * MB)
#define CLOSE (1050 * MB) /* late start after so little WAL that the WAL is kept */
#define NEAR (1200 * MB)  /* late start after less WAL than ESTIMATE_WAL_MUCH */
#define FAR (4000 * MB)
#define END (4100 * MB)
#define NEXT (4200 * MB) /* a checkpoint that comes, or is made, while this is decided */

/* ---- Facts ---- */

#define POSITIONS                                                                                  \
    .early = EARLY, .divergence = DIVERGENCE, .wal_end = END, .early_opens_at_once = true
#define WITH_LATE(start) POSITIONS, .late = (start), .late_may_be_cheaper = true
#define LOOKED .summaries_read = true, .early_room = ANSWER_YES, .wal_was_looked_for = true
#define NO_ROOM .summaries_read = true, .early_room = ANSWER_NO, .wal_was_looked_for = true
#define WEIGHED(start) WITH_LATE(start), LOOKED, .late_replay = {.redo = (start)}
#define ASKED_LATE(start)                                                                          \
    WITH_LATE(start), .asks_late = true, .summaries_read = true, .early_room = ANSWER_YES,         \
                      .late_replay = {.redo = (start)}
#define READ_EARLY .early_replay = {.redo = EARLY}
#define SUMMARIES(until, bytes)                                                                    \
    .summaries_read = true, .summaries_end = (until), .summaries_bytes = (bytes)
#define WEIGHED_CHECKPOINT                                                                         \
    .weighs_checkpoint = true, .checkpoint_weighed = true, .keeps_wal = true,                      \
    .data_bytes = 1000 * MB
#define MUCH_DATA                                                                                  \
    .weighs_checkpoint = true, .checkpoint_weighed = true, .may_checkpoint = true,                 \
    .data_bytes = 20000 * MB
#define PAYS WEIGHED_CHECKPOINT, .may_checkpoint = true, .buffers_bytes = 128 * MB
#define GONE(until) POSITIONS, LOOKED, .missing_end = (until)

/* ---- Answers ---- */

#define ASKS(...)                                                                                  \
    {                                                                                              \
        .unknown = START_UNKNOWN_##__VA_ARGS__                                                     \
    }
#define ASKS_FOR_LATER(...) ASKS(LATER, .from = __VA_ARGS__)
#define IS_EARLY(why)                                                                              \
    {                                                                                              \
        .reason = START_##why                                                                      \
    }
#define IS_LATE(why, how)                                                                          \
    {                                                                                              \
        .late = true, .reason = START_##why, .way = START_BY_##how                                 \
    }
#define REFUSED(why)                                                                               \
    {                                                                                              \
        .refusal = START_##why                                                                     \
    }

typedef struct Row
{
    const char *what;
    StartFacts facts;
    StartDecision expected;
} Row;

static void check(const Row *row)
{
    const StartDecision is = start_decide(&row->facts), *expected = &row->expected;
    const bool names_start = expected->unknown == START_DECIDED ||
                             expected->unknown >= START_UNKNOWN_REPLAY ||
                             expected->unknown == START_UNKNOWN_ROOM;

    if (is.unknown != expected->unknown || is.refusal != expected->refusal ||
        is.from != expected->from || is.is_expected != expected->is_expected ||
        (is.unknown == START_UNKNOWN_LATER &&
         (is.past_hazard != expected->past_hazard || is.past_missing != expected->past_missing)) ||
        (is.refusal == START_NOT_REFUSED && names_start &&
         (is.late != expected->late || is.reason != expected->reason ||
          (is.late && is.way != expected->way))))
        fail_msg("%s: unknown %d, refusal %d, from %llu MB, late %d, reason %d, way %d", row->what,
                 is.unknown, is.refusal, (unsigned long long) (is.from / MB), is.late, is.reason,
                 is.way);
}

#define CHECK(rows)                                                                                \
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)                                    \
    check(&(rows)[i])

/* ---- The first choice ---- */

static void test_what_is_asked_before_anything_is_read(void **state)
{
    static const Row rows[] = {
        {"room, where there is no late start", {POSITIONS}, ASKS(ROOM)},
        {"summaries, where there is one", {WITH_LATE(FAR)}, ASKS(SUMMARIES)},
        {"no summaries with --early-start", {WITH_LATE(FAR), .asks_early = true}, ASKS(ROOM)},
        {"no summaries with --compare", {WITH_LATE(FAR), .compares = true}, ASKS(ROOM)},
        {"then room", {WITH_LATE(FAR), .summaries_read = true}, ASKS(ROOM)},
        {"then the WAL",
         {WITH_LATE(FAR), .summaries_read = true, .early_room = ANSWER_YES},
         ASKS(WAL)},
        {"also where there is no room",
         {WITH_LATE(FAR), .summaries_read = true, .early_room = ANSWER_NO},
         ASKS(WAL)},
        {"a late start, with --late-start", {POSITIONS, .asks_late = true}, ASKS_FOR_LATER(1)},
        {"no more once there is none",
         {POSITIONS, .asks_late = true, .looked_from = 1},
         ASKS(ROOM)},
        {"nor where there is one", {WITH_LATE(FAR), .asks_late = true}, ASKS(SUMMARIES)},
        {"a checkpoint, where much would be replayed",
         {POSITIONS, .makes_checkpoint = true},
         ASKS_FOR_LATER(END)},
        {"once", {POSITIONS, .makes_checkpoint = true, .looked_from = END}, ASKS(ROOM)},
        {"also past a late start",
         {WITH_LATE(NEAR), .makes_checkpoint = true},
         ASKS_FOR_LATER(END)},
        {"not where little would be", {WITH_LATE(FAR), .makes_checkpoint = true}, ASKS(SUMMARIES)},
        {"not with --early-start",
         {POSITIONS, .makes_checkpoint = true, .asks_early = true},
         ASKS(ROOM)},
        {"not where the archive needs all WAL",
         {POSITIONS, .makes_checkpoint = true, .archives = true},
         ASKS(ROOM)},
        {"not with --compare", {POSITIONS, .makes_checkpoint = true, .compares = true}, ASKS(ROOM)},
        {"not on a standby",
         {POSITIONS, .makes_checkpoint = true, .in_recovery = true},
         ASKS(ROOM)},
        {"the made one is a late start",
         {WITH_LATE(NEXT), .makes_checkpoint = true, .looked_from = END},
         ASKS(SUMMARIES)},
        {"what a checkpoint costs, where much would be replayed",
         {POSITIONS, .weighs_checkpoint = true},
         ASKS(CHECKPOINT)},
        {"also past a late start", {WITH_LATE(NEAR), .weighs_checkpoint = true}, ASKS(CHECKPOINT)},
        {"not where little would be", {WITH_LATE(FAR), .weighs_checkpoint = true}, ASKS(SUMMARIES)},
        {"not where it is of no use",
         {POSITIONS, .weighs_checkpoint = true, .asks_early = true},
         ASKS(ROOM)},
        {"not where any is made",
         {POSITIONS, .weighs_checkpoint = true, .asks_late = true},
         ASKS_FOR_LATER(1)},
        {"one that pays is made with --checkpoint=auto",
         {POSITIONS, PAYS, .makes_what_pays = true},
         ASKS_FOR_LATER(END)},
        {"once", {POSITIONS, PAYS, .makes_what_pays = true, .looked_from = END}, ASKS(ROOM)},
        {"not by a role that may not",
         {POSITIONS, WEIGHED_CHECKPOINT, .makes_what_pays = true, .buffers_bytes = 128 * MB},
         ASKS(ROOM)},
        {"not unasked", {POSITIONS, PAYS}, ASKS(ROOM)},
        {"not where it does not pay",
         {POSITIONS, WEIGHED_CHECKPOINT, .makes_what_pays = true, .may_checkpoint = true,
          .buffers_bytes = 8000 * MB},
         ASKS(ROOM)},
        {"not on a standby",
         {POSITIONS, PAYS, .makes_what_pays = true, .in_recovery = true},
         ASKS(ROOM)},
        {"where the source keeps its WAL, however much data there is",
         {POSITIONS, MUCH_DATA, .makes_what_pays = true, .keeps_wal = true},
         ASKS_FOR_LATER(END)},
        {"not where the source would remove WAL, and all data be compared",
         {POSITIONS, MUCH_DATA, .makes_what_pays = true},
         ASKS(ROOM)},
        {"nor with --checkpoint", {POSITIONS, MUCH_DATA, .makes_checkpoint = true}, ASKS(ROOM)},
        {"with --checkpoint where the source keeps it",
         {POSITIONS, MUCH_DATA, .makes_checkpoint = true, .keeps_wal = true},
         ASKS_FOR_LATER(END)},
        {"or there is little to compare",
         {POSITIONS, WEIGHED_CHECKPOINT, .makes_checkpoint = true},
         ASKS_FOR_LATER(END)},
        {"it is asked for that first",
         {POSITIONS, .weighs_checkpoint = true, .makes_checkpoint = true},
         ASKS(CHECKPOINT)},
    };

    (void) state;
    CHECK(rows);
}

static void test_where_a_checkpoint_pays(void **state)
{
    static const struct
    {
        const char *what;
        uint64_t wal, buffers, data; /* in MB */
        bool loses_wal, pays;
    } rows[] = {
        {"nothing to replay", 0, 0, 0, false, false},
        {"two seconds of replay, for nothing", 239, 0, 0, false, true},
        {"not quite two", 238, 0, 0, false, false},
        {"hot tables", 800, 128, 330, false, true},
        {"the same in large buffers, which a checkpoint has to write", 800, 8000, 330, false,
         false},
        {"little WAL", 210, 128, 300, false, false},
        {"each block once", 1240, 128, 1600, false, true},
        {"the same with more to write", 1240, 512, 1600, false, true},
        {"as much to write as was logged", 1240, 1240, 1600, false, false},
        {"much WAL, large buffers, little data", 20000, 8000, 300, false, true},
        {"little data that is compared", 800, 128, 330, true, true},
        {"much data that is not", 800, 128, 33000, false, true},
        {"much data that is compared", 800, 128, 3300, true, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const CheckpointEstimate estimate = estimate_checkpoint(
            rows[i].wal * MB, rows[i].buffers * MB, rows[i].data * MB, rows[i].loses_wal);

        if (estimate.pays != rows[i].pays)
            fail_msg("%s: %.2f s of replay, %.2f s", rows[i].what, estimate.replay_seconds,
                     estimate.seconds);
    }
    assert_true(start_weigh_checkpoint(&(StartFacts){POSITIONS}).replay_seconds <= 0);
}

static void test_early_or_late(void **state)
{
    static const Row rows[] = {
        {"early without a late start", {POSITIONS, LOOKED}, ASKS(REPLAY)},
        {"early where nothing can be gained", {POSITIONS, .late = FAR, LOOKED}, ASKS(REPLAY)},
        {"early with --compare", {WITH_LATE(FAR), LOOKED, .compares = true}, ASKS(REPLAY)},
        {"early with --early-start",
         {WITH_LATE(FAR), LOOKED, .asks_early = true},
         ASKS(REPLAY, .reason = START_ASKED)},
        {"early where the archive needs all WAL",
         {WITH_LATE(FAR), LOOKED, .archives = true},
         ASKS(REPLAY, .reason = START_ARCHIVE)},
        {"--early-start before the archive",
         {WITH_LATE(FAR), LOOKED, .archives = true, .asks_early = true},
         ASKS(REPLAY, .reason = START_ASKED)},
        {"both are weighed",
         {WITH_LATE(FAR), LOOKED},
         ASKS(REPLAY, .late = true, .reason = START_ESTIMATE)},
        {"--late-start",
         {WITH_LATE(FAR), LOOKED, .asks_late = true},
         ASKS(REPLAY, .late = true, .reason = START_ASKED)},
        {"--late-start where the archive needs all WAL",
         {WITH_LATE(FAR), LOOKED, .asks_late = true, .archives = true},
         ASKS(REPLAY, .late = true, .reason = START_ASKED)},
        {"--late-start where nothing can be gained",
         {POSITIONS, .late = FAR, LOOKED, .asks_late = true},
         ASKS(REPLAY, .late = true, .reason = START_ASKED)},
        {"--late-start with --compare",
         {WITH_LATE(FAR), LOOKED, .asks_late = true, .compares = true},
         ASKS(REPLAY, .late = true, .reason = START_ASKED)},
        {"--late-start without a late start",
         {POSITIONS, LOOKED, .asks_late = true, .looked_from = 1},
         ASKS(REPLAY)},
        {"WAL is gone that summaries tell of",
         {WITH_LATE(FAR), SUMMARIES(FAR, MB), .early_room = ANSWER_YES,
          .summaries_replace_gone_wal = true},
         ASKS(REPLAY, .late = true, .reason = START_NO_WAL)},
        {"--late-start before that",
         {WITH_LATE(FAR), SUMMARIES(FAR, MB), .early_room = ANSWER_YES, .asks_late = true,
          .summaries_replace_gone_wal = true},
         ASKS(REPLAY, .late = true, .reason = START_ASKED)},
        {"early once it was read", {POSITIONS, LOOKED, READ_EARLY}, IS_EARLY(NO_OTHER)},
        {"early, as it was asked for",
         {WITH_LATE(FAR), LOOKED, .asks_early = true, READ_EARLY},
         IS_EARLY(ASKED)},
        {"early, for the archive",
         {WITH_LATE(FAR), LOOKED, .archives = true, READ_EARLY},
         IS_EARLY(ARCHIVE)},
        {"early, with --compare",
         {WITH_LATE(FAR), LOOKED, .compares = true, READ_EARLY},
         IS_EARLY(NO_OTHER)},
    };

    (void) state;
    CHECK(rows);
}

static void test_no_room_for_the_wal_from_the_early_start_on(void **state)
{
    static const Row rows[] = {
        {"refused without a late start", {POSITIONS, NO_ROOM}, REFUSED(LACKS_ROOM)},
        {"refused where a late one gains nothing",
         {POSITIONS, .late = FAR, NO_ROOM},
         REFUSED(LACKS_ROOM)},
        {"refused with --early-start",
         {WITH_LATE(FAR), NO_ROOM, .asks_early = true},
         REFUSED(LACKS_ROOM)},
        {"refused with --compare",
         {WITH_LATE(FAR), NO_ROOM, .compares = true},
         REFUSED(LACKS_ROOM)},
        {"a dry run goes on", {POSITIONS, NO_ROOM, .does_without_room = true}, ASKS(REPLAY)},
        {"room for the late one is asked for",
         {WITH_LATE(FAR), NO_ROOM},
         ASKS(ROOM, .late = true, .reason = START_SPACE)},
        {"also where the archive needs all WAL",
         {WITH_LATE(FAR), NO_ROOM, .archives = true},
         ASKS(ROOM, .late = true, .reason = START_SPACE)},
        {"also with --late-start",
         {WITH_LATE(FAR), NO_ROOM, .asks_late = true},
         ASKS(ROOM, .late = true, .reason = START_ASKED)},
        {"late where that has room",
         {WITH_LATE(FAR), NO_ROOM, .late_room = ANSWER_YES},
         ASKS(REPLAY, .late = true, .reason = START_SPACE)},
        {"refused where it has none",
         {WITH_LATE(FAR), NO_ROOM, .late_room = ANSWER_NO},
         REFUSED(LACKS_ROOM)},
        {"a dry run goes on with that",
         {WITH_LATE(FAR), NO_ROOM, .late_room = ANSWER_NO, .does_without_room = true},
         ASKS(REPLAY, .late = true, .reason = START_SPACE)},
        {"its WAL is missing: refused",
         {WITH_LATE(FAR), NO_ROOM, .late_room = ANSWER_YES,
          .late_replay = {.redo = FAR, .missing_end = END}},
         REFUSED(WAL_MISSING)},
        {"little WAL does not stay",
         {WITH_LATE(CLOSE), NO_ROOM, .late_room = ANSWER_YES, .late_replay = {.redo = CLOSE}},
         ASKS(ROOM_TO_READ, .late = true, .reason = START_SPACE)},
        {"a dry run does not ask for room to read",
         {WITH_LATE(NEAR), NO_ROOM, .late_room = ANSWER_NO, .does_without_room = true,
          .late_replay = {.redo = NEAR}},
         ASKS(CHANGES, .late = true, .reason = START_SPACE)},
        {"decided",
         {WITH_LATE(NEAR), NO_ROOM, .late_room = ANSWER_YES, .late_replay = {.redo = NEAR},
          .room_to_read = ANSWER_YES, .changes_end = NEAR},
         IS_LATE(SPACE, WAL)},
    };

    (void) state;
    CHECK(rows);
}

/* ---- Weighing ---- */

static void test_both_starts_are_weighed(void **state)
{
    static const Row rows[] = {
        {"the WAL of the late one is missing: early",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR, .missing_end = END}},
         ASKS(REPLAY)},
        {"replay from it is wrong: early",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR, .is_hazardous = true}},
         ASKS(REPLAY)},
        {"copies that come out right do not matter",
         {WITH_LATE(NEAR), LOOKED,
          .late_replay = {.redo = NEAR, .is_hazardous = true, .copies_are_identical = true}},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE)},
        {"the standby opens sooner from the early one",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR, .opens_later = true}},
         ASKS(REPLAY)},
        {"but need not",
         {.early = EARLY,
          .divergence = DIVERGENCE,
          .wal_end = END,
          .late = NEAR,
          .late_may_be_cheaper = true,
          LOOKED,
          .late_replay = {.redo = NEAR, .opens_later = true}},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE)},
        {"little WAL before it is read",
         {WEIGHED(NEAR)},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE)},
        {"before much, relations are listed",
         {WEIGHED(FAR)},
         ASKS(RELATIONS, .late = true, .reason = START_ESTIMATE)},
        {"few relations are compared",
         {WEIGHED(FAR), .relations_listed = true, .relations_bytes = 100 * MB},
         IS_LATE(ESTIMATE, COMPARING)},
        {"many are not",
         {WEIGHED(FAR), .relations_listed = true, .relations_bytes = 20000 * MB},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE)},
        {"nor where fetching them costs more than replay",
         {WEIGHED(FAR), .relations_listed = true, .relations_bytes = 4500 * MB,
          .bytes_per_second = 100e6},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE)},
        {"few blocks: late",
         {WEIGHED(NEAR), .changes_end = NEAR, .changes_bytes = MB},
         IS_LATE(ESTIMATE, WAL)},
        {"many blocks: early",
         {WEIGHED(NEAR), .changes_end = NEAR, .changes_bytes = 1000 * MB},
         ASKS(REPLAY, .reason = START_ESTIMATE)},
        {"a slow source: early",
         {WEIGHED(NEAR), .changes_end = NEAR, .changes_bytes = 10 * MB, .bytes_per_second = 1e6},
         ASKS(REPLAY, .reason = START_ESTIMATE)},
        {"early, and read",
         {WEIGHED(NEAR), .changes_end = NEAR, .changes_bytes = 1000 * MB, READ_EARLY},
         IS_EARLY(ESTIMATE)},
        {"early, since the late one was wrong",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR, .is_hazardous = true}, READ_EARLY},
         IS_EARLY(NO_OTHER)},
        {"WAL before it is nowhere: relations are listed",
         {WEIGHED(NEAR), .changes_missing = true},
         ASKS(RELATIONS, .late = true, .reason = START_NO_WAL, .way = START_BY_COMPARING)},
        {"and compared, however many",
         {WEIGHED(NEAR), .changes_missing = true, .relations_listed = true,
          .relations_bytes = 20000 * MB},
         IS_LATE(NO_WAL, COMPARING)},
        {"few blocks by summaries: late",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR}, .summaries_end = FAR,
          .summaries_bytes = MB},
         ASKS(CHANGES, .late = true, .reason = START_ESTIMATE, .way = START_BY_SUMMARIES)},
        {"many: early",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR}, .summaries_end = FAR,
          .summaries_bytes = 20000 * MB},
         ASKS(REPLAY, .reason = START_ESTIMATE)},
        {"early, and read, by summaries",
         {WITH_LATE(FAR), LOOKED, .late_replay = {.redo = FAR}, .summaries_end = FAR,
          .summaries_bytes = 20000 * MB, READ_EARLY},
         IS_EARLY(ESTIMATE)},
    };

    (void) state;
    CHECK(rows);
}

/* ---- Changes of the source before a late start ---- */

static void test_how_the_sources_changes_are_found(void **state)
{
    static const Row rows[] = {
        {"summaries up to the late start",
         {ASKED_LATE(FAR), .summaries_end = FAR},
         ASKS(CHANGES, .late = true, .reason = START_ASKED, .way = START_BY_SUMMARIES)},
        {"and a little WAL after them",
         {ASKED_LATE(FAR), .summaries_end = FAR - 64 * MB},
         ASKS(CHANGES, .late = true, .reason = START_ASKED, .way = START_BY_SUMMARIES)},
        {"not with much WAL after them",
         {ASKED_LATE(FAR), .summaries_end = FAR - 65 * MB},
         ASKS(RELATIONS, .late = true, .reason = START_ASKED)},
        {"unless they tell of WAL that is gone",
         {ASKED_LATE(FAR), .summaries_end = FAR - 65 * MB, .summaries_replace_gone_wal = true},
         ASKS(CHANGES, .late = true, .reason = START_ASKED, .way = START_BY_SUMMARIES)},
        {"not where they spare little",
         {ASKED_LATE(CLOSE), .summaries_end = CLOSE},
         ASKS(CHANGES, .late = true, .reason = START_ASKED)},
        {"the WAL after them is read, where there is room",
         {ASKED_LATE(FAR), .summaries_end = FAR - MB, .changes_by_summaries = true,
          .changes_end = FAR - MB},
         ASKS(ROOM_TO_READ, .late = true, .reason = START_ASKED, .way = START_BY_SUMMARIES)},
        {"it is read",
         {ASKED_LATE(FAR), .summaries_end = FAR - MB, .changes_by_summaries = true,
          .changes_end = FAR - MB, .room_to_read = ANSWER_YES},
         ASKS(CHANGES, .late = true, .reason = START_ASKED, .way = START_BY_SUMMARIES)},
        {"without room all is compared",
         {ASKED_LATE(FAR), .summaries_end = FAR - MB, .changes_by_summaries = true,
          .changes_end = FAR - MB, .room_to_read = ANSWER_NO, .relations_listed = true},
         IS_LATE(ASKED, COMPARING)},
        {"summaries are enough",
         {ASKED_LATE(FAR), .summaries_end = FAR, .changes_by_summaries = true, .changes_end = FAR},
         IS_LATE(ASKED, SUMMARIES)},
        {"little WAL is read without a question, since it stays",
         {ASKED_LATE(CLOSE)},
         ASKS(CHANGES, .late = true, .reason = START_ASKED)},
        {"more is read once: is there room",
         {ASKED_LATE(NEAR)},
         ASKS(ROOM_TO_READ, .late = true, .reason = START_ASKED)},
        {"there is",
         {ASKED_LATE(NEAR), .room_to_read = ANSWER_YES},
         ASKS(CHANGES, .late = true, .reason = START_ASKED)},
        {"there is none",
         {ASKED_LATE(NEAR), .room_to_read = ANSWER_NO},
         ASKS(RELATIONS, .late = true, .reason = START_ASKED, .way = START_BY_COMPARING)},
        {"read", {ASKED_LATE(NEAR), .changes_end = NEAR}, IS_LATE(ASKED, WAL)},
        {"before much WAL relations are listed",
         {ASKED_LATE(FAR)},
         ASKS(RELATIONS, .late = true, .reason = START_ASKED)},
        {"few are compared",
         {ASKED_LATE(FAR), .relations_listed = true, .relations_bytes = 100 * MB},
         IS_LATE(ASKED, COMPARING)},
        {"also where that costs more than the early start",
         {ASKED_LATE(FAR), .relations_listed = true, .relations_bytes = 4500 * MB},
         IS_LATE(ASKED, COMPARING)},
        {"many are not",
         {ASKED_LATE(FAR), .relations_listed = true, .relations_bytes = 20000 * MB},
         ASKS(ROOM_TO_READ, .late = true, .reason = START_ASKED)},
        {"WAL before it is nowhere",
         {ASKED_LATE(NEAR), .changes_missing = true},
         ASKS(RELATIONS, .late = true, .reason = START_ASKED, .way = START_BY_COMPARING)},
        {"all is compared then",
         {ASKED_LATE(NEAR), .changes_missing = true, .relations_listed = true},
         IS_LATE(ASKED, COMPARING)},
        {"with --compare nothing is read",
         {ASKED_LATE(FAR), .compares = true},
         IS_LATE(ASKED, WAL)},
        {"nothing lies between the two starts, and that is read too",
         {ASKED_LATE(EARLY)},
         ASKS(CHANGES, .late = true, .reason = START_ASKED)},
        {"WAL that is gone, by summaries",
         {WITH_LATE(FAR), SUMMARIES(FAR, MB), .summaries_replace_gone_wal = true,
          .early_room = ANSWER_YES, .late_replay = {.redo = FAR}, .changes_end = FAR,
          .changes_by_summaries = true},
         IS_LATE(NO_WAL, SUMMARIES)},
    };

    (void) state;
    CHECK(rows);
}

static void test_wal_before_a_late_start_that_stays(void **state)
{
    const StartFacts little = {ASKED_LATE(CLOSE)}, more = {ASKED_LATE(NEAR)};
    const StartFacts weighed = {WEIGHED(NEAR)};
    StartFacts lacks_room = little;
    StartDecision decision = start_decide(&little);

    (void) state;
    assert_true(decision.keeps_wal);
    assert_false(decision.reads_once);
    decision = start_decide(&more);
    assert_false(decision.keeps_wal);
    assert_true(decision.reads_once);
    /* The early start may need it. */
    decision = start_decide(&weighed);
    assert_false(decision.keeps_wal);
    assert_false(decision.reads_once);
    lacks_room.early_room = ANSWER_NO;
    lacks_room.late_room = ANSWER_YES;
    decision = start_decide(&lacks_room);
    assert_false(decision.keeps_wal);
    assert_true(decision.reads_once);
}

/* ---- Missing WAL ---- */

static void test_wal_from_the_early_start_on_is_missing(void **state)
{
    static const Row rows[] = {
        {"the source is asked for a later start",
         {GONE(NEAR)},
         ASKS_FOR_LATER(NEAR, .past_missing = true)},
        {"also if there is one",
         {GONE(NEAR), .late = FAR},
         ASKS_FOR_LATER(NEAR, .past_missing = true)},
        {"refused without one", {GONE(NEAR), .looked_from = NEAR}, REFUSED(WAL_MISSING)},
        {"refused where that lies before",
         {GONE(NEAR), .late = CLOSE, .looked_from = NEAR},
         REFUSED(WAL_MISSING)},
        {"refused with --early-start",
         {GONE(NEAR), .late = FAR, .asks_early = true},
         REFUSED(EARLY_ONLY)},
        {"late otherwise",
         {GONE(NEAR), .late = FAR, .looked_from = NEAR},
         ASKS(REPLAY, .late = true, .reason = START_NO_WAL)},
        {"right after what is missing",
         {GONE(NEAR), .late = NEAR, .looked_from = NEAR},
         ASKS(REPLAY, .late = true, .reason = START_NO_WAL)},
        {"then relations are listed",
         {GONE(NEAR), .late = FAR, .looked_from = NEAR, .late_replay = {.redo = FAR}},
         ASKS(RELATIONS, .late = true, .reason = START_NO_WAL, .way = START_BY_COMPARING)},
        {"and compared",
         {GONE(NEAR), .late = FAR, .looked_from = NEAR, .late_replay = {.redo = FAR},
          .relations_listed = true, .relations_bytes = 20000 * MB},
         IS_LATE(NO_WAL, COMPARING)},
        {"its WAL is missing as well",
         {GONE(NEAR), .late = FAR, .looked_from = NEAR,
          .late_replay = {.redo = FAR, .missing_end = END}},
         REFUSED(WAL_MISSING)},
        {"a dry run counts on the checkpoint of the rewind",
         {GONE(NEAR), .looked_from = NEAR, .expects_checkpoint = true},
         ASKS(RELATIONS, .reason = START_NO_WAL, .is_expected = true)},
        {"and is done",
         {GONE(NEAR), .looked_from = NEAR, .expects_checkpoint = true, .relations_listed = true},
         {.reason = START_NO_WAL, .is_expected = true}},
        {"also with --compare",
         {GONE(NEAR), .looked_from = NEAR, .expects_checkpoint = true, .compares = true},
         {.reason = START_NO_WAL, .is_expected = true}},
        {"that was found when the early start was read",
         {WITH_LATE(FAR), LOOKED, .early_replay = {.redo = EARLY, .missing_end = NEAR},
          .missing_end = NEAR, .archives = true},
         ASKS_FOR_LATER(NEAR, .past_missing = true)},
        {"or after both were weighed",
         {WEIGHED(NEAR), .changes_end = NEAR, .changes_bytes = 1000 * MB,
          .early_replay = {.redo = EARLY, .missing_end = FAR}, .missing_end = FAR,
          .looked_from = FAR},
         REFUSED(WAL_MISSING)},
    };

    (void) state;
    CHECK(rows);
}

static void test_no_wal_tells_what_the_target_changed(void **state)
{
    static const Row rows[] = {
        {"the source is asked for a start after the divergence",
         {POSITIONS, .changes_unknown = true},
         ASKS_FOR_LATER(DIVERGENCE, .past_missing = true)},
        {"refused without one",
         {POSITIONS, .changes_unknown = true, .looked_from = DIVERGENCE},
         REFUSED(WAL_MISSING)},
        {"refused with --early-start",
         {WITH_LATE(FAR), .changes_unknown = true, .asks_early = true},
         REFUSED(EARLY_ONLY)},
        {"is there room from there",
         {WITH_LATE(FAR), .changes_unknown = true, .looked_from = DIVERGENCE},
         ASKS(ROOM, .late = true, .reason = START_NO_WAL)},
        {"there is none",
         {WITH_LATE(FAR), .changes_unknown = true, .looked_from = DIVERGENCE,
          .late_room = ANSWER_NO},
         REFUSED(LACKS_ROOM)},
        {"it is read",
         {WITH_LATE(FAR), .changes_unknown = true, .looked_from = DIVERGENCE,
          .late_room = ANSWER_YES},
         ASKS(REPLAY, .late = true, .reason = START_NO_WAL)},
        {"all is compared",
         {WITH_LATE(FAR), .changes_unknown = true, .looked_from = DIVERGENCE,
          .late_room = ANSWER_YES, .late_replay = {.redo = FAR}, .relations_listed = true},
         IS_LATE(NO_WAL, COMPARING)},
        {"a dry run counts on the checkpoint of the rewind",
         {POSITIONS, .changes_unknown = true, .looked_from = DIVERGENCE, .expects_checkpoint = true,
          .relations_listed = true},
         {.reason = START_NO_WAL, .is_expected = true}},
    };

    (void) state;
    CHECK(rows);
}

/* ---- Replay that would go wrong ---- */

#define WRONG(start, position)                                                                     \
    {                                                                                              \
        .redo = (start), .is_hazardous = true, .hazard_lsn = (position)                            \
    }

static void test_replay_from_the_early_start_is_wrong(void **state)
{
    static const Row rows[] = {
        {"a start past it is looked for",
         {POSITIONS, LOOKED, .early_replay = WRONG(EARLY, NEAR)},
         ASKS_FOR_LATER(NEAR + 1, .past_hazard = true)},
        {"any, where the record is not known",
         {POSITIONS, LOOKED, .early_replay = WRONG(EARLY, LSN_INVALID)},
         ASKS_FOR_LATER(1, .past_hazard = true)},
        {"one at the record is not past it",
         {POSITIONS, .late = NEAR, LOOKED, .early_replay = WRONG(EARLY, NEAR)},
         ASKS_FOR_LATER(NEAR + 1, .past_hazard = true)},
        {"one that is there is read",
         {POSITIONS, .late = FAR, LOOKED, .early_replay = WRONG(EARLY, NEAR)},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"also with --early-start",
         {WITH_LATE(FAR), LOOKED, .asks_early = true, .early_replay = WRONG(EARLY, NEAR)},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"also for the archive",
         {WITH_LATE(FAR), LOOKED, .archives = true, .early_replay = WRONG(EARLY, NEAR)},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"refused without one",
         {POSITIONS, LOOKED, .early_replay = WRONG(EARLY, NEAR), .looked_from = NEAR + 1},
         REFUSED(REPLAY_WRONG)},
        {"a dry run counts on the checkpoint of the rewind",
         {POSITIONS, LOOKED, .early_replay = WRONG(EARLY, NEAR), .looked_from = NEAR + 1,
          .expects_checkpoint = true},
         IS_EARLY(NO_OTHER)},
        {"copies that come out right: a start past them is better",
         {POSITIONS, LOOKED,
          .early_replay = {.redo = EARLY,
                           .is_hazardous = true,
                           .copies_are_identical = true,
                           .hazard_lsn = NEAR}},
         ASKS_FOR_LATER(NEAR + 1, .past_hazard = true)},
        {"but they may be replayed",
         {POSITIONS, LOOKED,
          .early_replay = {.redo = EARLY,
                           .is_hazardous = true,
                           .copies_are_identical = true,
                           .hazard_lsn = NEAR},
          .looked_from = NEAR + 1},
         IS_EARLY(NO_OTHER)},
        {"the WAL before the late start is here, and read without questions",
         {WITH_LATE(FAR), LOOKED, .early_replay = WRONG(EARLY, NEAR), .late_replay = {.redo = FAR}},
         ASKS(CHANGES, .late = true, .reason = START_HAZARD)},
        {"also where there are summaries",
         {WITH_LATE(FAR), LOOKED, .early_replay = WRONG(EARLY, NEAR), .summaries_end = FAR,
          .late_replay = {.redo = FAR}},
         ASKS(CHANGES, .late = true, .reason = START_HAZARD)},
        {"it may be nowhere by now",
         {WITH_LATE(FAR), LOOKED, .early_replay = WRONG(EARLY, NEAR), .late_replay = {.redo = FAR},
          .changes_missing = true, .relations_listed = true},
         IS_LATE(HAZARD, COMPARING)},
        {"decided",
         {WITH_LATE(FAR), LOOKED, .early_replay = WRONG(EARLY, NEAR), .late_replay = {.redo = FAR},
          .changes_end = FAR},
         IS_LATE(HAZARD, WAL)},
        {"with what was read when both were weighed",
         {WEIGHED(FAR), .early_replay = WRONG(EARLY, NEAR), .changes_end = FAR,
          .changes_bytes = 20000 * MB, .relations_listed = true, .relations_bytes = 20000 * MB},
         IS_LATE(HAZARD, WAL)},
        {"with --compare",
         {WITH_LATE(FAR), LOOKED, .compares = true, .early_replay = WRONG(EARLY, NEAR),
          .late_replay = {.redo = FAR}},
         IS_LATE(HAZARD, WAL)},
        {"the WAL of the late start is missing",
         {WITH_LATE(FAR), LOOKED, .early_replay = WRONG(EARLY, NEAR),
          .late_replay = {.redo = FAR, .missing_end = END}},
         REFUSED(WAL_MISSING)},
    };

    (void) state;
    CHECK(rows);
}

static void test_replay_from_a_late_start_is_wrong(void **state)
{
    static const Row rows[] = {
        {"its changes are found first",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, FAR)},
         ASKS(ROOM_TO_READ, .late = true, .reason = START_ASKED)},
        {"then a start past it is looked for",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, FAR),
          .changes_end = NEAR},
         ASKS_FOR_LATER(FAR + 1, .past_hazard = true)},
        {"which lies past this one in any case",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, LSN_INVALID),
          .changes_end = NEAR},
         ASKS_FOR_LATER(NEAR + 1, .past_hazard = true)},
        {"refused without one",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, FAR),
          .changes_end = NEAR, .looked_from = FAR + 1},
         REFUSED(REPLAY_WRONG)},
        {"a dry run counts on the checkpoint of the rewind",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, FAR),
          .changes_end = NEAR, .looked_from = FAR + 1, .expects_checkpoint = true},
         IS_LATE(ASKED, WAL)},
        {"the next one is read",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = WRONG(NEAR, FAR),
          .changes_end = NEAR, .looked_from = FAR + 1, .later_starts = 1},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"then what lies between the two",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = {.redo = NEXT},
          .changes_end = NEAR, .looked_from = FAR + 1, .later_starts = 1},
         ASKS(CHANGES, .late = true, .reason = START_HAZARD)},
        {"also after summaries",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = {.redo = NEXT},
          .summaries_end = NEAR, .changes_by_summaries = true, .changes_end = NEAR,
          .looked_from = FAR + 1, .later_starts = 1},
         ASKS(CHANGES, .late = true, .reason = START_HAZARD, .way = START_BY_SUMMARIES)},
        {"what was compared is compared",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = {.redo = NEXT},
          .looked_from = FAR + 1, .later_starts = 1, .relations_listed = true,
          .relations_bytes = 100 * MB},
         IS_LATE(HAZARD, COMPARING)},
        {"decided",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = {.redo = NEXT},
          .changes_end = NEXT, .looked_from = FAR + 1, .later_starts = 1},
         IS_LATE(HAZARD, WAL)},
        {"that one is wrong as well",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = WRONG(NEXT, NEXT + MB),
          .changes_end = NEXT, .looked_from = FAR + 1, .later_starts = 1},
         ASKS_FOR_LATER(NEXT + MB + 1, .past_hazard = true)},
        {"but not for ever",
         {WITH_LATE(NEXT), LOOKED, .asks_late = true, .late_replay = WRONG(NEXT, NEXT + MB),
          .changes_end = NEXT, .looked_from = FAR + 1, .later_starts = 3},
         REFUSED(REPLAY_WRONG)},
        {"copies that come out right are replayed",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true,
          .late_replay =
              {.redo = NEAR, .is_hazardous = true, .copies_are_identical = true, .hazard_lsn = FAR},
          .changes_end = NEAR},
         IS_LATE(ASKED, WAL)},
        {"where WAL is missing",
         {GONE(CLOSE), .late = NEAR, .looked_from = CLOSE, .late_replay = WRONG(NEAR, FAR),
          .relations_listed = true},
         ASKS_FOR_LATER(FAR + 1, .past_hazard = true)},
        {"with --compare",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .compares = true,
          .late_replay = WRONG(NEAR, FAR)},
         ASKS_FOR_LATER(FAR + 1, .past_hazard = true)},
    };

    (void) state;
    CHECK(rows);
}

#define NEEDS_LIMITS(position)                                                                     \
    {                                                                                              \
        .redo = EARLY, .limits_lsn = (position)                                                    \
    }

static void test_replay_needs_former_limits(void **state)
{
    static const Row rows[] = {
        {"a start past them is looked for, not waited for",
         {POSITIONS, LOOKED, .early_replay = NEEDS_LIMITS(NEAR)},
         ASKS_FOR_LATER(NEAR + 1)},
        {"and taken",
         {WITH_LATE(FAR), LOOKED, .archives = true, .early_replay = NEEDS_LIMITS(NEAR)},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"but not with --early-start",
         {WITH_LATE(FAR), LOOKED, .asks_early = true, .early_replay = NEEDS_LIMITS(NEAR)},
         IS_EARLY(ASKED)},
        {"early without one",
         {POSITIONS, LOOKED, .early_replay = NEEDS_LIMITS(NEAR), .looked_from = NEAR + 1},
         IS_EARLY(NO_OTHER)},
        {"early where that lies before them",
         {WITH_LATE(CLOSE), LOOKED, .archives = true, .early_replay = NEEDS_LIMITS(NEAR),
          .looked_from = NEAR + 1},
         IS_EARLY(ARCHIVE)},
        {"before hazards",
         {WITH_LATE(NEAR), LOOKED, .archives = true,
          .early_replay =
              {.redo = EARLY, .limits_lsn = CLOSE, .is_hazardous = true, .hazard_lsn = FAR}},
         ASKS(REPLAY, .late = true, .reason = START_HAZARD)},
        {"then hazards",
         {POSITIONS, LOOKED, .looked_from = CLOSE + 1,
          .early_replay =
              {.redo = EARLY, .limits_lsn = CLOSE, .is_hazardous = true, .hazard_lsn = FAR}},
         ASKS_FOR_LATER(FAR + 1, .past_hazard = true)},
        {"those of a late start do not matter",
         {WITH_LATE(NEAR), LOOKED, .asks_late = true, .changes_end = NEAR,
          .late_replay = {.redo = NEAR, .limits_lsn = FAR}},
         IS_LATE(ASKED, WAL)},
    };

    (void) state;
    CHECK(rows);
}

/* ---- All combinations ---- */

/* Facts about a source and its WAL: one of all combinations. */
typedef struct World
{
    Lsn late, made; /* late start that exists, and late start that a checkpoint makes */
    bool early_room, late_room;
    Lsn missing_end;        /* end of the WAL missing after the early start; LSN_INVALID: none */
    bool missing_when_read; /* missing WAL is noticed only when it is read */
    ReplayFacts early_replay, late_replay;
    Lsn summaries_end;
    bool small; /* few relations, few blocks */
} World;

/* Answer what the decision asks for. */
static void answer(const World *world, const StartDecision *decision, StartFacts *facts)
{
    switch (decision->unknown)
    {
    case START_UNKNOWN_LATER:
        facts->looked_from = decision->from;
        if (!facts->expects_checkpoint && world->made >= decision->from)
        {
            facts->late = world->made;
            facts->later_starts += decision->past_hazard;
        }
        break;
    case START_UNKNOWN_SUMMARIES:
        facts->summaries_read = true;
        facts->summaries_end = world->summaries_end;
        break;
    case START_UNKNOWN_ROOM:
        *(decision->late ? &facts->late_room : &facts->early_room) =
            (decision->late ? world->late_room : world->early_room) ? ANSWER_YES : ANSWER_NO;
        break;
    case START_UNKNOWN_WAL:
        facts->wal_was_looked_for = true;
        facts->missing_end = world->missing_when_read ? LSN_INVALID : world->missing_end;
        break;
    case START_UNKNOWN_REPLAY:
        if (decision->late)
        {
            facts->late_replay = world->late_replay;
            facts->late_replay.redo = facts->late;
            facts->late_replay.is_hazardous =
                world->late_replay.hazard_lsn >= facts->late && world->late_replay.is_hazardous;
            break;
        }
        facts->early_replay = world->early_replay;
        facts->early_replay.missing_end = facts->missing_end = world->missing_end;
        break;
    case START_UNKNOWN_CHECKPOINT:
        facts->checkpoint_weighed = true;
        facts->may_checkpoint = world->late_room;
        facts->buffers_bytes = 128 * MB;
        facts->data_bytes = world->small ? MB : 20000 * MB;
        facts->keeps_wal = world->early_room;
        break;
    case START_UNKNOWN_RELATIONS:
        facts->relations_listed = true;
        facts->relations_bytes = world->small ? MB : 20000 * MB;
        break;
    case START_UNKNOWN_ROOM_TO_READ:
        facts->room_to_read = world->small ? ANSWER_YES : ANSWER_NO;
        break;
    default:
        assert_int_equal(decision->unknown, START_UNKNOWN_CHANGES);
        assert_true(decision->late && decision->way != START_BY_COMPARING);
        facts->changes_by_summaries |= decision->way == START_BY_SUMMARIES;
        facts->changes_end = decision->way == START_BY_SUMMARIES && facts->changes_end == 0
                                 ? world->summaries_end
                                 : facts->late;
        facts->changes_bytes = world->small ? MB : 20000 * MB;
    }
}

static bool is_wrong(const ReplayFacts *replay)
{
    return replay->is_hazardous && !replay->copies_are_identical;
}

/* Whatever is true, a decision comes after a few questions, of which none is asked twice, and it
 * keeps what the options promise. */
static void check_world(const World *world, StartFacts facts)
{
    StartDecision decision;
    int questions = 0;

    for (;;)
    {
        const StartFacts before = facts;

        decision = start_decide(&facts);
        if (decision.unknown == START_DECIDED || decision.refusal != START_NOT_REFUSED)
            break;
        answer(world, &decision, &facts);
        assert_memory_not_equal(&before, &facts, sizeof(facts));
        assert_true(++questions < 20);
    }
    if (decision.refusal != START_NOT_REFUSED || decision.is_expected)
    {
        assert_true(decision.refusal != START_LACKS_ROOM || !facts.does_without_room);
        assert_true(decision.refusal != START_EARLY_ONLY || facts.asks_early);
        assert_true(!decision.is_expected || facts.expects_checkpoint);
        return;
    }

    const ReplayFacts *replay = decision.late ? &facts.late_replay : &facts.early_replay;

    assert_int_equal(replay->redo, decision.late ? facts.late : facts.early);
    assert_int_equal(replay->missing_end, LSN_INVALID);
    assert_true(!is_wrong(replay) || facts.expects_checkpoint);
    assert_true(facts.missing_end == LSN_INVALID ||
                (decision.late && facts.late >= facts.missing_end));
    assert_true(decision.late || facts.early_room == ANSWER_YES || facts.does_without_room);
    assert_true(!decision.late || facts.late_room != ANSWER_NO || facts.does_without_room);
    assert_true(!decision.late || decision.reason == START_HAZARD || !facts.asks_early);
    assert_true(!decision.late || decision.reason != START_ESTIMATE || !facts.archives);
    assert_true(!decision.late || facts.compares || decision.way == START_BY_COMPARING ||
                facts.changes_end >= facts.late);
    assert_true(decision.late || !facts.asks_late || facts.late == LSN_INVALID ||
                decision.reason == START_ASKED);
}

/* All options with one world. */
static void check_options(const World *world)
{
    for (unsigned options = 0; options < 1 << 8; options++)
    {
        const StartFacts facts = {.asks_early = options & 1,
                                  .asks_late = (options & 3) == 2,
                                  .makes_checkpoint = options & 4,
                                  .weighs_checkpoint = !(options & 4) && options & 128,
                                  .makes_what_pays = !(options & 4) && (options & 192) == 192,
                                  .expects_checkpoint = options & 4 && options & 8,
                                  .does_without_room = options & 8,
                                  .compares = options & 16,
                                  .archives = options & 32,
                                  .changes_unknown = options & 64 && !(options & 16),
                                  POSITIONS,
                                  .late = world->late,
                                  .late_may_be_cheaper = world->late >= NEAR};

        check_world(world, facts);
    }
}

static void test_every_combination_ends_with_what_options_promise(void **state)
{
    static const Lsn lates[] = {LSN_INVALID, CLOSE, NEAR, FAR}, ends[] = {LSN_INVALID, CLOSE, END};
    static const ReplayFacts replays[] = {
        {.redo = EARLY},
        WRONG(EARLY, CLOSE),
        WRONG(EARLY, END),
        WRONG(EARLY, LSN_INVALID),
        {.redo = EARLY, .limits_lsn = NEAR, .opens_later = true},
        {.redo = EARLY, .is_hazardous = true, .copies_are_identical = true, .hazard_lsn = NEAR},
    };
    const size_t replay_count = sizeof(replays) / sizeof(replays[0]);

    (void) state;
    for (size_t i = 0; i < 4 * 3 * replay_count * replay_count; i++)
        for (size_t yes = i % 3; yes < 1 << 6; yes += 3)
        {
            const Lsn late = lates[i % 4];
            const World world = {
                .late = late,
                .made = yes & 1 ? NEXT : LSN_INVALID,
                .early_room = yes & 2,
                .late_room = yes & 4,
                .missing_end = ends[i / 4 % 3],
                .missing_when_read = yes & 8,
                .early_replay = replays[i / 12 % replay_count],
                .late_replay = replays[i / 12 / replay_count],
                .summaries_end = yes & 16 ? late : LSN_INVALID,
                .small = yes & 32,
            };

            check_options(&world);
        }
}

/* ---- The cost ---- */

/* 100 MB/s, 1 GB/s, and not known. */
static void test_what_a_start_costs(void **state)
{
    const struct
    {
        StartEstimate estimate;
        bool late;
    } rows[] = {
        {{20000000000, 0, 300000000, 0, 100e6}, true}, /* hot tables */
        {{20000000000, 0, 300000000, 0, 0}, true},
        {{80000000, 0, 80000000, 0, 100e6}, false},   /* new tables, by a slow link */
        {{80000000, 0, 80000000, 0, 1e9}, true},      /* new tables, by a fast link */
        {{250000000, 0, 200000000, 0, 150e6}, false}, /* equal: the early one */
        {{100000000, 0, 1000000000, 0, 0}, false},
        {{250000000, 250000000, 150000000, 0, 100e6}, true},         /* WAL that need not come */
        {{1000000000, 1000000000, 10000000, 1500000000, 1e9}, true}, /* by comparing */
        {{1000000000, 1000000000, 10000000, 9000000000, 100e6}, false},
        {{1700000000, 1700000000, 350000000, 700000000, 1}, true},     /* at any rate */
        {{1000000000, 1000000000, 350000000, 700000000, 1}, false},    /* with less WAL only */
        {{1000000000, 1000000000, 350000000, 700000000, 100e6}, true}, /* by a faster link */
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(estimate_prefers_late(&rows[i].estimate), rows[i].late);
}

static void test_what_comparing_costs(void **state)
{
    (void) state;
    assert_true(estimate_prefers_comparing(1000000000, 1590000000));
    assert_false(estimate_prefers_comparing(1000000000, 1600000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_asked_before_anything_is_read),
        cmocka_unit_test(test_where_a_checkpoint_pays),
        cmocka_unit_test(test_early_or_late),
        cmocka_unit_test(test_no_room_for_the_wal_from_the_early_start_on),
        cmocka_unit_test(test_both_starts_are_weighed),
        cmocka_unit_test(test_how_the_sources_changes_are_found),
        cmocka_unit_test(test_wal_before_a_late_start_that_stays),
        cmocka_unit_test(test_wal_from_the_early_start_on_is_missing),
        cmocka_unit_test(test_no_wal_tells_what_the_target_changed),
        cmocka_unit_test(test_replay_from_the_early_start_is_wrong),
        cmocka_unit_test(test_replay_from_a_late_start_is_wrong),
        cmocka_unit_test(test_replay_needs_former_limits),
        cmocka_unit_test(test_every_combination_ends_with_what_options_promise),
        cmocka_unit_test(test_what_a_start_costs),
        cmocka_unit_test(test_what_comparing_costs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
