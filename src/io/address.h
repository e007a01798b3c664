/*
 * An address of this host that a server is to listen on.
 */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

typedef enum AddressState
{
    ADDRESS_FREE, /* a server can listen there, or it is not known */
    ADDRESS_IN_USE,
    ADDRESS_FOREIGN /* this host does not have it */
} AddressState;

/*
 * Find out by binding a socket, as a server does (StreamServerPort, libpq/pqcomm.c), for an instant
 * and without listening. number: an IP address, which is not looked up; else it is not known. port
 * 0: the address alone.
 */
AddressState address_try(const char *number, const char *port);

#endif
