#include "accounts.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <sodium.h>
#include <nlohmann/json.hpp>
#include <tokenstore/model.hpp>

namespace access_page {
namespace {

std::string hash_password(std::string_view password) {
  std::array<char, crypto_pwhash_STRBYTES> hash{};
  if (crypto_pwhash_str(hash.data(), password.data(), password.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0) {
    throw std::runtime_error("a password could not be hashed: not enough memory");
  }
  return hash.data();
}

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > tokenstore::owner_max) return false;
  for (const char c : name) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7f || c == ':') return false;  // a colon ends the name in RFC 7617
  }
  return true;
}

void write_file(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) throw std::system_error(errno, std::generic_category(), path);
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  const bool fine = done == text.size() && fsync(file) == 0;
  if (close(file) != 0 || !fine) throw std::runtime_error("cannot write " + path);
}

}  // namespace

Accounts::Accounts(std::string path) : path_(std::move(path)), dummy_hash_(hash_password("nobody's password")) {
  read();
}

void Accounts::read() {
  std::ifstream file(path_);
  if (!file) {
    if (errno == ENOENT) return;
    throw std::runtime_error("cannot read the accounts in " + path_);
  }
  const auto content = nlohmann::json::parse(file, nullptr, false);
  if (!content.is_object() || !content.contains("accounts") || !content["accounts"].is_array()) {
    throw std::runtime_error(path_ + " holds no accounts: repair it, or name another file");
  }
  for (const auto& item : content["accounts"]) {
    const std::string name = item.value("name", "");
    const std::string role = item.value("role", "");
    const std::string hash = item.value("password", "");
    if (!is_name(name) || (role != "user" && role != "administrator") || hash.size() >= crypto_pwhash_STRBYTES) {
      throw std::runtime_error(path_ + " holds a malformed account: repair it");
    }
    entries_[name] = {role == "administrator" ? Role::administrator : Role::user, hash};
  }
}

void Accounts::write() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, entry] : entries_) {
    list.push_back({{"name", name},
                    {"role", entry.role == Role::administrator ? "administrator" : "user"},
                    {"password", entry.hash}});
  }
  nlohmann::ordered_json content;
  content["accounts"] = std::move(list);
  const std::string fresh = path_ + ".new";
  write_file(fresh, content.dump(2) + '\n');
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) throw std::system_error(errno, std::generic_category(), path_);
}

std::optional<Account> Accounts::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return std::nullopt;
  return Account{found->first, found->second.role};
}

std::vector<Account> Accounts::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Account> accounts;
  for (const auto& [name, entry] : entries_) accounts.push_back({name, entry.role});
  return accounts;
}

PasswordCheck Accounts::check(std::string_view name, std::string_view password) const {
  if (password.size() > password_max) return PasswordCheck::wrong;
  std::string hash = dummy_hash_;
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(name); found != entries_.end()) {
      hash = found->second.hash;
      known = true;
    }
  }
  if (!hashing_.try_acquire_for(std::chrono::seconds(2))) return PasswordCheck::busy;
  const bool fits = crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
  hashing_.release();
  return known && fits ? PasswordCheck::right : PasswordCheck::wrong;
}

void Accounts::set(const std::string& name, Role role, std::string_view password) {
  if (!is_name(name)) throw std::runtime_error("a name has 1 to 255 octets, without control characters and colons");
  if (password.size() < password_min || password.size() > password_max) {
    throw std::runtime_error("a password has 8 to 1024 octets");
  }
  std::string hash = hash_password(password);
  const std::lock_guard lock(mutex_);
  entries_[name] = {role, std::move(hash)};
  write();
}

}  // namespace access_page
