// When, from where and in what order a backend behind the C functions may answer and call: nothing that was revoked
// or forged is ever valid, nothing crashes and nothing hangs.
#include <atomic>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// The first load of a token reads storage, and answers only when it is let go.
class HeldLoad {
 public:
  explicit HeldLoad(HostileBackend& backend) {
    backend.after = [this](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
      if (entry == Entry::load_token && !held_.exchange(true)) wait_for(let_go_);
      return std::nullopt;
    };
  }
  void wait_until_held() const { wait_for(held_); }
  void let_go() { let_go_ = true; }

 private:
  static void wait_for(const std::atomic<bool>& flag) {
    while (!flag) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::atomic<bool> held_{false};
  std::atomic<bool> let_go_{false};
};

}  // namespace

TEST_CASE("hostile: an answer that is used after the call returned is deaf") {
  HostileHost host;
  const auto token = host.issue();
  tokenstore_answer* kept = nullptr;
  host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry == Entry::load_token) kept = answer;
    return std::nullopt;
  };
  CHECK(host.validate(token.text) == valid);
  REQUIRE(kept != nullptr);
  tokenstore_token_record record{};
  record.struct_size = sizeof record;
  for (int again = 0; again < 3; ++again) {
    CHECK(kept->emit_token(kept, &record) == 0);
    CHECK(kept->emit_number(kept, 1) == 0);
    CHECK(kept->progress(kept, 1, 2) == 0);
    CHECK(kept->fail(kept, TOKENSTORE_UNAVAILABLE, "late", 4) == TOKENSTORE_UNAVAILABLE);
    CHECK(host.validate(token.text) == valid);
  }
}

