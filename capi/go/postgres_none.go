//go:build !tokenstore_postgres

package tokenstore

// OpenPostgres opens a store in a PostgreSQL. This build has none: it answers ErrUnsupported.
func OpenPostgres(string, PostgresOptions, ...Option) (*Store, error) {
	return nil, &Error{Status: StatusUnsupported,
		Message: "this program was built without PostgreSQL: build it with -tags tokenstore_postgres"}
}
