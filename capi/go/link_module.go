//go:build !tokenstore_system

package tokenstore

// The library is compiled with the package: tokenstore.cpp is the one-file form of the whole tree. Debian has no static
// library of fmt, whose headers are enough.

/*
#cgo CXXFLAGS: -std=c++20 -O2 -DTOKENSTORE_API=
#cgo LDFLAGS: -lsodium -lsqlite3 -lpthread
#cgo !tokenstore_static LDFLAGS: -lfmt
#cgo tokenstore_static CXXFLAGS: -DFMT_HEADER_ONLY
*/
import "C"
