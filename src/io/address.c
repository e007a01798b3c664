#include "io/address.h"

#include "io/file.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>

AddressState address_try(const char *number, const char *port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    const int on = 1;
    AddressState state = ADDRESS_FREE;
    struct addrinfo *address;
    AUTO_FD int fd = -1;

    if (getaddrinfo(number, port, &hints, &address) != 0)
        return state;
    fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) != 0)
        state = errno == EADDRINUSE      ? ADDRESS_IN_USE
                : errno == EADDRNOTAVAIL ? ADDRESS_FOREIGN
                                         : ADDRESS_FREE;
    freeaddrinfo(address);
    return state;
}
