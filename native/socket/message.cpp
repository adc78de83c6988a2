#include "socket/message.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace thaw {

/** Room for messages that come unasked beside the descriptors: credentials, timestamps, security labels. */
constexpr size_t other_control_bytes = 512;
/** The kernel's limit of descriptors in one message (net/scm.h). */
constexpr uint32_t scm_max_fd = 253;

static msghdr message_header(iovec& data, Bytes& control) {
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.empty() ? nullptr : control.data();
  header.msg_controllen = control.size();
  return header;
}

static Bytes rights_control(const std::vector<int>& descriptors) {
  if (descriptors.empty()) return {};
  const size_t size = descriptors.size() * sizeof(int);
  Bytes control(CMSG_SPACE(size));
  auto* rights = reinterpret_cast<cmsghdr*>(control.data());
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  return control;
}

void send_message(int socket, ByteView bytes, const std::vector<int>& descriptors, int flags) {
  Bytes control = rights_control(descriptors);
  size_t done = 0;
  do {
    iovec data{const_cast<uint8_t*>(bytes.data()) + done, bytes.size() - done};
    const msghdr header = message_header(data, control);
    done += static_cast<size_t>(check(uninterrupted([&] { return sendmsg(socket, &header, flags | MSG_NOSIGNAL); }), "sendmsg"));
    control.clear();
  } while (done < bytes.size());
}

static std::vector<UniqueFd> take_descriptors(msghdr& header) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::vector<int> numbers(count);
    std::memcpy(numbers.data(), CMSG_DATA(item), count * sizeof(int));
    for (int number : numbers) descriptors.emplace_back(number);
  }
  return descriptors;
}

static Bytes credentials_in(msghdr& header) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_CREDENTIALS) continue;
    const uint8_t* data = CMSG_DATA(item);
    return {data, data + sizeof(ucred)};
  }
  return {};
}

std::optional<Message> receive_by(const std::function<ssize_t(msghdr&)>& receive, ByteCount max_bytes, uint32_t max_descriptors) {
  Message message{Bytes(max_bytes.value), {}, Bytes(sizeof(sockaddr_storage)), {}};
  max_descriptors = std::min(max_descriptors, scm_max_fd);
  Bytes control(CMSG_SPACE(max_descriptors * sizeof(int)) + other_control_bytes);
  iovec data{message.bytes.data(), message.bytes.size()};
  msghdr header = message_header(data, control);
  header.msg_name = message.sender.data();
  header.msg_namelen = static_cast<socklen_t>(message.sender.size());
  const ssize_t count = receive(header);
  if (count < 0 && errno == EAGAIN) return std::nullopt;
  check(count, "recvmsg");
  message.descriptors = take_descriptors(header);
  message.credentials = credentials_in(header);
  const bool too_many = message.descriptors.size() > max_descriptors;
  if (too_many || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) throw SysError{EMSGSIZE, "recvmsg"};
  message.sender.resize(std::min<size_t>(header.msg_namelen, message.sender.size()));
  message.bytes.resize(std::min<size_t>(static_cast<size_t>(count), message.bytes.size()));
  return message;
}

std::optional<Message> receive_message(int socket, ByteCount max_bytes, uint32_t max_descriptors, int flags) {
  const auto receive = [&](msghdr& header) { return uninterrupted([&] { return recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC); }); };
  return receive_by(receive, max_bytes, max_descriptors);
}

}  // namespace thaw
