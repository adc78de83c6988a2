#include "socket/tcp_repair.hpp"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/sys_error.hpp"
#include "process/apart.hpp"

namespace thaw {

namespace {

constexpr int no_queue = 0;
constexpr int receive_queue = 1;
constexpr int send_queue = 2;
constexpr int no_peek_offset = -1;
constexpr int tcp_repair_on = 1;
/** Off without a window probe, which the peer would see (Linux 4.19). */
constexpr int tcp_repair_off = -1;
/** Who sends stands still: what is on its way comes to an end. */
constexpr int most_tries = 1000;

/** What a process of its own does. It allocates nothing. */
struct Reading {
  int fd;
  TcpState state{};
  /** What comes on its way while the socket is read is still taken in: the receive queue was another one before and after it was read. */
  bool moved = false;
  int err = 0;
  const char* syscall = "";

  bool failed(bool is, const char* name) {
    if (is && err == 0) {
      err = errno;
      syscall = name;
    }
    return err != 0;
  }

  template <class Value>
  bool get(int level, int option, Value& value) {
    socklen_t size = sizeof value;
    return !failed(getsockopt(fd, level, option, &value, &size) < 0, "getsockopt");
  }

  bool set(int level, int option, int value) { return !failed(setsockopt(fd, level, option, &value, sizeof value) < 0, "setsockopt"); }

  /** The bytes end up as many as there are; there is room for one more. */
  bool peek(Bytes& bytes) {
    const ssize_t count = recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    // Nothing there; or, of the receive queue, the end.
    if (failed(count < 0 && errno != EAGAIN, "recv")) return false;
    moved |= count == static_cast<ssize_t>(bytes.size());
    bytes.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return true;
  }

  bool read_received() {
    uint32_t behind = 0;
    if (!get(IPPROTO_TCP, TCP_QUEUE_SEQ, state.receive_sequence) || !peek(state.received) || !get(IPPROTO_TCP, TCP_QUEUE_SEQ, behind)) return false;
    moved |= behind != state.receive_sequence;
    return true;
  }

  bool read_in_repair_mode() {
    tcp_repair_window window{};
    if (!set(IPPROTO_TCP, TCP_REPAIR_QUEUE, send_queue) || !get(IPPROTO_TCP, TCP_QUEUE_SEQ, state.send_sequence) || !peek(state.sent)) return false;
    if (!set(IPPROTO_TCP, TCP_REPAIR_QUEUE, receive_queue) || !read_received()) return false;
    if (!get(IPPROTO_TCP, TCP_MAXSEG, state.largest_segment) || !get(IPPROTO_TCP, TCP_TIMESTAMP, state.timestamp)) return false;
    if (!get(IPPROTO_TCP, TCP_REPAIR_WINDOW, window)) return false;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&window);
    state.window.assign(bytes, bytes + sizeof window);  // within what was reserved
    return true;
  }

  /** Repair mode forgets SO_REUSEADDR; a look moves the offset at which the next one starts. */
  void operator()() {
    int reuse = 0;
    int peek_offset = no_peek_offset;
    if (!get(SOL_SOCKET, SO_REUSEADDR, reuse)) return;
    socklen_t size = sizeof peek_offset;
    const bool peeks_at = getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &peek_offset, &size) == 0 && peek_offset != no_peek_offset;
    if (!set(IPPROTO_TCP, TCP_REPAIR, tcp_repair_on)) return;
    if (!peeks_at || set(SOL_SOCKET, SO_PEEK_OFF, no_peek_offset)) read_in_repair_mode();
    int off = tcp_repair_off;
    failed(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0, "setsockopt");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    if (peeks_at) setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &peek_offset, sizeof peek_offset);
  }
};

}  // namespace

static size_t queued(int fd, unsigned long request) {
  int bytes = 0;
  check(ioctl(fd, request, &bytes), "ioctl");
  return static_cast<size_t>(bytes);
}

TcpState read_tcp_state(int fd) {
  for (int tries = 0; tries < most_tries; tries++) {
    Reading reading{fd};
    // A FIN in the queue counts as one byte, and one more tells whether that was all.
    reading.state.sent.resize(queued(fd, SIOCOUTQ) + 2);
    reading.state.received.resize(queued(fd, SIOCINQ) + 2);
    reading.state.window.reserve(sizeof(tcp_repair_window));
    run_apart(reading);
    if (reading.err != 0) throw SysError{reading.err, reading.syscall};
    if (!reading.moved) return std::move(reading.state);
  }
  throw SysError{EAGAIN, "recv"};
}

}  // namespace thaw
