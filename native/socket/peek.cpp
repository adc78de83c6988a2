#include "socket/peek.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/sys_error.hpp"
#include "process/apart.hpp"

namespace thaw {

namespace {

constexpr int from_the_start = -1;

/** An option as it is to be for a look, and as it was. Allocates nothing. */
class Borrowed {
 public:
  Borrowed(int socket, int option, int wanted) : socket_(socket), option_(option) {
    socklen_t size = sizeof before_;
    // Not all sockets have all options: those of TCP have an offset since Linux 6.9.
    is_there_ = getsockopt(socket, SOL_SOCKET, option, &before_, &size) == 0;
    if (is_there_ && before_ != wanted) err_ = set(wanted);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  /** Set back even where it is as wanted: a look moves the offset on. */
  ~Borrowed() {
    if (is_there_) set(before_);
  }

  int err() const { return err_; }

 private:
  int set(int value) const { return setsockopt(socket_, SOL_SOCKET, option_, &value, sizeof value) < 0 ? errno : 0; }

  int socket_;
  int option_;
  int before_ = 0;
  bool is_there_ = false;
  int err_ = 0;
};

/** What the process of its own does. It allocates nothing. */
struct Look {
  int socket;
  int offset;
  bool credentials;
  msghdr& header;
  ssize_t count = -1;
  int err = 0;
  const char* syscall = "recvmsg";

  void operator()() {
    const Borrowed offset_option(socket, SO_PEEK_OFF, offset);
    if (!credentials) return look(offset_option.err());
    const Borrowed credentials_option(socket, SO_PASSCRED, 1);
    look(offset_option.err() != 0 ? offset_option.err() : credentials_option.err());
  }

 private:
  void look(int not_set) {
    if (not_set != 0) {
      err = not_set;
      syscall = "setsockopt";
      return;
    }
    count = recvmsg(socket, &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) err = errno;
  }
};

ssize_t look_at(int socket, int offset, bool credentials, msghdr& header) {
  Look look{socket, offset, credentials, header};
  run_apart(look);
  if (look.err != 0 && look.err != EAGAIN && look.err != EFAULT) throw SysError{look.err, look.syscall};
  errno = look.err;
  return look.count;
}

/** Memory behind which there is none. */
class Walled {
 public:
  explicit Walled(size_t bytes) : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))), room_((bytes + page_ - 1) / page_ * page_) {
    start_ = static_cast<char*>(mmap(nullptr, room_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (start_ == MAP_FAILED) throw SysError{errno, "mmap"};
    mprotect(start_ + room_, page_, PROT_NONE);
  }
  Walled(const Walled&) = delete;
  Walled& operator=(const Walled&) = delete;
  ~Walled() { munmap(start_, room_ + page_); }

  char* last(size_t bytes) const { return start_ + room_ - bytes; }

 private:
  size_t page_;
  size_t room_;
  char* start_;
};

}  // namespace

std::optional<Message> peek_message(int socket, PeekOffset offset, ByteCount max_bytes, uint32_t max_descriptors, bool credentials) {
  return receive_by([&](msghdr& header) { return look_at(socket, offset.value_or(from_the_start), credentials, header); }, max_bytes, max_descriptors);
}

Integer bytes_before_last_piece(int socket, int offset, ByteCount length) {
  if (length.value == 0) return {0};
  // Pieces are copied whole or not at all: the last one does not fit into memory that ends one byte too early, and the look ends before it.
  const Walled walled(length.value);
  iovec data{walled.last(length.value - 1), length.value};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  const ssize_t count = look_at(socket, offset, true, header);
  return {count < 0 ? 0 : count};
}

}  // namespace thaw
