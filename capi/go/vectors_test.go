package tokenstore_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"tokenstore.example/tokenstore"
)

// The vectors that every language reads.
func readVectors(t *testing.T) (masters map[string][]byte, valid, invalid []vector) {
	t.Helper()
	text, err := os.ReadFile(vectorsPath())
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Masters map[string]string
		Valid   []vector
		Invalid []vector `json:"invalid_against_first_valid"`
	}
	if err = json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Masters) < 2 || len(file.Valid) < 3 || len(file.Invalid) < 20 {
		t.Fatalf("there are too few vectors: %d, %d, %d", len(file.Masters), len(file.Valid), len(file.Invalid))
	}
	masters = map[string][]byte{}
	for id, digits := range file.Masters {
		if masters[id], err = hex.DecodeString(digits); err != nil {
			t.Fatal(err)
		}
	}
	return masters, file.Valid, file.Invalid
}

type vector struct {
	Why, Text, Prefix, Reason string
	KeyID                     string `json:"key_id"`
}

// storeOf a prefix knows both keys of the vectors, and none of their tokens.
func storeOf(t *testing.T, masters map[string][]byte, prefix, active string) *tokenstore.Store {
	t.Helper()
	keys, err := tokenstore.KeyringFromBytes(masters[active], active)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	for id, master := range masters {
		if id != active {
			if err = keys.Add(id, tokenstore.KeyVerifyOnly, master); err != nil {
				t.Fatal(err)
			}
		}
	}
	return openMemory(t, tokenstore.WithKeyring(keys), tokenstore.WithPrefix(prefix))
}

func TestTheVectorsMeanTheSameInGo(t *testing.T) {
	masters, valid, invalid := readVectors(t)
	for _, v := range valid {
		// Genuine, and not in this store.
		wantOutcome(t, storeOf(t, masters, v.Prefix, v.KeyID), v.Text, "read", "unknown")
	}
	first := storeOf(t, masters, valid[0].Prefix, "0A")
	for _, v := range invalid {
		if v.Reason == "wrong_secret" {
			v.Reason = "unknown" // the id that it is wrong for is not in this store
		}
		if got := outcome(t, first, v.Text, "read"); got != v.Reason {
			t.Errorf("%s: the answer is %q, not %q", v.Why, got, v.Reason)
		}
	}
}

// In the tree, unless somebody says that they are elsewhere.
func vectorsPath() string {
	if path := os.Getenv("TOKENSTORE_VECTORS"); path != "" {
		return path
	}
	return "../../tests/vectors/token-format-1.json"
}
