#pragma once
// A value or an Error, for everything that can fail in the ordinary course.

#include <boost/system/result.hpp>
#include <stdexcept>

#include "common/core/error.hpp"

namespace flux {

template <class T = void>
using Result = boost::system::result<T, Error>;

// Found by Result::value() through argument-dependent lookup: calling value()
// on an error is a bug, and the exception carries the sentence.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.one_line());
}

}  // namespace flux
