#include "seal/sealer.hpp"

#include <sodium.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "base/base62.hpp"
#include "base/wipe.hpp"

namespace tokenstore::seal {
namespace {

using MacState = crypto_auth_hmacsha256_state;

constexpr std::uint64_t tag_space = 62ULL * 62 * 62 * 62 * 62 * 62 * 62 * 62;
constexpr std::string_view record_label = "row";
constexpr std::string_view feed_label = "feed";
constexpr std::uint8_t record_schema = 2;
constexpr std::size_t field_max = std::numeric_limits<std::uint16_t>::max();

/// Each sub-key's state after it has taken in the key: copying it saves every MAC two compressions.
struct SubKeys {
  MacState tag;
  MacState verifier;
  MacState row;
  MacState journal;
  MacState backup;
};

/// Memory for keys: locked, left out of core dumps, between guard pages, wiped when freed.
struct FreeLocked {
  void operator()(SubKeys* keys) const noexcept { sodium_free(keys); }
};
using LockedKeys = std::unique_ptr<SubKeys[], FreeLocked>;

struct KeyEntry {
  std::string id;
  KeyUse use;
};

/// One computation. Gathers small fields before it hashes; wipes itself.
class Mac {
 public:
  explicit Mac(const MacState& keyed) noexcept : state_(keyed) {}
  Mac(const Mac&) = delete;
  Mac& operator=(const Mac&) = delete;
  ~Mac() {
    base::wipe(&state_, sizeof(state_));
    base::wipe(gathered_.data(), highest_);
  }

  void add(const void* data, std::size_t size) noexcept {
    const auto* octets = static_cast<const std::uint8_t*>(data);
    if (size > gathered_.size() - count_) flush();
    if (size > gathered_.size()) {
      crypto_auth_hmacsha256_update(&state_, octets, size);
      return;
    }
    std::copy_n(octets, size, gathered_.data() + count_);
    count_ += size;
  }
  void add_octets(std::string_view octets) noexcept { add(octets.data(), octets.size()); }

