package tokenstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/internal/fortests"
)

const population = 10000

// manyTokens are all remembered.
func manyTokens(b *testing.B) (*tokenstore.Store, []string) {
	b.Helper()
	store := openFile(b)
	var texts []string
	for len(texts) < population {
		requests := make([]tokenstore.Request, 1000)
		for i := range requests {
			requests[i] = tokenstore.Request{Owner: fmt.Sprint("owner", len(texts)+i), Scopes: []string{"notes:read"}}
		}
		issued, err := store.IssueMany(ctx, tokenstore.Host(), requests)
		if err != nil {
			b.Fatal(err)
		}
		for _, one := range issued {
			texts = append(texts, one.Secret.Reveal())
		}
	}
	if fortests.ValidateOften(store, texts, 3*population) != 3*population {
		b.Fatal("not all are valid")
	}
	return store, texts
}

// BenchmarkValidate is what bench/go compares with others.
func BenchmarkValidate(b *testing.B) {
	store, texts := manyTokens(b)
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	demand := tokenstore.Demand{Scope: "notes:read"}
	b.Run("in C alone", func(b *testing.B) {
		if valid := fortests.ValidateOften(store, texts, b.N); valid != b.N {
			b.Fatal(valid)
		}
	})
	one := func(b *testing.B, with context.Context, read func(tokenstore.Verdict) bool) {
		b.ReportAllocs()
		for i := 0; i < b.N; i++ {
			verdict, _ := store.Validate(with, texts[i%population], demand)
			if !read(verdict) {
				b.Fatal(verdict.Outcome())
			}
			verdict.Release()
		}
	}
	b.Run("outcome", func(b *testing.B) { one(b, ctx, tokenstore.Verdict.Valid) })
	b.Run("outcome, cancellable", func(b *testing.B) { one(b, cancellable, tokenstore.Verdict.Valid) })
	b.Run("owner", func(b *testing.B) { one(b, ctx, func(v tokenstore.Verdict) bool { return v.Owner() != "" }) })
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			var wait sync.WaitGroup
			for g := 0; g < goroutines; g++ {
				wait.Add(1)
				go func(from int) {
					defer wait.Done()
					for i := 0; i < b.N/goroutines; i++ {
						verdict, _ := store.Validate(ctx, texts[(from+i)%population], demand)
						if !verdict.Valid() {
							b.Error(verdict.Outcome())
						}
						verdict.Release()
					}
				}(g * 157)
			}
			wait.Wait()
		})
	}
}
