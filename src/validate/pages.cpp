#include "validate/pages.hpp"

#include <sys/mman.h>

namespace tokenstore::validate {

namespace {
constexpr std::size_t huge_page = std::size_t{2} << 20;
}

Pages::Pages(std::size_t bytes) noexcept : bytes_(bytes) {
  if (bytes == 0) return;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    bytes_ = 0;
    return;
  }
  // A probe at random costs a page-table walk for every small page; a hint, so its failure is none.
  if (bytes >= huge_page) static_cast<void>(madvise(mapped, bytes, MADV_HUGEPAGE));
  // What a token's use looks like does not belong in a core file.
  static_cast<void>(madvise(mapped, bytes, MADV_DONTDUMP));
  words_ = static_cast<std::atomic<std::uint64_t>*>(mapped);
}

Pages::~Pages() {
  if (words_ != nullptr) munmap(words_, bytes_);
}

void Pages::discard(std::size_t offset, std::size_t size) noexcept {
  constexpr std::size_t page = 4096;
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = offset + size == bytes_ ? bytes_ : (offset + size) / page * page;
  if (words_ == nullptr || end <= begin) return;
  static_cast<void>(madvise(reinterpret_cast<char*>(words_) + begin, end - begin, MADV_DONTNEED));
}

}  // namespace tokenstore::validate
