#include "process/raw_call.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <system_error>
#include <thread>

#include "base/sys_error.hpp"
#include "tables/tables.hpp"

namespace thaw {

int64_t raw_call(const std::string& name, const std::vector<int64_t>& arguments) {
  const auto numbers = syscall_numbers();
  const auto found = std::find_if(numbers.begin(), numbers.end(), [&](const NamedNumber& entry) { return entry.name == name; });
  int64_t a[6] = {};
  if (found == numbers.end() || arguments.size() > std::size(a)) throw SysError{ENOSYS, name};
  std::copy(arguments.begin(), arguments.end(), a);
  const int64_t result = syscall(static_cast<long>(found->value), a[0], a[1], a[2], a[3], a[4], a[5]);
  if (result < 0) throw SysError{errno, name};
  return result;
}

int64_t raw_call_in_namespace(int namespace_fd, const std::string& name, const std::vector<int64_t>& arguments) {
  // A thread of its own, because a namespace that was entered cannot always be left again.
  std::packaged_task<int64_t()> task([&] {
    if (setns(namespace_fd, 0) < 0) throw SysError{errno, "setns"};
    return raw_call(name, arguments);
  });
  std::future<int64_t> result = task.get_future();
  try {
    std::thread(std::move(task)).join();
  } catch (const std::system_error& error) {
    throw SysError{error.code().value(), "pthread_create"};
  }
  return result.get();
}

}  // namespace thaw
