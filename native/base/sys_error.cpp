#include "base/sys_error.hpp"

#include <cstring>

namespace thaw {

static const char* find_name(int err) {
  switch (err) {  // The kernel's own, which only a tracer sees: include/linux/errno.h.
    case 512: return "ERESTARTSYS";
    case 513: return "ERESTARTNOINTR";
    case 514: return "ERESTARTNOHAND";
    case 516: return "ERESTART_RESTARTBLOCK";
    case 524: return "ENOTSUPP";
  }
  return strerrorname_np(err);
}

bool has_errno_name(int err) { return find_name(err) != nullptr; }

std::string errno_name(int err) {
  if (const char* name = find_name(err)) return name;
  return std::string("E").append(std::to_string(err));
}

std::string SysError::message() const {
  std::string text = syscall;
  if (pid) text += " of " + std::to_string(*pid);
  if (!path.empty()) text += " '" + path + "'";
  const char* description = strerrordesc_np(err);
  return text + ": " + errno_name(err) + ", " + (description != nullptr ? description : "Unknown error");
}

}  // namespace thaw
