/*
 * Binds a unix socket to the relative name `app.sock`, then counts in the file named by its argument, adding 1 every few milliseconds. With
 * another argument, it goes to that folder first.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "app.sock"};
  if (fd < 0 || bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 1)) return 2;
  if (argc > 2 && chdir(argv[2]) != 0) return 2;
  for (uint64_t count = 1;; count++) {
    if (pwrite(fd, &count, sizeof count, 0) != sizeof count) return 2;
    usleep(5000);
  }
}
