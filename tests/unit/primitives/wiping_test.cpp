// Secrets are wiped: in memory that is given back, and on the stack.
//
// This program's operator delete looks into every block before it frees it.
#include <malloc.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "base/base62.hpp"
#include "base/wipe.hpp"
#include "seal/sealer.hpp"
#include "support/canary.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "text/token_text.hpp"

namespace {

/// Text that no freed block may hold a piece of; in static memory, so that the test frees none itself.
struct Watched {
  std::array<char, 128> text{};
  std::size_t size = 0;
  std::string_view view() const noexcept { return {text.data(), size}; }
  void set(std::string_view value) noexcept { size = value.copy(text.data(), text.size()); }
};
std::array<Watched, 2> watched;
std::atomic<bool> armed{false};
std::atomic<int> found{0};

void inspect(void* block) noexcept {
  if (block == nullptr || !armed.load(std::memory_order_relaxed)) return;
  const std::string_view content(static_cast<const char*>(block), malloc_usable_size(block));
  for (const Watched& one : watched) {
    if (tokenstore::test::leaks(content, one.view())) ++found;
  }
}

void* allocate(std::size_t size) {
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) {
  return allocate(size);
}
void* operator new[](std::size_t size) {
  return allocate(size);
}
// Catch2 uses these two, and AddressSanitizer wants each block freed by the family that made it.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* block) noexcept {
  inspect(block);
  std::free(block);
}
void operator delete[](void* block) noexcept {
  operator delete(block);
}
void operator delete(void* block, std::size_t) noexcept {
  operator delete(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  operator delete(block);
}

namespace tokenstore {
namespace {

/// Counts the freed blocks that held a piece of what is watched, while `work` ran.
template <typename Work>
int freed_with_pieces(Work work) {
  found = 0;
  armed = true;
  work();
  armed = false;
  return found;
}

void make_and_use_token(const seal::Sealer& sealer) {
  test::SeededRandom random(21);
  const SecretText secret = text::make_secret(random);
  std::string tagged = text::compose_tagged("pat", "0A", "0KMwCWK70rqyqvwn", secret.reveal());
  const auto tag = sealer.make_tag(tagged);
  const SecretText text = text::compose(std::move(tagged), std::string_view(tag.data(), tag.size()));
  const auto parsed = text::parse(text.reveal(), "pat");
  if (!parsed || !sealer.tag_matches(*parsed)) throw std::bad_alloc();
  const Bytes32 verifier = sealer.make_verifier("default", parsed->handle, parsed->secret);
  if (!sealer.verifier_matches("default", *parsed, verifier)) throw std::bad_alloc();
}

std::unique_ptr<seal::Sealer> some_sealer() {
  test::SeededRandom random(22);
  return std::move(seal::Sealer::create(std::move(Keyring::generate(random)).value())).value();
}

void watch_token_secret() {
  test::SeededRandom random(21);
  const SecretText secret = text::make_secret(random);
  watched[0].set(secret.reveal());
  watched[1].size = 0;
}

TEST_CASE("the detector sees a secret that is freed unwiped") {
  watch_token_secret();
  REQUIRE(freed_with_pieces([] { std::string copy(watched[0].view()); }) == 1);
  REQUIRE(freed_with_pieces([] { std::string copy("nothing of interest in here, though it is long"); }) == 0);
}

TEST_CASE("making and checking a token leaves nothing of its secret in freed memory") {
  const auto sealer = some_sealer();
  watch_token_secret();
  REQUIRE(freed_with_pieces([&] { make_and_use_token(*sealer); }) == 0);
}

TEST_CASE("making, writing, reading and using a keyring leaves nothing of a key in freed memory") {
  test::TempDirectory directory;
  test::SeededRandom first(23);
  {
    const Keyring keyring = std::move(Keyring::generate(first)).value();
    const SecretText text = keyring.reveal_text();
    watched[0].set(keyring.keys()[0].master.reveal());
    watched[1].set(text.reveal().substr(text.size() - 65, 64));
  }
  REQUIRE(freed_with_pieces([&] {
            test::SeededRandom random(23);
            Keyring keyring = std::move(Keyring::generate(random)).value();
            if (!keyring.write_new_file(directory.file("k")).ok()) throw std::bad_alloc();
            const Keyring read = std::move(Keyring::from_file(directory.file("k"))).value();
            const SecretText text = read.reveal_text();
            if (!Keyring::from_text(text.reveal()).ok() || Keyring::from_text(text.reveal().substr(0, 90)).ok()) {
              throw std::bad_alloc();
            }
            if (!seal::Sealer::create(std::move(keyring)).ok()) throw std::bad_alloc();
          }) == 0);
}

TEST_CASE("a key file that cannot be read on leaves nothing of a key in freed memory") {
  test::SeededRandom random(25);
  const Keyring keyring = std::move(Keyring::generate(random)).value();
  const SecretText text = keyring.reveal_text();
  watched[0].set(text.reveal().substr(text.size() - 65, 64));
  watched[1].size = 0;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  REQUIRE(::write(ends[1], text.reveal().data(), text.size()) == static_cast<ssize_t>(text.size()));
  // Who closes it without having read this breaks off what they sent.
  REQUIRE(::write(ends[0], "?", 1) == 1);
  ::close(ends[1]);
  KeyFileTrust handed_over;
  handed_over.inherited_descriptor = true;
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  std::string message;
  REQUIRE(freed_with_pieces([&] { message = Keyring::from_file(name, handed_over).error().message(); }) == 0);
  CHECK(message.find("cannot be read: Connection reset by peer") != std::string::npos);
  ::close(ends[0]);
}

TEST_CASE("moving a secret leaves the source empty, and replacing one wipes the old") {
  watch_token_secret();
  REQUIRE(freed_with_pieces([] {
            SecretText one(watched[0].view());
            SecretText two(std::move(one));
            SecretText three("another text that is not watched at all");
            three = std::move(two);
            if (!one.empty() || !two.empty() || three.size() != 43) throw std::bad_alloc();
            SecretText& same = three;
            three = std::move(same);
            if (three.size() != 43) throw std::bad_alloc();
            three = SecretText();
          }) == 0);
}

TEST_CASE("wiping a string wipes all that it ever held") {
  watch_token_secret();
  std::string text(watched[0].view());
  const char* memory = text.data();
  const std::size_t size = text.size();
  text.resize(3);
  base::wipe(text);
  REQUIRE(text.empty());
  REQUIRE(text.data() == memory);
  REQUIRE(std::string(text.capacity(), '\0').substr(0, size) == std::string(memory, size));
}

TEST_CASE("wiped bytes are wiped when they die") {
  alignas(base::WipedBytes<32>) unsigned char place[sizeof(base::WipedBytes<32>)];
  auto* bytes = new (place) base::WipedBytes<32>;
  std::memset(bytes->data(), 0xA5, bytes->size());
  bytes->~WipedBytes();
  for (const unsigned char octet : place) REQUIRE(octet == 0);
}

TEST_CASE("comparing in constant time is comparing") {
  Bytes32 one{};
  Bytes32 two{};
  REQUIRE(base::equal_constant_time(one, two));
  for (std::size_t i = 0; i < two.size(); ++i) {
    two[i] = 1;
    REQUIRE_FALSE(base::equal_constant_time(one, two));
    two[i] = 0;
  }
  REQUIRE_FALSE(base::equal_constant_time(one, std::span<const std::uint8_t>(two).first(31)));
  REQUIRE(base::equal_constant_time({}, {}));
}

#ifndef __SANITIZE_ADDRESS__  // which keeps locals somewhere else
/// Runs `work(argument)` on a stack of our own, that can be looked at afterwards.
class OwnStack {
 public:
  using Work = void* (*)(void*);

  bool holds_pieces_after(Work work, void* argument) {
    // Twice: the first call of a function in a shared library saves the registers on the stack.
    run(work, argument);
    std::memset(memory_, 0, sizeof(memory_));
    run(work, argument);
    return test::leaks(std::string_view(reinterpret_cast<const char*>(memory_), sizeof(memory_)), watched[0].view());
  }

 private:
  void run(Work work, void* argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstack(&attributes, memory_, sizeof(memory_)) == 0);
    REQUIRE(pthread_create(&thread, &attributes, work, argument) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    pthread_attr_destroy(&attributes);
  }

  alignas(4096) unsigned char memory_[512 * 1024] = {};
};

/// Leaves what is watched on the stack.
void* careless(void*) {
  volatile char copy[64];
  for (std::size_t i = 0; i < watched[0].size; ++i) copy[i] = watched[0].text[i];
  (void)copy[0];
  return nullptr;
}

/// What checking one token against what is stored computes: the right answers, of which nothing may stay behind.
struct Checking {
  std::unique_ptr<seal::Sealer> sealer = some_sealer();
  std::string text;
  Bytes32 verifier{};
  seal::Place place;
  TokenRecord record;

  Checking() {
    test::SeededRandom random(24);
    const SecretText secret = text::make_secret(random);
    std::string tagged = text::compose_tagged("pat", "0A", "0KMwCWK70rqyqvwn", secret.reveal());
    const auto tag = sealer->make_tag(tagged);
    text = text::compose(std::move(tagged), std::string_view(tag.data(), tag.size())).reveal();
    const auto parsed = text::parse(text, "pat");
    verifier = sealer->make_verifier("default", parsed->handle, parsed->secret);
    record.id = parsed->id;
    record.metadata.assign(1000, 'm');  // longer than what is gathered before it is hashed
    sealer->seal(place, record);
  }
  std::string_view tag() const { return std::string_view(text).substr(text.size() - 14, 8); }
};

TEST_CASE("checking what is wrong leaves nothing of the right tag, verifier or seal on the stack") {
  static OwnStack stack;
  static Checking checking;
  const auto octets = [](const Bytes32& bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  watched[1].size = 0;
  watched[0].set(checking.tag());
  static const std::string forged = checking.text.substr(0, checking.text.size() - 14) + "00000000000000";
  static text::ParsedToken parsed = *text::parse(checking.text, "pat");
  parsed.tag = std::string_view(forged).substr(forged.size() - 14, 8);
  REQUIRE_FALSE(stack.holds_pieces_after(
      [](void*) -> void* { return checking.sealer->tag_matches(parsed) ? &checking : nullptr; }, nullptr));
  watched[0].set(octets(checking.verifier));
  static const Bytes32 wrong{};
  REQUIRE_FALSE(stack.holds_pieces_after(
      [](void*) -> void* { return checking.sealer->verifier_matches("default", parsed, wrong) ? &checking : nullptr; },
      nullptr));
  watched[0].set(octets(checking.record.seal));
  checking.record.seal = {};
  REQUIRE_FALSE(stack.holds_pieces_after(
      [](void*) -> void* { return checking.sealer->is_genuine(checking.place, checking.record) ? &checking : nullptr; },
      nullptr));
}

/// All of the MAC that a tag is made of: what the library computes, by libsodium alone.
Bytes32 whole_mac(std::string_view tagged) {
  test::SeededRandom random(22);
  const Keyring keyring = std::move(Keyring::generate(random)).value();
  const auto mac = [](std::string_view key, std::string_view text) {
    crypto_auth_hmacsha256_state state;
    Bytes32 out;
    crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
    crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    crypto_auth_hmacsha256_final(&state, out.data());
    return out;
  };
  const Bytes32 sub_key = mac(keyring.keys()[0].master.reveal(), "tokenstore/1/tag\x01");
  return mac({reinterpret_cast<const char*>(sub_key.data()), sub_key.size()}, tagged);
}

TEST_CASE("making a tag leaves nothing of the MAC that it is a part of on the stack") {
  static OwnStack stack;
  static const auto sealer = some_sealer();
  static const std::string tagged = "pat_10A0KMwCWK70rqyqvwn";
  static Bytes32 whole = whole_mac(tagged);
  // It is the right one: the tag follows from it.
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | whole[i];
  std::array<char, text::tag_size> digits;
  base::base62_encode(number % base::uint128{218'340'105'584'896}, digits);
  REQUIRE(sealer->make_tag(tagged) == digits);
  watched[0].set({reinterpret_cast<const char*>(whole.data()), whole.size()});
  watched[1].size = 0;
  REQUIRE(stack.holds_pieces_after(&careless, nullptr));
  REQUIRE_FALSE(stack.holds_pieces_after(
      [](void*) -> void* { return sealer->make_tag(tagged).empty() ? nullptr : &whole; }, nullptr));
}

TEST_CASE("making and checking a token leaves nothing of its secret on the stack") {
  static OwnStack stack;
  auto sealer = some_sealer();
  watch_token_secret();
  REQUIRE(stack.holds_pieces_after(&careless, nullptr));
  const auto careful = [](void* argument) -> void* {
    make_and_use_token(*static_cast<const seal::Sealer*>(argument));
    return nullptr;
  };
  REQUIRE_FALSE(stack.holds_pieces_after(careful, sealer.get()));
}
#endif

}  // namespace
}  // namespace tokenstore
