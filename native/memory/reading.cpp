#include "memory/reading.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/sys_error.hpp"

namespace thaw {

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

/** Hands out pieces of the ranges, small enough that both threads end at about the same time. */
class Pieces {
 public:
  explicit Pieces(MemoryRanges ranges) : ranges_(std::move(ranges)) {}

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
  const MemoryRanges ranges_;
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

// One thread beside the caller's: more would wait for each other in the page allocator and the memory bus.
class Reading {
 public:
  Reading(Pid pid, MemoryRanges ranges, uint64_t to)
      : pid_(pid), to_(to), pieces_(std::move(ranges)), helper_([this] { beside_ = read_pieces(pid_, pieces_, to_); }) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() {
    pieces_.stop();
    join();
  }

  void finish() {
    const std::exception_ptr own = read_pieces(pid_, pieces_, to_);
    join();
    if (own) std::rethrow_exception(own);
    if (beside_) std::rethrow_exception(std::exchange(beside_, nullptr));
  }

 private:
  void join() {
    if (helper_.joinable()) helper_.join();
  }

  const Pid pid_;
  const uint64_t to_;
  Pieces pieces_;
  std::exception_ptr beside_;
  std::thread helper_;
};

std::shared_ptr<Reading> start_reading(Pid pid, const MemoryRanges& ranges, uint64_t to) {
  return std::make_shared<Reading>(pid, ranges, to);
}

void finish_reading(const std::shared_ptr<Reading>& reading) { reading->finish(); }

}  // namespace thaw
