#include "../../every_version.h"
#include "report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A primary that lived on on timeline 1, and its standby, promoted to 2 at 0/3000148. */
static HistoryEntry promoted_entries[] = {{1, 0, 0x3000148}, {2, 0x3000148, LSN_INVALID}};
static HistoryEntry lived_on_entries[] = {{1, 0, LSN_INVALID}};
static const History promoted = {.entries = promoted_entries, .count = LENGTH(promoted_entries)};
static const History lived_on = {.entries = lived_on_entries, .count = LENGTH(lived_on_entries)};

static Options options;
static Arena *arena;

/* The values of such a run, and options without any. */
static Run split_brain(void)
{
    static const Listing no_files;

    options = (Options){0};
    return (Run){
        .source.description = "server at \"/run\"",
        .session = {.arena = arena,
                    .clusters = {.target = {.directory = "/data",
                                            .control = {.version = version_of_major(15),
                                                        .catalog_version = 202209061}},
                                 .shape = {.version = version_of_major(15),
                                           .segment_size = 16 << 20},
                                 .source_history = promoted,
                                 .target_history = lived_on}},
        .source_state.control.checkpoint.redo = 0x4FFFF00,
        .divergence = {.needed = true,
                       .lsn = 0x3000148,
                       .printed = 0x3000148,
                       .printed_timeline = 1,
                       .common_checkpoint = {.lsn = 0x3000060,
                                             .checkpoint = {.redo = 0x3000028, .timeline = 1}},
                       .target_end = 0x4000000},
        .changes = {.known = true, .scanned.wal_bytes = 12345678, .lost_prepared = 1},
        .lost_count = {.counted = true,
                       .transactions = 12,
                       .first_time = 836092800123456, /* 2026-06-30 00:00 UTC */
                       .last_time = 836092900000001,
                       .first_timeline = 1,
                       .last_timeline = 1},
        .start = {.choice = {.late = true,
                             .reason = START_ESTIMATE,
                             .late_redo = 0x4FFFF00,
                             .estimate = {.wal_bytes = 20000000000,
                                          .block_bytes = 300000000,
                                          .bytes_per_second = 125e6},
                             .checkpoint_made = true,
                             .checkpoint = {.replay_seconds = 160, .seconds = 1.5, .pays = true}},
                  .chosen = {.checkpoint = 0x4FFFF38, .redo = 0x4FFFF00},
                  .wal_from = 0x3000028},
        .planned = {.known = true,
                    .source.position.end = 0x4C00000,
                    .input = {.version = version_of_major(15),
                              .shape = {.version = version_of_major(15), .segment_size = 16 << 20},
                              .target = &no_files,
                              .source_history = &promoted,
                              .divergence = 0x3000148},
                    .plan = {.fetch_bytes = 100 << 20, .source_bytes = 1 << 30}},
        .staged = {.source_end = 0x5000000,
                   .min_recovery_point = 0x5000000,
                   .min_recovery_timeline = 2},
        .fetched = {.fetched_bytes = 64 << 20,
                    .fetched_bytes_by_kind = {[KIND_RELATION] = 48 << 20, [KIND_WAL] = 16 << 20},
                    .compared_bytes = 3333},
        .seconds =
            {[PHASE_IDENTIFY] = 0.25, [PHASE_SCAN] = 0.5, [PHASE_STAGE] = 4, [PHASE_APPLY] = 5.125},
    };
}

static void picture_is(const Run *run, const char *expected)
{
    const Report report = {.options = &options, .run = run};
    Buffer text = {0};

    report_picture(&report, true, &text);
    assert_string_equal(buffer_string(&text), expected);
    buffer_free(&text);
}

static void test_picture_of_a_promoted_source(void **state)
{
    const Run run = split_brain();

    (void) state;
    picture_is(&run,
               "  source   1 ──●──┬── 2 ──▶ 0/5000000     ● last common checkpoint 0/3000060\n"
               "  target          └── 1 ──▶ 0/4000000     ┬ divergence 0/3000148\n");
}

