//go:build tokenstore_postgres && !tokenstore_system

package tokenstore

/*
#cgo pkg-config: libpq
*/
import "C"
