package main

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log"
	"path/filepath"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	_ "github.com/mattn/go-sqlite3"
)

// What servers in Go write themselves.
func mapOfHashes(texts []string) func(int) {
	type record struct {
		owner   string
		scopes  map[string]bool
		expires time.Time
	}
	var mutex sync.RWMutex
	known := map[[sha256.Size]byte]*record{}
	for i, text := range texts {
		known[sha256.Sum256([]byte(text))] = &record{fmt.Sprint("owner", i), map[string]bool{scope: true}, time.Now().Add(time.Hour)}
	}
	return func(times int) {
		for i := 0; i < times; i++ {
			hash := sha256.Sum256([]byte(texts[i%population]))
			mutex.RLock()
			found := known[hash]
			mutex.RUnlock()
			if found == nil || !found.scopes[scope] || time.Now().After(found.expires) {
				log.Fatal("not valid")
			}
		}
	}
}

func jwtParser() func(int) {
	key := make([]byte, 32)
	type claims struct {
		Scope string `json:"scope"`
		jwt.RegisteredClaims
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{scope, jwt.RegisteredClaims{Subject: "alice",
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}}).SignedString(key)
	check(err)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))
	return func(times int) {
		for i := 0; i < times; i++ {
			var read claims
			token, err := parser.ParseWithClaims(text, &read, func(*jwt.Token) (any, error) { return key, nil })
			if err != nil || !token.Valid || read.Scope != scope {
				log.Fatal(err)
			}
		}
	}
}

func sqliteLookUp(texts []string, folder string) func(int) {
	db, err := sql.Open("sqlite3", filepath.Join(folder, "other.db"))
	check(err)
	_, err = db.Exec("CREATE TABLE token (hash BLOB PRIMARY KEY, owner TEXT, scopes TEXT, expires INTEGER) WITHOUT ROWID")
	check(err)
	all, err := db.Begin()
	check(err)
	for i, text := range texts {
		hash := sha256.Sum256([]byte(text))
		_, err = all.Exec("INSERT INTO token VALUES (?, ?, ?, ?)", hash[:], fmt.Sprint("owner", i), scope, time.Now().Add(time.Hour).Unix())
		check(err)
	}
	check(all.Commit())
	find, err := db.Prepare("SELECT owner, scopes, expires FROM token WHERE hash = ?")
	check(err)
	return func(times int) {
		for i := 0; i < times; i++ {
			hash := sha256.Sum256([]byte(texts[i%population]))
			var owner, scopes string
			var expires int64
			if err := find.QueryRow(hash[:]).Scan(&owner, &scopes, &expires); err != nil || scopes != scope || expires < time.Now().Unix() {
				log.Fatal(err)
			}
		}
	}
}
