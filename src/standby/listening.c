#include "standby/listening.h"

#include "base/text_lines.h"
#include "io/address.h"
#include "target/pid_file.h"

#include <string.h>

#define ADDRESSES_SHOWN_MAX 10

/* One of listen_addresses: the names of those that each host has stand for their numbers. */
static AddressState try_address(const char *name, const char *port)
{
    return address_try(strcmp(name, "localhost") == 0 ? "127.0.0.1"
                       : strcmp(name, "*") == 0       ? "0.0.0.0"
                                                      : name,
                       port);
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

/* All addresses of a server, with a port: free if one is. */
static AddressState try_addresses(const Settings *settings, const char *port)
{
    TextCursor list = text_cursor(value_or(settings, "listen_addresses", "localhost"));
    AddressState result = ADDRESS_FREE;
    AUTO_BUFFER Buffer item = {0};

    while (take_item(&list, &item))
    {
        const AddressState one = try_address(buffer_string(&item), port);

        if (one == ADDRESS_FREE)
            return one;
        if (result != ADDRESS_IN_USE)
            result = one;
    }
    return result;
}

/* Returns the source's socket directory if a server with these settings would use it with the
 * source's port; NULL if not, or if that is not known. */
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

bool start_advise_on_listening(const Settings *settings, bool of_source, const Clusters *clusters,
                               AdviceList *list)
{
    const char *port = value_or(settings, "port", clusters->target.port);
    const char *addresses = value_or(settings, "listen_addresses", "localhost");
    const char *shared = find_shared_directory(settings, clusters->source, port);
    const Advice advice = {
        .id = "standby",
        .severity = ADVICE_PROBLEM,
        .when = ADVICE_BEFORE_START,
        .remedy = of_source
                      ? "Set port and listen_addresses of this host in a file that is kept "
                        "(--keep), or keep the target's configuration: --keep-config. Once it is "
                        "rewound, correct them in its postgresql.conf or postgresql.auto.conf."
                      : "Correct port and listen_addresses where the target's configuration sets "
                        "them."};
    PidFileServer own;
    AddressState listening = ADDRESS_FREE;

    /* The port may be set in a file that was not found or could not be read. */
    if (settings->incomplete && settings_value(settings, "port") == NULL)
        return true;
    (void) pid_file_read(clusters->target.directory, &own);
    if (!settings->incomplete || settings_value(settings, "listen_addresses") != NULL)
        listening = try_addresses(settings, port);
    if (listening == ADDRESS_IN_USE && strcmp(own.port, port) == 0)
        listening = ADDRESS_FREE;
    if (listening == ADDRESS_FREE && shared == NULL)
        return true;
    if (shared != NULL)
        advice_add(list, advice,
                   "the target's server could not listen on port %s: the source's server has it in "
                   "\"%s\"",
                   port, shared);
    else if (listening == ADDRESS_IN_USE)
        advice_add(list, advice,
                   "the target's server could not listen on port %s: another server on this host "
                   "does",
                   port);
    else
        advice_add(list, advice,
                   "the target's server could not listen: this host has none of its "
                   "listen_addresses, \"%s\"",
                   addresses);
    return false;
}

const char *listening_foreign(const Settings *settings, Arena *arena)
{
    TextCursor list = text_cursor(value_or(settings, "listen_addresses", "localhost"));
    AUTO_BUFFER Buffer names = {0}, item = {0};
    TextList foreign = {&names, ", ", ADDRESSES_SHOWN_MAX, 0};

    while (take_item(&list, &item))
        if (try_address(buffer_string(&item), "0") == ADDRESS_FOREIGN)
            text_list_add(&foreign, "%s", buffer_string(&item));
    text_list_end(&foreign);
    return arena_strdup(arena, buffer_string(&names));
}
