// Values between JavaScript and C++. FromJs throws BadArgument; nothing is coerced.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "descriptor/descriptor.hpp"
#include "memory/reading.hpp"
#include "memory/transfer.hpp"
#include "trace/state.hpp"

namespace thaw::binding {

struct BadArgument {
  std::string expected;  // "an integer"
};

template <class T>
struct FromJs;

inline int64_t integer_between(const Napi::Value& value, int64_t least, int64_t most, const char* expected) {
  if (!value.IsNumber()) throw BadArgument{expected};
  const double number = value.As<Napi::Number>().DoubleValue();
  if (std::trunc(number) != number || number < static_cast<double>(least) || number > static_cast<double>(most)) throw BadArgument{expected};
  return static_cast<int64_t>(number);
}

constexpr int64_t int32_min = std::numeric_limits<int32_t>::min();
constexpr int64_t int32_max = std::numeric_limits<int32_t>::max();
constexpr int64_t uint32_max = std::numeric_limits<uint32_t>::max();
constexpr int64_t safe_integer_max = (int64_t{1} << 53) - 1;

template <>
struct FromJs<bool> {
  static bool from(const Napi::Value& value) {
    if (!value.IsBoolean()) throw BadArgument{"a boolean"};
    return value.As<Napi::Boolean>().Value();
  }
};

template <>
struct FromJs<int32_t> {
  static int32_t from(const Napi::Value& value) {
    return static_cast<int32_t>(integer_between(value, int32_min, int32_max, "an integer of 32 bits"));
  }
};

/** Negative numbers too: `|` in JavaScript makes them out of flags with bit 31. */
template <>
struct FromJs<uint32_t> {
  static uint32_t from(const Napi::Value& value) {
    return static_cast<uint32_t>(integer_between(value, int32_min, uint32_max, "an integer of 32 bits"));
  }
};

template <>
struct FromJs<Integer> {
  static Integer from(const Napi::Value& value) { return {integer_between(value, -safe_integer_max, safe_integer_max, "an integer")}; }
};

template <>
struct FromJs<ByteCount> {
  static ByteCount from(const Napi::Value& value) {
    return {static_cast<size_t>(integer_between(value, 0, safe_integer_max, "a number of bytes"))};
  }
};

template <>
struct FromJs<Pid> {
  static Pid from(const Napi::Value& value) { return {static_cast<pid_t>(integer_between(value, 1, int32_max, "a process or thread id"))}; }
};

template <>
struct FromJs<uint64_t> {
  static uint64_t from(const Napi::Value& value) {
    bool lossless = false;
    const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    if (!lossless) throw BadArgument{"a bigint from 0 to 2^64-1"};
    return number;
  }
};

template <>
struct FromJs<std::string> {
  static std::string from(const Napi::Value& value) {
    if (!value.IsString()) throw BadArgument{"a string"};
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.find('\0') != std::string::npos) throw BadArgument{"a string without null bytes"};
    return text;
  }
};

template <>
struct FromJs<std::shared_ptr<Reading>> {
  static std::shared_ptr<Reading> from(const Napi::Value& value) {
    if (!value.IsExternal()) throw BadArgument{"what startReading returned"};
    return *value.As<Napi::External<std::shared_ptr<Reading>>>().Data();
  }
};

template <>
struct FromJs<std::span<uint8_t>> {
  static std::span<uint8_t> from(const Napi::Value& value) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) throw BadArgument{"a Uint8Array"};
    auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
  }
};

template <>
struct FromJs<ByteView> {
  static ByteView from(const Napi::Value& value) { return FromJs<std::span<uint8_t>>::from(value); }
};

template <>
struct FromJs<Registers> {
  static Registers from(const Napi::Value& value) {
    Registers registers;
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array ||
        value.As<Napi::TypedArray>().ElementLength() != registers.size()) {
      throw BadArgument{"a BigUint64Array of " + std::to_string(registers.size())};
    }
    std::memcpy(registers.data(), value.As<Napi::BigUint64Array>().Data(), sizeof registers);
    return registers;
  }
};

