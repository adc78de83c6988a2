/* The init of a sandbox: a fork of the host. */
#ifndef THAW_INIT_SANDBOX_H
#define THAW_INIT_SANDBOX_H

#include "wire.h"

/* Where init's descriptors are; 0, 1 and 2 are what the host has there, and nothing else is open. */
#define SANDBOX_CONTROL 3

/* Sets the sandbox up, writes one thaw_report to `set_up`, then serves the control socket. */
void sandbox_init(int control, int set_up, const struct thaw_sandbox_request *request) __attribute__((noreturn));

#endif
