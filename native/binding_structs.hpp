// Structures of the engine as JavaScript objects, in the shapes of index.ts.
#pragma once

#include <initializer_list>

#include "binding_convert.hpp"
#include "descriptor/file_status.hpp"
#include "memory/pagemap.hpp"
#include "process/process.hpp"
#include "process/spawn.hpp"
#include "socket/message.hpp"
#include "socket/tcp_repair.hpp"
#include "tables/tables.hpp"
#include "trace/wait_status.hpp"

namespace thaw::binding {

struct Property {
  const char* name;
  Napi::Value value;
};

inline Napi::Value object(Napi::Env env, std::initializer_list<Property> properties) {
  auto result = Napi::Object::New(env);
  for (const Property& property : properties) result.Set(property.name, property.value);
  return result;
}

inline Napi::Value to_js(Napi::Env env, const WaitStatus& status) {
  const auto kind = [&](const char* name) { return Napi::String::New(env, name); };
  if (const auto* exited = std::get_if<Exited>(&status)) return object(env, {{"kind", kind("exited")}, {"code", to_js(env, exited->code)}});
  if (const auto* killed = std::get_if<Killed>(&status)) return object(env, {{"kind", kind("killed")}, {"signal", to_js(env, killed->signal)}});
  const auto& stopped = std::get<Stopped>(status);
  return object(env, {{"kind", kind("stopped")}, {"signal", to_js(env, stopped.signal)}, {"event", to_js(env, stopped.event)}});
}

inline Napi::Value to_js(Napi::Env env, const RseqConfiguration& rseq) {
  return object(env, {{"pointer", to_js(env, rseq.pointer)},
                      {"sizeBytes", to_js(env, rseq.size_bytes)},
                      {"signature", to_js(env, rseq.signature)},
                      {"flags", to_js(env, rseq.flags)}});
}

inline Napi::Value to_js(Napi::Env env, const FileStatus& status) {
  return object(env, {{"device", to_js(env, status.device)},
                      {"inode", to_js(env, status.inode)},
                      {"mode", to_js(env, status.mode)},
                      {"rdev", to_js(env, status.rdev)},
                      {"links", to_js(env, status.links)},
                      {"sizeBytes", to_js(env, status.size_bytes)},
                      {"uid", to_js(env, status.uid)},
                      {"gid", to_js(env, status.gid)}});
}

inline Napi::Value to_js(Napi::Env env, const TaskReadings& readings) {
  return object(env, {{"policy", to_js(env, readings.policy)},
                      {"priority", to_js(env, readings.priority)},
                      {"nice", to_js(env, readings.nice)},
                      {"ioPriority", to_js(env, readings.io_priority)},
                      {"affinity", to_js(env, readings.affinity)}});
}

inline Napi::Value to_js(Napi::Env env, const RobustList& list) {
  return object(env, {{"head", to_js(env, list.head)}, {"length", to_js(env, list.length)}});
}

inline Napi::Value to_js(Napi::Env env, Message&& message) {
  return object(env, {{"bytes", to_js(env, message.bytes)},
                      {"descriptors", to_js(env, std::move(message.descriptors))},
                      {"sender", to_js(env, message.sender)},
                      {"credentials", to_js(env, message.credentials)}});
}

inline Napi::Value to_js(Napi::Env env, TcpState&& state) {
  return object(env, {{"sendSequence", to_js(env, state.send_sequence)},
                      {"receiveSequence", to_js(env, state.receive_sequence)},
                      {"timestamp", to_js(env, state.timestamp)},
                      {"largestSegment", to_js(env, state.largest_segment)},
                      {"window", to_js(env, state.window)},
                      {"sent", to_js(env, state.sent)},
                      {"received", to_js(env, state.received)}});
}

inline Napi::Value to_js(Napi::Env env, Spawned&& spawned) {
  return object(env, {{"pid", to_js(env, spawned.pid)}, {"pidfd", to_js(env, std::move(spawned.pidfd))}});
}

inline Napi::Value to_js(Napi::Env env, std::span<const NamedNumber> numbers) {
  auto result = Napi::Object::New(env);
  for (const NamedNumber& number : numbers) result.Set(number.name, Napi::Number::New(env, static_cast<double>(number.value)));
  return result;
}

template <>
struct FromJs<SignalQueue> {
  static SignalQueue from(const Napi::Value& value) {
    const std::string name = FromJs<std::string>::from(value);
    if (name == "thread") return SignalQueue::thread;
    if (name == "process") return SignalQueue::process;
    throw BadArgument{"'thread' or 'process'"};
  }
};

/** Fields required, as in index.ts. */
template <>
struct FromJs<PagemapQuery> {
  static PagemapQuery from(const Napi::Value& value) {
    if (!value.IsObject()) throw BadArgument{"an object"};
    const auto query = value.As<Napi::Object>();
    const auto mask = [&](const char* name) { return FromJs<uint64_t>::from(query.Get(name)); };
    return {mask("inverted"), mask("required"), mask("anyOf"), mask("returned")};
  }
};

}  // namespace thaw::binding
