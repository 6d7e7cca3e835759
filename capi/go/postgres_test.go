//go:build tokenstore_postgres

package tokenstore_test

import (
	"bytes"
	"os"
	"testing"

	"tokenstore.example/tokenstore"
)

// The server is the caller's: TOKENSTORE_CONNINFO says where it is.
func TestTwoHostsShareAPostgreSQL(t *testing.T) {
	conninfo := os.Getenv("TOKENSTORE_CONNINFO")
	if conninfo == "" {
		t.Fatal("TOKENSTORE_CONNINFO is not set: see tests/go")
	}
	key := tokenstore.WithKeyBytes(bytes.Repeat([]byte{7}, tokenstore.MasterKeySize), "")
	options := tokenstore.PostgresOptions{Schema: "from_go", MaxStaleness: tokenstore.Never, PoolSize: 4}
	one := must(tokenstore.OpenPostgres(conninfo, options, key))(t)
	two := must(tokenstore.OpenPostgres(conninfo, options, key, tokenstore.WithPrefix("pat")))(t)
	issued := issue(t, one, "alice", "read")
	text := issued.Secret.Reveal()
	wantOutcome(t, one, text, "read", "valid")
	wantOutcome(t, two, text, "read", "valid")
	if _, err := one.Revoke(ctx, tokenstore.Host(), issued.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, two, text, "read", "revoked")

	_, err := tokenstore.OpenPostgres("host=/nowhere connect_timeout=2", options, key)
	wantError(t, err, tokenstore.ErrCannotOpen)
	_, err = tokenstore.OpenPostgres(conninfo, options)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	options.PoolSize = -1
	_, err = tokenstore.OpenPostgres(conninfo, options, key)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	options = tokenstore.PostgresOptions{Schema: "not there", MustExist: true}
	if _, err = tokenstore.OpenPostgres(conninfo, options, key); err == nil {
		t.Error("a schema with a space is taken")
	}
}
