/* Unix socket messages with descriptors (unix(7), cmsg(3)). */
#ifndef THAW_INIT_MESSAGE_H
#define THAW_INIT_MESSAGE_H

#include <stddef.h>

#define MESSAGE_MAX_DESCRIPTORS 4

struct descriptors {
	int count;
	int at[MESSAGE_MAX_DESCRIPTORS];
};

void close_descriptors(const struct descriptors *descriptors);
/* The whole of `size` bytes, or 0 at end of file, or -errno. Descriptors arrive close-on-exec. */
long receive_message(int socket, void *bytes, size_t size, struct descriptors *descriptors);
long send_message(int socket, const void *bytes, size_t size, const struct descriptors *descriptors);

#endif
