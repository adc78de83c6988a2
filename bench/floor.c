/*
 * The floor: what the kernel itself takes for the namespaces and the fork of a restore, when there is nothing to restore.
 *
 *   floor [--mb N] [--threads N] [--processes N] [--net 0|1] [--repeat N]     prints { "p50": ms, "p95": ms }
 *   floor ... --repeat 0     prints "ready", then measures once for each line of its input and prints the ms, until its end
 *
 * It goes the way the engine goes. A small zygote makes the namespaces with their init: pid, mount with a /proc of its own, ipc, uts, time
 * and, with --net 1, network with loopback up. A template, which holds N MB in huge pages, joins the pid namespace and makes a helper that
 * shares its memory; the helper forks the root with its exact pid, so that the page tables are copied once and the root becomes init's child.
 * The root enters the other namespaces, forks the other processes, each with its part of the memory, and starts its threads, all with their exact ids; once all of them
 * run, the last one reports: the time from the request until then is what is measured. Killing and reaping is not.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* since 6.1 */
#endif

enum { ROOT_PID = 1000, STACK_SIZE = 16 << 10, WARM_UP = 3 };
static const size_t HUGE = 2 << 20;

struct options {
  long mb, threads, processes, net, repeat;
};

/* Read end and write end, by whom they are read. */
struct pipes {
  int zygote[2], template_pid[2], template_go[2], main[2], reaped[2];
};

static long must(long result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(1);
}
#define MUST(call) must((long)(call), #call)

static void tell(int fd, int value) {
  MUST(write(fd, &value, sizeof value));
}

static int hear(int fd) {
  int value;
  if (MUST(read(fd, &value, sizeof value)) != sizeof value) _exit(1);
  return value;
}

static long clone3(struct clone_args *arguments) {
  return syscall(SYS_clone3, arguments, sizeof *arguments);
}

/* --- The namespaces and their init ---------------------------------------------------------------------------------- */

static void bring_loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  MUST(ioctl(fd, SIOCSIFFLAGS, &request));
  close(fd);
}

static void init(const struct options *options, int go) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  MUST(unshare(CLONE_NEWTIME));
  int offsets = MUST(open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
  const char monotonic[] = "monotonic 5 0\n";
  MUST(write(offsets, monotonic, sizeof monotonic - 1));
  close(offsets);
  MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  MUST(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  if (options->net) bring_loopback_up();
  tell(go, 1);
  for (;;) pause();
}

static void zygote(const struct options *options, const struct pipes *pipes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    hear(pipes->zygote[0]);
    struct clone_args arguments = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (options->net ? CLONE_NEWNET : 0), .exit_signal = SIGCHLD};
    int pid = MUST(clone3(&arguments));
    if (pid == 0) init(options, pipes->template_go[1]);
    tell(pipes->template_pid[1], pid);
    hear(pipes->zygote[0]); /* The second request: away with it. */
    kill(pid, SIGKILL);
    MUST(waitpid(pid, NULL, 0));
    tell(pipes->reaped[1], 0);
  }
}

/* --- The template and what is forked from it --------------------------------------------------------------------------- */

/* All pages written with content of their own, then collapsed into huge pages, as a template that was loaded. */
static uint8_t *hold_memory(size_t size) {
  if (size == 0) return NULL;
  uint8_t *area = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) must(-1, "mmap");
  uint8_t *memory = (uint8_t *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
  for (size_t at = 0; at < size; at += 8) *(uint64_t *)(memory + at) = (at + 1) * 0x9e3779b97f4a7c15;
  /* Without huge pages in the kernel it is a higher floor, not an error. */
  madvise(memory, size & ~(HUGE - 1), MADV_COLLAPSE);
  return memory;
}

/* A thread that sleeps for good. Its stack is new, so it must not return into C. */
static long start_thread(struct clone_args *arguments) {
  long result;
  __asm__ volatile(
      "syscall\n test %%eax, %%eax\n jnz 2f\n"
      "1: mov %1, %%eax\n syscall\n jmp 1b\n"
      "2:"
      : "=a"(result)
      : "i"(SYS_pause), "a"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments)
      : "rcx", "r11", "memory");
  return result;
}

struct birth {
  const struct options *options;
  uint8_t *memory, *stacks;
  int init_pidfd, time_namespace, report;
  long *missing; /* processes that do not run yet; shared by all */
  int error; /* the helper's */
};

/* Every process of the tree ends here. */
static void sleep_for_good(const struct birth *birth) {
  if (__atomic_sub_fetch(birth->missing, 1, __ATOMIC_SEQ_CST) == 0) tell(birth->report, 1);
  for (;;) pause();
}

/* A fork copies the page tables of everything: whose memory it is not, need not have it. All parts are alike. */
static void keep_own_part(const struct birth *birth) {
  size_t size = (size_t)birth->options->mb << 20;
  size_t part = (size / birth->options->processes + HUGE - 1) & ~(HUGE - 1);
  if (part < size) MUST(munmap(birth->memory + part, size - part));
}

static void root(const struct birth *birth) {
  const int others = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (birth->options->net ? CLONE_NEWNET : 0);
  MUST(setns(birth->time_namespace, CLONE_NEWTIME)); /* While there is one thread. */
  MUST(setns(birth->init_pidfd, others));
  keep_own_part(birth);
  pid_t next = ROOT_PID + 1;
  for (long i = 1; i < birth->options->processes; i++, next++) {
    struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&next, .set_tid_size = 1};
    long result = clone3(&arguments);
    if (result == 0) sleep_for_good(birth);
    if (result < 0) _exit(1);
  }
  for (long i = 0; i < birth->options->threads; i++, next++) {
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
        .stack = (uintptr_t)(birth->stacks + i * STACK_SIZE),
        .stack_size = STACK_SIZE,
        .set_tid = (uintptr_t)&next,
        .set_tid_size = 1};
    if (start_thread(&arguments) < 0) _exit(1);
  }
  sleep_for_good(birth);
}

