package tokenstore

import "time"

// PostgresOptions is how to use a PostgreSQL. Each zero value has its default.
type PostgresOptions struct {
	Schema       string        // that holds the tables; empty: tokenstore
	Deadline     time.Duration // every call returns within it; 0: 5 s
	PoolSize     int           // the most connections besides the listener's; 0: 8
	MustExist    bool          // the tables must be there; else they are made, or migrated
	ReadOnly     bool          // nothing is written. Still reads from the primary
	MaxStaleness time.Duration // for how long another host's change may go unseen; 0: 1 s; Never: each call asks the server
	// Maintain asks the server for changes, instead of a thread.
	NoListenerThread bool
}
