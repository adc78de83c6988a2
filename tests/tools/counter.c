/*
 * Counts, a hundred times a second, in the first 8 bytes of the file named by its argument. Whoever reads the file sees whether it goes on,
 * and from where. With a second argument it does not let itself be traced.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  if (fd < 0 || (argc > 2 && prctl(PR_SET_DUMPABLE, 0))) return 2;
  for (uint64_t count = 1;; count++) {
    if (pwrite(fd, &count, sizeof count, 0) != sizeof count) return 1;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
}
