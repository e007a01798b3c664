/*
 * The base types of pg_catalog whose text we know.
 */
#ifndef LOST_BASE_TYPES_H
#define LOST_BASE_TYPES_H

#include "lost/type_text.h"

typedef enum BaseKind
{
    BASE_OTHER,
    BASE_EQUAL, /* its operator = means equality of values: not that of box, which compares areas,
                   nor of interval, to which a month is 30 days */
    BASE_NUMBER /* the same, and a number in JSON */
} BaseKind;

typedef struct BaseType
{
    Oid oid; /* catalog/pg_type.dat; the same in all versions that have the type */
    BaseKind kind;
    TextFunction *text;
    const char *pattern;          /* for pattern_text, or what the function needs to know */
    const char *name, *name_rest; /* in SQL, which has the length in between; NULL: its own name */
} BaseType;

const BaseType *base_type_find(Oid oid); /* NULL: it is not among them */

BaseKind base_type_kind(Oid oid); /* BASE_OTHER for a type that is not among them */

#endif