static void test_picture_without_utf8(void **state)
{
    const Run run = split_brain();
    const Report report = {.options = &options, .run = &run};
    Buffer text = {0};

    (void) state;
    report_picture(&report, false, &text);
    assert_string_equal(
        buffer_string(&text),
        "  source   1 --*--+-- 2 --> 0/5000000     * last common checkpoint 0/3000060\n"
        "  target          `-- 1 --> 0/4000000     + divergence 0/3000148\n");
    buffer_free(&text);
}

static void test_picture_of_a_promoted_target(void **state)
{
    Run run = split_brain();

    (void) state;
    run.session.clusters.source_history = lived_on;
    run.session.clusters.target_history = promoted;
    picture_is(&run,
               "  source   1 ──●──┬── 1 ──▶ 0/5000000     ● last common checkpoint 0/3000060\n"
               "  target          └── 2 ──▶ 0/4000000     ┬ divergence 0/3000148\n");
}

static void test_picture_of_equal_timelines_that_diverge(void **state)
{
    Run run = split_brain();

    (void) state;
    run.session.clusters.source_history = lived_on;
    picture_is(&run,
               "  source   1 ──●──┬── 1 ──▶ 0/5000000     ● last common checkpoint 0/3000060\n"
               "  target          └── 1 ──▶ 0/4000000     ┬ divergence 0/3000148\n");
}

static void test_picture_of_a_target_that_is_only_behind(void **state)
{
    Run run = split_brain();

    (void) state;
    run.divergence.target_end = run.divergence.printed;
    run.divergence.common_checkpoint.lsn = LSN_INVALID;
    picture_is(&run, "  source   1 ──┬── 2 ──▶ 0/5000000\n"
                     "  target       └──▶ 0/3000148          ┬ divergence 0/3000148\n");
}

static void test_picture_without_divergence(void **state)
{
    Run run = split_brain();

    (void) state;
    run.divergence.printed = LSN_INVALID;
    run.staged.source_end = LSN_INVALID;
    picture_is(&run, "  source   1 ── 2 ──▶\n"
                     "  target   1 ──▶ 0/4000000\n");
    run.session.clusters.target_history = (History){0};
    picture_is(&run, "");
}

static void test_picture_of_switches_on_both_sides(void **state)
{
    HistoryEntry source_entries[] = {{1, 0, 0x100}, {3, 0x100, 0x900}, {4, 0x900, 0}};
    HistoryEntry target_entries[] = {
        {1, 0, 0x100}, {3, 0x100, 0x800}, {5, 0x800, 0x850}, {6, 0x850, 0}};
    const History source = {.entries = source_entries, .count = LENGTH(source_entries)};
    const History target = {.entries = target_entries, .count = LENGTH(target_entries)};
    Run run = split_brain();

    (void) state;
    run.divergence.printed = 0x800;
    run.divergence.common_checkpoint.lsn = 0x80;
    run.session.clusters.source_history = source;
    run.session.clusters.target_history = target;
    picture_is(&run,
               "  source   1 ──●── 3 ──┬── 3 ── 4 ──▶ 0/5000000     ● last common checkpoint 0/80\n"
               "  target               └── 5 ── 6 ──▶ 0/4000000     ┬ divergence 0/800\n");
}

static void test_picture_of_many_timelines_fits(void **state)
{
    HistoryEntry source_entries[40];
    HistoryEntry target_entries[40];
    const History source = {.entries = source_entries, .count = 40};
    const History target = {.entries = target_entries, .count = 40};
    Run run = split_brain();

    (void) state;
    for (uint32_t i = 0; i < 40; i++)
    {
        source_entries[i] = (HistoryEntry){i + 1, i * 0x100, i < 39 ? (i + 1) * 0x100 : 0};
        target_entries[i] = source_entries[i];
        if (i >= 20)
            target_entries[i].timeline = 4000000000 + i;
    }
    run.divergence.printed = 0x1400;
    run.divergence.common_checkpoint.lsn = 0x1000;
    run.divergence.common_checkpoint.checkpoint.timeline = 17;
    run.session.clusters.source_history = source;
    run.session.clusters.target_history = target;
    picture_is(
        &run,
        "  source   1 ── … ── 16 ── 17 ──●── 18 ── 19 ── 20 ──┬── 21 ── … ── 39 ── 40 ──▶ "
        "0/5000000\n"
        "  target                                             └── 4000000020 ── … ── 4000000038 ── "
        "4000000039 ──▶ 0/4000000\n"
        "           ● last common checkpoint 0/1000\n"
        "           ┬ divergence 0/1400\n");
}

