// A read-only array that someone else owns: a vector, or a mapped file.
#pragma once

#include <cstddef>
#include <vector>

namespace asr {

template <class T>
class ArrayView {
  public:
    ArrayView() = default;
    ArrayView(const T* data, std::size_t size) : data_(data), size_(size) {}
    explicit ArrayView(const std::vector<T>& owner) : data_(owner.data()), size_(owner.size()) {}

    const T& operator[](std::size_t index) const { return data_[index]; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }
    std::size_t size() const { return size_; }

  private:
    const T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace asr
