/*
 * The options that a journal has decided once it is committed. They are noted in it, so that the
 * run that finishes it can say where its own command line asks for something else.
 */
#ifndef APPLY_JOURNAL_OPTIONS_H
#define APPLY_JOURNAL_OPTIONS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "options.h"

/* A line for each of these options, as a shell takes it; in arena. No password is among them. */
const char *journal_options_text(const Options *options, Arena *arena);

/*
 * The lines of `text` that `other` lacks, as a list with commas. With still_heeded false without
 * those that a run heeds also after it has finished a journal: -R and --slot.
 */
void journal_options_missing(const char *text, const char *other, bool still_heeded,
                             Buffer *options);

#endif