static Report with_circumstances;

/* The report of that run, which has taken no time but that of its phases unless the circumstances
 * say otherwise; its errors live until the next call. */
static Report report_of(const Run *run, const Error *error, int exit_status)
{
    static const Error *errors[1];
    Report report = with_circumstances;

    errors[0] = error;
    for (int phase = 0; report.end == 0 && phase < PHASE_COUNT; phase++)
        report.run_seconds += run->seconds[phase];
    report.options = &options;
    report.run = run;
    report.exit_status = exit_status;
    report.errors = errors;
    report.error_count = error != NULL;
    return report;
}

static void text_is(const Run *run, const Error *error, int exit_status, const char *expected)
{
    const Report report = report_of(run, error, exit_status);
    Buffer text = {0};

    report_text(&report, &text);
    assert_string_equal(buffer_string(&text), expected);
    buffer_free(&text);
}

static void text_holds(const Run *run, const Error *error, int exit_status, const char *expected)
{
    const Report report = report_of(run, error, exit_status);
    Buffer text = {0};

    report_text(&report, &text);
    if (strstr(buffer_string(&text), expected) == NULL)
        fail_msg("\"%s\" is not in:\n%s", expected, buffer_string(&text));
    buffer_free(&text);
}

static void test_text_of_a_rewind(void **state)
{
    const Run run = split_brain();

    (void) state;
    setenv("TZ", "Europe/Berlin", 1);
    setenv("LC_ALL", "C.utf8", 1);
    text_is(
        &run, NULL, 0,
        "pg_rewind: the target was rewound\n"
        "\n"
        "  source                    server at \"/run\"\n"
        "  target                    /data\n"
        "  server version            PostgreSQL 15\n"
        "  divergence                0/3000148 on timeline 1\n"
        "  last common checkpoint    0/3000060 on timeline 1, redo from 0/3000028\n"
        "  recovery starts           late, at the source's checkpoint 0/4FFFF38, redo from "
        "0/4FFFF00\n"
        "                            286.1 MB of blocks are fetched sooner than 18.6 GB of WAL are "
        "replayed\n"
        "\n"
        "  source   1 ──●──┬── 2 ──▶ 0/5000000     ● last common checkpoint 0/3000060\n"
        "  target          └── 1 ──▶ 0/4000000     ┬ divergence 0/3000148\n"
        "\n"
        "Discarded from the target\n"
        "  committed transactions    12\n"
        "  first commit              2026-06-30 02:00:00.123456 CEST (2026-06-30 00:00:00 UTC)\n"
        "  last commit               2026-06-30 02:01:40.000001 CEST (2026-06-30 00:01:40 UTC)\n"
        "  prepared transactions     1\n"
        "  target WAL read           11.8 MB\n"
        "\n"
        "Fetched from the source\n"
        "  tables and indexes        48.0 MB\n"
        "  WAL                       16.0 MB\n"
        "  total                     64.0 MB\n"
        "  compared and found equal  3.3 kB\n"
        "  saved                     960.0 MB of the source's 1.0 GB (93.8%)\n"
        "\n"
        "The target is consistent after replay of\n"
        "  source WAL up to          0/5000000 on timeline 2\n"
        "\n"
        "Replayed when the target starts\n"
        "  source WAL                from 0/4FFFF00 to 0/5000000: 256 bytes, in 1 segment\n"
        "\n"
        "Time\n"
        "  identify                  0.25 s\n"
        "  scan                      0.50 s\n"
        "  stage                     4.00 s\n"
        "  apply                     5.12 s\n"
        "  total                     9.88 s\n");
}