template <>
struct FromJs<MemoryRanges> {
  static MemoryRanges from(const Napi::Value& value) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array) throw BadArgument{"a BigUint64Array"};
    auto array = value.As<Napi::BigUint64Array>();
    return {array.Data(), array.Data() + array.ElementLength()};
  }
};

/** An argument of a raw system call: an integer, or the address of an array, which the caller's list keeps alive. */
template <>
struct FromJs<int64_t> {
  static int64_t from(const Napi::Value& value) {
    if (value.IsNumber()) return integer_between(value, -safe_integer_max, safe_integer_max, "an integer");
    bool lossless = false;
    if (value.IsBigInt()) return static_cast<int64_t>(value.As<Napi::BigInt>().Uint64Value(&lossless));
    if (value.IsTypedArray()) return reinterpret_cast<int64_t>(FromJs<std::span<uint8_t>>::from(value).data());
    throw BadArgument{"an integer or a Uint8Array"};
  }
};

template <class T>
struct FromJs<std::optional<T>> {
  static std::optional<T> from(const Napi::Value& value) {
    if (value.IsUndefined()) return std::nullopt;
    return FromJs<T>::from(value);
  }
};

template <class T>
struct FromJs<std::vector<T>> {
  static std::vector<T> from(const Napi::Value& value) {
    if (!value.IsArray()) throw BadArgument{"an array"};
    const auto array = value.As<Napi::Array>();
    std::vector<T> items;
    for (uint32_t i = 0; i < array.Length(); i++) items.push_back(FromJs<T>::from(array.Get(i)));
    return items;
  }
};

inline Napi::Value to_js(Napi::Env env, int32_t value) { return Napi::Number::New(env, value); }
inline Napi::Value to_js(Napi::Env env, uint32_t value) { return Napi::Number::New(env, value); }
inline Napi::Value to_js(Napi::Env env, Integer value) { return Napi::Number::New(env, static_cast<double>(value.value)); }
inline Napi::Value to_js(Napi::Env env, Pid value) { return Napi::Number::New(env, value.value); }
inline Napi::Value to_js(Napi::Env env, uint64_t value) { return Napi::BigInt::New(env, value); }
inline Napi::Value to_js(Napi::Env env, int64_t value) { return Napi::BigInt::New(env, value); }
inline Napi::Value to_js(Napi::Env env, std::shared_ptr<Reading>&& reading) {
  return Napi::External<std::shared_ptr<Reading>>::New(
      env, new std::shared_ptr<Reading>(std::move(reading)), [](Napi::Env, std::shared_ptr<Reading>* held) { delete held; });
}
inline Napi::Value to_js(Napi::Env env, UniqueFd&& fd) { return Napi::Number::New(env, fd.release()); }

inline Napi::Value to_js(Napi::Env env, const Bytes& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

inline Napi::Value to_js(Napi::Env env, std::span<const uint64_t> words) {
  auto array = Napi::BigUint64Array::New(env, words.size());
  if (!words.empty()) std::memcpy(array.Data(), words.data(), words.size_bytes());
  return array;
}
inline Napi::Value to_js(Napi::Env env, const std::vector<uint64_t>& words) { return to_js(env, std::span(words)); }
inline Napi::Value to_js(Napi::Env env, const Registers& registers) { return to_js(env, std::span<const uint64_t>(registers)); }

template <class T>
Napi::Value list_to_js(Napi::Env env, std::vector<T>&& items) {
  auto array = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); i++) array.Set(i, to_js(env, std::move(items[i])));
  return array;
}
inline Napi::Value to_js(Napi::Env env, std::vector<Bytes>&& items) { return list_to_js(env, std::move(items)); }
inline Napi::Value to_js(Napi::Env env, std::vector<UniqueFd>&& items) { return list_to_js(env, std::move(items)); }

inline Napi::Value to_js(Napi::Env env, FdPair&& pair) {
  auto array = Napi::Array::New(env, 2);
  array.Set(0u, to_js(env, std::move(pair.first)));
  array.Set(1u, to_js(env, std::move(pair.second)));
  return array;
}

}  // namespace thaw::binding
