package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"time"
)

// OwnerSettings is what an owner may do, whatever their tokens say. The zero value permits everything.
type OwnerSettings struct {
	MayNotIssue bool // gets no new tokens
	MayNotUse   bool // none of their tokens validates
}

// Owner is what is known of an owner.
type Owner struct {
	Name          string
	Settings      OwnerSettings
	Suspended     bool
	SuspendedAt   time.Time // zero: not suspended
	SuspendedBy   string
	SuspendReason string
	Tampered      bool // the seal does not verify: every token of theirs is denied
}

func ownerOf(info *C.tokenstore_owner_info) Owner {
	return Owner{
		Name:          taken(info.owner, info.owner_size),
		Settings:      OwnerSettings{MayNotIssue: info.may_not_issue != 0, MayNotUse: info.may_not_use != 0},
		Suspended:     info.suspended != 0,
		SuspendedAt:   moment(info.suspended_at),
		SuspendedBy:   taken(info.suspended_by, info.suspended_by_size),
		SuspendReason: taken(info.suspend_reason, info.suspend_reason_size),
		Tampered:      info.tampered != 0,
	}
}

func readOwner(read func(*C.tokenstore_owner_info, **C.tokenstore_error) C.int32_t) (Owner, error) {
	info := C.tokenstore_owner_info{struct_size: C.sizeof_tokenstore_owner_info}
	var object *C.tokenstore_error
	if err := failure(read(&info, &object), object); err != nil {
		return Owner{}, err
	}
	return ownerOf(&info), nil
}

// onOwner is a call that names an owner and answers them.
func (s *Store) onOwner(ctx context.Context, does effect, actor Actor, name string,
	call func(*C.tokenstore_store, *arena, *C.tokenstore_actor, *C.char, C.size_t, **C.tokenstore_owner, **C.tokenstore_error) C.int32_t) (Owner, error) {
	return ask(ctx, s, does, func(handle *C.tokenstore_store) (Owner, error) {
		var a arena
		defer a.free()
		text, size := a.text(name)
		var owner *C.tokenstore_owner
		var object *C.tokenstore_error
		status := call(handle, &a, a.actor(actor), text, size, &owner, &object)
		defer C.tokenstore_owner_free(owner)
		if err := failure(status, object); err != nil {
			return Owner{}, err
		}
		return readOwner(func(info *C.tokenstore_owner_info, object **C.tokenstore_error) C.int32_t {
			return C.tokenstore_owner_read(owner, info, object)
		})
	}, nil)
}

// Owner looks up an owner.
func (s *Store) Owner(ctx context.Context, actor Actor, name string) (Owner, error) {
	return s.onOwner(ctx, reads, actor, name, func(handle *C.tokenstore_store, _ *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, owner **C.tokenstore_owner, object **C.tokenstore_error) C.int32_t {
		return C.tokenstore_owner_get(handle, actor, name, size, owner, object)
	})
}

// SetOwner sets what an owner may do; they need not have tokens yet.
func (s *Store) SetOwner(ctx context.Context, actor Actor, name string, settings OwnerSettings) (Owner, error) {
	return s.onOwner(ctx, changes, actor, name, func(handle *C.tokenstore_store, _ *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, owner **C.tokenstore_owner, object **C.tokenstore_error) C.int32_t {
		wanted := C.tokenstore_owner_settings{struct_size: C.sizeof_tokenstore_owner_settings,
			may_not_issue: flag(settings.MayNotIssue), may_not_use: flag(settings.MayNotUse)}
		return C.tokenstore_owner_set(handle, actor, name, size, &wanted, owner, object)
	})
}

// Suspend stops every token of an owner at once. Repeating it changes nothing.
func (s *Store) Suspend(ctx context.Context, actor Actor, name, reason string) (Owner, error) {
	return s.onOwner(ctx, changes, actor, name, func(handle *C.tokenstore_store, a *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, owner **C.tokenstore_owner, object **C.tokenstore_error) C.int32_t {
		why, whySize := a.text(reason)
		return C.tokenstore_owner_suspend(handle, actor, name, size, why, whySize, owner, object)
	})
}

// Resume lets them work again, at once. Repeating it changes nothing.
func (s *Store) Resume(ctx context.Context, actor Actor, name string) (Owner, error) {
	return s.onOwner(ctx, changes, actor, name, func(handle *C.tokenstore_store, _ *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, owner **C.tokenstore_owner, object **C.tokenstore_error) C.int32_t {
		return C.tokenstore_owner_resume(handle, actor, name, size, owner, object)
	})
}

// OwnerPage is a part of the list of owners, by name.
type OwnerPage struct {
	Owners []Owner
	Next   string
}

// ListOwners answers one page: from the cursor (Next of the page before, or empty), at most limit (1..PageMax; 0: 50).
func (s *Store) ListOwners(ctx context.Context, actor Actor, cursor string, limit int) (OwnerPage, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (OwnerPage, error) {
		if limit < 0 {
			return OwnerPage{}, invalid("the limit is negative: set 1..%d, or 0 for the default", PageMax)
		}
		var a arena
		defer a.free()
		text, size := a.text(cursor)
		var page *C.tokenstore_owner_page
		var object *C.tokenstore_error
		status := C.tokenstore_owner_list(handle, a.actor(actor), text, size, C.size_t(limit), &page, &object)
		defer C.tokenstore_owner_page_free(page)
		if err := failure(status, object); err != nil {
			return OwnerPage{}, err
		}
		owners := make([]Owner, int(C.tokenstore_owner_page_count(page)))
		for i := range owners {
			var err error
			owners[i], err = readOwner(func(info *C.tokenstore_owner_info, object **C.tokenstore_error) C.int32_t {
				return C.tokenstore_owner_page_owner(page, C.size_t(i), info, object)
			})
			if err != nil {
				return OwnerPage{}, err
			}
		}
		var nextSize C.size_t
		next := C.tokenstore_owner_page_next(page, &nextSize)
		return OwnerPage{Owners: owners, Next: taken(next, nextSize)}, nil
	}, nil)
}

// Owners goes through all owners by name, as Tokens does through tokens.
func (s *Store) Owners(ctx context.Context, actor Actor) *Cursor[Owner] {
	return &Cursor[Owner]{more: func(cursor string) ([]Owner, string, error) {
		page, err := s.ListOwners(ctx, actor, cursor, 0)
		return page.Owners, page.Next, err
	}}
}