/* A split brain with optional details: the server that answered, prepared transactions, archived
 * WAL. */
static Run split_brain_with_circumstances(void)
{
    static const ScanPrepared of_source[] = {{.xid = 740, .gid = "on both"},
                                             {.xid = 742, .gid = "finished", .finished = true}};
    static ScanPrepared of_target[] = {{.xid = 750, .gid = "only here", .lsn = 0x3800000}};
    static PlanEntry entries[] = {
        {.path = "pg_twophase/000002E4", .twophase = true, .on_target = true},
        {.path = "pg_twophase/000002E5", .twophase = true, .on_target = true},
        {.path = "pg_twophase/000002E6", .twophase = true}};
    static ListedFile target_files[] = {
        {.path = "pg_wal/archive_status/000000010000000000000002.done"},
        {.path = "pg_wal/archive_status/000000010000000000000003.done"},
        {.path = "pg_wal/archive_status/000000010000000000000004.done"},
        {.path = "pg_wal/archive_status/000000010000000000000005.ready"}};
    static ListedFile source_files[] = {{.path = "pg_wal/summaries/x"}};
    static const Listing target = {.files = target_files, .count = LENGTH(target_files)};
    Run run = split_brain();

    with_circumstances = (Report){.program_version = "1.0.0",
                                  .begin = 836092800123456,
                                  .end = 836092810123456,
                                  .run_seconds = 10};
    run.source.is_server = true;
    run.source.host = "new-primary";
    run.source.address = "192.0.2.7";
    run.source.port = 5432;
    run.source.round_trips = 9;
    run.session.clusters.target.control.system_identifier = UINT64_MAX;
    run.start.chosen.redo = 0x3000028;
    run.start.prepared = of_source;
    run.start.prepared_count = LENGTH(of_source);
    run.changes.scanned.prepared = of_target;
    run.changes.scanned.prepared_count = LENGTH(of_target);
    run.planned.plan.entries = entries;
    run.planned.plan.count = LENGTH(entries);
    run.planned.input.target = &target;
    run.planned.source_files = (Listing){.files = source_files, .count = LENGTH(source_files)};
    return run;
}

static int no_circumstances(void **state)
{
    (void) state;
    with_circumstances = (Report){0};
    return 0;
}

static void test_text_of_circumstances(void **state)
{
    Run run = split_brain_with_circumstances();

    (void) state;
    setenv("TZ", "UTC", 1);
    text_holds(&run, NULL, 0,
               "  system identifier         18446744073709551615\n"
               "  answered by               new-primary (192.0.2.7) port 5432\n"
               "  pg_rewind                 1.0.0\n");
    text_holds(
        &run, NULL, 0,
        "Replayed when the target starts\n"
        "  source WAL                from 0/3000028 to 0/5000000: 32.0 MB, in 2 segments\n"
        "\n"
        "Prepared transactions\n"
        "  the source's, which stay  740, \"on both\"\n"
        "                            741\n"
        "  the target's, which go    750, \"only here\"\n"
        "\n"
        "Archived by the target, with WAL that is lost\n"
        "                            000000010000000000000003\n"
        "                            000000010000000000000004\n"
        "\n"
        "Backups\n"
        "  Take a full backup when the target follows the source, unless there is one that ended "
        "before\n"
        "  0/3000148. Backups of the target that ended after that hold lost history. An "
        "incremental "
        "backup\n"
        "  based on one of them can be wrong without a message: the server refuses it only if that "
        "one also\n"
        "  began after the divergence.\n");
    text_holds(&run, NULL, 0,
               "  begin                     2026-06-30 00:00:00.123456 UTC\n"
               "  end                       2026-06-30 00:00:10.123456 UTC\n"
               "  identify                  0.25 s\n"
               "  scan                      0.50 s\n"
               "  stage                     4.00 s\n"
               "  apply                     5.12 s\n"
               "  other                     0.12 s\n"
               "  total                     10.00 s\n");
    run.session.clusters.source_history = lived_on;
    text_holds(&run, NULL, 0, "both sides used the same timeline number.\n");
    run.source.host = "/run";
    run.source.address = NULL;
    text_holds(&run, NULL, 0, "  answered by               /run port 5432\n");
}