TEST_CASE("hostile: of an unavailable verdict the host learns, on request, the line that storage gave") {
  struct Why {
    std::string line;
    std::int64_t at = -1;
  };
  const auto ask = [](tokenstore_store* store) {
    Why why;
    tokenstore_error* line = nullptr;
    REQUIRE(tokenstore_why_unavailable(store, &line, &why.at, nullptr) == TOKENSTORE_OK);
    why.line = tokenstore_error_message(line, nullptr);
    tokenstore_error_free(line);
    return why;
  };
  HostileHost host;
  const auto token = host.issue();
  CHECK(host.validate(token.text) == valid);
  CHECK(host.validate("nonsense") != valid);
  CHECK((ask(host.store).line.empty() && ask(host.store).at == 0));

  for (const Entry failing : {Entry::load_token, Entry::load_owner, Entry::load_workspace}) {
    const std::string line = "the disk at place " + std::to_string(static_cast<int>(failing)) + " is on fire";
    host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
      if (entry != failing) return std::nullopt;
      return answer->fail(answer, TOKENSTORE_UNAVAILABLE, line.data(), line.size());
    };
    CHECK(host.validate(token.text) == unavailable);
    std::int64_t now = 0;
    REQUIRE(tokenstore_now(host.store, &now, nullptr) == TOKENSTORE_OK);
    const Why why = ask(host.store);
    CHECK_THAT(why.line, Catch::Contains(line));
    CHECK((why.at > 0 && why.at <= now));
  }
  // It stays to be read when storage is back, and is replaced by the next.
  const std::string last = ask(host.store).line;
  host.backend.before = nullptr;
  CHECK(host.validate(token.text) == valid);
  CHECK(ask(host.store).line == last);
  host.backend.before = [](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
    if (entry == Entry::load_token) throw std::bad_alloc();
    return std::nullopt;
  };
  CHECK(host.validate(token.text) == unavailable);
  CHECK((!ask(host.store).line.empty() && ask(host.store).line != last));
  // The time may be left out; the place for the line may not.
  tokenstore_error* line = nullptr;
  CHECK(tokenstore_why_unavailable(host.store, &line, nullptr, nullptr) == TOKENSTORE_OK);
  tokenstore_error_free(line);
  CHECK(tokenstore_why_unavailable(host.store, nullptr, nullptr, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
  CHECK(tokenstore_why_unavailable(nullptr, &line, nullptr, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
}

TEST_CASE("hostile: an answer that another thread uses is no answer") {
  HostileHost host;
  const auto token = host.issue();
  std::atomic<int> accepted{0};
  host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry != Entry::load_token) return std::nullopt;
    std::thread([&] {
      tokenstore_token_record record{};
      record.struct_size = sizeof record;
      accepted += answer->emit_token(answer, &record);
    }).join();
    return TOKENSTORE_OK;  // as if it had been answered: must not look like "absent"
  };
  CHECK(host.validate(token.text) == unavailable);
  CHECK(accepted.load() == 0);
}

TEST_CASE("hostile: a thread that answers old questions all the time makes no revoked token valid") {
  HostileHost host;
  const auto token = host.issue();
  const auto stored = host.backend.memory->load_token("default", token.id);
  REQUIRE((stored.ok() && *stored));
  const TokenRecord old = **stored;
  std::atomic<tokenstore_answer*> kept{nullptr};
  host.backend.before = [&](Entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (answer != nullptr) kept.store(answer);
    return std::nullopt;
  };
  REQUIRE(host.validate(token.text) == valid);
  REQUIRE(host.revoke(token.id) == TOKENSTORE_OK);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> emitted{0};
  std::atomic<std::uint64_t> accepted{0};
  std::thread late([&] {
    tokenstore_token_record record{};
    record.struct_size = sizeof record;
    record.id = old.id.data();
    record.id_size = old.id.size();
    while (!done.load()) {
      tokenstore_answer* answer = kept.load();
      accepted += static_cast<std::uint64_t>(answer->emit_token(answer, &record));
      ++emitted;
    }
  });
  int revoked = 0;
  for (int round = 0; round < 2'000 || emitted.load() < 1'000; ++round) {
    const auto answer = host.validate(token.text);
    CHECK((answer == unavailable || answer.reason == TOKENSTORE_REASON_REVOKED));
    revoked += answer.reason == TOKENSTORE_REASON_REVOKED ? 1 : 0;
  }
  done.store(true);
  late.join();
  CHECK(accepted.load() == 0);
}

TEST_CASE("hostile: an answer that comes late is as good as one in time, and holds nothing up that comes later") {
  HostileHost host;
  const auto token = host.issue();
  HeldLoad load(host.backend);
  HostileHost::Answer answer{};
  std::thread early([&] { answer = host.validate(token.text); });
  load.wait_until_held();
  REQUIRE(host.revoke(token.id) == TOKENSTORE_OK);
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
  load.let_go();
  early.join();
  CHECK(answer.outcome != TOKENSTORE_OUTCOME_UNAVAILABLE);  // it began before the revocation: either is right
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
}

TEST_CASE("hostile: with a cache, a load that began before a revocation and answers after it leaves nothing valid") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE, 0);
  const auto token = host.issue();
  HeldLoad load(host.backend);
  std::thread early([&] { static_cast<void>(host.validate(token.text)); });
  load.wait_until_held();
  REQUIRE(host.revoke(token.id) == TOKENSTORE_OK);
  load.let_go();
  early.join();
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
}

