#include "lost/base_types.h"

/*
 * Letters of patterns: i and u an integer with and without a sign, # a double precision number, f a
 * real one, w two bytes, B a block number, b a boolean, h a byte in hexadecimal, L an LSN.
 * Functions take as their pattern: timestamp the zone after the time, inet / for a mask that is
 * always shown, points [ for a path that may be open.
 */
static const BaseType base_types[] = {
    {16, BASE_EQUAL, pattern_text, "b", "boolean", ""},
    {17, BASE_EQUAL, bytea_text, "", NULL, NULL},
    {18, BASE_EQUAL, char_text, "", "\"char\"", ""},
    {19, BASE_EQUAL, name_text, "", NULL, NULL},
    {20, BASE_NUMBER, pattern_text, "i", "bigint", ""},
    {21, BASE_NUMBER, pattern_text, "i", "smallint", ""},
    {23, BASE_NUMBER, pattern_text, "i", "integer", ""},
    {25, BASE_EQUAL, text_text, "", NULL, NULL},
    {26, BASE_NUMBER, pattern_text, "u", NULL, NULL},    /* oid */
    {27, BASE_OTHER, pattern_text, "(B,w)", NULL, NULL}, /* tid */
    {28, BASE_OTHER, pattern_text, "u", NULL, NULL},     /* xid */
    {29, BASE_OTHER, pattern_text, "u", NULL, NULL},     /* cid */
    {114, BASE_OTHER, text_text, "", NULL, NULL},        /* json */
    {142, BASE_OTHER, xml_text, "", NULL, NULL},
    {600, BASE_OTHER, pattern_text, "(#,#)", NULL, NULL},         /* point */
    {601, BASE_OTHER, pattern_text, "[(#,#),(#,#)]", NULL, NULL}, /* lseg */
    {602, BASE_OTHER, points_text, "[", NULL, NULL},              /* path */
    {603, BASE_OTHER, pattern_text, "(#,#),(#,#)", NULL, NULL},   /* box */
    {604, BASE_OTHER, points_text, "", NULL, NULL},               /* polygon */
    {628, BASE_OTHER, pattern_text, "{#,#,#}", NULL, NULL},       /* line */
    {650, BASE_EQUAL, inet_text, "/", NULL, NULL},                /* cidr */
    {700, BASE_NUMBER, pattern_text, "f", "real", ""},
    {701, BASE_NUMBER, pattern_text, "#", "double precision", ""},
    {705, BASE_OTHER, text_text, "", NULL, NULL},                   /* unknown */
    {718, BASE_OTHER, pattern_text, "<(#,#),#>", NULL, NULL},       /* circle */
    {774, BASE_EQUAL, pattern_text, "h:h:h:h:h:h:h:h", NULL, NULL}, /* macaddr8 */
    {790, BASE_EQUAL, money_text, "", NULL, NULL},
    {829, BASE_EQUAL, pattern_text, "h:h:h:h:h:h", NULL, NULL}, /* macaddr */
    {869, BASE_EQUAL, inet_text, "", NULL, NULL},
    {1042, BASE_EQUAL, text_text, "", "character", ""},
    {1043, BASE_EQUAL, text_text, "", "character varying", ""},
    {1082, BASE_EQUAL, date_text, "", NULL, NULL},
    {1083, BASE_EQUAL, clock_text, "", "time", " without time zone"},
    {1114, BASE_EQUAL, timestamp_text, "", "timestamp", " without time zone"},
    {1184, BASE_EQUAL, timestamp_text, "+00", "timestamp", " with time zone"},
    {1186, BASE_OTHER, interval_text, "", "interval", ""},
    {1266, BASE_EQUAL, timetz_text, "", "time", " with time zone"},
    {1560, BASE_EQUAL, bit_text, "", "bit", ""},
    {1562, BASE_EQUAL, bit_text, "", "bit varying", ""},
    {1700, BASE_NUMBER, numeric_text, "", "numeric", ""},
    {1790, BASE_OTHER, text_text, "", NULL, NULL},                        /* refcursor */
    {2950, BASE_EQUAL, pattern_text, "hhhh-hh-hh-hh-hhhhhh", NULL, NULL}, /* uuid */
    {3220, BASE_EQUAL, pattern_text, "L", NULL, NULL},                    /* pg_lsn */
    {3614, BASE_OTHER, tsvector_text, "", NULL, NULL},
    {3802, BASE_EQUAL, jsonb_text, "", NULL, NULL},
    {5069, BASE_EQUAL, pattern_text, "u", NULL, NULL}, /* xid8 */
    {6437, BASE_OTHER, pattern_text, "u", NULL, NULL}, /* oid8 */
};

const BaseType *base_type_find(Oid oid)
{
    for (size_t i = 0; i < sizeof(base_types) / sizeof(base_types[0]); i++)
        if (base_types[i].oid == oid)
            return &base_types[i];
    return NULL;
}

BaseKind base_type_kind(Oid oid)
{
    const BaseType *base = base_type_find(oid);

    return base != NULL ? base->kind : BASE_OTHER;
}