static void test_text_of_a_dry_run_says_what_would_be(void **state)
{
    Run run = split_brain();

    (void) state;
    options.dry_run = true;
    text_holds(&run, NULL, 0, "pg_rewind: dry run: the target would be rewound\n");
    text_holds(&run, NULL, 0, "To be discarded from the target\n");
    text_holds(&run, NULL, 0,
               "To be fetched from the source, at most\n"
               "  files and blocks          100.0 MB\n"
               "  WAL                       28.0 MB\n"
               "  saved                     896.0 MB of the source's 1.0 GB (87.5%)\n");
    run.session.pending = true;
    text_holds(&run, NULL, 0, "dry run: an interrupted rewind would be finished\n");
}

static void test_text_of_a_failure(void **state)
{
    Error error = {0};
    const Run empty = {0};
    const Run run = split_brain();

    (void) state;
    error_set(&error, ERROR_FAILED, "no room on \"%s\"", "/data");
    error_detail(&error, "10 MB are needed.");
    error_detail(&error, "5 MB are there.");
    error_hint(&error, "Make room.");
    text_is(&empty, &error, 1,
            "pg_rewind: failed; the target is unchanged\n"
            "\n"
            "  error                     no room on \"/data\"\n"
            "  detail                    10 MB are needed.\n"
            "                            5 MB are there.\n"
            "  hint                      Make room.\n"
            "\n"
            "Time\n"
            "  total                     0.00 s\n");
    text_holds(&run, &error, 1, "To be discarded from the target\n");
    text_holds(&run, &error, 2, "begun but not finished: run the same command again\n");
    text_holds(&run, &error, 3, "impossible for this target and source; nothing was changed\n");
}

/* --rejoin has phases of its own; what no phase took is no phase's, so that all are the total. */
static void test_times_of_a_rejoin(void **state)
{
    const RejoinResult rejoin = {0};
    Run run = split_brain();
    const Report report = {.options = &options, .run = &run, .rejoin = &rejoin, .run_seconds = 20};
    Buffer text = {0};

    (void) state;
    run.seconds[PHASE_STOP] = 3;
    run.seconds[PHASE_START] = 2;
    run.seconds[PHASE_FOLLOW] = 1;
    report_text(&report, &text);
    assert_non_null(strstr(buffer_string(&text), "Time\n"
                                                 "  stop                      3.00 s\n"
                                                 "  identify                  0.25 s\n"
                                                 "  scan                      0.50 s\n"
                                                 "  stage                     4.00 s\n"
                                                 "  apply                     5.12 s\n"
                                                 "  start                     2.00 s\n"
                                                 "  follow                    1.00 s\n"
                                                 "  other                     4.12 s\n"
                                                 "  total                     20.00 s\n"));
    buffer_clear(&text);
    report_json(&report, &text, NULL);
    assert_non_null(strstr(buffer_string(&text), "  \"seconds\": {\n"
                                                 "    \"stop\": 3.000,\n"
                                                 "    \"identify\": 0.250,\n"));
    assert_non_null(strstr(buffer_string(&text), "    \"start\": 2.000,\n"
                                                 "    \"follow\": 1.000,\n"
                                                 "    \"other\": 4.125,\n"
                                                 "    \"total\": 20.000\n"));
    buffer_free(&text);
}

static void test_text_of_extreme_times(void **state)
{
    Run run = split_brain();

    (void) state;
    setenv("TZ", "UTC", 1);
    run.lost_count.first_time = -1;
    text_holds(&run, NULL, 0, "  first commit              1999-12-31 23:59:59.999999 UTC\n");
    run.lost_count.last_time = INT64_MAX;
    text_holds(&run, NULL, 0, "  last commit               294277-01-09");
}

