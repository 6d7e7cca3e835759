//go:build !tokenstore_postgres

package tokenstore_test

import (
	"testing"

	"tokenstore.example/tokenstore"
)

func TestWithoutItsTagPostgreSQLIsUnsupported(t *testing.T) {
	_, err := tokenstore.OpenPostgres("dbname=x", tokenstore.PostgresOptions{})
	wantError(t, err, tokenstore.ErrUnsupported)
}
