// Every workspace of a store, one after the other.
#include <fmt/format.h>

#include "transfer/mirror.hpp"
#include "transfer/transfer.hpp"

namespace tokenstore {
namespace {

using transfer::not_this_key;

constexpr std::size_t workspaces_at_once = 100;

/// The record that makes both the same store, as it stands in the target afterwards.
Result<StoreRecord> copy_record(Backend& from, Backend& to, const seal::Sealer& sealer,
                                std::optional<Mutation>& to_put) {
  auto source = from.load_store();
  if (!source.ok()) return source.error();
  if (!source->has_value()) return Error(Status::not_found, "the source holds no store; name another one");
  if (sealer.verify(**source) != seal::SealCheck::genuine) return not_this_key("the source's record");
  auto target = to.load_store();
  if (!target.ok()) return target.error();
  if (!target->has_value()) {
    to_put = Mutation::put(**source, 0);
    return std::move(**source);
  }
  if ((*target)->id != (*source)->id) {
    return Error(Status::conflict, "the target is another store; name an empty target");
  }
  if ((*target)->revision < (*source)->revision) to_put = Mutation::put(**source, (*target)->revision);
  return std::move(**source);
}

/// New tokens are announced to nobody, so those that came while the others were read are found by comparing.
Result<transfer::MirrorCounts> copy_until_equal(transfer::Mirror& mirror) {
  constexpr int most_rounds = 5;
  std::uint64_t written = 0;
  for (int round = 1;; ++round) {
    auto counts = mirror.copy();
    if (!counts.ok()) return counts;
    counts->written += written;
    auto different = mirror.differences();
    if (!different.ok()) return different.error();
    counts->different = *different;
    if (*different == 0 || round == most_rounds) return counts;
    written = counts->written;
  }
}

}  // namespace

Error transfer::not_this_key(std::string_view what) {
  return {Status::wrong_key,
          fmt::format("{} does not verify under this keyring; give the keyring that the store was made with", what)};
}

// By value: the sealer takes the keys over.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  return transfer::copy(from, to, **sealer, options);
}

Result<CopyReport> transfer::copy(Backend& from, Backend& to, const seal::Sealer& sealer, const CopyOptions& options) {
  std::optional<Mutation> record;
  auto store = copy_record(from, to, sealer, record);
  if (!store.ok()) return store.error();

  CopyReport report;
  for (std::string after;;) {
    auto page = from.list_workspaces(after, workspaces_at_once);
    if (!page.ok()) return page.error();
    if (page->empty()) return report;
    for (const WorkspaceRecord& workspace : *page) {
      after = workspace.workspace;
      if (!sealer.is_genuine(store->id, workspace)) {
        return not_this_key(fmt::format("the record of the workspace \"{}\"", workspace.workspace));
      }
      const seal::Place place{store->id, workspace.workspace, workspace.birth};
      if (record) {
        // With the first workspace, in whose feed it is named.
        seal::SealedAnnouncement announcement(sealer, place);
        announcement.name(RecordKind::store, {});
        const CommitResult done = to.commit(place.workspace, {&*record, 1}, &announcement);
        if (done.outcome != CommitOutcome::committed) {
          return done.error.value_or(Error(Status::conflict, "the target is in use by somebody else; copy again"));
        }
        ++report.written;
        record.reset();
      }
      transfer::Mirror mirror(from, to, sealer, place, options.delete_extra, [&](std::uint64_t tokens) {
        return !options.progress || options.progress(place.workspace, tokens);
      });
      auto counts = copy_until_equal(mirror);
      if (!counts.ok()) return counts.error();
      report.workspaces.push_back(place.workspace);
      report.tokens += counts->tokens;
      report.owners += counts->owners;
      report.written += counts->written;
      report.different += counts->different;
    }
  }
}

}  // namespace tokenstore
