#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "tokenstore/status.hpp"

namespace tokenstore {
namespace {

/// Knows whether it has been destroyed, so that a test sees it without reading what is gone.
class Watched {
 public:
  explicit Watched(bool& alive) : alive_(&alive) { *alive_ = true; }
  Watched(Watched&& from) noexcept : alive_(std::exchange(from.alive_, nullptr)) {}
  Watched& operator=(Watched&&) = delete;
  ~Watched() {
    if (alive_ != nullptr) *alive_ = false;
  }

  const int* begin() const noexcept { return &one_; }
  const int* end() const noexcept { return &one_ + 1; }

 private:
  bool* alive_;
  int one_ = 1;
};

Result<Watched> watched(bool& alive) {
  return Watched(alive);
}

Result<std::unique_ptr<int>> made(int number) {
  return std::make_unique<int>(number);
}

Result<int> failed() {
  return Error(Status::refused, "no");
}

TEST_CASE("what a temporary result held lives on behind a reference or in a loop") {
  bool alive = false;
  SECTION("bound to a reference") {
    const auto& value = watched(alive).value();
    CHECK(alive);
    CHECK(*value.begin() == 1);
  }
  SECTION("bound to a reference by *") {
    const auto& value = *watched(alive);
    CHECK(alive);
    CHECK(*value.begin() == 1);
  }
  SECTION("walked over") {
    int rounds = 0;
    for (const int one : watched(alive).value()) {
      CHECK(alive);
      rounds += one;
    }
    CHECK(rounds == 1);
  }
  CHECK_FALSE(alive);
}

TEST_CASE("a result that stays hands out references, and one that is moved from its value") {
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<Result<int>&>().value()), int&>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<const Result<int>&>()), const int&>);
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<Result<int>>().value()), int>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<Result<int>>()), int>);

  Result<std::string> kept(std::string("kept"));
  kept.value() += "!";
  CHECK(*kept == "kept!");
}

TEST_CASE("a value that can only be moved comes out of a result") {
  CHECK(*made(1).value() == 1);
  CHECK(**made(2) == 2);
  auto kept = made(3);
  const std::unique_ptr<int> out = *std::move(kept);
  CHECK(*out == 3);
}

TEST_CASE("asking a result for what it does not hold throws") {
  Result<int> bad = failed();
  const Result<int> also_bad = failed();
  CHECK_THROWS_AS(bad.value(), std::bad_variant_access);
  CHECK_THROWS_AS(*also_bad, std::bad_variant_access);
  CHECK_THROWS_AS(failed().value(), std::bad_variant_access);
  CHECK_THROWS_AS(*failed(), std::bad_variant_access);
  CHECK_THROWS_AS(Result<int>(1).error(), std::bad_variant_access);
  CHECK_THROWS_AS(Result<void>().error(), std::bad_optional_access);
  CHECK(bad.error().message() == "no");
}

}  // namespace
}  // namespace tokenstore
