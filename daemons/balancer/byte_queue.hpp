#pragma once
// Bytes waiting for a socket. Holds memory only while it holds bytes, so that an
// idle connection costs its object and nothing else.

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace flux::balancer {

class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { std::free(data_); }

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  char* data() { return data_ + begin_; }
  std::string_view view() const { return {data_ + begin_, size()}; }

  void append(const char* bytes, std::size_t n) {
    if (n == 0) return;
    std::memcpy(reserve(n), bytes, n);
    end_ += n;
  }
  void append(std::string_view bytes) { append(bytes.data(), bytes.size()); }

  // Moves everything to `out`, which has room. Returns how much it was.
  std::size_t take_all(char* out) {
    const std::size_t n = size();
    if (n != 0) std::memcpy(out, data(), n);
    clear();
    return n;
  }

  void consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_) clear();
  }

  void clear() {
    std::free(data_);
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }

 private:
  // Room for n more bytes at the end.
  char* reserve(std::size_t n) {
    if (capacity_ - end_ < n) {
      const std::size_t kept = size();
      std::size_t capacity = 256;
      while (capacity < kept + n) capacity *= 2;
      char* grown = static_cast<char*>(std::malloc(capacity));
      if (grown == nullptr) throw std::bad_alloc();
      if (kept != 0) std::memcpy(grown, data_ + begin_, kept);
      std::free(data_);
      data_ = grown;
      capacity_ = capacity;
      begin_ = 0;
      end_ = kept;
    }
    return data_ + end_;
  }

  char* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace flux::balancer
