package tokenstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"tokenstore.example/tokenstore"
)

func TestAKeyringGoesThroughFileAndText(t *testing.T) {
	keys, err := tokenstore.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	old := bytes.Repeat([]byte{3}, tokenstore.MasterKeySize)
	if err = keys.Add("0Z", tokenstore.KeyRetired, old); err != nil {
		t.Fatal(err)
	}
	wantError(t, keys.Add("0Z", tokenstore.KeyVerifyOnly, old), tokenstore.ErrInvalidArgument)
	wantError(t, keys.Add("0Y", tokenstore.KeyActive, old), tokenstore.ErrInvalidArgument)
	wantError(t, keys.Add("0Y", tokenstore.KeyVerifyOnly, old[1:]), tokenstore.ErrInvalidArgument)
	want := []tokenstore.KeyInfo{{ID: "0A", Use: tokenstore.KeyActive}, {ID: "0Z", Use: tokenstore.KeyRetired}}

	path := filepath.Join(t.TempDir(), "keys")
	if err = keys.WriteNewFile(path); err != nil {
		t.Fatal(err)
	}
	wantError(t, keys.WriteNewFile(path), tokenstore.ErrCannotOpen)
	fromFile, err := tokenstore.KeyringFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keys.Text()
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := tokenstore.KeyringFromText([]byte(text.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*tokenstore.Keyring{keys, fromFile, fromText} {
		if got, err := ring.Keys(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the keys are %v: %v", got, err)
		}
		again, err := ring.Text()
		if err != nil || again.Reveal() != text.Reveal() {
			t.Error("the text is another one")
		}
	}
	if err = os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = tokenstore.KeyringFromFile(path)
	wantError(t, err, tokenstore.ErrCannotOpen)
	if os.Getuid() == 0 {
		if _, err = tokenstore.KeyringFromFile(path, tokenstore.WorldReadableOfRoot); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if err = os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	credential, err := tokenstore.KeyringFromCredential("keys")
	if err != nil {
		t.Fatal(err)
	}

	for _, ring := range []*tokenstore.Keyring{keys, fromFile, fromText, credential, nil} {
		closeTwice(t, ring)
		_, err = ring.Keys()
		wantError(t, err, tokenstore.ErrClosed)
		wantError(t, ring.Add("0B", tokenstore.KeyVerifyOnly, old), tokenstore.ErrClosed)
		_, err = ring.Text()
		wantError(t, err, tokenstore.ErrClosed)
	}
}

func TestEachWayToAKeyOpensTheSameStore(t *testing.T) {
	folder := t.TempDir()
	master := bytes.Repeat([]byte{5}, tokenstore.MasterKeySize)
	keys, err := tokenstore.KeyringFromBytes(master, "0K")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "keys")
	if err = keys.WriteNewFile(file); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	path := filepath.Join(folder, "tokens.db")
	for name, option := range map[string]tokenstore.Option{
		"keyring":    tokenstore.WithKeyring(keys),
		"bytes":      tokenstore.WithKeyBytes(master, "0K"),
		"file":       tokenstore.WithKeyFile(file),
		"trusted":    tokenstore.WithKeyFile(file, tokenstore.GroupReadableOfRoot, tokenstore.WorldReadableOfRoot),
		"credential": tokenstore.WithCredential("keys"),
	} {
		store, err := tokenstore.Open(path, option)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if store.CreatedKeyFile() != "" {
			t.Errorf("%s made a key file", name)
		}
		_ = store.Close()
	}
	for name, options := range map[string][]tokenstore.Option{
		"two keyrings":      {tokenstore.WithKeyring(keys), tokenstore.WithKeyring(keys)},
		"keyring and bytes": {tokenstore.WithKeyring(keys), tokenstore.WithKeyBytes(master, "")},
		"a short key":       {tokenstore.WithKeyBytes(master[1:], "")},
		"no key":            {tokenstore.WithKeyBytes(nil, "")},
		"no keyring":        {tokenstore.WithKeyring(nil)},
		"no file":           {tokenstore.WithKeyFile("")},
		"no credential":     {tokenstore.WithCredential("")},
		"a negative cache":  {tokenstore.WithCacheBytes(-1)},
		"a negative wait":   {tokenstore.WithUseInterval(-2)},
		"a bad prefix":      {tokenstore.WithPrefix("NO")},
		"another VFS":       {tokenstore.WithVFS("no such")},
	} {
		if _, err := tokenstore.Open(path, options...); err == nil {
			t.Errorf("%s opens a store", name)
		}
	}
	_, err = tokenstore.Open(path, tokenstore.WithKeyBytes(bytes.Repeat([]byte{6}, 32), "0K"))
	wantError(t, err, tokenstore.ErrWrongKey)
	_, err = tokenstore.Open(path)
	wantError(t, err, tokenstore.ErrWrongKey)
	_, err = tokenstore.Open("")
	wantError(t, err, tokenstore.ErrInvalidArgument)
	_, err = tokenstore.Open(filepath.Join(folder, "other.db"), tokenstore.MustExist())
	wantError(t, err, tokenstore.ErrCannotOpen)
	_, err = tokenstore.Open(path, tokenstore.WithKeyring(keys), tokenstore.WithWorkspace("none"), tokenstore.WorkspaceMustExist())
	wantError(t, err, tokenstore.ErrNotFound)
	_, err = tokenstore.Open(file, tokenstore.WithKeyring(keys))
	wantError(t, err, tokenstore.ErrNotAStore)
	_ = keys.Close()
	_, err = tokenstore.Open(path, tokenstore.WithKeyring(keys))
	wantError(t, err, tokenstore.ErrClosed)

	reader := must(tokenstore.Open(path, tokenstore.WithKeyFile(file), tokenstore.ReadOnly(), tokenstore.WithoutCache(),
		tokenstore.WithBusyTimeout(tokenstore.Never), tokenstore.SurvivesCrashButNotPowerCut(), tokenstore.WithUpkeep()))(t)
	_, err = reader.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "alice"})
	wantError(t, err, tokenstore.ErrReadOnly)
}
