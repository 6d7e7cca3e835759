package tokenstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"tokenstore.example/tokenstore"
)

func openWith(t *testing.T, path string, options ...tokenstore.Option) *tokenstore.Store {
	t.Helper()
	return must(tokenstore.Open(path, options...))(t)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseThatWasPutBackRevivesNothing(t *testing.T) {
	directory := t.TempDir()
	path, earlier := filepath.Join(directory, "t.db"), filepath.Join(directory, "earlier.db")
	journal := tokenstore.WithJournal(filepath.Join(directory, "t.journal"))
	store := openWith(t, path, journal)
	issued := issue(t, store, "alice", "read")
	text := issued.Secret.Reveal()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, path, earlier)
	store = openWith(t, path, journal)
	if _, err := store.Revoke(ctx, tokenstore.Host(), issued.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, earlier, path)
	store = openWith(t, path) // the control
	wantOutcome(t, store, text, "read", "valid")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = openWith(t, path, journal)
	wantOutcome(t, store, text, "read", "revoked")
	if counted, err := store.Statistics(); err != nil || counted.Healed != 1 || counted.RolledBack != 0 {
		t.Fatalf("the statistics say %+v, %v", counted, err)
	}
	if healed, err := store.Heal(ctx, tokenstore.Host()); err != nil || healed != (tokenstore.Healed{LookedAt: 1}) {
		t.Fatalf("healed again: %+v, %v", healed, err)
	}
	_, err := store.Heal(ctx, tokenstore.User("alice"))
	wantError(t, err, tokenstore.ErrPermissionDenied)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = openWith(t, path)
	wantOutcome(t, store, text, "read", "revoked")
	_, err = store.Heal(ctx, tokenstore.Host())
	wantError(t, err, tokenstore.ErrUnsupported)
}

func TestAChangeThatCouldNotBeWrittenDownHoldsAndSaysSo(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "t.journal")
	store := openWith(t, filepath.Join(directory, "t.db"), tokenstore.WithJournal(path))
	issued := issue(t, store, "alice", "read")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := store.Revoke(ctx, tokenstore.Host(), issued.Token.ID, "")
	wantError(t, err, tokenstore.ErrNotJournaled)
	wantOutcome(t, store, issued.Secret.Reveal(), "read", "revoked")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Revoke(ctx, tokenstore.Host(), issued.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedJournalIsRefused(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "t.journal")
	store := openWith(t, filepath.Join(directory, "t.db"), tokenstore.WithJournal(path))
	issue(t, store, "alice", "read")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[150] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = tokenstore.Open(filepath.Join(directory, "t.db"), tokenstore.WithJournal(path))
	wantError(t, err, tokenstore.ErrJournalDamaged)
}