TEST_CASE("hostile: a backend that calls the store from any entry is refused, and nothing hangs") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE, 0);
  const auto token = host.issue();
  const auto actor = host_actor();
  std::uint64_t refused = 0;
  bool busy = false;
  host.backend.before = [&](Entry, tokenstore_answer*) -> std::optional<std::int32_t> {
    if (busy) return std::nullopt;
    busy = true;
    CHECK(host.validate(token.text).outcome == TOKENSTORE_OUTCOME_UNAVAILABLE);
    CHECK(host.revoke(token.id) == TOKENSTORE_INVALID_ARGUMENT);
    CHECK(host.list().first == TOKENSTORE_INVALID_ARGUMENT);
    CHECK(tokenstore_maintain(host.store, 0, nullptr, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
    tokenstore_token* out = nullptr;
    CHECK(tokenstore_get(host.store, &actor, token.id.data(), token.id.size(), &out, nullptr) ==
          TOKENSTORE_INVALID_ARGUMENT);
    tokenstore_free(host.store);  // does nothing
    ++refused;
    busy = false;
    return std::nullopt;
  };
  CHECK(host.validate(token.text) == valid);
  CHECK(host.list().first == TOKENSTORE_OK);
  CHECK(host.revoke(token.id) == TOKENSTORE_OK);
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
  CHECK(tokenstore_maintain(host.store, 0, nullptr, nullptr) == TOKENSTORE_OK);
  tokenstore_check_report* report = nullptr;
  CHECK(tokenstore_check(host.store, &actor, nullptr, nullptr, &report, nullptr) == TOKENSTORE_OK);
  tokenstore_check_report_free(report);
  const std::uint64_t before = refused;
  CHECK(before > 10);
  tokenstore_free(std::exchange(host.store, host.store));  // `close` calls back, too
  host.store = nullptr;
  CHECK(refused > before);
  CHECK(host.backend.closed.load() == 1);
}

TEST_CASE("hostile: a counter that stands still or jumps, without a lease, makes no revoked token valid") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE, 0);
  const auto token = host.issue();
  REQUIRE(host.validate(token.text) == valid);
  REQUIRE(host.revoke(token.id) == TOKENSTORE_OK);
  for (int round = 0; round < 100; ++round) {
    if (round % 3 == 0) host.backend.signal->changed(host.backend.signal);
    CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
  }
}

TEST_CASE("hostile: a backend at random misbehaviour never makes a revoked or forged token valid") {
  HostileHost host;
  std::vector<HostileHost::Token> live;
  std::vector<HostileHost::Token> revoked;
  for (int count = 0; count < 4; ++count) {
    live.push_back(host.issue("owner " + std::to_string(count)));
    revoked.push_back(host.issue("owner " + std::to_string(count)));
    REQUIRE(host.revoke(revoked.back().id) == TOKENSTORE_OK);
  }
  std::uint64_t seed = 1;
  const auto pick = [&seed](std::uint64_t below) {
    seed = seed * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    return (seed >> 33) % below;
  };
  tokenstore_answer* kept = nullptr;
  host.backend.before = [&](Entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (answer == nullptr) return std::nullopt;
    tokenstore_token_record record{};
    record.struct_size = pick(2) == 0 ? sizeof record : static_cast<std::size_t>(pick(400));
    record.id = live[0].id.data();
    record.id_size = static_cast<std::size_t>(pick(17));
    switch (pick(12)) {
      case 0:
        return static_cast<std::int32_t>(pick(30)) - 5;
      case 1:
        throw std::runtime_error("at random");
      case 2:
        answer->emit_token(answer, &record);
        break;
      case 3:
        if (kept != nullptr) kept->emit_token(kept, &record);
        break;
      case 4:
        answer->fail(answer, static_cast<std::int32_t>(pick(30)) - 5, nullptr, static_cast<std::size_t>(pick(2)));
        break;
      case 5:
        answer->emit_number(answer, pick(100));
        break;
      case 6:
        answer->emit_everything(answer);
        break;
      default:
        break;
    }
    kept = answer;
    return std::nullopt;
  };
  host.backend.alter_token = [&](tokenstore_token_record& record) {
    if (pick(3) == 0) record.revoked_at = std::numeric_limits<std::int64_t>::max();
    if (pick(5) == 0) record.id = live[pick(live.size())].id.data();
    if (pick(5) == 0) record.revision = pick(5);
  };
  std::uint64_t good = 0;
  for (int round = 0; round < 20'000; ++round) {
    good += host.validate(live[pick(live.size())].text) == valid ? 1U : 0U;
    CHECK(host.validate(revoked[pick(revoked.size())].text).outcome != TOKENSTORE_OUTCOME_VALID);
    std::string forged = live[pick(live.size())].text;
    forged[30 + pick(40)] ^= 1;
    CHECK(host.validate(forged).outcome != TOKENSTORE_OUTCOME_VALID);
  }
  CHECK(good > 100);  // or the misbehaviour would have drowned what the test is about
  host.backend.before = nullptr;
}