static void json_holds(const Run *run, const Error *error, int exit_status, const char *expected)
{
    const Report report = report_of(run, error, exit_status);
    Buffer text = {0};

    report_json(&report, &text, NULL);
    if (strstr(buffer_string(&text), expected) == NULL)
        fail_msg("\"%s\" is not in:\n%s", expected, buffer_string(&text));
    buffer_free(&text);
}

static void test_json_of_a_rewind(void **state)
{
    const Run run = split_brain();

    (void) state;
    json_holds(&run, NULL, 0,
               "{\n"
               "  \"report_version\": 3,\n"
               "  \"result\": \"rewound\",\n"
               "  \"exit_status\": 0,\n"
               "  \"dry_run\": false,\n"
               "  \"mode\": \"scan\",\n"
               "  \"errors\": [],\n"
               "  \"source\": \"server at \\\"/run\\\"\",\n"
               "  \"target\": \"/data\",\n"
               "  \"server_version\": 15,\n"
               "  \"fork_catalog_version\": null,\n"
               "  \"divergence\": {\n"
               "    \"lsn\": \"0/3000148\",\n"
               "    \"timeline\": 1\n"
               "  },\n"
               "  \"last_common_checkpoint\": {\n"
               "    \"lsn\": \"0/3000060\",\n"
               "    \"redo\": \"0/3000028\",\n"
               "    \"timeline\": 1\n"
               "  },\n"
               "  \"recovery_start\": {\n"
               "    \"checkpoint\": \"0/4FFFF38\",\n"
               "    \"redo\": \"0/4FFFF00\",\n"
               "    \"late\": true,\n"
               "    \"reason\": \"estimate\",\n"
               "    \"compares\": false,\n"
               "    \"estimate\": {\n"
               "      \"wal\": 20000000000,\n"
               "      \"blocks\": 300000000,\n"
               "      \"compared\": 0,\n"
               "      \"bytes_per_second\": 125000000\n"
               "    },\n"
               "    \"checkpoint_on_source\": {\n"
               "      \"replay_seconds\": 160.000,\n"
               "      \"seconds\": 1.500,\n"
               "      \"pays\": true,\n"
               "      \"made\": true\n"
               "    }\n"
               "  },\n"
               "  \"source_history\": [\n"
               "    {\n"
               "      \"timeline\": 1,\n"
               "      \"begin\": \"0/0\",\n"
               "      \"end\": \"0/3000148\"\n"
               "    },\n"
               "    {\n"
               "      \"timeline\": 2,\n"
               "      \"begin\": \"0/3000148\",\n"
               "      \"end\": null\n"
               "    }\n"
               "  ],\n"
               "  \"source_end\": \"0/5000000\",\n");
    json_holds(&run, NULL, 0, "    \"first_commit\": \"2026-06-30T00:00:00.123456Z\",\n");
    json_holds(&run, NULL, 0, "    \"saved\": 1006632960\n");
    json_holds(&run, NULL, 0,
               "    \"apply\": 5.125,\n"
               "    \"start\": 0.000,\n"
               "    \"follow\": 0.000,\n"
               "    \"other\": 0.000,\n"
               "    \"total\": 9.875\n"
               "  }\n"
               "}\n");
}

