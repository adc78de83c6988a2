/*
 * Threads that compute without end and check themselves each round: registers of all kinds, heap, signal masks, calls that block. What they find
 * stands in the file named by the argument, as 64-bit numbers: a flag of what broke, then rounds of each thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SLEEPER, FLOATS, INTEGERS, PING, PONG, THREADS };
enum { BROKEN_SLEEP = 1, BROKEN_HEAP = 2, BROKEN_FLOATS = 4, BROKEN_INTEGERS = 8, BROKEN_PIPE = 16, BROKEN_MASK = 32 };

static struct {
  uint64_t broken;
  uint64_t rounds[THREADS];
} *shared;

static void expect(int fine, uint64_t flag) {
  if (!fine) __atomic_or_fetch(&shared->broken, flag, __ATOMIC_SEQ_CST);
}

static void end_round(int thread) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  for (int signal = 1; signal < 32; signal++) expect(!sigismember(&mask, signal), BROKEN_MASK);
  __atomic_add_fetch(&shared->rounds[thread], 1, __ATOMIC_SEQ_CST);
}

/* So that a test machine has time for other things. */
static void breathe(void) {
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Chaotic: one wrong bit on the way, in SSE or x87, is another result. */
static double floats(void) {
  double x = 0.3;
  long double y = 0.7L;
  for (int i = 0; i < 20000; i++) {
    x = 3.99 * x * (1 - x);
    y = 3.98L * y * (1 - y);
  }
  return x + (double)y;
}

static uint64_t integers(void) {
  uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
  for (int i = 0; i < 50000; i++) {
    a = a * 6364136223846793005u + f, b ^= a >> 7, c += b * 3, d ^= c << 5, e += d ^ a, f = e * 11 + b;
  }
  return a ^ b ^ c ^ d ^ e ^ f;
}

static void *float_thread(void *argument) {
  for (double first = floats();; end_round(FLOATS), breathe()) {
    double again = floats();
    expect(memcmp(&first, &again, sizeof first) == 0, BROKEN_FLOATS);
  }
  return argument;
}

static void *integer_thread(void *argument) {
  for (uint64_t first = integers();; end_round(INTEGERS), breathe()) expect(integers() == first, BROKEN_INTEGERS);
  return argument;
}

static int there[2], back[2];

static void *ping_thread(void *argument) {
  for (uint64_t i = 0, answer;; i++) {
    expect(write(there[1], &i, sizeof i) == sizeof i, BROKEN_PIPE);
    expect(read(back[0], &answer, sizeof answer) == sizeof answer && answer == ~i, BROKEN_PIPE);
    end_round(PING);
  }
  return argument;
}

static void *pong_thread(void *argument) {
  for (uint64_t i = 0, question;; i++) {
    expect(read(there[0], &question, sizeof question) == sizeof question && question == i, BROKEN_PIPE);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    question = ~question;
    expect(write(back[1], &question, sizeof question) == sizeof question, BROKEN_PIPE);
    end_round(PONG);
  }
  return argument;
}

static void sleep_and_look_at_heap(void) {
  size_t words = 1 << 15;
  uint64_t *heap = malloc(words * sizeof *heap);
  for (size_t i = 0; i < words; i++) heap[i] = i * 0x9e3779b97f4a7c15;
  for (;; end_round(SLEEPER)) {
    struct timespec left = {0};
    expect(nanosleep(&(struct timespec){.tv_nsec = 20000000}, &left) == 0, BROKEN_SLEEP);
    for (size_t i = 0; i < words; i++) expect(heap[i] == i * 0x9e3779b97f4a7c15, BROKEN_HEAP);
  }
}

int main(int argc, char **argv) {
  void *(*const starts[])(void *) = {float_thread, integer_thread, ping_thread, pong_thread};
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  if (fd < 0 || ftruncate(fd, 4096) || pipe(there) || pipe(back)) return 2;
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) return 2;
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    pthread_t id;
    if (pthread_create(&id, NULL, starts[i], NULL)) return 2;
  }
  sleep_and_look_at_heap();
}
