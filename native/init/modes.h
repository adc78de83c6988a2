/* What thaw-init can be: one file each. None returns. */
#ifndef THAW_INIT_MODES_H
#define THAW_INIT_MODES_H

#include "base.h"

void host_mode(const struct invocation *self) __attribute__((noreturn));
void supervise_mode(const struct invocation *self) __attribute__((noreturn));
void user_namespace_mode(const struct invocation *self) __attribute__((noreturn));
void template_mode(const struct invocation *self) __attribute__((noreturn));
void remover_mode(const struct invocation *self) __attribute__((noreturn));

#endif
