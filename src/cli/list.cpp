// list and show: what may be known about tokens.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "cli/command.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

struct ListOptions {
  std::string owner;
  std::string state;
  std::string text;
  std::string cursor;
  std::string limit = "50";
  bool all = false;
  bool count = false;
};

std::optional<TokenState> state_of(const std::string& word) {
  if (word.empty() || word == "any") return std::nullopt;
  for (const TokenState state : {TokenState::active, TokenState::pending, TokenState::expired, TokenState::revoked}) {
    if (word == state_name(state)) return state;
  }
  throw usage_failure("--state takes active, pending, expired, revoked or any");
}

/// Writes tokens as they come, so that a long list takes no more memory than a page.
class Writer {
 public:
  explicit Writer(const Session& session) : session_(session) {
    if (session_.json()) write_out(R"({"tokens":[)");
  }

  void page(const std::vector<TokenInfo>& tokens) {
    std::string out;
    for (const TokenInfo& token : tokens) {
      if (session_.json()) {
        std::string json = json_line(to_json(token));
        json.pop_back();
        out += (first_ ? "" : ",") + json;
        first_ = false;
      } else if (session_.quiet()) {
        out += printable(token.id) + "\n";
      } else {
        const bool believed = token.state != TokenState::tampered;
        const auto shown = [believed](std::string text) { return believed ? std::move(text) : std::string(); };
        table_.add({token.id, std::string(state_name(token.state)), shown(token.owner),
                    shown(format_time(token.created_at)), shown(format_time(token.expires_at)),
                    token.last_used_at && believed ? format_time(*token.last_used_at) : "", shown(join(token.scopes)),
                    shown(token.description)});
      }
    }
    out += table_.take_text();
    write_out(out);
  }

  void finish(const std::string& next) {
    if (session_.json()) write_out(R"(],"next":)" + (next.empty() ? "null" : Json(next).dump()) + "}\n");
  }

 private:
  const Session& session_;
  Table table_{{"ID", "STATE", "OWNER", "CREATED", "EXPIRES", "LAST USED", "SCOPES", "DESCRIPTION"}};
  bool first_ = true;
};

ExitCode run_list(Session& session, const ListOptions& options) {
  if (options.count) {
    session.answer(take(session.store().count(session.actor(), options.owner)));
    return ExitCode::ok;
  }
  ListQuery query;
  query.owner = options.owner;
  query.state = state_of(options.state);
  query.text = options.text;
  query.cursor = options.cursor;
  constexpr std::uint64_t most = 1'000'000;
  std::uint64_t wanted =
      options.all ? std::numeric_limits<std::uint64_t>::max() : parse_count("--limit", options.limit, 1, most);

  const Actor actor = session.actor();
  const auto next_page = [&] {
    query.limit = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, page_max));
    return session.store().list(actor, query);
  };
  TokenPage page = take(next_page());  // before a word is written, so that a bad cursor writes none
  Writer writer(session);
  std::uint64_t shown = 0;
  while (true) {
    writer.page(page.tokens);
    shown += page.tokens.size();
    wanted -= page.tokens.size();
    query.cursor = page.next;
    if (page.next.empty() || wanted == 0) break;
    Result<TokenPage> next = next_page();
    if (!next) {
      writer.finish(query.cursor);  // what was shown is right, and the list can go on from here
      throw Failure(next.error());
    }
    page = std::move(next).value();
  }
  writer.finish(query.cursor);
  if (shown == 0 && query.cursor.empty()) session.note("no tokens");
  if (!query.cursor.empty()) session.note(fmt::format("there may be more: --cursor {}, or --all", query.cursor));
  return ExitCode::ok;
}

struct ShowOptions {
  std::string id;
};

ExitCode run_show(Session& session, const ShowOptions& options) {
  const TokenInfo token = take(session.store().get(session.actor(), checked_id(options.id)));
  session.answer(token);
  return token.state == TokenState::tampered ? ExitCode::damaged : ExitCode::ok;
}

}  // namespace

void add_list_commands(CLI::App& app, Run& chosen) {
  std::shared_ptr<ListOptions> list;
  CLI::App* command = add_command(app, chosen, "list", "List tokens, newest first", run_list, list);
  CLI::Option* owner = command->add_option("--owner,-o", list->owner, "Only this owner's")->type_name("NAME");
  CLI::Option* state =
      command->add_option("--state", list->state, "Only active, pending, expired or revoked ones")->type_name("STATE");
  CLI::Option* text =
      command->add_option("--text", list->text, "Only those whose description contains this")->type_name("TEXT");
  CLI::Option* cursor =
      command->add_option("--cursor", list->cursor, "Go on where the list before ended")->type_name("CURSOR");
  CLI::Option* limit = command->add_option("--limit,-n", list->limit, "At most this many (default 50)")->type_name("N");
  CLI::Option* all = command->add_flag("--all", list->all, "All of them, page after page")->excludes(limit);
  command->add_flag("--count", list->count, "Only how many there are in each state")
      ->excludes(state)
      ->excludes(text)
      ->excludes(cursor)
      ->excludes(limit)
      ->excludes(all);
  static_cast<void>(owner);

  std::shared_ptr<ShowOptions> show;
  command = add_command(app, chosen, "show", "Show what is known about a token", run_show, show);
  command->add_option("ID", show->id, "The token's id")->required();
}

}  // namespace tokenstore::cli