/* Shares the template's memory and is in the new pid namespace; when it ends, its child becomes init's. */
static int helper(void *argument) {
  struct birth *birth = argument;
  pid_t pid = ROOT_PID;
  struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};
  long result = clone3(&arguments);
  if (result == 0) root(birth);
  birth->error = result < 0 ? errno : 0;
  _exit(0);
}

static void template(const struct options *options, const struct pipes *pipes) {
  static uint8_t helper_stack[64 << 10] __attribute__((aligned(16)));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct birth birth = {.options = options, .report = pipes->main[1]};
  birth.memory = hold_memory((size_t)options->mb << 20);
  birth.stacks = mmap(NULL, (options->threads + 1) * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  birth.missing = mmap(NULL, sizeof *birth.missing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  tell(pipes->main[1], 0);
  for (;;) {
    char path[64];
    int init_pid = hear(pipes->template_pid[0]);
    hear(pipes->template_go[0]);
    snprintf(path, sizeof path, "/proc/%d/ns/time_for_children", init_pid);
    birth.time_namespace = MUST(open(path, O_RDONLY | O_CLOEXEC));
    birth.init_pidfd = MUST(syscall(SYS_pidfd_open, init_pid, 0));
    *birth.missing = options->processes;
    MUST(setns(birth.init_pidfd, CLONE_NEWPID));
    pid_t pid = MUST(clone(helper, helper_stack + sizeof helper_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &birth));
    MUST(waitpid(pid, NULL, 0));
    errno = birth.error;
    must(-errno, "fork of the root");
    close(birth.init_pidfd);
    close(birth.time_namespace);
  }
}

/* --- The measurement ------------------------------------------------------------------------------------------------------ */

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static double measure(const struct pipes *pipes) {
  double started = now_ms();
  tell(pipes->zygote[1], 1);
  hear(pipes->main[0]);
  double took = now_ms() - started;
  tell(pipes->zygote[1], 2);
  hear(pipes->reaped[0]);
  return took;
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void summarize(const struct pipes *pipes, long repeat) {
  double *took = calloc(repeat, sizeof *took);
  for (long i = 0; i < repeat; i++) took[i] = measure(pipes);
  qsort(took, repeat, sizeof *took, ascending);
  printf("{ \"p50\": %.3f, \"p95\": %.3f }\n", took[repeat / 2], took[repeat * 95 / 100]);
  free(took);
}

/* For who wants to measure something else in between. */
static void serve(const struct pipes *pipes) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("ready");
  for (int c; (c = getchar()) != EOF;) {
    if (c == '\n') printf("%.3f\n", measure(pipes));
  }
}

static struct options parse(int argc, char **argv) {
  struct options options = {.mb = 100, .threads = 6, .processes = 1, .net = 0, .repeat = 50};
  for (int i = 1; i < argc; i += 2) {
    long value = i + 1 < argc ? strtol(argv[i + 1], NULL, 10) : -1;
    if (value < 0) break;
    if (strcmp(argv[i], "--mb") == 0) options.mb = value;
    else if (strcmp(argv[i], "--threads") == 0) options.threads = value;
    else if (strcmp(argv[i], "--processes") == 0) options.processes = value;
    else if (strcmp(argv[i], "--net") == 0) options.net = value;
    else if (strcmp(argv[i], "--repeat") == 0) options.repeat = value;
    else break;
    if (i + 2 >= argc) return options;
  }
  if (argc == 1) return options;
  fprintf(stderr, "usage: floor [--mb N] [--threads N] [--processes N] [--net 0|1] [--repeat N]\n");
  exit(2);
}

/* An ordinary user may do all of this in a user namespace of their own. */
static void become_root_inside(void) {
  if (geteuid() == 0) return;
  char map[64];
  snprintf(map, sizeof map, "0 %d 1", geteuid());
  MUST(unshare(CLONE_NEWUSER));
  int fd = MUST(open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
  MUST(write(fd, map, strlen(map)));
  close(fd);
}

int main(int argc, char **argv) {
  struct options options = parse(argc, argv);
  struct pipes pipes;
  become_root_inside();
  int *const all[] = {pipes.zygote, pipes.template_pid, pipes.template_go, pipes.main, pipes.reaped};
  for (int i = 0; i < 5; i++) MUST(pipe2(all[i], O_CLOEXEC));
  pid_t children[2];
  if ((children[0] = MUST(fork())) == 0) zygote(&options, &pipes);
  if ((children[1] = MUST(fork())) == 0) template(&options, &pipes);
  /* Nobody else writes these: when a writer fails, what waits for it ends too. */
  close(pipes.main[1]);
  close(pipes.reaped[1]);
  hear(pipes.main[0]);

  for (int i = 0; i < WARM_UP; i++) measure(&pipes);
  if (options.repeat == 0) serve(&pipes);
  else summarize(&pipes, options.repeat);
  for (int i = 0; i < 2; i++) {
    kill(children[i], SIGKILL);
    MUST(waitpid(children[i], NULL, 0));
  }
  return 0;
}
