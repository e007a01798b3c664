#include "standby/listening.h"

#include "base/text_lines.h"
#include "target/pid_file.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_DEFAULT "5432"
#define ADDRESSES_SHOWN_MAX 10

typedef enum Listening
{
    LISTENING_POSSIBLE, /* or it is not known */
    LISTENING_IN_USE,
    LISTENING_FOREIGN /* no address of this host */
} Listening;

/* Bind a socket as the server does (StreamServerPort, libpq/pqcomm.c). */
static Listening try_bind(const struct addrinfo *address)
{
    const int on = 1;
    Listening result = LISTENING_POSSIBLE;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return result;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) != 0)
        result = errno == EADDRINUSE      ? LISTENING_IN_USE
                 : errno == EADDRNOTAVAIL ? LISTENING_FOREIGN
                                          : LISTENING_POSSIBLE;
    close(fd);
    return result;
}

/* One of listen_addresses. Only numbers are looked at, and the names that mean some. */
static Listening try_address(const char *name, const char *port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    const char *number = strcmp(name, "localhost") == 0 ? "127.0.0.1"
                         : strcmp(name, "*") == 0       ? "0.0.0.0"
                                                        : name;
    struct addrinfo *address;
    Listening result;

    if (getaddrinfo(number, port, &hints, &address) != 0)
        return LISTENING_POSSIBLE;
    result = try_bind(address);
    freeaddrinfo(address);
    return result;
}

/* Take the next of a list with commas, without blanks and quotes around it. */
static bool take_item(TextCursor *list, Buffer *item)
{
    buffer_clear(item);
    while (!text_at_end(list) && strchr(", \t\"", *list->position) != NULL)
        list->position++;
    while (!text_at_end(list) && strchr(",\"", *list->position) == NULL)
        buffer_append_u8(item, (uint8_t) *list->position++);
    while (item->size > 0 && strchr(" \t", item->bytes[item->size - 1]) != NULL)
        item->size--;
    return item->size > 0;
}

static const char *value_or(const Settings *settings, const char *name, const char *by_default)
{
    const char *value = settings_value(settings, name);

    return value != NULL ? value : by_default;
}

/* How a server listens with a port at all of its addresses: possible if it is at one. */
static Listening try_addresses(const Settings *settings, const char *port)
{
    TextCursor list = text_cursor(value_or(settings, "listen_addresses", "localhost"));
    Listening result = LISTENING_POSSIBLE;
    AUTO_BUFFER Buffer item = {0};

    while (take_item(&list, &item))
    {
        const Listening one = try_address(buffer_string(&item), port);

        if (one == LISTENING_POSSIBLE)
            return one;
        if (result != LISTENING_IN_USE)
            result = one;
    }
    return result;
}

/* The directory of the source's own socket, if a server with these settings would use it with the
 * same port; NULL: it would not, as far as is known. */
static const char *find_shared_directory(const Settings *settings, const Source *source,
                                         const char *port)
{
    const char *setting = settings_value(settings, "unix_socket_directories");
    AUTO_BUFFER Buffer item = {0};
    TextCursor list;

    if (setting == NULL || source == NULL || source->host == NULL || source->host[0] != '/' ||
        source->port == NULL || strcmp(source->port, port) != 0)
        return NULL;
    list = text_cursor(setting);
    while (take_item(&list, &item))
        if (strcmp(buffer_string(&item), source->host) == 0)
            return source->host;
    return NULL;
}

static bool error_listening(Error *error)
{
    return error_hint(error, "Set port and listen_addresses of this host in a file that is kept "
                             "(--keep), or keep the target's configuration: --keep-config.");
}

bool listening_check(const Settings *settings, const Clusters *clusters, Error *error)
{
    const char *port = value_or(settings, "port", PORT_DEFAULT);
    const char *addresses = value_or(settings, "listen_addresses", "localhost");
    const char *shared = find_shared_directory(settings, clusters->source, port);
    PidFileServer own;
    Listening listening;

    (void) pid_file_read(clusters->target.directory, &own);
    listening = try_addresses(settings, port);
    if (listening == LISTENING_IN_USE && strcmp(own.port, port) == 0)
        listening = LISTENING_POSSIBLE;
    if (listening == LISTENING_POSSIBLE && shared == NULL)
        return true;
    if (shared != NULL)
        error_set(error, ERROR_FAILED,
                  "the target's server could not listen on port %s: the source's server has it in "
                  "\"%s\"",
                  port, shared);
    else if (listening == LISTENING_IN_USE)
        error_set(error, ERROR_FAILED,
                  "the target's server could not listen on port %s: another server on this host "
                  "does",
                  port);
    else
        error_set(error, ERROR_FAILED,
                  "the target's server could not listen: this host has none of its "
                  "listen_addresses, \"%s\"",
                  addresses);
    return error_listening(error);
}

const char *listening_foreign(const Settings *settings, Arena *arena)
{
    TextCursor list = text_cursor(value_or(settings, "listen_addresses", "localhost"));
    AUTO_BUFFER Buffer names = {0}, item = {0};
    TextList foreign = {&names, ", ", ADDRESSES_SHOWN_MAX, 0};

    while (take_item(&list, &item))
        if (try_address(buffer_string(&item), "0") == LISTENING_FOREIGN)
            text_list_add(&foreign, "%s", buffer_string(&item));
    text_list_end(&foreign);
    return arena_strdup(arena, buffer_string(&names));
}
