//go:build go1.23

package tokenstore

import (
	"context"
	"iter"
)

// All goes through all tokens that a query finds, page by page. An error is the last thing that it yields:
//
//	for token, err := range store.All(ctx, actor, query) { ... }
func (s *Store) All(ctx context.Context, actor Actor, query Query) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) { s.Tokens(ctx, actor, query).each(yield) }
}

// AllOwners goes through all owners by name, as All does through tokens.
func (s *Store) AllOwners(ctx context.Context, actor Actor) iter.Seq2[Owner, error] {
	return func(yield func(Owner, error) bool) { s.Owners(ctx, actor).each(yield) }
}

func (c *Cursor[T]) each(yield func(T, error) bool) {
	for c.Next() {
		if !yield(c.Entry(), nil) {
			return
		}
	}
	if c.Err() != nil {
		var none T
		yield(none, c.Err())
	}
}
