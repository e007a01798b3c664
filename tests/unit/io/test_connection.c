#include "io/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static Error error;

static void test_array_literal(void **state)
{
    Buffer literal = {0};

    (void) state;
    assert_string_equal(array_literal(&literal), "{}");
    buffer_clear(&literal);
    array_append(&literal, "base/1/1259");
    array_append(&literal, "a\"b\\c, {NULL}");
    array_append(&literal, "");
    array_append(&literal, "{");
    array_append(&literal, "NULL");
    assert_string_equal(buffer_string(&literal),
                        "{\"base/1/1259\",\"a\\\"b\\\\c, {NULL}\",\"\",\"{\",\"NULL\"}");
    buffer_clear(&literal);
    array_append_int(&literal, 0);
    array_append_int(&literal, INT64_MIN);
    array_append_int(&literal, INT64_MAX);
    assert_string_equal(buffer_string(&literal), "{0,-9223372036854775808,9223372036854775807}");
    buffer_free(&literal);
}

static void test_a_string_that_libpq_refuses(void **state)
{
    ConnectionRefusal refusal;

    (void) state;
    assert_null(connection_open("nonsense", 1, 0, &refusal, &error));
    assert_int_equal(error.kind, ERROR_FAILED);
    assert_string_equal(error.message,
                        "missing \"=\" after \"nonsense\" in connection info string");
    assert_null(connection_open("nosuchoption=1", 1, 0, &refusal, &error));
    assert_string_equal(error.message, "invalid connection option \"nosuchoption\"");
    connection_close(NULL);
}

static void test_no_answer_may_be_one_later(void **state)
{
    ConnectionRefusal refusal;

    (void) state;
    assert_null(connection_open("host=/no/such/directory port=1 user=x", 1, 0, &refusal, &error));
    assert_int_equal(error.kind, ERROR_RETRY);
    assert_null(strchr(error.message + strlen(error.message) - 1, '\n'));
}

/* ---- A server of few words ---- */

/* A server that writes the same bytes to one connection after the other, and keeps each open. */
typedef struct Speaker
{
    int listener;
    const char *bytes;
    size_t size;
    char conninfo[128];
    pthread_t thread;
} Speaker;

#define SPEAKER_CONNECTIONS 4 /* connections after that are not even accepted */

static void *speak(void *argument)
{
    Speaker *speaker = argument;
    char startup[1024];
    int open[SPEAKER_CONNECTIONS];
    int count = 0;

    while (count < SPEAKER_CONNECTIONS &&
           (open[count] = accept(speaker->listener, NULL, NULL)) >= 0)
    {
        if (speaker->size > 0 && read(open[count], startup, sizeof(startup)) > 0)
            assert_true(write(open[count], speaker->bytes, speaker->size) ==
                        (ssize_t) speaker->size);
        count++;
    }
    while (count > 0)
        close(open[--count]);
    return NULL;
}

static void start_speaker(Speaker *speaker, const char *bytes, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    *speaker = (Speaker){.bytes = bytes, .size = size};
    speaker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(speaker->listener, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(listen(speaker->listener, 8), 0);
    assert_int_equal(getsockname(speaker->listener, (struct sockaddr *) &address, &length), 0);
    snprintf(speaker->conninfo, sizeof(speaker->conninfo),
             "host=127.0.0.1 port=%d user=x sslmode=disable gssencmode=disable",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&speaker->thread, NULL, speak, speaker), 0);
}

static void stop_speaker(Speaker *speaker)
{
    shutdown(speaker->listener, SHUT_RDWR);
    pthread_join(speaker->thread, NULL);
    close(speaker->listener);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

#define LENGTH(string) (sizeof(string) - 1)

static void test_a_server_that_is_full_or_not_ready(void **state)
{
    static const char full[] = "E\0\0\0\x24SFATAL\0VFATAL\0C53300\0Mtoo many\0\0";
    static const char starting[] = "E\0\0\0\x24SFATAL\0VFATAL\0C57P03\0Mstarting\0\0";
    static const char unknown[] = "E\0\0\0\x23SFATAL\0VFATAL\0C3D000\0Munknown\0\0";
    const struct
    {
        const char *bytes;
        size_t size;
        ErrorKind kind;
        ConnectionRefusal refusal;
    } cases[] = {{full, LENGTH(full), ERROR_RETRY, REFUSAL_TOO_MANY},
                 {starting, LENGTH(starting), ERROR_RETRY, REFUSAL_NOT_READY},
                 {unknown, LENGTH(unknown), ERROR_FAILED, REFUSAL_NONE}};

    (void) state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++)
    {
        ConnectionRefusal refusal = REFUSAL_NONE;
        Speaker speaker;

        start_speaker(&speaker, cases[index].bytes, cases[index].size);
        assert_null(connection_open(speaker.conninfo, 4, 0, &refusal, &error));
        assert_int_equal(error.kind, cases[index].kind);
        assert_int_equal(refusal, cases[index].refusal);
        stop_speaker(&speaker);
    }
}

static void test_a_server_that_says_nothing_when_connecting(void **state)
{
    ConnectionRefusal refusal;
    Speaker speaker;
    double begin = now();

    (void) state;
    start_speaker(&speaker, NULL, 0);
    assert_null(connection_open(speaker.conninfo, 60, 0.5, &refusal, &error));
    assert_int_equal(error.kind, ERROR_RETRY);
    assert_string_equal(error.message, "could not connect to the source server: no answer");
    assert_true(now() - begin < 20);
    stop_speaker(&speaker);
}

