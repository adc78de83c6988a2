/* What a process finds in namespaces that were just made, and has to set right. */
#ifndef THAW_INIT_NAMESPACES_H
#define THAW_INIT_NAMESPACES_H

#include "wire.h"

/* Mounts of ours stay ours, /proc shows the new pid namespace, and /dev/shm is empty, if asked for. False when it failed, as the report then says. */
int set_up_mounts(int own_shm, struct thaw_report *report);
/* Brings the loopback interface up; the kernel gives it 127.0.0.1 and ::1 by itself. */
int set_up_loopback(struct thaw_report *report);
/*
 * A user namespace in which the caller's ids mean what they meant before, and in which it, and what it executes, may do everything:
 * ambient capabilities (since Linux 4.3), for without them an ordinary user's capabilities end at execve.
 */
int enter_user_namespace(struct thaw_report *report);
/* Takes from an ordinary user's process what enter_user_namespace gave, as of the next execve. Root stays what it is. */
void drop_ambient_capabilities(void);

#endif
