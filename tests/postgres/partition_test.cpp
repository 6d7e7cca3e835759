// A server in a network namespace of its own, and a link that is cut in the middle of calls.
#include <atomic>
#include <functional>
#include <map>

#include "postgres_support.hpp"

namespace tokenstore::test {
namespace {

/// Two namespaces joined by a pair of virtual interfaces. Needs root; a test that cannot have it fails.
class Link {
 public:
  Link() {
    if (::geteuid() != 0) throw std::runtime_error("network namespaces need root: run this test as root");
    const std::string number = std::to_string(::getpid() % 50'000);
    name_ = "tsnet" + number;
    here_ = "tsh" + number;
    there_ = "tst" + number;
    subnet_ = "10.213." + std::to_string(::getpid() % 250) + ".";
    ip("netns add " + name_);
    ip("link add " + here_ + " type veth peer name " + there_ + " netns " + name_);
    ip("address add " + subnet_ + "1/24 dev " + here_);
    ip("link set " + here_ + " up");
    ip("-n " + name_ + " link set lo up");
    ip("-n " + name_ + " address add " + subnet_ + "2/24 dev " + there_);
    mend();
  }
  ~Link() {
    (void)std::system(("ip link delete " + here_ + " 2>/dev/null; ip netns delete " + name_ + " 2>/dev/null").c_str());
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Everything on its way is lost without a word to either side.
  void cut() { ip("-n " + name_ + " link set " + there_ + " down"); }
  void mend() { ip("-n " + name_ + " link set " + there_ + " up"); }
  const std::string& name() const noexcept { return name_; }
  std::string server_address() const { return subnet_ + "2"; }

 private:
  static void ip(const std::string& arguments) {
    if (std::system(("ip " + arguments).c_str()) != 0) throw std::runtime_error("ip " + arguments + " failed");
  }

  std::string name_;
  std::string here_;
  std::string there_;
  std::string subnet_;
};

TEST_CASE("when the link is cut mid-call every call ends by its deadline and no verdict is wrong") {
  Link link;
  const PostgresCluster cluster({"listen_addresses=*"}, "UTF8", link.name());
  PostgresOptions options = options_for("hostaddr=" + link.server_address() + " dbname=postgres user=postgres");
  options.deadline = std::chrono::milliseconds(1'000);
  options.max_staleness = std::chrono::milliseconds(500);
  const auto backend = open_backend(options);
  const auto store = open_store(backend);
  const Issued good = issue_one(*store);
  const Issued bad = issue_one(*store);
  REQUIRE(store->revoke(Actor::host(), bad.info.id).ok());

  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> slowest{0};
  std::atomic<int> wrong{0};
  std::atomic<int> answered{0};
  std::atomic<int> unavailable{0};
  const auto timed = [&](const std::function<Status()>& call) {
    const auto start = Steady::now();
    const Status status = call();
    const std::int64_t took = millis_since(start);
    for (std::int64_t seen = slowest.load(); took > seen && !slowest.compare_exchange_weak(seen, took);) {
    }
    if (status == Status::ok || status == Status::conflict)
      ++answered;
    else if (status == Status::unavailable || status == Status::unknown)
      ++unavailable;
    else
      ++wrong;
  };
  std::atomic<int> next{0};
  const std::vector<std::function<Status()>> calls = {
      [&] { return backend->load_token("default", good.info.id).status(); },
      [&] { return backend->load_owner("default", "alice").status(); },
      [&] { return backend->list_tokens("default", {}).status(); },
      [&] { return backend->count_tokens("default", "", 5).status(); },
      [&] { return backend->changes("default", 0).status(); },
      [&] {
        const std::vector<Use> uses = {{good.info.id, next.load(), "192.0.2.1"}};
        return backend->record_uses("default", uses).status();
      },
      [&] {
        const CommitResult result = put(*backend, sample_token("x" + std::to_string(++next)));
        return result.outcome == CommitOutcome::committed  ? Status::ok
               : result.outcome == CommitOutcome::conflict ? Status::conflict
               : result.outcome == CommitOutcome::unknown  ? Status::unknown
                                                           : result.error->status();
      },
  };
  std::vector<std::thread> threads;
  for (const auto& call : calls) {
    threads.emplace_back([&] {
      while (!stop) timed(call);
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      const Verdict right = store->validate(good.text.reveal(), Demand("read"));
      const Verdict denied = store->validate(bad.text.reveal(), Demand("read"));
      if (right.outcome() == Outcome::invalid || denied.outcome() == Outcome::valid) ++wrong;
    }
  });
  const int cuts = rounds("TOKENSTORE_LINK_CUTS", 2);
  for (int round = 0; round < cuts; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const int before = answered;
    link.cut();
    std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
    link.mend();
    const auto mended = Steady::now();
    const int during = answered;
    while (answered < during + 50 && millis_since(mended) < 15'000) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(before > 0);
    CHECK(answered >= during + 50);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  INFO("slowest call " << slowest << " ms; " << answered << " answered, " << unavailable << " unavailable");
  CHECK(wrong == 0);
  CHECK(unavailable > 0);
  CHECK(slowest <= options.deadline.count() + 100);
  // What is read in the end is the truth, doubts included.
  CHECK(backend->list_tokens("default", {}).ok());
  CHECK(store->validate(good.text.reveal(), Demand("read")).valid());
}

}  // namespace
}  // namespace tokenstore::test
