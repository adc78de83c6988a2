#include "process/raw_call.hpp"

#include <unistd.h>

#include <algorithm>

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

}  // namespace thaw
