/* The keys of the JSON report in their order, with their descriptions for the schema. */
#include "json_schema.h"

#include "recovery_start/start_decision.h"

#define REASON_VALUE(id, key, text, about) key "|"
#define REASON_ABOUT(id, key, text, about) key ": " about "; "

static const JsonKey keys[] = {
    /* depth, name, kind, nullable, values, description */
    {0, "report_version", JSON_COUNT, false, "3", NULL},
    {0, "result", JSON_ONE_OF, false,
     "rewound|finished|not_required|would_rewind|would_finish|failed|unfinished|impossible",
     "How the run ended. rewound, finished (an interrupted rewind was finished), not_required: "
     "exit status 0. would_rewind, would_finish: the same for a dry run. failed: 1. unfinished: 2. "
     "impossible: 3."},
    {0, "exit_status", JSON_COUNT, false, NULL, NULL},
    {0, "dry_run", JSON_BOOL, false, NULL, NULL},
    {0, "mode", JSON_ONE_OF, false, "scan|compare",
     "scan: the target's WAL was read. compare: all blocks were compared (--compare)."},
    {0, "errors", JSON_OBJECTS, false, NULL,
     "All errors, in the order in which they were found; empty after a success."},
    {1, "message", JSON_STRING, false, NULL, NULL},
    {1, "detail", JSON_STRING, true, NULL, NULL},
    {1, "hint", JSON_STRING, true, NULL, "what to do about it"},
    {1, "remedy", JSON_ONE_OF, true, "compare|wal|retry|base_backup",
     "What a program can do about it. compare: the same command with --compare. wal: give "
     "pg_rewind the WAL that is missing (--wal-archive, --restore-command); with --compare it "
     "needs none. retry: the same command later. base_backup: nothing else is left, only with exit "
     "status 3. null: the hint says what to do."},
    {0, "source", JSON_STRING, true, NULL,
     "the server's address without password, or the directory"},
    {0, "target", JSON_STRING, true, NULL, "the data directory as given"},
    {0, "server_version", JSON_DECIMAL, true, NULL, "major version"},
    {0, "fork_catalog_version", JSON_INTEGER, true, NULL,
     "the catalog version of a fork of PostgreSQL; null: the catalogs are those of PostgreSQL, or "
     "not known"},
    {0, "divergence", JSON_OBJECT, true, NULL, "null: not known, or no rewind required"},
    {1, "lsn", JSON_LSN, true, NULL, "where the histories diverge"},
    {1, "timeline", JSON_COUNT, false, NULL, "the target's timeline there"},
    {0, "last_common_checkpoint", JSON_OBJECT, true, NULL, NULL},
    {1, "lsn", JSON_LSN, true, NULL, "where its record starts"},
    {1, "redo", JSON_LSN, true, NULL,
     "where recovery starts: the redo position of this checkpoint, or of a later one of the "
     "source"},
    {1, "timeline", JSON_COUNT, false, NULL, NULL},
    {0, "recovery_start", JSON_OBJECT, true, NULL, "where recovery of the rewound target starts"},
    {1, "checkpoint", JSON_LSN, true, NULL, "where its record starts"},
    {1, "redo", JSON_LSN, true, NULL, NULL},
    {1, "late", JSON_BOOL, false, NULL,
     "true: at the source's last checkpoint; false: at the last common one"},
    {1, "reason", JSON_ONE_OF, false, START_REASONS(REASON_VALUE) "estimate",
     START_REASONS(REASON_ABOUT) "estimate: the cheaper one"},
    {1, "compares", JSON_BOOL, false, NULL,
     "all blocks are compared: with --compare, or because reading the source's WAL would cost "
     "more"},
    {1, "estimate", JSON_OBJECT, true, NULL, "null: the reason is another one"},
    {2, "wal", JSON_COUNT, false, NULL,
     "bytes of the source's WAL before the late start: replayed by the early one"},
    {2, "blocks", JSON_COUNT, false, NULL,
     "bytes of the blocks that this WAL names, as far as is known or was expected: fetched for the "
     "late one"},
    {2, "compared", JSON_COUNT, false, NULL,
     "bytes of the relations that are compared to find these blocks, instead of reading that WAL; "
     "0: it was read"},
    {2, "bytes_per_second", JSON_COUNT, false, NULL,
     "at which the source sent its WAL; 0: not known, or it is at hand"},
    {1, "checkpoint_on_source", JSON_OBJECT, true, NULL,
     "what a new checkpoint on the source would change, or changes; null: not weighed, since "
     "little "
     "would be replayed, or with --checkpoint=yes or no"},
    {2, "replay_seconds", JSON_DECIMAL, false, NULL,
     "estimated time of the replay that it spares the target"},
    {2, "seconds", JSON_DECIMAL, false, NULL,
     "estimated time of the checkpoint, and of copying the blocks that are not replayed then; also "
     "of comparing all blocks, where the source would not keep its WAL"},
    {2, "pays", JSON_BOOL, false, NULL, "--checkpoint=auto makes it, if the role may"},
    {2, "made", JSON_BOOL, false, NULL, "it was made by this run"},
    {0, "source_history", JSON_OBJECTS, true, NULL, "timelines of the source, oldest first"},
    {1, "timeline", JSON_COUNT, false, NULL, NULL},
    {1, "begin", JSON_LSN, false, NULL, NULL},
    {1, "end", JSON_LSN, true, NULL, "null: it has not ended"},
    {0, "source_end", JSON_LSN, true, NULL, "end of the source's WAL"},
    {0, "target_history", JSON_OBJECTS, true, NULL, "timelines of the target"},
    {1, "timeline", JSON_COUNT, false, NULL, NULL},
    {1, "begin", JSON_LSN, false, NULL, NULL},
    {1, "end", JSON_LSN, true, NULL, "null: it has not ended"},
    {0, "target_end", JSON_LSN, true, NULL, "end of the target's WAL"},
    {0, "discarded", JSON_OBJECT, true, NULL,
     "what the target did after the divergence; null: nothing is discarded, the run ended "
     "before that was looked at, or it finished an interrupted rewind, of which the first run has "
     "said it"},
    {1, "transactions", JSON_COUNT, true, NULL,
     "number of transactions that committed on the target after the divergence; with --compare, "
     "after the point where the histories diverge at the latest. While the target's server runs: "
     "so far. null: not known"},
    {1, "transactions_unknown", JSON_STRING, true, NULL,
     "why that number is not known; null: it is"},
    {1, "first_timeline", JSON_COUNT, false, NULL,
     "the target's timeline right after the divergence"},
    {1, "last_timeline", JSON_COUNT, false, NULL, "the target's last timeline"},
    {1, "maintenance_transactions", JSON_COUNT, true, NULL,
     "of these, transactions that certainly changed no row of a table: they wrote nothing but "
     "statistics (pg_statistic, pg_statistic_ext_data, updates in place), or cut off empty pages, "
     "as ANALYZE and VACUUM do. null: no list was made"},
    {1, "first_commit", JSON_TIME, true, NULL,
     "time of the first of these commits; null without one"},
    {1, "last_commit", JSON_TIME, true, NULL,
     "time of the last of these commits; null without one"},
    {1, "prepared_transactions", JSON_COUNT, true, NULL,
     "number of transactions that were prepared after the divergence and have not ended; null: the "
     "target's WAL was not read for the rewind (--compare, a server that runs)"},
    {1, "target_wal_bytes_read", JSON_COUNT, true, NULL, "null: likewise"},
    {1, "saved_wal", JSON_OBJECT, true, NULL,
     "--save-diverged-wal; null: not requested, or not done"},
    {2, "directory", JSON_STRING, false, NULL,
     "where the diverged WAL and the history files are kept"},
    {2, "command", JSON_STRING, true, NULL,
     "the command that reads it; null: no divergence is known"},
    {1, "saved_rows", JSON_OBJECT, true, NULL,
     "--save-lost-rows; null: not requested, not done, or nothing to save"},
    {2, "jsonl", JSON_STRING, true, NULL, "the file for programs; null: none was written"},
    {2, "sql", JSON_STRING, true, NULL, "the script for psql; null: none was written"},
    {2, "transactions", JSON_COUNT, false, NULL, "lost transactions in both files"},
    {2, "changes", JSON_COUNT, false, NULL, "changes of rows of tables in the first file"},
    {2, "unknown", JSON_COUNT, false, NULL,
     "changes and values that could not be decoded; the file's last line counts them by reason"},
    {2, "not_in_sql", JSON_COUNT, false, NULL,
     "changes that the script leaves out, with a comment"},
    {2, "incomplete", JSON_STRING, true, NULL,
     "why not all rows could be written: the files are incomplete or missing; null: all were "
     "written"},
    {1, "list_complete", JSON_BOOL, true, NULL,
     "whether all transactions are listed, with all relations; null: no list was made, or "
     "--report-transactions=none"},
    {1, "prepared_gids", JSON_STRINGS, true, NULL,
     "GIDs of transactions that were prepared after the divergence and have not ended; null as for "
     "list_complete"},
    {1, "relations", JSON_OBJECTS, true, NULL,
     "relations that these transactions changed; null as for list_complete"},
    {2, "name", JSON_STRING, false, NULL,
     "schema.table according to the source's catalogs, otherwise the target's; "
     "database/schema.table if it is in another database than that of the connection; "
     "database/relfilenode if no catalog tells"},
    {2, "table", JSON_STRING, true, NULL,
     "the table to which an index or TOAST table belongs; null: none is known"},
    {2, "tablespace", JSON_COUNT, false, NULL, "oid"},
    {2, "database", JSON_COUNT, false, NULL, "oid; 0: shared"},
    {2, "database_name", JSON_STRING, true, NULL,
     "according to the source, otherwise the target; null: not known, or shared"},
    {2, "relfilenode", JSON_COUNT, false, NULL, NULL},
    {2, "transactions", JSON_COUNT, false, NULL, "number of transactions that changed it"},
    {2, "records", JSON_COUNT, false, NULL, "WAL records of these transactions"},
    {2, "rows_inserted", JSON_COUNT, false, NULL,
     "by the WAL records, since the last common checkpoint, as the next two"},
    {2, "rows_updated", JSON_COUNT, false, NULL, "rows of which a new version was written"},
    {2, "rows_deleted", JSON_COUNT, false, NULL, "rows that were deleted"},
    {2, "created", JSON_BOOL, false, NULL, "its storage was created"},
    {2, "truncated", JSON_BOOL, false, NULL, "its file was truncated (VACUUM)"},
    {2, "dropped", JSON_BOOL, false, NULL, "its storage was dropped, including by TRUNCATE"},
    {2, "last_value", JSON_INTEGER, true, NULL,
     "of a sequence that advanced after the divergence: the last value that the target can have "
     "given, at most 32 more than it gave. null: other relations"},
    {1, "committed", JSON_OBJECTS, true, NULL,
     "the transactions, in order of their commits; null: --report-transactions is summary or none, "
     "or no list was made"},
    {2, "xid", JSON_COUNT, false, NULL, NULL},
    {2, "commit_time", JSON_TIME, false, NULL, NULL},
    {2, "commit_lsn", JSON_LSN, false, NULL, NULL},
    {2, "records", JSON_COUNT, false, NULL,
     "WAL records since the divergence, including subtransactions and the commit"},
    {2, "subtransactions", JSON_COUNT, false, NULL, NULL},
    {2, "prepared", JSON_BOOL, false, NULL, "it ended with COMMIT PREPARED"},
    {2, "maintenance", JSON_BOOL, false, NULL, "see maintenance_transactions"},
    {2, "relations", JSON_STRINGS, false, NULL, "relations that it changed"},
    {2, "created", JSON_STRINGS, false, NULL, "storage that it created"},
    {2, "truncated", JSON_STRINGS, false, NULL, "files that it truncated (VACUUM)"},
    {2, "dropped", JSON_STRINGS, false, NULL, "storage that it dropped, including by TRUNCATE"},
    {2, "schema_changes", JSON_STRINGS, false, NULL,
     "what it did to the schema, with the objects' names, from the rows of the target's catalogs; "
     "empty where they do not tell"},
    {0, "bytes", JSON_OBJECT, true, NULL, "null: no plan was made"},
    {1, "planned", JSON_COUNT, false, NULL, "to be fetched at most, without WAL"},
    {1, "planned_wal", JSON_COUNT, false, NULL, "WAL to be fetched at most"},
    {1, "rebuilt", JSON_COUNT, false, NULL, "not fetched, because recovery rebuilds them"},
    {1, "fetched", JSON_COUNT, false, NULL, "received from the source"},
    {1, "fetched_by_kind", JSON_OBJECT, false, NULL, NULL},
    {2, "relations", JSON_COUNT, false, NULL, NULL},
    {2, "other_forks", JSON_COUNT, false, NULL, NULL},
    {2, "wal", JSON_COUNT, false, NULL, NULL},
    {2, "transaction_status", JSON_COUNT, false, NULL, NULL},
    {2, "configuration", JSON_COUNT, false, NULL, NULL},
    {2, "other", JSON_COUNT, false, NULL, NULL},
    {1, "compared", JSON_COUNT, false, NULL,
     "relations that were compared block by block (--compare)"},
    {1, "equal", JSON_COUNT, false, NULL, "compared and found equal"},
    {1, "source", JSON_COUNT, false, NULL, "size of the source"},
    {1, "saved", JSON_COUNT, false, NULL, "saved compared with a copy of the whole source"},
    {0, "removed", JSON_OBJECTS, true, NULL,
     "what is removed because only the target has it, except the server's own files and its "
     "configuration. null: no plan was made"},
    {1, "path", JSON_STRING, false, NULL,
     "a file, a link, or a directory with everything below it"},
    {1, "files", JSON_COUNT, false, NULL, "all but directories"},
    {1, "bytes", JSON_COUNT, false, NULL, "of regular files"},
    {0, "min_recovery_point", JSON_LSN, true, NULL,
     "the target is consistent when it has replayed the source's WAL up to here"},
    {0, "program_version", JSON_STRING, true, NULL, "of this pg_rewind"},
    {0, "begin", JSON_TIME, true, NULL, "when the program began"},
    {0, "end", JSON_TIME, true, NULL, "when the report was written"},
    {0, "run_seconds", JSON_DECIMAL, false, NULL,
     "between begin and end, by a clock that is never set; with waits, and with runs that were "
     "killed and run again"},
    {0, "system_identifier", JSON_DIGITS, true, NULL,
     "of the target; a string, since it has 64 bits"},
    {0, "source_connection", JSON_OBJECT, true, NULL,
     "what answered the first connection; null: a directory, or nothing answered"},
    {1, "host", JSON_STRING, true, NULL,
     "as in the connection string, or the directory of the socket"},
    {1, "address", JSON_STRING, true, NULL, "the IP address; null for a socket"},
    {1, "port", JSON_COUNT, false, NULL, NULL},
    {1, "round_trips", JSON_COUNT, false, NULL,
     "how often something was asked and waited for while no other answer was under way, over all "
     "connections; what makes a connection is not counted"},
    {0, "replay", JSON_OBJECT, true, NULL,
     "WAL of the source that the target's server replays before it is consistent; in a dry run up "
     "to the source's end"},
    {1, "from", JSON_LSN, false, NULL, NULL},
    {1, "to", JSON_LSN, false, NULL, NULL},
    {1, "bytes", JSON_COUNT, false, NULL, NULL},
    {1, "segments", JSON_COUNT, false, NULL, NULL},
    {0, "prepared", JSON_OBJECT, true, NULL,
     "Prepared transactions that are not finished. stay: those of the source when the plan was "
     "made, which the target has afterwards. go: those that only the target has. A number may be "
     "in both, of two transactions. null with --compare."},
    {1, "stay", JSON_OBJECTS, false, NULL, NULL},
    {2, "xid", JSON_COUNT, false, NULL, NULL},
    {2, "gid", JSON_STRING, true, NULL,
     "null: not known, since it was prepared before the WAL that was read"},
    {1, "go", JSON_OBJECTS, false, NULL, NULL},
    {2, "xid", JSON_COUNT, false, NULL, NULL},
    {2, "gid", JSON_STRING, true, NULL,
     "null: not known, since it was prepared before the WAL that was read"},
    {0, "archived_lost_wal", JSON_STRINGS, true, NULL,
     "files of pg_wal with WAL, or of timelines, of the lost history that the target's "
     "archive_status says are archived: the archive has them under these names. Segments that the "
     "target has removed since are not among them."},
    {0, "take_full_backup", JSON_STRING, true, NULL,
     "why a full backup is needed before the next incremental one; null: neither side summarizes "
     "WAL, or no rewind is required"},
    {0, "next", JSON_OBJECT, true, NULL, "what to do next, after a successful run"},
    {1, "steps", JSON_STRINGS, false, NULL, "sentences: what to do, in order"},
    {1, "settings", JSON_OBJECTS, true, NULL,
     "settings whose value has changed (or would change), the most important first; passwords are "
     "replaced by asterisks. null: no rewind was made, or an interrupted one was finished"},
    {2, "name", JSON_STRING, false, NULL, NULL},
    {2, "former", JSON_STRING, true, NULL, "null: it was not set"},
    {2, "now", JSON_STRING, true, NULL, "null: it is not set"},
    {1, "settings_complete", JSON_BOOL, false, NULL,
     "whether both configurations could be read completely: nothing is included from outside the "
     "data directory"},
    {1, "files", JSON_STRINGS, false, NULL,
     "other configuration files that differ, in the data directory"},
    {1, "slots", JSON_OBJECTS, false, NULL, NULL},
    {2, "name", JSON_STRING, false, NULL, NULL},
    {2, "type", JSON_ONE_OF, true, "physical|logical", NULL},
    {2, "state", JSON_ONE_OF, false, "removed|kept|copied|missing|unusable|made|unknown",
     "removed: the target had it. kept: it has it from its time as a primary, since no rewind was "
     "required and --drop-slots was not given. copied: it was copied with the source's files "
     "(version 10). missing: the target will use it, but the source does not have it. unusable: "
     "the target will use it, but cannot stream with it: on the source it is in use, a logical "
     "one, or has lost its WAL. made: the target will use it, and --create-slot has made it, or "
     "would. unknown: the target will use it, and it is not known whether the source has it"},
    {1, "conninfo", JSON_OBJECT, true, NULL,
     "options of the target's former primary_conninfo, after -R. null: without -R, or not known"},
    {2, "kept", JSON_STRINGS, false, NULL, "keywords that the new one has from the former one"},
    {2, "changed", JSON_STRINGS, false, NULL,
     "keywords whose value is another one, or that are gone"},
    {1, "kept", JSON_STRINGS, false, NULL,
     "files and directories that the target keeps, by --keep and --keep-config"},
    {0, "rejoin", JSON_OBJECT, true, NULL,
     "what --rejoin did with the target's server; null without that option"},
    {1, "stopped", JSON_BOOL, false, NULL, "this run stopped the target's server"},
    {1, "started", JSON_BOOL, false, NULL, "this run started it"},
    {1, "running", JSON_BOOL, false, NULL, "it runs at the end of the run"},
    {1, "followed", JSON_BOOL, false, NULL,
     "it streams from the source and has replayed awaited_lsn"},
    {1, "awaited_lsn", JSON_STRING, true, NULL, "what the source had when the server was started"},
    {1, "sent_lsn", JSON_STRING, true, NULL,
     "of pg_stat_replication, when it followed; null where the role may not see it"},
    {1, "replayed_lsn", JSON_STRING, true, NULL, "how far it had replayed then"},
    {1, "application_name", JSON_STRING, true, NULL, "the standby's name on the source"},
    {1, "sync_state", JSON_STRING, true, NULL,
     "of pg_stat_replication; null where the role may not see it"},
    {1, "start_command", JSON_STRING, true, NULL, "how the server is started"},
    {0, "seconds", JSON_OBJECT, false, NULL,
     "time that each phase took; together they are the total"},
    {1, "stop", JSON_DECIMAL, false, NULL,
     "with --rejoin: to look whether the rewind will succeed, and to stop the target's server"},
    {1, "identify", JSON_DECIMAL, false, NULL, NULL},
    {1, "scan", JSON_DECIMAL, false, NULL, NULL},
    {1, "plan", JSON_DECIMAL, false, NULL, NULL},
    {1, "stage", JSON_DECIMAL, false, NULL, NULL},
    {1, "apply", JSON_DECIMAL, false, NULL, NULL},
    {1, "start", JSON_DECIMAL, false, NULL, "with --rejoin: until the server was started"},
    {1, "follow", JSON_DECIMAL, false, NULL, "with --rejoin: until it followed the source"},
    {1, "other", JSON_DECIMAL, false, NULL,
     "all other time, such as that of runs that were killed and run again"},
    {1, "total", JSON_DECIMAL, false, NULL, "run_seconds"},
};

void report_schema(Buffer *text)
{
    json_schema_append(
        "pg_rewind --report=json",
        "What a run of pg_rewind found and did: one object for every outcome, also of dry runs and "
        "failures. Every key is always present; null means that the run did not find this out, or "
        "that it does not exist. LSNs are strings as the server prints them, times are ISO 8601 in "
        "UTC, sizes are in bytes. report_version is increased when a key is removed or changes its "
        "meaning; new keys may be added to any object without that, so a reader must ignore keys "
        "that it does not know.",
        keys, sizeof(keys) / sizeof(keys[0]), text);
}
