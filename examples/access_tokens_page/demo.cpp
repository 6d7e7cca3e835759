#include "demo.hpp"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <tokenstore/open.hpp>

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::UnixMillis;

struct DemoAccount {
  const char* name;
  const char* password;
  Role role;
};

constexpr std::array demo_accounts{
    DemoAccount{"alice", "alice-demo", Role::user},
    DemoAccount{"bob", "bob-demo", Role::user},
    DemoAccount{"ada", "ada-demo", Role::administrator},
};

/// Stands still until it is moved.
class HistoryClock : public tokenstore::Clock {
 public:
  explicit HistoryClock(UnixMillis start) : start_(start), now_(start) {}
  UnixMillis wall() noexcept override { return now_; }
  std::int64_t monotonic() noexcept override { return now_ - start_; }
  void move_to(UnixMillis time) { now_ = std::max(now_, time); }

 private:
  UnixMillis start_;
  UnixMillis now_;
};

struct DemoToken {
  const char* owner;
  const char* description;
  double created;                ///< days ago
  std::int64_t lifetime;         ///< days
  std::optional<double> used{};  ///< days ago
  std::optional<double> revoked{};
  const char* reason = "";
  std::vector<std::string> scopes{"data:read"};
};

std::vector<DemoToken> demo_tokens() {
  return {
      {"alice", "Old laptop", 301.2, 365, 36.4, 35.1, "Lost on a train", {"data:read", "data:write", "tokens:manage"}},
      {"alice", "Nightly export", 204.6, 365, 0.31, {}, "", {"data:read"}},
      {"alice", "Dashboard on the hallway screen", 121.3, 90, 31.4, {}, "", {"data:read"}},
      {"alice", "Laptop, command line", 41.2, 90, 0.08, {}, "", {"data:read", "data:write", "tokens:manage"}},
      {"alice", "Deploy to staging", 19.5, 30, 2.9, {}, "", {"data:write", "flows:run"}},
      {"alice", "Notebook experiments", 4.7, 7, {}, {}, "", {"data:read"}},
      {"bob", "Monthly report", 88.8, 366, 8.2, {}, "", {"data:read"}},
      {"bob", "Trying things out", 60.1, 14, 58.4, {}, "", {"data:read"}},
      {"ada", "Clean-up job", 12.4, 90, 0.6, {}, "", {"tokens:administer", "tokens:manage"}},
      {"sensor-gateway", "Ground floor", 150.9, 366, 0.01, {}, "", {"data:write"}},
  };
}

[[noreturn]] void fail(const tokenstore::Error& error) {
  throw std::runtime_error("the demo could not be set up: " + error.message());
}

struct Event {
  double days_ago;
  std::function<void()> happen;
};

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string form = (std::filesystem::temp_directory_path() / "access-tokens-demo-XXXXXX").string();
  if (mkdtemp(form.data()) == nullptr) throw std::runtime_error("cannot make a folder for the demo");
  path_ = form;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void add_demo_accounts(Accounts& accounts) {
  for (const auto& account : demo_accounts) accounts.set(account.name, account.role, account.password);
}

std::string demo_accounts_text() {
  std::string text = "demo accounts:\n";
  for (const auto& account : demo_accounts) {
    text.append("  ").append(account.name).append(" / ").append(account.password);
    text.append(account.role == Role::administrator ? "  (administrator)\n" : "\n");
  }
  return text;
}

void make_demo_history(const std::string& path, const std::string& workspace, const std::string& prefix) {
  const UnixMillis now = tokenstore::system_clock()->wall();
  const auto days = [](double count) {
    return static_cast<std::int64_t>(count * static_cast<double>(tokenstore::millis_per_day));
  };
  const auto clock = std::make_shared<HistoryClock>(now - days(400));
  tokenstore::OpenSqlite open;
  open.sqlite.path = path;
  open.store.workspace = workspace;
  open.store.prefix = prefix;
  open.store.clock = clock;
  auto opened = tokenstore::open_sqlite(std::move(open));
  if (!opened) fail(opened.error());
  tokenstore::TokenStore& store = *opened->store;

  const std::vector<DemoToken> tokens = demo_tokens();
  std::vector<tokenstore::Issued> issued(tokens.size());
  std::vector<Event> events;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const DemoToken& token = tokens[i];
    events.push_back({token.created, [&store, &token, &made = issued[i]] {
                        tokenstore::IssueRequest request;
                        request.owner = token.owner;
                        request.description = token.description;
                        request.scopes = token.scopes;
                        request.lifetime = tokenstore::Lifetime::days(token.lifetime);
                        auto result = store.issue(Actor::host(), request);
                        if (!result) fail(result.error());
                        made = std::move(*result);
                      }});
    if (token.used) {
      events.push_back({*token.used, [&store, &token, &made = issued[i]] {
                          const tokenstore::Demand demand(token.scopes.front(), "192.0.2.17");
                          if (!store.validate(made.text.reveal(), demand).valid()) {
                            throw std::runtime_error("the demo's own token is not valid");
                          }
                        }});
    }
    if (token.revoked) {
      events.push_back({*token.revoked, [&store, &token, &made = issued[i]] {
                          auto result = store.revoke(Actor::user(token.owner), made.info.id, token.reason);
                          if (!result) fail(result.error());
                        }});
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.days_ago > b.days_ago; });
  for (const Event& event : events) {
    clock->move_to(now - days(event.days_ago));
    event.happen();
  }
}

}  // namespace access_page
