package tokenstore_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tokenstore.example/tokenstore"
)

// Texts and files as somebody would leave them who can write either. TestLessons runs these.

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func base62(number uint64, width int) string {
	text := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		text[i] = digits[number%62]
		number /= 62
	}
	return string(text)
}

// withAnotherSecret is the token with a secret that nobody issued, and a tag and a check that are right for it: only who has the
// key can make that.
func withAnotherSecret(master []byte, text string) string {
	const secret, tag, check = 43, 8, 6
	begin := len(text) - secret - tag - check
	another := text[:begin] + strings.Repeat("x", secret)
	mac := func(key []byte, message string) []byte {
		hash := hmac.New(sha256.New, key)
		hash.Write([]byte(message))
		return hash.Sum(nil)
	}
	sum := mac(mac(master, "tokenstore/1/tag\x01"), another)
	modulus := uint64(1)
	for i := 0; i < tag; i++ {
		modulus *= 62
	}
	another += base62(binary.BigEndian.Uint64(sum)%modulus, tag)
	return another + base62(uint64(crc32.ChecksumIEEE([]byte(another))), check)
}

func wrongSecretTellsNothing(t *testing.T) {
	master := bytes.Repeat([]byte{9}, tokenstore.MasterKeySize)
	store := openMemory(t, tokenstore.WithKeyBytes(master, "0A"))
	texts := map[string]string{}
	add := func(state string, end func(*tokenstore.Store, string) error) {
		issued := issue(t, store, "alice", "read")
		wantOutcome(t, store, issued.Secret.Reveal(), "read", "valid")
		if end != nil {
			if err := end(store, issued.Token.ID); err != nil {
				t.Fatal(err)
			}
		}
		texts[state] = withAnotherSecret(master, issued.Secret.Reveal())
	}
	add("active", nil)
	for _, name := range []string{"revoke", "expire", "delete"} {
		add(name, endings[name])
	}
	route := tokenstore.Require(store, "read")(http.NotFoundHandler())
	var first string
	for _, scope := range []string{"read", "write"} {
		for state, text := range texts {
			want := "wrong_secret"
			if state == "delete" {
				want = "unknown"
			}
			// Only the audit log may know the difference.
			if got := outcome(t, store, text, scope); got != want {
				t.Errorf("of a token to %s: %s", state, got)
			}
			request := httptest.NewRequest("GET", "/", nil)
			request.Header.Set("Authorization", "Bearer "+text)
			answer := httptest.NewRecorder()
			route.ServeHTTP(answer, request)
			said := answer.Result().Status + answer.Header().Get("WWW-Authenticate") + answer.Body.String()
			if first == "" {
				first = said
			}
			if said != first || answer.Code != 401 {
				t.Errorf("of a token to %s the client is told %q, and of others %q", state, said, first)
			}
		}
	}
}

// filesOf a closed store are its database and whatever lies beside it.
func filesOf(t *testing.T, path string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func changedRowsAreTampered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	store := must(tokenstore.Open(path))(t)
	issued, err := store.Issue(ctx, host, tokenstore.Request{Owner: "mallory-the-owner", Scopes: []string{"scope:of-mallory"},
		Metadata: []byte("metadata-of-mallory"), Description: "a-laptop-of-mallory's"})
	if err != nil {
		t.Fatal(err)
	}
	text := issued.Secret.Reveal()
	_ = store.Close()
	original := filesOf(t, path)[path]
	for _, c := range []struct{ from, to, scope, want string }{
		{"mallory-the-owner", "mallory-the-owner", "scope:of-mallory", "valid"}, // unchanged, it would be
		{"mallory-the-owner", "melanie-the-admin", "scope:of-mallory", "tampered"},
		{"scope:of-mallory", "scope:of-anybody", "scope:of-anybody", "tampered"},
		{"metadata-of-mallory", "metadata-of-melanie", "scope:of-mallory", "tampered"},
	} {
		if !bytes.Contains(original, []byte(c.from)) {
			t.Fatalf("%q is not in the file", c.from)
		}
		changed := bytes.ReplaceAll(original, []byte(c.from), []byte(c.to))
		for _, beside := range []string{"-wal", "-shm"} {
			_ = os.Remove(path + beside)
		}
		if err = os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		one, two := must(tokenstore.Open(path))(t), must(tokenstore.Open(path))(t)
		for i := 0; i < 2; i++ {
			wantOutcome(t, one, text, c.scope, c.want)
			wantOutcome(t, two, text, c.scope, c.want)
		}
		report, err := one.Check(ctx, host)
		if err != nil || (report.Problems == 0) != (c.want == "valid") {
			t.Errorf("%s: %+v: %v", c.to, report, err)
		}
		_, _ = one.Close(), two.Close()
	}
}

func filesHoldNoToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	store := must(tokenstore.Open(path, tokenstore.WithoutCache()))(t)
	var texts []string
	for i := 0; i < 20; i++ {
		issued := issue(t, store, "alice", "read")
		texts = append(texts, issued.Secret.Reveal())
		wantOutcome(t, store, texts[i], "read", "valid")
		if i%2 == 0 {
			if _, err := store.Revoke(ctx, host, issued.Token.ID, "canary"); err != nil {
				t.Fatal(err)
			}
		}
	}
	// While the WAL is there, and when all is in the database.
	for _, closed := range []bool{false, true} {
		if closed {
			_ = store.Close()
		}
		files := filesOf(t, path)
		if !closed && len(files) < 4 {
			t.Errorf("only %d files are there", len(files))
		}
		for name, content := range files {
			for _, text := range texts {
				if leaks(string(content), secretIn(text)) {
					t.Errorf("%s holds a part of a secret", filepath.Base(name))
				}
			}
		}
		if closed && !bytes.Contains(files[path], []byte("canary")) {
			t.Error("the look-out does not see what is there")
		}
	}
	store = must(tokenstore.Open(path))(t)
	stored := regexp.MustCompile(`[!-~]{8,}`).FindAll(filesOf(t, path)[path], -1)
	if len(stored) < 20 {
		t.Errorf("only %d texts are in the file", len(stored))
	}
	for _, run := range stored {
		wantOutcome(t, store, string(run), "read", "malformed")
	}
}