static void test_json_of_circumstances(void **state)
{
    Run run = split_brain_with_circumstances();

    (void) state;
    json_holds(&run, NULL, 0,
               "  \"program_version\": \"1.0.0\",\n"
               "  \"begin\": \"2026-06-30T00:00:00.123456Z\",\n"
               "  \"end\": \"2026-06-30T00:00:10.123456Z\",\n"
               "  \"run_seconds\": 10.000,\n"
               "  \"system_identifier\": \"18446744073709551615\",\n"
               "  \"source_connection\": {\n"
               "    \"host\": \"new-primary\",\n"
               "    \"address\": \"192.0.2.7\",\n"
               "    \"port\": 5432,\n"
               "    \"round_trips\": 9\n"
               "  },\n"
               "  \"replay\": {\n"
               "    \"from\": \"0/3000028\",\n"
               "    \"to\": \"0/5000000\",\n"
               "    \"bytes\": 33554392,\n"
               "    \"segments\": 2\n"
               "  },\n"
               "  \"prepared\": {\n"
               "    \"stay\": [\n"
               "      {\n"
               "        \"xid\": 740,\n"
               "        \"gid\": \"on both\"\n"
               "      },\n"
               "      {\n"
               "        \"xid\": 741,\n"
               "        \"gid\": null\n"
               "      }\n"
               "    ],\n");
    json_holds(&run, NULL, 0,
               "  \"archived_lost_wal\": [\n"
               "    \"000000010000000000000003\",\n"
               "    \"000000010000000000000004\"\n"
               "  ],\n"
               "  \"take_full_backup\": \"Take a full backup when ");
}

static void test_json_of_a_failure_that_came_early(void **state)
{
    const Run run = {0};
    Error error = {0};

    (void) state;
    /* A newline, a control character, UTF-8 that is good, cut off, overlong, and a surrogate. */
    error_set(&error, ERROR_FAILED,
              "a\nb\tc \"é\" \\ \xC3 \xC0\x80 \xED\xA0\x80 \xF0\x9F\x98\x80 \xE2\x82");
    json_holds(&run, &error, 1,
               "\"message\": \"a\\nb\\u0009c \\\"é\\\" \\\\ \\ufffd \\ufffd\\ufffd "
               "\\ufffd\\ufffd\\ufffd \xF0\x9F\x98\x80 \\ufffd\\ufffd\",\n");
    json_holds(&run, &error, 1, "  \"result\": \"failed\",\n  \"exit_status\": 1,\n");
    json_holds(&run, &error, 1,
               "  \"source\": null,\n"
               "  \"target\": null,\n"
               "  \"server_version\": null,\n"
               "  \"fork_catalog_version\": null,\n"
               "  \"divergence\": null,\n"
               "  \"last_common_checkpoint\": null,\n"
               "  \"recovery_start\": null,\n"
               "  \"source_history\": null,\n"
               "  \"source_end\": null,\n"
               "  \"target_history\": null,\n"
               "  \"target_end\": null,\n"
               "  \"discarded\": null,\n"
               "  \"bytes\": null,\n"
               "  \"removed\": null,\n"
               "  \"min_recovery_point\": null,\n");
}

static void test_every_end_has_a_result_of_its_own(void **state)
{
    Run run = split_brain();
    const Error error = {.kind = ERROR_FAILED};

    (void) state;
    json_holds(&run, &error, 2, "\"result\": \"unfinished\"");
    json_holds(&run, &error, 3, "\"result\": \"impossible\"");
    options.dry_run = true;
    json_holds(&run, NULL, 0, "\"result\": \"would_rewind\"");
    run.session.resumed = true;
    json_holds(&run, NULL, 0, "\"result\": \"would_finish\"");
    options.dry_run = false;
    json_holds(&run, NULL, 0, "\"result\": \"finished\"");
    run.session.resumed = false;
    run.divergence.needed = false;
    json_holds(&run, NULL, 0, "\"result\": \"not_required\"");
}

static void step_holds(const Run *run, size_t index, const char *expected)
{
    AUTO_BUFFER Buffer step = {0};

    advice_append_step(&run->advice.items[index], &step);
    assert_non_null(strstr(buffer_string(&step), expected));
}

