/*
 * The last messages of a run that succeeded: what differs on the target from before, and the steps
 * that people take next.
 */
#ifndef REWIND_NEXT_STEPS_H
#define REWIND_NEXT_STEPS_H

#include "base/buffer.h"
#include "options.h"
#include "rewind/run.h"

/* After a run that succeeded: find out what comes next, make the steps, and print both. */
void next_steps_find(const Options *options, Run *run);

/* Make the steps from run->next_start, which is known. */
void next_steps_make(const Options *options, Run *run);

/* For the report: lists of what differs, appended to text; nothing where nothing differs. */
void next_append_settings(const NextStart *next, const char *separator, size_t shown_max,
                          Buffer *text);
void next_append_names(const char *const *names, size_t count, Buffer *text);
void next_append_removed_slots(const NextStart *next, Buffer *text);
/* The options that primary_conninfo has from the former one, and those that changed. */
void next_append_conninfo(const NextStart *next, Buffer *text);

#endif
