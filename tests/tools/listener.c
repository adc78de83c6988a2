/* Listens on a port of 127.0.0.1 that the kernel chooses, and writes its number to the first 8 bytes of the file named by its argument. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0666) : -1;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (fd < 0 || bind(server, (struct sockaddr *)&address, length) || listen(server, 1)) return 2;
  if (getsockname(server, (struct sockaddr *)&address, &length)) return 2;
  uint64_t port = ntohs(address.sin_port);
  if (pwrite(fd, &port, sizeof port, 0) != sizeof port) return 2;
  for (;;) pause();
}
