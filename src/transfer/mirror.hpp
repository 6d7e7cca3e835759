/// Makes one workspace of a storage hold what it holds in another, while the other is in use. Sealed records are
/// copied as they are, so their seals stay valid.
///
/// One thread; borrows everything.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "seal/announcement.hpp"
#include "seal/sealer.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::transfer {

struct MirrorCounts {
  std::uint64_t tokens = 0;     ///< seen in the source
  std::uint64_t owners = 0;     ///< seen in the source
  std::uint64_t written = 0;    ///< records put or removed
  std::uint64_t different = 0;  ///< records that differed when they were compared last
};

class Mirror {
 public:
  /// `delete_extra`: what only the target has goes; else finding such a thing is a `conflict`. `progress(tokens)`:
  /// false asks to stop.
  Mirror(Backend& from, Backend& to, const seal::Sealer& sealer, const seal::Place& place, bool delete_extra,
         std::function<bool(std::uint64_t)> progress)
      : from_(from),
        to_(to),
        sealer_(sealer),
        place_(place),
        delete_extra_(delete_extra),
        progress_(std::move(progress)) {}

  /// Copies the workspace, then follows the source's change feed until nothing changes any more.
  Result<MirrorCounts> copy();
  /// Counts what differs; changes nothing.
  Result<std::uint64_t> differences();

 private:
  Result<void> copy_settings();
  Result<void> copy_owners();
  /// Walks both lists side by side.
  Result<void> walk_tokens(bool only_count);
  Result<void> walk_owners(const std::function<Result<void>(const OwnerRecord&)>& each);
  Result<void> take_extra(const TokenRecord& extra);
  Result<void> take_wanted(const TokenRecord& wanted, const TokenRecord* there);
  Result<void> follow(Changes position);
  Result<void> apply(const seal::ChangedRecord& changed);
  Result<void> add(Mutation mutation);
  Result<void> flush();

  const std::string& workspace() const noexcept { return place_.workspace; }

  Backend& from_;
  Backend& to_;
  const seal::Sealer& sealer_;
  const seal::Place& place_;
  const bool delete_extra_;
  std::function<bool(std::uint64_t)> progress_;
  MirrorCounts counts_;
  std::uint64_t different_ = 0;
  std::vector<Mutation> batch_;
  std::vector<Use> uses_;
};

}  // namespace tokenstore::transfer
