/*
 * The base types of pg_catalog whose values can be written as text.
 */
#ifndef LOST_BASE_TYPES_H
#define LOST_BASE_TYPES_H

#include "lost/type_text.h"

typedef enum BaseKind
{
    BASE_OTHER, /* values cannot be compared by =, or base_type_find does not know the type */
    BASE_EQUAL, /* the type's operator = compares values; not so for box, whose = compares
                   areas, and interval, in which a month equals 30 days */
    BASE_NUMBER /* like BASE_EQUAL, and the value is a number in JSON */
} BaseKind;

typedef struct BaseType
{
    Oid oid; /* catalog/pg_type.dat; the same in all versions that have the type */
    BaseKind kind;
    TextFunction *text;
    const char *pattern;          /* pattern for pattern_text, or an argument of another text
                                     function (base_types.c) */
    const char *name, *name_rest; /* type's name in SQL, before and after a length such as the 3
                                     in timestamp(3) without time zone; NULL: the name in
                                     pg_type */
} BaseType;

const BaseType *base_type_find(Oid oid); /* NULL if the text of the type is not known */

BaseKind base_type_kind(Oid oid); /* BASE_OTHER for a type that base_type_find does not find */

#endif
