#include "process/execute.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

namespace thaw {

void execute(const std::string& file, const std::vector<std::string>& args) {
  std::vector<char*> argv{const_cast<char*>(file.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  // Node marks its standard streams close-on-exec, and ignores SIGPIPE, which would stay ignored.
  for (int fd = 0; fd <= STDERR_FILENO; fd++) fcntl(fd, F_SETFD, 0);
  signal(SIGPIPE, SIG_DFL);
  execve(file.c_str(), argv.data(), environ);
  throw SysError{errno, "execve", file};
}

}  // namespace thaw
