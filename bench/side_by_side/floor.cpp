// The floor: what no validator that recognises a text by its SipHash can beat.
#include <sodium.h>
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "lookup.hpp"

namespace bench {

namespace {

struct alignas(64) Slot {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint64_t mark = 0;
};
static_assert(sizeof(Slot) == 64);

/// Direct-mapped: of two tokens with one slot the later keeps it, and the other's probe costs the same.
class Floor final : public LookUp {
 public:
  Floor(const Population& population, Pages pages) : count_(population.tokens) {
    crypto_shorthash_keygen(key_);
    bytes_ = count_ * sizeof(Slot);
    memory_ = mmap(nullptr, bytes_ + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) give_up("no memory for the floor's table");
    (void)madvise(memory_, bytes_ + huge_page, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_);
    slots_ = reinterpret_cast<Slot*>((address + huge_page - 1) / huge_page * huge_page);
    for (std::size_t i = 0; i < count_; ++i) new (&slots_[i]) Slot;
    for (std::size_t i = 0; i < count_; ++i) {
      const Slot wanted = print(population.texts[i]);
      slot(wanted) = wanted;
      slot(wanted).mark = population.marks[i];
    }
  }
  ~Floor() override { munmap(memory_, bytes_ + huge_page); }
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      const Slot wanted = print(request.text);
      const Slot& found = slot(wanted);
      if (found.high == wanted.high && found.low == wanted.low) sum += found.mark;
    }
    return sum;
  }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  Slot print(std::string_view text) const noexcept {
    unsigned char out[crypto_shorthash_siphashx24_BYTES];
    crypto_shorthash_siphashx24(out, reinterpret_cast<const unsigned char*>(text.data()), text.size(), key_);
    Slot made;
    std::memcpy(&made.high, out, sizeof made.high);
    std::memcpy(&made.low, out + sizeof made.high, sizeof made.low);
    return made;
  }
  Slot& slot(const Slot& wanted) const noexcept {
    __extension__ using wide = unsigned __int128;
    return slots_[static_cast<std::size_t>(wide{wanted.high} * count_ >> 64)];
  }

  std::size_t count_;
  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
  Slot* slots_ = nullptr;
  unsigned char key_[crypto_shorthash_siphashx24_KEYBYTES];
};

}  // namespace

std::unique_ptr<LookUp> floor_look_up(const Population& population, Pages pages) {
  return std::make_unique<Floor>(population, pages);
}

}  // namespace bench
