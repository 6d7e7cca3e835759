//go:build tokenstore_system

package tokenstore

/*
#cgo pkg-config: tokenstore
*/
import "C"
