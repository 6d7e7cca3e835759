package tokenstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
)

// written is a journal of an issue, a revocation and a suspension, its keys, and the id of the token.
func written(folder string) (journal string, keyring *tokenstore.Keyring, id string) {
	keyring, err := tokenstore.GenerateKeyring()
	if err != nil {
		log.Fatal(err)
	}
	journal = filepath.Join(folder, "tokens.journal")
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithKeyring(keyring), tokenstore.WithJournal(journal))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	issued, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = store.Revoke(ctx, tokenstore.Administrator("root"), issued.Token.ID, "lost"); err != nil {
		log.Fatal(err)
	}
	if _, err = store.Suspend(ctx, tokenstore.Host(), "alice", "left"); err != nil {
		log.Fatal(err)
	}
	return journal, keyring, issued.Token.ID
}

func read(t *testing.T, journal string, keyring *tokenstore.Keyring, query tokenstore.JournalQuery) ([]tokenstore.JournalEntry, tokenstore.JournalReading) {
	t.Helper()
	var entries []tokenstore.JournalEntry
	reading, err := tokenstore.ReadJournal(journal, keyring, query, func(entry tokenstore.JournalEntry) bool {
		entries = append(entries, entry)
		return true
	})
	if err != nil || int(reading.Told) != len(entries) || reading.Stopped {
		t.Fatalf("read %+v: %v", reading, err)
	}
	return entries, reading
}

func TestAJournalIsReadAsAnAuditTrail(t *testing.T) {
	journal, keyring, id := written(t.TempDir())
	entries, _ := read(t, journal, keyring, tokenstore.JournalQuery{Deed: tokenstore.DeedRevoked})
	if len(entries) != 1 {
		t.Fatalf("%d revocations", len(entries))
	}
	revoked := entries[0]
	if revoked.TokenID != id || revoked.Owner != "alice" || revoked.Actor != "administrator:root" || revoked.Reason != "lost" ||
		revoked.Record != tokenstore.JournaledToken || revoked.Workspace != "default" || revoked.EndsAt.IsZero() || revoked.Revision != 2 {
		t.Errorf("it is %+v", revoked)
	}
	for name, query := range map[string]tokenstore.JournalQuery{
		"owner":   {Owner: "bob"},
		"actor":   {Actor: "nobody"},
		"token":   {TokenID: "0000000000000000"},
		"from":    {From: revoked.At.Add(time.Hour)},
		"to":      {To: revoked.At.Add(-time.Hour)},
		"another": {Workspace: "other"},
	} {
		if found, _ := read(t, journal, keyring, query); len(found) != 0 {
			t.Errorf("%s finds %+v", name, found)
		}
	}
	all, reading := read(t, journal, keyring, tokenstore.JournalQuery{})
	if len(all) < 3 || reading.Damaged || reading.LacksKey {
		t.Fatalf("all are %+v: %+v", all, reading)
	}
	// One at a time, each reading where the one before ended.
	query := tokenstore.JournalQuery{}
	for _, expected := range all {
		var told []tokenstore.JournalEntry
		some, err := tokenstore.ReadJournal(journal, keyring, query, func(entry tokenstore.JournalEntry) bool {
			told = append(told, entry)
			return false
		})
		if err != nil || !some.Stopped || len(told) != 1 || told[0] != expected {
			t.Fatalf("told %+v instead of %+v: %v", told, expected, err)
		}
		query.After = some.Next
	}
	if rest, _ := read(t, journal, keyring, query); len(rest) != 0 {
		t.Errorf("there is more: %+v", rest)
	}
	_, err := tokenstore.ReadJournal(journal, keyring, tokenstore.JournalQuery{After: "nowhere"}, nil)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	_, err = tokenstore.ReadJournal(journal+".none", keyring, tokenstore.JournalQuery{}, nil)
	wantError(t, err, tokenstore.ErrCannotOpen)
}

func TestADamagedJournalIsReportedAndAccepted(t *testing.T) {
	journal, keyring, _ := written(t.TempDir())
	good, err := tokenstore.VerifyJournal(journal, keyring)
	if err != nil || good.Damaged || good.Segments != 1 || good.Entries != good.LastEntry || good.Torn != 0 || len(good.Store) != 32 {
		t.Fatalf("it is %+v: %v", good, err)
	}
	_, err = tokenstore.AcceptJournal(journal, keyring, tokenstore.Host())
	wantError(t, err, tokenstore.ErrRefused)
	content, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	place := bytes.LastIndex(content, []byte("TSJ1"))
	content[place+70] ^= 1
	if err := os.WriteFile(journal, content, 0o600); err != nil {
		t.Fatal(err)
	}
	bad, err := tokenstore.VerifyJournal(journal, keyring)
	if err != nil || !bad.Damaged || len(bad.Problems) != 1 || bad.Problems[0].Octet != uint64(place) ||
		bad.Problems[0].Kind != tokenstore.JournalDamaged || bad.Problems[0].File != journal || bad.Problems[0].Accepted {
		t.Fatalf("it is %+v: %v", bad, err)
	}
	_, err = tokenstore.AcceptJournal(journal, keyring, tokenstore.User("alice"))
	wantError(t, err, tokenstore.ErrPermissionDenied)
	accepted, err := tokenstore.AcceptJournal(journal, keyring, tokenstore.Host())
	if err != nil || accepted.Segment != 2 || accepted.KeptFile != journal+".000001" || accepted.LastEntry != bad.LastEntry {
		t.Fatalf("accepted %+v: %v", accepted, err)
	}
	after, err := tokenstore.VerifyJournal(journal, keyring)
	if err != nil || after.Damaged || len(after.Problems) != 1 || !after.Problems[0].Accepted {
		t.Errorf("it is %+v: %v", after, err)
	}
	entries, reading := read(t, journal, keyring, tokenstore.JournalQuery{})
	if last := entries[len(entries)-1]; last.Deed != tokenstore.DeedAccepted || reading.Damaged {
		t.Errorf("it ends with %+v", last)
	}
}

func ExampleReadJournal() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	journal, keyring, _ := written(folder)
	query := tokenstore.JournalQuery{Actor: "root"}
	_, err = tokenstore.ReadJournal(journal, keyring, query, func(entry tokenstore.JournalEntry) bool {
		fmt.Println(entry.Deed, entry.Owner, entry.Actor, entry.Reason)
		return true
	})
	fmt.Println(err)
	// Output:
	// revoked alice administrator:root lost
	// <nil>
}

func ExampleVerifyJournal() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	journal, keyring, _ := written(folder)
	report, err := tokenstore.VerifyJournal(journal, keyring)
	fmt.Println(report.Segments, report.Damaged, err)
	// Output: 1 false <nil>
}

func ExampleAcceptJournal() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	journal, keyring, _ := written(folder)
	_, err = tokenstore.AcceptJournal(journal, keyring, tokenstore.Administrator("root"))
	fmt.Println(err != nil) // it is not damaged
	// Output: true
}

func ExampleDeed_String() {
	fmt.Println(tokenstore.DeedAllRevoked)
	// Output: all_revoked
}

func ExampleWithJournalSegments() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithJournal(filepath.Join(folder, "tokens.journal")),
		tokenstore.WithJournalSegments(16<<20, 30*24*time.Hour)) // after 16 MiB, or a month
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_, err = tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithJournalSegments(-1, 0))
	fmt.Println(err)
	// Output: tokenstore: the bytes of a segment are negative: set a positive number, or 0 for the default
}
