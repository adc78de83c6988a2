/* Counts as `counter` does, in a shared mapping of the file, which it has not open any more. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0) return 2;
  volatile uint64_t *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (count == MAP_FAILED || close(fd) != 0) return 2;
  for (;;) {
    ++*count;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
}
