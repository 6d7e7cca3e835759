package tokenstore_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"tokenstore.example/tokenstore"
)

// secretIn is what of a token's text is secret. The id is not.
func secretIn(text string) string {
	const secret, tagAndCheck = 43, 14
	return text[len(text)-secret-tagAndCheck : len(text)-tagAndCheck]
}

// leaks says whether eight characters in a row of a secret are in what was written.
func leaks(written, secret string) bool {
	for i := 0; i+8 <= len(secret); i++ {
		if strings.Contains(written, secret[i:i+8]) {
			return true
		}
	}
	return false
}

func TestASecretPrintsAsNothing(t *testing.T) {
	issued := issue(t, openMemory(t), "alice")
	secret := issued.Secret
	text := secretIn(secret.Reveal())
	if !leaks("so: "+text[10:30], text) {
		t.Fatal("the look-out sees nothing")
	}
	type holder struct {
		Name   string
		Secret tokenstore.Secret
		hidden tokenstore.Secret
		behind *tokenstore.Secret
		many   []tokenstore.Secret
	}
	held := holder{"x", secret, secret, &secret, []tokenstore.Secret{secret}}
	var written strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%10s", "%!"} {
		for _, value := range []any{secret, &secret, issued, &issued, held, &held, map[string]any{"a": held}, []any{secret}} {
			if line := fmt.Sprintf(verb, value); leaks(line, text) {
				t.Errorf("%s of a %T writes it", verb, value)
			}
			fmt.Fprintf(&written, verb+"\n", value)
		}
	}
	for _, value := range []any{secret, &secret, issued, held} {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Error(err)
		}
		written.Write(encoded)
		encoded, _ = xml.Marshal(value)
		written.Write(encoded)
	}
	fmt.Fprint(&written, secret, issued, fmt.Errorf("oh: %v %w", secret, fmt.Errorf("%s", secret)))
	if leaks(written.String(), text) {
		t.Error("a secret was written")
	}
	if !strings.Contains(written.String(), "[redacted]") || fmt.Sprint(secret) != "[redacted]" {
		t.Error("a secret does not say that it is one")
	}
	if secret.Wipe(); secret.Reveal() != "" || issued.Secret.Reveal() != "" {
		t.Error("a secret that was wiped is still there")
	}
	var zero tokenstore.Secret
	if zero.Wipe(); zero.Reveal() != "" || zero.String() != "[redacted]" {
		t.Error("the zero secret is not empty")
	}
}

func TestNoErrorHoldsAToken(t *testing.T) {
	store := openFile(t)
	text := issue(t, store, "alice", "read").Secret.Reveal()
	var written strings.Builder
	note := func(err error) {
		if err == nil {
			t.Error("that was no error")
		}
		fmt.Fprintf(&written, "%v %+v %#v\n", err, err, err)
	}
	host := tokenstore.Host()
	_, err := store.Get(ctx, host, text)
	note(err)
	_, err = store.Revoke(ctx, host, text, text)
	note(err)
	note(store.Delete(ctx, host, text))
	_, err = store.List(ctx, host, tokenstore.Query{Cursor: text})
	note(err)
	_, err = store.Issue(ctx, host, tokenstore.Request{Owner: "alice", Scopes: []string{text + "\n"}})
	note(err)
	_, err = tokenstore.KeyringFromText([]byte(text))
	note(err)
	_, err = store.Reseal(ctx, host, text, 0)
	note(err)
	if leaks(written.String(), secretIn(text)) {
		t.Error(written.String())
	}
}
