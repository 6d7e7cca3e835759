//go:build go1.23

package tokenstore_test

import (
	"bytes"
	"log/slog"
	"testing"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

func TestRangesGoThroughListsAndEndWhenTheyAreLeft(t *testing.T) {
	store := tokenstoretest.New(t)
	for i := 0; i < 7; i++ {
		store.Token("alice")
		store.Token("bob")
	}
	count := 0
	for token, err := range store.All(ctx, tokenstore.User("alice"), tokenstore.Query{Limit: 2}) {
		if err != nil || token.Owner != "alice" {
			t.Fatal(token.Owner, err)
		}
		count++
	}
	if count != 7 {
		t.Errorf("%d tokens", count)
	}
	for range store.All(ctx, tokenstore.Host(), tokenstore.Query{}) {
		break
	}
	var names []string
	for owner, err := range store.AllOwners(ctx, tokenstore.Host()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, owner.Name)
	}
	if len(names) != 2 || names[0] != "alice" || names[1] != "bob" {
		t.Errorf("the owners are %v", names)
	}
	store.Storage.Fail()
	var errors int
	for token, err := range store.All(ctx, tokenstore.Host(), tokenstore.Query{}) {
		wantError(t, err, tokenstore.ErrUnavailable)
		if token.ID != "" {
			t.Error("a token comes with an error")
		}
		errors++
	}
	if errors != 1 {
		t.Errorf("%d errors", errors)
	}
}

func TestASecretLogsAsNothing(t *testing.T) {
	issued := issue(t, openMemory(t), "alice")
	var written bytes.Buffer
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&written, nil)), slog.New(slog.NewJSONHandler(&written, nil))} {
		logger.Info("issued", "secret", issued.Secret, "all", issued, "behind", &issued)
	}
	if leaks(written.String(), secretIn(issued.Secret.Reveal())) || !bytes.Contains(written.Bytes(), []byte("[redacted]")) {
		t.Error(written.String())
	}
}
