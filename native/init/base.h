/* What every mode of thaw-init needs in place of a libc. Results are as the kernel gives them: negative errno. */
#ifndef THAW_INIT_BASE_H
#define THAW_INIT_BASE_H

#include <asm/unistd_64.h>
#include <linux/errno.h>
#include <stddef.h>
#include <stdint.h>

#include "syscall.h"

#define SYS_WITH_SIX(nr, a, b, c, d, e, f, ...)                                                                        \
	raw_syscall((long)(nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* sys(__NR_close, fd): arguments that are not given are 0. */
#define sys(...) SYS_WITH_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* What the kernel passed to this process. */
struct invocation {
	int argc;
	char **argv;
	char **envp;
	const uint64_t *auxv;
};

void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
size_t strlen(const char *text);
int same_text(const char *left, const char *right);
/* At most `size` bytes with the NUL. */
void copy_text(char *to, const char *from, size_t size);
/* Appends and returns the new end; there is a NUL at it. */
char *append_text(char *at, const char *text);
char *append_number(char *at, unsigned long number);
/* Decimal, or hexadecimal after 0x. False when it is anything else. */
int parse_number(const char *text, unsigned long *number);
int parse_hexadecimal(const char *text, unsigned long *number);

void exit_now(int status) __attribute__((noreturn));
/* The exit code that stands for a wait status, as a shell has it: 128 + signal for who was killed. */
int exit_code_of(int wait_status);
/* One line on standard error, as far as it can be written. */
void complain(const char *what, long result);

#endif