  /// Length, then the octets. Sets overlong() if the length cannot be said.
  void add_field(std::string_view field) noexcept {
    overlong_ = overlong_ || field.size() > field_max;
    const std::uint8_t length[2] = {static_cast<std::uint8_t>(field.size() >> 8),
                                    static_cast<std::uint8_t>(field.size())};
    add(length, sizeof(length));
    add_octets(field);
  }
  void add_number(std::uint64_t number) noexcept {
    std::uint8_t octets[8];
    for (unsigned i = 0; i < 8; ++i) octets[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
    add(octets, sizeof(octets));
  }
  void add_time(UnixMillis time) noexcept { add_number(static_cast<std::uint64_t>(time)); }
  void add_octet(std::uint8_t octet) noexcept { add(&octet, 1); }

  bool overlong() const noexcept { return overlong_; }

  void finish(Bytes32& out) noexcept {
    flush();
    crypto_auth_hmacsha256_final(&state_, out.data());
  }

 private:
  void flush() noexcept {
    crypto_auth_hmacsha256_update(&state_, gathered_.data(), count_);
    highest_ = std::max(highest_, count_);
    count_ = 0;
  }

  MacState state_;
  std::array<std::uint8_t, 512> gathered_;
  std::size_t count_ = 0;
  std::size_t highest_ = 0;  ///< how much of `gathered_` was ever used
  bool overlong_ = false;
};

/// What every record's encoding begins with. No two records of different kind, schema or place have the same
/// encoding: every field has a fixed size or says its own, and the kind says which fields follow.
void add_heading(Mac& mac, RecordKind kind, std::string_view seal_key_id) noexcept {
  mac.add_octets(record_label);
  mac.add_octet(record_schema);
  mac.add_octet(static_cast<std::uint8_t>(kind));
  mac.add_field(seal_key_id);
}

void add_birth(Mac& mac, const Bytes16& birth) noexcept {
  mac.add(birth.data(), birth.size());
}

void add_place(Mac& mac, const Place& place) noexcept {
  add_birth(mac, place.store);
  add_birth(mac, place.workspace_birth);
  mac.add_field(place.workspace);
}

void add_record(Mac& mac, const Place& place, const TokenRecord& record) noexcept {
  add_heading(mac, RecordKind::token, record.seal_key_id);
  add_place(mac, place);
  mac.add_field(record.id);
  mac.add_field(record.key_id);
  mac.add(record.verifier.data(), record.verifier.size());
  mac.add_field(record.owner);
  add_birth(mac, record.owner_birth);
  mac.add_number(record.revoke_all_count);
  mac.add_field(record.description);
  mac.add_field(record.scopes);
  mac.add_field(record.metadata);
  mac.add_time(record.created_at);
  mac.add_field(record.created_by);
  mac.add_time(record.not_before);
  mac.add_time(record.expires_at);
  mac.add_time(record.expired_at);
  mac.add_time(record.revoked_at);
  mac.add_field(record.revoked_by);
  mac.add_field(record.revoke_reason);
  mac.add_number(record.revision);
}

void add_record(Mac& mac, const Place& place, const OwnerRecord& record) noexcept {
  add_heading(mac, RecordKind::owner, record.seal_key_id);
  add_place(mac, place);
  mac.add_field(record.owner);
  add_birth(mac, record.birth);
  mac.add_octet(record.may_issue ? 1 : 0);
  mac.add_octet(record.may_use ? 1 : 0);
  mac.add_time(record.suspended_at);
  mac.add_field(record.suspended_by);
  mac.add_field(record.suspend_reason);
  mac.add_number(record.revoke_all_count);
  mac.add_number(record.revision);
}

void add_record(Mac& mac, const Bytes16& store, const WorkspaceRecord& record) noexcept {
  add_heading(mac, RecordKind::workspace, record.seal_key_id);
  add_birth(mac, store);
  mac.add_field(record.workspace);
  add_birth(mac, record.birth);
  mac.add_octet(record.tokens_enabled ? 1 : 0);
  mac.add_octet(record.users_may_issue ? 1 : 0);
  mac.add_octet(record.never_allowed ? 1 : 0);
  mac.add_time(record.longest_lifetime);
  mac.add_time(record.default_lifetime);
  mac.add_number(record.most_active_per_owner);
  mac.add_time(record.created_at);
  mac.add_number(record.revision);
}

/// The store's own record belongs nowhere else.
struct Anywhere {};

void add_record(Mac& mac, Anywhere, const StoreRecord& record) noexcept {
  add_heading(mac, RecordKind::store, record.seal_key_id);
  add_birth(mac, record.id);
  mac.add_time(record.created_at);
  mac.add_number(record.revision);
}

void set_sub_key(MacState& state, std::string_view master, std::string_view label) noexcept {
  const auto* key = reinterpret_cast<const std::uint8_t*>(master.data());
  base::WipedBytes<crypto_auth_hmacsha256_BYTES> sub_key;
  MacState derivation;
  crypto_auth_hmacsha256_init(&derivation, key, master.size());
  const auto derive = [&](std::string_view octets) {
    crypto_auth_hmacsha256_update(&derivation, reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  };
  derive("tokenstore/1/");
  derive(label);
  derive("\x01");
  crypto_auth_hmacsha256_final(&derivation, sub_key.data());
  base::wipe(&derivation, sizeof(derivation));
  crypto_auth_hmacsha256_init(&state, sub_key.data(), sub_key.size());
}

std::span<const std::uint8_t> octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

struct Sealer::Impl {
  std::vector<KeyEntry> entries;
  LockedKeys keys;  ///< in the order of `entries`
  std::size_t active = 0;

  const SubKeys& active_keys() const noexcept { return keys[active]; }
  const KeyEntry* entry(std::string_view key_id) const noexcept {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const KeyEntry& known) { return known.id == key_id; });
    return found == entries.end() ? nullptr : &*found;
  }
  const SubKeys& keys_of(const KeyEntry& known) const noexcept {
    return keys[static_cast<std::size_t>(&known - entries.data())];
  }
  const SubKeys* find(std::string_view key_id) const noexcept {
    const KeyEntry* found = entry(key_id);
    return found == nullptr ? nullptr : &keys_of(*found);
  }
  bool is_retired(std::string_view key_id) const noexcept {
    const KeyEntry* found = entry(key_id);
    return found != nullptr && found->use == KeyUse::retired;
  }

  // A retired key may have been stolen: whoever holds it may seal what they like. So it vouches for what is denied in
  // any case, a token of a retired key, and for nothing else.
  bool may_carry_retired_seal(const TokenRecord& record) const noexcept { return is_retired(record.key_id); }
  template <typename Settings>
  static bool may_carry_retired_seal(const Settings&) noexcept {
    return false;
  }

  static void tag(const SubKeys& keys, std::string_view tagged, std::span<char, text::tag_size> digits) noexcept {
    Bytes32 whole;
    Mac mac(keys.tag);
    mac.add_octets(tagged);
    mac.finish(whole);
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = number << 8 | whole[i];
    base::wipe(whole.data(), whole.size());
    base::base62_encode(number % tag_space, digits);
  }

  static void verifier(const SubKeys& keys, std::string_view workspace, std::string_view handle,
                       std::string_view secret, Bytes32& out) noexcept {
    Mac mac(keys.verifier);
    mac.add_field(workspace);
    mac.add_field(handle);
    mac.add_field(secret);
    mac.finish(out);
  }

