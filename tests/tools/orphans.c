/* Counts as `counter` does, and each time has a child that ends at once and leaves a child of its own, which tells its parent in the second 8 bytes. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_ms(long ms) {
  nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  if (fd < 0) return 2;
  for (uint64_t count = 1;; count++) {
    if (pwrite(fd, &count, sizeof count, 0) != sizeof count) return 1;
    pid_t child = fork();
    if (child == 0) {
      if (fork() != 0) _exit(0);
      pause_ms(5);
      uint64_t parent = getppid();
      _exit(pwrite(fd, &parent, sizeof parent, 8) != sizeof parent);
    }
    if (waitpid(child, NULL, 0) != child) return 1;
    pause_ms(10);
  }
}
