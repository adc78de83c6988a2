// A C++ function as a JavaScript function: arguments checked, the result and what it throws translated.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "binding_structs.hpp"

namespace thaw::binding {

inline Napi::Error to_js_error(Napi::Env env, const SysError& error) {
  auto result = Napi::Error::New(env, error.message());
  result.Set("code", errno_name(error.err));
  result.Set("errno", to_js(env, error.err));
  result.Set("syscall", error.syscall);
  if (error.pid) result.Set("pid", to_js(env, *error.pid));
  if (!error.path.empty()) result.Set("path", error.path);
  return result;
}

inline Napi::Error to_js_error(Napi::Env env, const UnexpectedStop& stop) {
  auto result = Napi::Error::New(env, stop.message());
  result.Set("code", "ERR_UNEXPECTED_STOP");
  result.Set("pid", to_js(env, stop.tid));
  result.Set("status", to_js(env, stop.status));
  return result;
}

inline Napi::Error bad_argument(Napi::Env env, const char* function, size_t index, const BadArgument& bad) {
  const std::string place = std::string(function) + ": argument " + std::to_string(index + 1);
  auto result = Napi::TypeError::New(env, place + " must be " + bad.expected);
  result.Set("code", "ERR_INVALID_ARG_TYPE");
  return result;
}

template <auto function, class Signature = decltype(+function)>
struct Bound;

template <auto function, class Result, class... Arguments>
struct Bound<function, Result (*)(Arguments...)> {
  static Napi::Value call(const Napi::CallbackInfo& info) { return call(info, std::index_sequence_for<Arguments...>{}); }

 private:
  template <class Argument>
  static Argument take(const Napi::CallbackInfo& info, size_t index) {
    try {
      return FromJs<Argument>::from(info[index]);
    } catch (const BadArgument& bad) {
      throw bad_argument(info.Env(), static_cast<const char*>(info.Data()), index, bad);
    }
  }

  template <size_t... indices>
  static Napi::Value call(const Napi::CallbackInfo& info, std::index_sequence<indices...>) {
    const Napi::Env env = info.Env();
    // In braces, so that the first bad argument is the one that is reported.
    std::tuple<std::decay_t<Arguments>...> arguments{take<std::decay_t<Arguments>>(info, indices)...};
    try {
      return translate(env, [&]() -> Result { return function(std::move(std::get<indices>(arguments))...); });
    } catch (const SysError& error) {
      throw to_js_error(env, error);
    } catch (const UnexpectedStop& stop) {
      throw to_js_error(env, stop);
    } catch (const std::bad_alloc&) {
      throw to_js_error(env, SysError{ENOMEM, "malloc"});
    }
  }

  template <class Call>
  static Napi::Value translate(Napi::Env env, Call call) {
    if constexpr (std::is_void_v<Result>) {
      call();
      return env.Undefined();
    } else {
      return result_to_js(env, call());
    }
  }

  template <class T>
  static Napi::Value result_to_js(Napi::Env env, T&& result) {
    return to_js(env, std::forward<T>(result));
  }
  template <class T>
  static Napi::Value result_to_js(Napi::Env env, std::optional<T>&& result) {
    return result ? to_js(env, std::move(*result)) : env.Null();
  }
};

/** Where the functions of the addon are hung. */
class Exports {
 public:
  explicit Exports(Napi::Object object) : object_(object) {}

  /** `name` must live as long as the addon: it is a literal. */
  template <auto function>
  void add(const char* name) {
    object_.Set(name, Napi::Function::New<&Bound<function>::call>(object_.Env(), name, const_cast<char*>(name)));
  }

 private:
  Napi::Object object_;
};

}  // namespace thaw::binding
