/* The state of an address of this host: free for a server to listen on, or not. */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

typedef enum AddressState
{
    ADDRESS_FREE, /* a server can listen there, or that cannot be found out */
    ADDRESS_IN_USE,
    ADDRESS_FOREIGN /* no address of this host */
} AddressState;

/* Bind a socket to the address for an instant, without listening, as a server does
 * (StreamServerPort, libpq/pqcomm.c). number: a numeric IP address; of a host name the result is
 * ADDRESS_FREE, since no name is looked up. port "0": try the address alone. Cannot fail. */
AddressState address_try(const char *number, const char *port);

#endif
