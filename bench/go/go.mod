module tokenstore.example/tokenstore/bench

go 1.23

require (
	github.com/golang-jwt/jwt/v5 v5.2.2
	github.com/mattn/go-sqlite3 v1.14.28
	tokenstore.example/tokenstore v0.1.0
)

replace tokenstore.example/tokenstore => ../../capi/go
