#include "tokenstore/secret.hpp"

#include <algorithm>
#include <utility>

#include "base/wipe.hpp"

namespace tokenstore {

SecretText::SecretText(std::string_view text) : size_(text.size()) {
  if (size_ == 0) return;
  data_.reset(new char[size_]);
  std::copy(text.begin(), text.end(), data_.get());
}

SecretText::SecretText(SecretText&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  data_ = std::move(other.data_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

SecretText::~SecretText() {
  wipe();
}

void SecretText::wipe() noexcept {
  if (data_) base::wipe(data_.get(), size_);
}

}  // namespace tokenstore