  static std::optional<Bytes32> feed_link(const SubKeys& keys, const Place& place, std::uint64_t revision,
                                          const Bytes32& previous, std::string_view entry) noexcept {
    Bytes32 link;
    Mac mac(keys.row);
    mac.add_octets(feed_label);
    add_place(mac, place);
    mac.add_number(revision);
    mac.add(previous.data(), previous.size());
    mac.add_field(entry);
    mac.finish(link);
    if (mac.overlong()) return std::nullopt;
    return link;
  }

  bool is_same_key(std::size_t own, const Impl& other, std::size_t others) const noexcept {
    if (entries[own].id != other.entries[others].id) return false;
    // Equal keys say the same of the same text.
    Bytes32 left;
    Bytes32 right;
    verifier(keys[own], {}, {}, {}, left);
    verifier(other.keys[others], {}, {}, {}, right);
    const bool same = base::equal_constant_time(left, right);
    base::wipe(left.data(), left.size());
    base::wipe(right.data(), right.size());
    return same;
  }

  template <typename Where, typename Record>
  void seal(const Where& where, Record& record) const {
    record.seal_key_id = entries[active].id;
    Mac mac(active_keys().row);
    add_record(mac, where, record);
    mac.finish(record.seal);
    // No limit of the model allows such a field. Without a key's name the seal is nobody's.
    if (mac.overlong()) record.seal_key_id.clear();
  }

  template <typename Where, typename Record>
  SealCheck verify(const Where& where, const Record& record) const noexcept {
    const KeyEntry* held = entry(record.seal_key_id);
    if (held == nullptr) return SealCheck::unknown_key;
    Bytes32 seal;
    Mac mac(keys_of(*held).row);
    add_record(mac, where, record);
    mac.finish(seal);
    const bool genuine = base::equal_constant_time(seal, record.seal) && !mac.overlong();
    base::wipe(seal.data(), seal.size());
    if (!genuine) return SealCheck::tampered;
    if (held->use == KeyUse::retired && !may_carry_retired_seal(record)) return SealCheck::retired_key;
    return SealCheck::genuine;
  }
};

// Taken by value: the master keys are wiped with it when this returns.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<std::unique_ptr<Sealer>> Sealer::create(Keyring keyring) {
  const auto is_active = [](const Keyring::Key& key) { return key.use == KeyUse::active; };
  const std::vector<Keyring::Key>& given = keyring.keys();
  const auto active = std::find_if(given.begin(), given.end(), is_active);
  if (active == given.end()) {
    return Error(Status::wrong_key, "the keyring has no active key; make one of its keys active");
  }
  if (sodium_init() < 0) return Error(Status::unsupported, "the system has no source of randomness; provide one");

