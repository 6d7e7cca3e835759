/// What --demo shows: three people, and tokens with a past.
#pragma once

#include <memory>
#include <string>

#include <tokenstore/backend.hpp>
#include <tokenstore/keyring.hpp>
#include <tokenstore/store.hpp>

#include "accounts.hpp"

namespace access_page {

/// A folder that is there for as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Adds the demo's people. Their passwords are no secret: for loopback alone.
void add_demo_accounts(Accounts& accounts);
/// A few lines for standard output.
std::string demo_accounts_text();

/// Gives a new SQLite store at `path` tokens of the past 400 days, with a clock that lives through them.
/// Throws std::runtime_error.
void make_demo_history(const std::string& path, const std::string& workspace, const std::string& prefix);

}  // namespace access_page
