//go:build tokenstore_static

package tokenstore

/*
#cgo LDFLAGS: -static -ldl -lm
*/
import "C"
