/*
 * Preloaded into a tracer: after its KILL_AT-th step (ptrace, waitpid, or pwrite, by which it writes to its target's memory) the process is
 * killed by SIGKILL, or with KILL_PID that process, its target. With KILL_SETTING it is after the KILL_AT-th setting of a socket. Without KILL_AT the steps
 * are only counted; how many there were goes to the file KILL_COUNT when the process exits.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static long steps;
static pid_t tracer;
static long (*real_ptrace)(enum __ptrace_request, ...);
static pid_t (*real_waitpid)(pid_t, int *, int);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_setsockopt)(int, int, int, const void *, socklen_t);

/* Looked up once: a process that goes on after the tracer was killed must not wait for locks of the dynamic linker. */
__attribute__((constructor)) static void note(void) {
  tracer = getpid();
  real_ptrace = dlsym(RTLD_NEXT, "ptrace");
  real_waitpid = dlsym(RTLD_NEXT, "waitpid");
  real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
  real_setsockopt = dlsym(RTLD_NEXT, "setsockopt");
}

static void step_of(int is_setting) {
  if (is_setting != (getenv("KILL_SETTING") != NULL)) return;
  const char *at = getenv("KILL_AT"), *target = getenv("KILL_PID");
  /* Not whoever makes the step, which may be another process, with the tracer's memory. */
  if (__atomic_add_fetch(&steps, 1, __ATOMIC_SEQ_CST) == (at ? atol(at) : 0)) kill(target ? atoi(target) : tracer, SIGKILL);
}

static void step(void) {
  step_of(0);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
  int result = real_setsockopt(fd, level, option, value, size);
  step_of(1);
  return result;
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("KILL_COUNT");
  int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
  if (fd >= 0) dprintf(fd, "%ld\n", steps);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list arguments;
  va_start(arguments, request);
  pid_t pid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
  va_end(arguments);
  long result = real_ptrace(request, pid, address, data);
  step();
  return result;
}

pid_t waitpid(pid_t pid, int *status, int options) {
  pid_t result = real_waitpid(pid, status, options);
  /* Who asks again and again, asks as often as the machine has time for: that is one step. */
  static _Thread_local int in_vain;
  in_vain = result == 0 ? in_vain + 1 : 0;
  if (in_vain <= 1) step();
  return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  ssize_t result = real_pwrite64(fd, bytes, count, offset);
  step();
  return result;
}
