/* Counts as `counter` does, and watches a folder that nothing of it names by the time it counts: its second argument, which it clears. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = argc > 2 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1, instance = inotify_init1(IN_CLOEXEC);
  if (fd < 0 || instance < 0 || inotify_add_watch(instance, argv[2], IN_CREATE) < 0) return 2;
  memset(argv[2], 0, strlen(argv[2]));
  for (uint64_t count = 1;; count++) {
    if (pwrite(fd, &count, sizeof count, 0) != sizeof count) return 1;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
}
