/*
 * A line with a delay between two network namespaces: two TUN devices, and each packet that one of
 * them is given leaves the other so many microseconds later.
 *
 *     delay_line NEAR FAR MICROSECONDS
 *
 * The devices get the names NEAR and FAR; the caller gives them addresses and moves FAR to another
 * namespace. The line runs until it is killed, which removes both devices.
 *
 * Only time is added: packets do not wait for one another, each direction keeps its order, and
 * none is lost below 65,536 packets under way. Connections meet what they meet on a long line: slow
 * starts, windows, and a delay for each turn of the conversation. (A kernel with netem would do
 * the same by itself; many have none.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS INT64_C(1000000000)
#define PACKETS_MAX 65536u
/* A packet that the kernel has not cut into segments yet, after its virtio_net_hdr. */
#define PACKET_SIZE_MAX ((size_t) 65536 + 64)

typedef struct Packet
{
    int64_t due; /* nanoseconds of the monotonic clock */
    size_t size;
    char *bytes;
} Packet;

typedef struct Direction
{
    int from_fd, to_fd;
    int64_t delay; /* nanoseconds */
    unsigned first, count;
    Packet packets[PACKETS_MAX]; /* a ring: count of them from first on are under way */
} Direction;

static Direction directions[2];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "delay_line: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

/* Packets pass as the kernel has them: large ones uncut, and without their checksums. */
static int open_device(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        die("/dev/net/tun");
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) != 0)
        die(name);
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long) (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) != 0)
        die("TUNSETOFFLOAD");
    return fd;
}

/* Returns false if the device has no packet now. */
static bool take_packet(Direction *direction)
{
    static _Thread_local char bytes[PACKET_SIZE_MAX];
    ssize_t size = read(direction->from_fd, bytes, sizeof(bytes));
    Packet *packet;

    if (size < 0 && errno != EAGAIN && errno != EINTR)
        die("read");
    if (size <= 0)
        return false;
    if (direction->count == PACKETS_MAX)
        return true; /* lost, as on a line */
    packet = &direction->packets[(direction->first + direction->count) % PACKETS_MAX];
    packet->due = now() + direction->delay;
    packet->size = (size_t) size;
    packet->bytes = malloc(packet->size);
    if (packet->bytes == NULL)
        die("malloc");
    memcpy(packet->bytes, bytes, packet->size);
    direction->count++;
    return true;
}

static void deliver_due_packets(Direction *direction)
{
    while (direction->count > 0 && direction->packets[direction->first].due <= now())
    {
        Packet *packet = &direction->packets[direction->first];

        /* A device that is down, or full, loses the packet. */
        if (write(direction->to_fd, packet->bytes, packet->size) < 0 && errno == EBADFD)
            die("write");
        free(packet->bytes);
        direction->first = (direction->first + 1) % PACKETS_MAX;
        direction->count--;
    }
}

static void *run_direction(void *argument)
{
    Direction *direction = argument;
    struct pollfd readable = {.fd = direction->from_fd, .events = POLLIN};

    prctl(PR_SET_TIMERSLACK, 1ul);
    for (;;)
    {
        struct timespec wait = {0};

        deliver_due_packets(direction);
        if (direction->count > 0)
        {
            int64_t left = direction->packets[direction->first].due - now();

            left = left > 0 ? left : 0;
            wait.tv_sec = left / NANOSECONDS;
            wait.tv_nsec = left % NANOSECONDS;
        }
        if (ppoll(&readable, 1, direction->count > 0 ? &wait : NULL, NULL) > 0)
            while (take_packet(direction))
                deliver_due_packets(direction);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc != 4)
    {
        fprintf(stderr, "usage: delay_line NEAR FAR MICROSECONDS\n");
        return 2;
    }
    directions[0].from_fd = directions[1].to_fd = open_device(argv[1]);
    directions[1].from_fd = directions[0].to_fd = open_device(argv[2]);
    directions[0].delay = directions[1].delay = strtoll(argv[3], NULL, 10) * 1000;
    errno = pthread_create(&thread, NULL, run_direction, &directions[0]);
    if (errno != 0)
        die("pthread_create");
    run_direction(&directions[1]);
}