  auto impl = std::make_unique<Impl>();
  impl->active = static_cast<std::size_t>(active - given.begin());
  impl->keys.reset(static_cast<SubKeys*>(sodium_allocarray(given.size(), sizeof(SubKeys))));
  if (!impl->keys) throw std::bad_alloc();
  impl->entries.reserve(given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    impl->entries.push_back({given[i].id, given[i].use});
    SubKeys* keys = new (&impl->keys[i]) SubKeys;
    const std::string_view master = given[i].master.reveal();
    set_sub_key(keys->tag, master, "tag");
    set_sub_key(keys->verifier, master, "verifier");
    set_sub_key(keys->row, master, "row");
    set_sub_key(keys->journal, master, "journal");
    set_sub_key(keys->backup, master, "backup");
  }
  return std::unique_ptr<Sealer>(new Sealer(std::move(impl)));
}

Sealer::Sealer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sealer::~Sealer() = default;

const std::string& Sealer::active_key_id() const noexcept {
  return impl_->entries[impl_->active].id;
}

std::vector<std::pair<std::string, KeyUse>> Sealer::keys() const {
  std::vector<std::pair<std::string, KeyUse>> listed;
  for (const KeyEntry& entry : impl_->entries) listed.emplace_back(entry.id, entry.use);
  return listed;
}

bool Sealer::has_keys_of(const Sealer& other) const noexcept {
  const std::size_t size = impl_->entries.size();
  bool same = size == other.impl_->entries.size();
  for (std::size_t i = 0; same && i < size; ++i) {
    same = impl_->entries[i].use == other.impl_->entries[i].use && impl_->is_same_key(i, *other.impl_, i);
  }
  return same;
}

bool Sealer::shares_key_with(const Sealer& other) const noexcept {
  for (std::size_t i = 0; i < impl_->entries.size(); ++i) {
    for (std::size_t j = 0; j < other.impl_->entries.size(); ++j) {
      if (impl_->is_same_key(i, *other.impl_, j)) return true;
    }
  }
  return false;
}

std::optional<KeyUse> Sealer::key_use(std::string_view key_id) const noexcept {
  const KeyEntry* found = impl_->entry(key_id);
  if (found == nullptr) return std::nullopt;
  return found->use;
}

std::array<char, text::tag_size> Sealer::make_tag(std::string_view tagged) const noexcept {
  std::array<char, text::tag_size> digits;
  Impl::tag(impl_->active_keys(), tagged, digits);
  return digits;
}

bool Sealer::tag_matches(const text::ParsedToken& token) const noexcept {
  const SubKeys* held = impl_->find(token.key_id);
  if (held == nullptr) return false;
  std::array<char, text::tag_size> expected;
  Impl::tag(*held, token.tagged, expected);
  const bool matches = base::equal_constant_time(octets_of({expected.data(), expected.size()}), octets_of(token.tag));
  base::wipe(expected.data(), expected.size());
  return matches;
}

Bytes32 Sealer::make_verifier(std::string_view workspace, std::string_view handle,
                              std::string_view secret) const noexcept {
  Bytes32 verifier;
  Impl::verifier(impl_->active_keys(), workspace, handle, secret, verifier);
  return verifier;
}

bool Sealer::verifier_matches(std::string_view workspace, const text::ParsedToken& token,
                              const Bytes32& expected) const noexcept {
  const SubKeys* held = impl_->find(token.key_id);
  if (held == nullptr) return false;
  Bytes32 verifier;
  Impl::verifier(*held, workspace, token.handle, token.secret, verifier);
  const bool matches = base::equal_constant_time(verifier, expected);
  base::wipe(verifier.data(), verifier.size());
  return matches;
}

void Sealer::seal(const Place& place, TokenRecord& record) const {
  impl_->seal(place, record);
}
void Sealer::seal(const Place& place, OwnerRecord& record) const {
  impl_->seal(place, record);
}
void Sealer::seal(const Bytes16& store, WorkspaceRecord& record) const {
  impl_->seal(store, record);
}
void Sealer::seal(StoreRecord& record) const {
  impl_->seal(Anywhere{}, record);
}

SealCheck Sealer::verify(const Place& place, const TokenRecord& record) const noexcept {
  return impl_->verify(place, record);
}
SealCheck Sealer::verify(const Place& place, const OwnerRecord& record) const noexcept {
  return impl_->verify(place, record);
}
SealCheck Sealer::verify(const Bytes16& store, const WorkspaceRecord& record) const noexcept {
  return impl_->verify(store, record);
}
SealCheck Sealer::verify(const StoreRecord& record) const noexcept {
  return impl_->verify(Anywhere{}, record);
}

void Sealer::work_like_verify(const Place& place, const TokenRecord& record) const noexcept {
  Bytes32 seal;
  Mac mac(impl_->active_keys().row);
  add_record(mac, place, record);
  mac.finish(seal);
  static_cast<void>(base::equal_constant_time(seal, record.seal));
  base::wipe(seal.data(), seal.size());
}

std::optional<Bytes32> Sealer::feed_link(const Place& place, std::string_view key_id, std::uint64_t revision,
                                         const Bytes32& previous, std::string_view entry) const noexcept {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use == KeyUse::retired) return std::nullopt;
  return Impl::feed_link(impl_->keys_of(*held), place, revision, previous, entry);
}

std::optional<Bytes32> Sealer::feed_link_of_retired(const Place& place, std::string_view key_id, std::uint64_t revision,
                                                    const Bytes32& previous, std::string_view entry) const noexcept {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use != KeyUse::retired) return std::nullopt;
  return Impl::feed_link(impl_->keys_of(*held), place, revision, previous, entry);
}

std::optional<Bytes32> Sealer::journal_mac(std::string_view key_id, std::string_view octets) const noexcept {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use == KeyUse::retired) return std::nullopt;
  Bytes32 whole;
  Mac mac(impl_->keys_of(*held).journal);
  mac.add_octets(octets);
  mac.finish(whole);
  return whole;
}

struct BackupSeal::State {
  explicit State(const MacState& keyed) noexcept : mac(keyed) {}
  ~State() { base::wipe(&mac, sizeof(mac)); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MacState mac;
};

BackupSeal::BackupSeal(std::unique_ptr<State> state) : state_(std::move(state)) {}
BackupSeal::BackupSeal(BackupSeal&& other) noexcept = default;
BackupSeal::~BackupSeal() = default;

void BackupSeal::add(std::string_view octets) noexcept {
  crypto_auth_hmacsha256_update(&state_->mac, octets_of(octets).data(), octets.size());
}

Bytes32 BackupSeal::finish() noexcept {
  Bytes32 seal;
  crypto_auth_hmacsha256_final(&state_->mac, seal.data());
  return seal;
}

std::optional<BackupSeal> Sealer::begin_backup_seal(std::string_view key_id) const {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use == KeyUse::retired) return std::nullopt;
  return BackupSeal(std::make_unique<BackupSeal::State>(impl_->keys_of(*held).backup));
}

}  // namespace tokenstore::seal
