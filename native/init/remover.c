/*
 * remover COUNT: removes the System V objects, COUNT at most, that a restore has made where others live, too, if it comes to nothing. They
 * outlive who made them, and everybody else who could remove them may be killed. Descriptor 3 is held by all processes that are being
 * restored: it ends without a word when nobody of them is left.
 */
#include <linux/ipc.h>
#include <linux/mman.h>

#include "modes.h"
#include "signals.h"
#include "wire.h"

#define MADE 3

static void remove_object(const struct thaw_made *made)
{
	switch (made->kind) {
	case THAW_MADE_SEGMENT:
		sys(__NR_shmctl, made->id, IPC_RMID, 0);
		break;
	case THAW_MADE_SEMAPHORES:
		sys(__NR_semctl, made->id, 0, IPC_RMID, 0);
		break;
	case THAW_MADE_QUEUE:
		sys(__NR_msgctl, made->id, IPC_RMID, 0);
		break;
	}
}

void remover_mode(const struct invocation *self)
{
	unsigned long room, count = 0;

	/* Whoever kills the engine with its group, or by ^C, is not to take this process along. */
	block_all_signals();
	sys(__NR_setsid);
	if (self->argc != 3 || !parse_number(self->argv[2], &room))
		exit_now(2);
	long memory = sys(__NR_mmap, 0, room * sizeof(struct thaw_made), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (is_error(memory))
		exit_now(1);

	struct thaw_made *made = (struct thaw_made *)memory;
	for (;;) {
		struct thaw_made next;
		if (sys(__NR_read, MADE, &next, sizeof(next)) != sizeof(next))
			break;
		if (next.kind == THAW_MADE_ALL)
			exit_now(0);
		if (count < room)
			made[count++] = next;
	}
	while (count)
		remove_object(&made[--count]);
	exit_now(0);
}