/* The steps in the report's last lines follow from what the next start will find. */
static void test_next_steps(void **state)
{
    ChangedSetting settings[] = {{"port", "5432", "5433"}, {"primary_conninfo", NULL, "host=x"}};
    AffectedSlot slots[] = {{"gone", "logical", "removed"}, {"it's", "physical", "missing"}};
    const char *kept[] = {"pg_hba.conf"};
    NextStart next = {.settings_known = true,
                      .settings = settings,
                      .setting_count = 2,
                      .slots = slots,
                      .slot_count = 2,
                      .kept = kept,
                      .kept_count = 1,
                      .written = true,
                      .standby = true,
                      .has_source = true};
    Run run = split_brain();
    const Report report = {.options = &options, .run = &run};
    Buffer text = {0};

    (void) state;
    run.next_start = &next;
    next_steps_make(&options, &run);
    assert_int_equal(run.advice.count, 2);
    step_holds(
        &run, 0,
        "SELECT pg_catalog.pg_create_physical_replication_slot('it''s'::pg_catalog.name, true); "
        "The source must have WAL from 0/5000000 on.");
    step_holds(&run, 1, "Start the server: it replays the source's WAL and follows it.");
    report_text(&report, &text);
    assert_non_null(strstr(buffer_string(&text),
                           "\n  settings that differ      port = '5433' (was '5432')\n"
                           "  slots that are gone       gone\n"
                           "  kept                      pg_hba.conf\n"));
    buffer_clear(&text);
    report_json(&report, &text, NULL);
    assert_non_null(strstr(buffer_string(&text), "\"former\": null,"));
    assert_non_null(strstr(buffer_string(&text), "\"state\": \"missing\""));

    next.written = next.standby = next.has_source = false;
    next.slot_count = 0;
    next_steps_make(&options, &run);
    assert_int_equal(run.advice.count, 1);
    step_holds(&run, 0, "create standby.signal and set primary_conninfo");
    next.advice.items = &(Advice){"standby",           ADVICE_PROBLEM,
                                  ADVICE_BEFORE_START, "it would not follow\nReplay would end.",
                                  "Remove it:\nRESET", NULL};
    next.advice.count = 1;
    next_steps_make(&options, &run);
    assert_int_equal(run.advice.count, 2);
    step_holds(&run, 0,
               "Before the server starts: it would not follow. Replay would end. Remove it: RESET");
    next.advice.count = 0;
    options.dry_run = true;
    next_steps_make(&options, &run);
    assert_int_equal(run.advice.count, 2);
    step_holds(&run, 0, "the server would open for writing and diverge again");
    step_holds(&run, 0, "create standby.signal and set primary_conninfo");
    step_holds(&run, 1, "This was a dry run");
    next.standby = true;
    next_steps_make(&options, &run);
    assert_int_equal(run.advice.count, 1);
    run.session.pending = true;
    next_steps_make(&options, &run);
    step_holds(&run, 0, "finishes the interrupted");
    buffer_free(&text);
}

static int make_arena(void **state)
{
    (void) state;
    arena = arena_create();
    return 0;
}

static int destroy_arena(void **state)
{
    (void) state;
    arena_destroy(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picture_of_a_promoted_source),
        cmocka_unit_test(test_picture_without_utf8),
        cmocka_unit_test(test_picture_of_a_promoted_target),
        cmocka_unit_test(test_picture_of_equal_timelines_that_diverge),
        cmocka_unit_test(test_picture_of_a_target_that_is_only_behind),
        cmocka_unit_test(test_picture_without_divergence),
        cmocka_unit_test(test_picture_of_switches_on_both_sides),
        cmocka_unit_test(test_picture_of_many_timelines_fits),
        cmocka_unit_test(test_next_steps),
        cmocka_unit_test(test_text_of_a_rewind),
        cmocka_unit_test(test_text_of_a_dry_run_says_what_would_be),
        cmocka_unit_test(test_text_of_a_failure),
        cmocka_unit_test(test_times_of_a_rejoin),
        cmocka_unit_test(test_text_of_extreme_times),
        cmocka_unit_test(test_json_of_a_rewind),
        cmocka_unit_test_teardown(test_text_of_circumstances, no_circumstances),
        cmocka_unit_test_teardown(test_json_of_circumstances, no_circumstances),
        cmocka_unit_test(test_json_of_a_failure_that_came_early),
        cmocka_unit_test(test_every_end_has_a_result_of_its_own),
    };

    return cmocka_run_group_tests(tests, make_arena, destroy_arena);
}
