// key: which keys there are and what hangs on them, changing them while everybody works, and sealing anew.
#include <fmt/format.h>

#include <algorithm>

#include "cli/command.hpp"
#include "cli/terminal.hpp"

namespace tokenstore::cli {
namespace {

std::string use_of(const std::optional<KeyUse>& use) {
  if (!use) return "not in the key file";
  switch (*use) {
    case KeyUse::active:
      return "active";
    case KeyUse::verify_only:
      return "verify-only";
    case KeyUse::retired:
      break;
  }
  return "retired";
}

/// What was typed in its place may be anything, a key even, and is not repeated.
const std::string& checked_key_id(const std::string& id) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  if (id.size() == 2 && std::all_of(id.begin(), id.end(), is_digit)) return id;
  throw usage_failure("a key is named by its id, two of 0-9 A-Z a-z: see tokenstore key list");
}

struct ListKeysOptions {};

ExitCode run_list_keys(Session& session, const ListKeysOptions&) {
  const std::string& database = session.globals().database;
  const bool beside = !database.empty() && !is_postgres(database);
  const Keyring keyring = beside ? session.keyring(database + ".key", database) : session.keyring();
  Json json;
  json["keys"] = Json::array();
  Table table({"KEY", "USE"});
  for (const Keyring::Key& key : keyring.keys()) {
    json["keys"].push_back({{"key", key.id}, {"use", use_of(key.use)}});
    table.add({key.id, use_of(key.use)});
  }
  session.answer(json, table.take_text());
  return ExitCode::ok;
}

struct StatusOptions {};

ExitCode run_status(Session& session, const StatusOptions&) {
  TokenStore& store = session.store();
  const std::vector<KeyStatus> keys = [&] {
    ProgressLine line("counted", session.quiet());
    return take(store.key_status(session.actor(), [&line](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
      return true;
    }));
  }();
  Json json;
  json["keys"] = Json::array();
  Table table({"KEY", "USE", "SEALS", "LIVING TOKENS"});
  for (const KeyStatus& key : keys) {
    json["keys"].push_back({{"key", key.id},
                            {"use", key.use ? Json(use_of(key.use)) : Json(nullptr)},
                            {"seals", key.seals},
                            {"living_tokens", key.living_tokens}});
    table.add({printable(key.id), use_of(key.use), std::to_string(key.seals), std::to_string(key.living_tokens)});
  }
  session.answer(json, table.take_text());
  return ExitCode::ok;
}

struct AddOptions {};

ExitCode run_add(Session& session, const AddOptions&) {
  const std::string id = take(session.store().add_key(session.actor()));
  Json json;
  json["added"] = id;
  session.answer(json, fmt::format("added key {}, which only verifies until it is activated\n", id));
  return ExitCode::ok;
}

struct KeyOptions {
  std::string id;
  bool yes = false;
};

ExitCode run_activate(Session& session, const KeyOptions& options) {
  const std::string& id = checked_key_id(options.id);
  take(session.store().activate_key(session.actor(), id));
  Json json;
  json["activated"] = id;
  session.answer(json, fmt::format("key {} makes what is new\n", id));
  return ExitCode::ok;
}

ExitCode run_retire(Session& session, const KeyOptions& options) {
  const std::string& id = checked_key_id(options.id);
  TokenStore& store = session.store();
  if (!options.yes) confirm(fmt::format("retire key {}, so that every token of its own ends for good?", id));
  take(store.retire_key(session.actor(), id));
  Json json;
  json["retired"] = id;
  session.answer(json, fmt::format("retired key {}\n", id));
  return ExitCode::ok;
}

ExitCode run_remove(Session& session, const KeyOptions& options) {
  const std::string& id = checked_key_id(options.id);
  TokenStore& store = session.store();
  if (!options.yes) confirm(fmt::format("remove key {} from the key file?", id));
  take(store.remove_key(session.actor(), id));
  Json json;
  json["removed"] = id;
  session.answer(json, fmt::format("removed key {}\n", id));
  return ExitCode::ok;
}

struct ResealOptions {};

ExitCode run_reseal(Session& session, const ResealOptions&) {
  TokenStore& store = session.store();
  ResealResult all;
  {
    ProgressLine line("sealed", session.quiet());
    do {
      const ResealResult some = take(store.reseal(session.actor(), all.next));
      all.resealed += some.resealed;
      all.kept += some.kept;
      all.refused += some.refused;
      all.next = some.next;
      line.update(all.resealed + all.kept, 0);
    } while (!all.next.empty());
  }
  Json json;
  json["resealed"] = all.resealed;
  json["kept"] = all.kept;
  json["refused"] = all.refused;
  std::string text = fmt::format("{} records sealed anew, {} were already\n", all.resealed, all.kept);
  if (all.refused != 0) text += fmt::format("{} are not genuine and were left: see tokenstore check\n", all.refused);
  session.answer(json, text);
  return all.refused == 0 ? ExitCode::ok : ExitCode::damaged;
}

}  // namespace

void add_key_commands(CLI::App& app, Run& chosen) {
  CLI::App* group = app.add_subcommand("key", "Show keys, and change them while the store is in use");
  group->require_subcommand(1)->fallthrough();

  std::shared_ptr<ListKeysOptions> list;
  add_command(*group, chosen, "list", "Show the keys of the key file; needs no database", run_list_keys, list);
  std::shared_ptr<StatusOptions> status;
  add_command(*group, chosen, "status", "Show how many records and living tokens of the store hang on which key",
              run_status, status);
  std::shared_ptr<AddOptions> add;
  add_command(*group, chosen, "add", "Add a new key, which only verifies until it is activated", run_add, add);

  std::shared_ptr<KeyOptions> activate;
  CLI::App* command = add_command(*group, chosen, "activate", "Have a key make what is new, in place of the active one",
                                  run_activate, activate);
  command->add_option("KEY", activate->id, "The key's id")->required();
  std::shared_ptr<KeyOptions> retire;
  command = add_command(*group, chosen, "retire", "End a key, and every token of its own", run_retire, retire);
  command->add_option("KEY", retire->id, "The key's id")->required();
  command->add_flag("--yes,-y", retire->yes, "Do not ask");
  std::shared_ptr<KeyOptions> remove;
  command = add_command(*group, chosen, "remove", "Take a key out that nothing hangs on", run_remove, remove);
  command->add_option("KEY", remove->id, "The key's id")->required();
  command->add_flag("--yes,-y", remove->yes, "Do not ask");

  std::shared_ptr<ResealOptions> reseal;
  add_command(*group, chosen, "reseal", "Seal every record of the workspace under the active key, while it is in use",
              run_reseal, reseal);
}

}  // namespace tokenstore::cli
