/// The people who may sign in: names, roles and password hashes (Argon2id) in a small JSON file of mode
/// 0600. A host that has users of its own puts them in place of this file.
///
/// Thread use: every method may be called from several threads at once.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <vector>

namespace access_page {

enum class Role { user, administrator };

struct Account {
  std::string name;
  Role role = Role::user;
};

enum class PasswordCheck { right, wrong, busy };

class Accounts {
 public:
  /// Reads the file; a missing one holds nobody. Throws std::runtime_error on a malformed one.
  explicit Accounts(std::string path);

  std::optional<Account> find(std::string_view name) const;
  std::vector<Account> all() const;  ///< by name

  /// Hashes, and hashes as long for a name that does not exist. `busy`: too many are hashing already,
  /// each with 64 MiB.
  PasswordCheck check(std::string_view name, std::string_view password) const;

  /// Adds a person or gives them a new password and role, and writes the file anew.
  void set(const std::string& name, Role role, std::string_view password);

 private:
  struct Entry {
    Role role = Role::user;
    std::string hash;
  };

  void read();
  void write() const;

  std::string path_;
  std::string dummy_hash_;
  mutable std::mutex mutex_;
  mutable std::counting_semaphore<8> hashing_{2};
  std::map<std::string, Entry, std::less<>> entries_;
};

inline constexpr std::size_t password_max = 1024;  ///< octets
inline constexpr std::size_t password_min = 8;     ///< octets, of a new one

}  // namespace access_page
