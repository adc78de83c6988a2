#include "message.h"

#include <linux/uio.h>

#include "base.h"

/* From linux/socket.h, which the kernel keeps to itself. */
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_WAITALL 0x100
#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000

struct message_header {
	void *name;
	int name_length;
	struct iovec *parts;
	size_t part_count;
	void *control;
	size_t control_length;
	unsigned flags;
};

struct control {
	size_t length;
	int level;
	int type;
	int descriptors[MESSAGE_MAX_DESCRIPTORS];
};
#define CONTROL_LENGTH(count) (offsetof(struct control, descriptors) + (size_t)(count) * sizeof(int))

void close_descriptors(const struct descriptors *descriptors)
{
	for (int i = 0; i < descriptors->count; i++)
		sys(__NR_close, descriptors->at[i]);
}

long receive_message(int socket, void *bytes, size_t size, struct descriptors *descriptors)
{
	struct control control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = size};
	struct message_header header = {.parts = &part, .part_count = 1, .control = &control, .control_length = sizeof(control)};
	long result;

	do
		result = sys(__NR_recvmsg, socket, &header, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (result == -EINTR);

	descriptors->count = 0;
	if (header.control_length >= CONTROL_LENGTH(1) && control.level == SOL_SOCKET && control.type == SCM_RIGHTS) {
		descriptors->count = (int)((control.length - CONTROL_LENGTH(0)) / sizeof(int));
		memcpy(descriptors->at, control.descriptors, (size_t)descriptors->count * sizeof(int));
	}
	/* A torn message is what a peer leaves that died while sending. */
	if (result > 0 && (size_t)result < size)
		return 0;
	return result;
}

long send_message(int socket, const void *bytes, size_t size, const struct descriptors *descriptors)
{
	struct control control = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
	struct message_header header = {.parts = &part, .part_count = 1};
	long result;

	if (descriptors && descriptors->count) {
		control.length = CONTROL_LENGTH(descriptors->count);
		memcpy(control.descriptors, descriptors->at, (size_t)descriptors->count * sizeof(int));
		header.control = &control;
		header.control_length = control.length;
	}
	do
		result = sys(__NR_sendmsg, socket, &header, MSG_NOSIGNAL);
	while (result == -EINTR);
	return result;
}
