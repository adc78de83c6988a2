// The owner of a descriptor.
#pragma once

#include <unistd.h>

#include <utility>

#include "base/sys_error.hpp"

namespace thaw {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.release();
    }
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  void reset() noexcept {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  int fd_ = -1;
};

/** Owns what a system call returned, or throws. */
template <class Result>
UniqueFd own(Result result, const char* syscall) {
  return UniqueFd(static_cast<int>(check(result, syscall)));
}

}  // namespace thaw