static void test_a_server_that_says_nothing_to_a_query(void **state)
{
    static const char ready[] = "R\0\0\0\x08\0\0\0\0" /* AuthenticationOk */
                                "S\0\0\0\x18server_version\0"
                                "15.1\0"
                                "Z\0\0\0\x05I";
    char instance[CONNECTION_INSTANCE_SIZE];
    ConnectionRefusal refusal;
    Connection *connection;
    Speaker speaker;
    double begin;

    (void) state;
    start_speaker(&speaker, ready, LENGTH(ready));
    connection = connection_open(speaker.conninfo, 1, 0, &refusal, &error);
    assert_non_null(connection);
    begin = now();
    assert_false(connection_begin(connection, instance, &error));
    assert_int_equal(error.kind, ERROR_RETRY);
    assert_string_equal(error.message,
                        "connection to the source server was lost: no answer within 0.5 s");
    assert_true(now() - begin >= 0.4 && now() - begin < 20);
    assert_true(connection_silent_seconds(connection) >= 0.5);
    /* A lost connection is useless: the next command fails at once. */
    assert_false(connection_begin(connection, instance, &error));
    assert_int_equal(error.kind, ERROR_RETRY);
    connection_close(connection);
    stop_speaker(&speaker);
}

static void test_explicit_dbname(void **state)
{
    Arena *arena = arena_create();

    (void) state;
    unsetenv("PGDATABASE");
    unsetenv("PGSERVICE");
    assert_string_equal(connection_explicit_dbname("host=a dbname=b", arena), "b");
    assert_string_equal(connection_explicit_dbname("postgresql://u@h:5432/c", arena), "c");
    assert_null(connection_explicit_dbname("host=a user=u", arena));
    setenv("PGDATABASE", "d", 1);
    assert_string_equal(connection_explicit_dbname("host=a user=u", arena), "d");
    assert_string_equal(connection_explicit_dbname("dbname=b", arena), "b");
    unsetenv("PGDATABASE");
    arena_destroy(arena);
}

static void append_option(void *context, const char *keyword, const char *value)
{
    buffer_printf(context, "%s|%s;", keyword, value);
}

/* connection_string_options visits what the string sets, and nothing of the environment. */
static void test_options_of_a_string(void **state)
{
    Buffer text = {0};

    (void) state;
    setenv("PGSSLMODE", "require", 1);
    assert_true(connection_string_options("host=a sslmode=prefer", append_option, &text, &error));
    assert_string_equal(buffer_string(&text), "host|a;sslmode|prefer;");
    buffer_clear(&text);
    assert_true(connection_string_options("postgresql://u@h/d", append_option, &text, &error));
    assert_string_equal(buffer_string(&text), "user|u;dbname|d;host|h;");
    unsetenv("PGSSLMODE");
    assert_false(connection_string_options("no_option=1", append_option, &text, &error));
    assert_string_equal(error.message, "invalid connection option \"no_option\"");
    buffer_free(&text);
    assert_true(connection_knows_option("application_name"));
    assert_false(connection_knows_option("no_option"));
}

/* Each libpq refuses what a newer one has added. Since 0: each version knows it. */
static void test_options_that_a_version_knows(void **state)
{
    static const struct
    {
        const char *keyword, *value;
        int since;
        OptionSupport before;
    } cases[] = {
        {"host", "a", 0, OPTION_KNOWN},
        {"requirepeer", "a", 0, OPTION_KNOWN},
        {"sslrootcert", "/a", 0, OPTION_KNOWN},
        {"sslrootcert", "system", 1600, OPTION_UNKNOWN_RESTRICTION},
        {"target_session_attrs", "read-write", 1000, OPTION_UNKNOWN},
        {"target_session_attrs", "primary", 1400, OPTION_UNKNOWN},
        {"gssencmode", "prefer", 1200, OPTION_UNKNOWN},
        {"gssencmode", "require", 1200, OPTION_UNKNOWN_RESTRICTION},
        {"channel_binding", "prefer", 1300, OPTION_UNKNOWN},
        {"channel_binding", "require", 1300, OPTION_UNKNOWN_RESTRICTION},
        {"ssl_min_protocol_version", "TLSv1.3", 1300, OPTION_UNKNOWN},
        {"sslcrldir", "/a", 1400, OPTION_UNKNOWN_RESTRICTION},
        {"require_auth", "scram-sha-256", 1600, OPTION_UNKNOWN_RESTRICTION},
        {"require_auth", "", 1600, OPTION_UNKNOWN},
        {"sslnegotiation", "direct", 1700, OPTION_UNKNOWN},
    };
    static const int versions[] = {903, 906, 1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t j = 0; j < sizeof(versions) / sizeof(versions[0]); j++)
            assert_int_equal(
                connection_option_support(cases[i].keyword, cases[i].value, versions[j]),
                versions[j] < cases[i].since ? cases[i].before : OPTION_KNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_literal),
        cmocka_unit_test(test_a_string_that_libpq_refuses),
        cmocka_unit_test(test_no_answer_may_be_one_later),
        cmocka_unit_test(test_a_server_that_is_full_or_not_ready),
        cmocka_unit_test(test_a_server_that_says_nothing_when_connecting),
        cmocka_unit_test(test_a_server_that_says_nothing_to_a_query),
        cmocka_unit_test(test_explicit_dbname),
        cmocka_unit_test(test_options_of_a_string),
        cmocka_unit_test(test_options_that_a_version_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
