// Sockets with raw addresses, in this network namespace and in others.
#pragma once

#include <optional>

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "descriptor/descriptor.hpp"

namespace thaw {

UniqueFd make_socket(int domain, int type, int protocol);
FdPair make_socketpair(int domain, int type, int protocol);
/** A socket of the network namespace of `namespace_fd`; the caller stays where it is. */
UniqueFd make_socket_in_namespace(int namespace_fd, int domain, int type, int protocol);

void connect_socket(int fd, ByteView address);
void bind_socket(int fd, ByteView address);
void listen_socket(int fd, int backlog);
Bytes socket_name(int fd);
/** Empty when not connected. */
std::optional<Bytes> peer_name(int fd);
/** As long as the kernel makes it, at most `length`. */
Bytes get_socket_option(int fd, int level, int option, ByteCount length);
void set_socket_option(int fd, int level, int option, ByteView value);

}  // namespace thaw
