// Owners: what each may do, and stopping all of their tokens at once.
#include <memory>
#include <string>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

void tokenstore_owner::describe(tokenstore_owner_info* out_info) const {
  tokenstore_owner_info out{};
  out.owner = returned_text(info.owner, &out.owner_size);
  out.suspended_by = returned_text(info.suspended_by, &out.suspended_by_size);
  out.suspend_reason = returned_text(info.suspend_reason, &out.suspend_reason_size);
  out.suspended_at = zero_if_absent(info.suspended_at);
  out.may_not_issue = flag(!info.settings.may_issue);
  out.may_not_use = flag(!info.settings.may_use);
  out.suspended = flag(info.suspended);
  out.tampered = flag(info.tampered);
  TOKENSTORE_WRITE(tokenstore_owner_info, OWNER_INFO, out_info, "the owner info", out);
}

namespace {

OwnerSettings settings_of(const tokenstore_owner_settings* given) {
  const auto known = TOKENSTORE_READ(tokenstore_owner_settings, OWNER_SETTINGS, given, "the settings");
  OwnerSettings settings;
  settings.may_issue = !flag(known.may_not_issue, "may_not_issue");
  settings.may_use = !flag(known.may_not_use, "may_not_use");
  return settings;
}

/// For an owner that the caller may not want: made before the change, so that nothing can fail after it.
class OptionalOwner {
 public:
  explicit OptionalOwner(tokenstore_owner** out) : out_(out) {
    if (out_ == nullptr) return;
    *out_ = nullptr;
    owner_ = std::make_unique<tokenstore_owner>();
  }
  void give(OwnerInfo info) noexcept {
    if (out_ == nullptr) return;
    owner_->info = std::move(info);
    *out_ = owner_.release();
  }

 private:
  tokenstore_owner** out_;
  std::unique_ptr<tokenstore_owner> owner_;
};

}  // namespace

int32_t tokenstore_owner_get(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                             size_t owner_size, tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need_output(out_owner);
    OptionalOwner found(out_owner);
    TokenStore& opened = opened_store(store);
    found.give(take(opened.owner(capi::actor(actor), text(owner, owner_size, "the owner"))));
  });
}

int32_t tokenstore_owner_set(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                             size_t owner_size, const tokenstore_owner_settings* settings, tokenstore_owner** out_owner,
                             tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(
        take(opened.set_owner(capi::actor(actor), text(owner, owner_size, "the owner"), settings_of(settings))));
  });
}

int32_t tokenstore_owner_suspend(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                                 size_t owner_size, const char* reason, size_t reason_size,
                                 tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(take(opened.suspend(capi::actor(actor), text(owner, owner_size, "the owner"),
                                     text(reason, reason_size, "the reason"))));
  });
}

int32_t tokenstore_owner_resume(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                                size_t owner_size, tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(take(opened.resume(capi::actor(actor), text(owner, owner_size, "the owner"))));
  });
}

int32_t tokenstore_owner_read(const tokenstore_owner* owner, tokenstore_owner_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] { need(owner, "the owner").describe(out_info); });
}

void tokenstore_owner_free(tokenstore_owner* owner) {
  guard_free(owner);
}

int32_t tokenstore_owner_list(tokenstore_store* store, const tokenstore_actor* actor, const char* cursor,
                              size_t cursor_size, size_t limit, tokenstore_owner_page** out_page,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_page);
    TokenStore& opened = opened_store(store);
    constexpr std::size_t standard_limit = 50;
    OwnerPage found = take(opened.list_owners(capi::actor(actor), text(cursor, cursor_size, "the cursor"),
                                              limit == 0 ? standard_limit : limit));
    auto page = std::make_unique<tokenstore_owner_page>();
    page->owners.reserve(found.owners.size());
    for (OwnerInfo& owner : found.owners) page->owners.push_back({std::move(owner)});
    page->next = std::move(found.next);
    out = page.release();
  });
}

size_t tokenstore_owner_page_count(const tokenstore_owner_page* page) {
  return guard_value(std::size_t{0}, [&] { return page == nullptr ? 0 : page->owners.size(); });
}

int32_t tokenstore_owner_page_owner(const tokenstore_owner_page* page, size_t index, tokenstore_owner_info* out_info,
                                    tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& owners = need(page, "the page").owners;
    if (index >= owners.size()) fail(Status::not_found, "the page has no owner at this index");
    owners[index].describe(out_info);
  });
}

const char* tokenstore_owner_page_next(const tokenstore_owner_page* page, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return page == nullptr ? no_text(out_size) : returned_text(page->next, out_size); });
}

void tokenstore_owner_page_free(tokenstore_owner_page* page) {
  guard_free(page);
}
