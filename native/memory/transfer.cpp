#include "memory/transfer.hpp"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

namespace thaw {

/** The kernel moves at most this much per call (MAX_RW_COUNT), and silently. */
constexpr uint64_t max_per_call = 0x7ffff000;

Bytes read_at(int fd, uint64_t offset, ByteCount length) {
  Bytes bytes(length.value);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = uninterrupted(
        [&] { return pread64(fd, bytes.data() + done, bytes.size() - done, static_cast<off64_t>(offset + done)); });
    if (check(count, "pread64") == 0) throw SysError{EIO, "pread64"};
    done += static_cast<size_t>(count);
  }
  return bytes;
}

void write_at(int fd, uint64_t offset, ByteView bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = uninterrupted(
        [&] { return pwrite64(fd, bytes.data() + done, bytes.size() - done, static_cast<off64_t>(offset + done)); });
    if (check(count, "pwrite64") == 0) throw SysError{EIO, "pwrite64"};
    done += static_cast<size_t>(count);
  }
}

UniqueFd memfd_create(const std::string& name, uint32_t flags) {
  return own(::memfd_create(name.c_str(), flags | MFD_CLOEXEC), "memfd_create");
}

namespace {

/** sendfile(2) writes at the position of its target, which is put back afterwards. */
class PositionedAt {
 public:
  PositionedAt(int fd, uint64_t offset) : fd_(fd), before_(check(lseek64(fd, 0, SEEK_CUR), "lseek")) {
    check(lseek64(fd, static_cast<off64_t>(offset), SEEK_SET), "lseek");
  }
  PositionedAt(const PositionedAt&) = delete;
  PositionedAt& operator=(const PositionedAt&) = delete;
  ~PositionedAt() { lseek64(fd_, before_, SEEK_SET); }

 private:
  int fd_;
  off64_t before_;
};

}  // namespace

static void send_range(int from, off64_t source, int to, uint64_t to_offset, uint64_t length) {
  const PositionedAt position(to, to_offset);
  while (length > 0) {
    ssize_t count = uninterrupted([&] { return sendfile64(to, from, &source, std::min(length, max_per_call)); });
    if (check(count, "sendfile") == 0) throw SysError{EIO, "sendfile"};
    length -= static_cast<uint64_t>(count);
  }
}

/** Errors of copy_file_range that mean "not between these two": across kinds of file systems, and some kinds not at all. */
static bool is_unsupported_copy(int err) {
  return err == EXDEV || err == EINVAL || err == EOPNOTSUPP || err == ENOSYS || err == EPERM;
}

void copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length) {
  off64_t source = static_cast<off64_t>(from_offset);
  off64_t target = static_cast<off64_t>(to_offset);
  while (length > 0) {
    ssize_t count = uninterrupted(
        [&] { return copy_file_range(from, &source, to, &target, std::min(length, max_per_call), 0); });
    if (count < 0 && is_unsupported_copy(errno)) break;
    // Nothing copied may mean the end, or a file system (proc, for one) that cannot and does not say so.
    if (check(count, "copy_file_range") == 0) break;
    length -= static_cast<uint64_t>(count);
  }
  if (length > 0) send_range(from, source, to, static_cast<uint64_t>(target), length);
}

uint64_t map_reserved(int fd, uint64_t length) {
  check(fallocate(fd, 0, 0, static_cast<off_t>(length)), "fallocate");
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (address == MAP_FAILED) throw SysError{errno, "mmap"};
  return reinterpret_cast<uint64_t>(address);
}

void unmap_reserved(uint64_t address, uint64_t length) {
  check(munmap(reinterpret_cast<void*>(address), length), "munmap");
}

static void read_range(Pid pid, uint64_t from, uint64_t length, uint64_t to) {
  while (length > 0) {
    iovec local{reinterpret_cast<void*>(to), length};
    iovec remote{reinterpret_cast<void*>(from), length};
    const auto count = static_cast<uint64_t>(check_pid(process_vm_readv(pid.value, &local, 1, &remote, 1, 0), "process_vm_readv", pid));
    if (count == 0) throw SysError{EIO, "process_vm_readv"};
    from += count;
    to += count;
    length -= count;
  }
}

namespace {

/** Hands out pieces of the ranges, small enough that two threads end at about the same time. */
class Pieces {
 public:
  explicit Pieces(const MemoryRanges& ranges) : ranges_(ranges) {}

  struct Piece {
    uint64_t from, length, offset;
  };

  std::optional<Piece> next() {
    const std::scoped_lock lock(mutex_);
    if (at_ + 2 >= ranges_.size()) return {};
    const uint64_t length = std::min(ranges_[at_ + 1] - done_, most_);
    const Piece piece{ranges_[at_] + done_, length, ranges_[at_ + 2] + done_};
    done_ += length;
    if (done_ == ranges_[at_ + 1]) {
      at_ += 3;
      done_ = 0;
    }
    return piece;
  }

  void stop() {
    const std::scoped_lock lock(mutex_);
    at_ = ranges_.size();
  }

 private:
  static constexpr uint64_t most_ = 1 << 20;
  const MemoryRanges& ranges_;
  std::mutex mutex_;
  size_t at_ = 0;
  uint64_t done_ = 0;
};

}  // namespace

static std::exception_ptr read_pieces(Pid pid, Pieces& pieces, uint64_t to) {
  try {
    while (const auto piece = pieces.next()) read_range(pid, piece->from, piece->length, to + piece->offset);
    return nullptr;
  } catch (...) {
    pieces.stop();
    return std::current_exception();
  }
}

// The other process stands still meanwhile, so two processors copy. More would wait for each other in the page allocator and the memory bus.
void read_process(Pid pid, const MemoryRanges& ranges, uint64_t to) {
  Pieces pieces(ranges);
  std::exception_ptr beside;
  std::thread helper([&] { beside = read_pieces(pid, pieces, to); });
  const std::exception_ptr own = read_pieces(pid, pieces, to);
  helper.join();
  if (own) std::rethrow_exception(own);
  if (beside) std::rethrow_exception(beside);
}

}  // namespace thaw
