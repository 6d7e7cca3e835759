//go:build !tokenstore_system

package tokenstore

// The library is compiled with the package: tokenstore.cpp is the one-file form of the whole tree.

/*
#cgo CXXFLAGS: -std=c++20 -O2 -DTOKENSTORE_API=
#cgo LDFLAGS: -lsodium -lsqlite3 -lfmt -lpthread
*/
import "C"
