/* Children of a sandbox's init. */
#ifndef THAW_INIT_EXEC_H
#define THAW_INIT_EXEC_H

#include "message.h"
#include "wire.h"

/* Answers when the child has executed its program, or could not. `given` are its stdin, stdout, stderr and the plan. */
void start_child(const struct thaw_request *request, const struct descriptors *given, struct thaw_report *report);

#endif
