package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
)

// Query is which tokens to list. The zero Query is all that the actor may see.
type Query struct {
	Owner  string // empty: everyone's (a user: their own)
	Text   string // only descriptions that contain this, ASCII case ignored, no wildcards
	State  State  // 0: any
	Cursor string // Next of the page before; empty: from the newest
	Limit  int    // of a page, 1..PageMax; 0: 50
}

// Page is a part of a list, newest first. It may hold fewer tokens than the limit, even none, and still have a next one: go
// on until Next is empty.
type Page struct {
	Tokens []Token
	Next   string
}

// List answers one page. All and Tokens go through all of them.
func (s *Store) List(ctx context.Context, actor Actor, query Query) (Page, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (Page, error) {
		if query.Limit < 0 {
			return Page{}, invalid("the limit is negative: set 1..%d, or 0 for the default", PageMax)
		}
		var a arena
		defer a.free()
		wanted := (*C.tokenstore_list_query)(a.allocate(int(C.sizeof_tokenstore_list_query)))
		wanted.struct_size = C.sizeof_tokenstore_list_query
		wanted.owner, wanted.owner_size = a.text(query.Owner)
		wanted.text, wanted.text_size = a.text(query.Text)
		wanted.cursor, wanted.cursor_size = a.text(query.Cursor)
		wanted.limit = C.size_t(query.Limit)
		wanted.state = C.int32_t(query.State)
		var page *C.tokenstore_page
		var object *C.tokenstore_error
		status := C.tokenstore_list(handle, a.actor(actor), wanted, &page, &object)
		defer C.tokenstore_page_free(page)
		if err := failure(status, object); err != nil {
			return Page{}, err
		}
		tokens, err := readPage(page)
		if err != nil {
			return Page{}, err
		}
		var size C.size_t
		next := C.tokenstore_page_next(page, &size)
		return Page{Tokens: tokens, Next: taken(next, size)}, nil
	}, nil)
}

func readPage(page *C.tokenstore_page) ([]Token, error) {
	tokens := make([]Token, int(C.tokenstore_page_count(page)))
	for i := range tokens {
		var err error
		tokens[i], err = readInfo(func(info *C.tokenstore_token_info, object **C.tokenstore_error) C.int32_t {
			return C.tokenstore_page_token(page, C.size_t(i), info, object)
		})
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// Tokens goes through all tokens that a query finds, page by page:
//
//	tokens := store.Tokens(ctx, actor, query)
//	for tokens.Next() {
//		use(tokens.Entry())
//	}
//	if err := tokens.Err(); err != nil { ... }
//
// With Go 1.23 or newer All is shorter.
func (s *Store) Tokens(ctx context.Context, actor Actor, query Query) *Cursor[Token] {
	return &Cursor[Token]{next: query.Cursor, more: func(cursor string) ([]Token, string, error) {
		query.Cursor = cursor
		page, err := s.List(ctx, actor, query)
		return page.Tokens, page.Next, err
	}}
}

// Cursor goes through a list. It belongs to one goroutine, and holds nothing that has to be closed.
type Cursor[T any] struct {
	more    func(cursor string) ([]T, string, error)
	entries []T
	current T
	next    string
	started bool
	err     error
}

// Next goes to the next entry, and says whether there is one.
func (c *Cursor[T]) Next() bool {
	for len(c.entries) == 0 {
		if c.err != nil || (c.started && c.next == "") {
			return false
		}
		c.started = true
		c.entries, c.next, c.err = c.more(c.next)
	}
	c.current, c.entries = c.entries[0], c.entries[1:]
	return true
}

// Entry is the one that Next went to.
func (c *Cursor[T]) Entry() T { return c.current }

// Err is what ended the list early; nil if it was gone through.
func (c *Cursor[T]) Err() error { return c.err }

// Counts is how many tokens there are by state.
type Counts struct {
	Active  uint64
	Pending uint64
	Expired uint64
	Revoked uint64
}

// Count counts the tokens of one owner or (empty) of everyone. It takes longer the more it counts.
func (s *Store) Count(ctx context.Context, actor Actor, owner string) (Counts, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (Counts, error) {
		var a arena
		defer a.free()
		name, size := a.text(owner)
		counts := C.tokenstore_counts{struct_size: C.sizeof_tokenstore_counts}
		var object *C.tokenstore_error
		status := C.tokenstore_count(handle, a.actor(actor), name, size, &counts, &object)
		return Counts{Active: uint64(counts.active), Pending: uint64(counts.pending), Expired: uint64(counts.expired),
			Revoked: uint64(counts.revoked)}, failure(status, object)
	}, nil)
}
