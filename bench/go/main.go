// What a validation costs from Go, beside what it costs in C and what Go servers use instead. A module of its own, because
// the one that it measures needs the standard library only.
//
//	cd bench/go && go run -tags libsqlite3 .
//
// Contenders take turns, round by round; a figure is the median of the rounds, and a ratio the median of the rounds' own
// ratios, so that both sides saw the same machine.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/internal/fortests"
)

const (
	population = 10000
	rounds     = 41
	scope      = "notes:read"
)

var ctx = context.Background()

// contender does so many look-ups.
type contender struct {
	name string
	each int // look-ups of a round
	run  func(times int)
}

func main() {
	folder, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(folder)
	store, texts := openStore(folder)
	defer store.Close()

	compare([]contender{
		{"an empty cgo call", 100000, func(times int) {
			for i := 0; i < times; i++ {
				emptyCall()
			}
		}},
		{"the call in C alone", 200000, func(times int) {
			if fortests.ValidateOften(store, texts, times) != times {
				log.Fatal("not valid")
			}
		}},
		{"Validate, the outcome", 20000, func(times int) { validate(store, texts, 0, times) }},
		{"Validate, the owner read", 20000, func(times int) {
			for i := 0; i < times; i++ {
				verdict, _ := store.Validate(ctx, texts[i%population], tokenstore.Demand{Scope: scope})
				if verdict.Owner() == "" {
					log.Fatal("nobody")
				}
				verdict.Release()
			}
		}},
		{"Validate, 64 goroutines", 640000, func(times int) { validateByMany(store, texts, 64, times) }},
		{"a map of SHA-256 under RWMutex", 10000, mapOfHashes(texts)},
		{"golang-jwt, HS256", 1000, jwtParser()},
		{"a look-up in SQLite, mattn", 500, sqliteLookUp(texts, folder)},
	}, 2)
	compareRoutes(store, texts)
	memoryIsFlat(store, texts)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func openStore(folder string) (*tokenstore.Store, []string) {
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"))
	check(err)
	var texts []string
	for len(texts) < population {
		requests := make([]tokenstore.Request, 1000)
		for i := range requests {
			requests[i] = tokenstore.Request{Owner: fmt.Sprint("owner", len(texts)+i), Scopes: []string{scope}}
		}
		issued, err := store.IssueMany(ctx, tokenstore.Host(), requests)
		check(err)
		for _, one := range issued {
			texts = append(texts, one.Secret.Reveal())
		}
	}
	validate(store, texts, 0, 3*population)
	return store, texts
}

func validate(store *tokenstore.Store, texts []string, from, times int) {
	for i := from; i < from+times; i++ {
		verdict, err := store.Validate(ctx, texts[i%population], tokenstore.Demand{Scope: scope})
		if !verdict.Valid() {
			log.Fatal(verdict.Outcome(), err)
		}
		verdict.Release()
	}
}

func validateByMany(store *tokenstore.Store, texts []string, goroutines, times int) {
	var wait sync.WaitGroup
	for g := 0; g < goroutines; g++ {
		wait.Add(1)
		go func(from int) {
			defer wait.Done()
			validate(store, texts, from, times/goroutines)
		}(g * 157)
	}
	wait.Wait()
}

// compare prints each contender's median time, and how it stands to that of the one at `to`.
func compare(all []contender, to int) {
	times := make([][]float64, len(all))
	ratios := make([][]float64, len(all))
	for round := 0; round < rounds; round++ {
		took := make([]float64, len(all))
		for turn := range all {
			i := (turn + round) % len(all)
			began := time.Now()
			all[i].run(all[i].each)
			took[i] = float64(time.Since(began).Nanoseconds()) / float64(all[i].each)
			times[i] = append(times[i], took[i])
		}
		for i := range all {
			ratios[i] = append(ratios[i], took[i]/took[to])
		}
	}
	fmt.Printf("| what | ns | times %s |\n|---|---|---|\n", all[to].name)
	for i := range all {
		fmt.Printf("| %s | %.0f | %.2f |\n", all[i].name, median(times[i]), median(ratios[i]))
	}
}

func median(values []float64) float64 {
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	return sorted[len(sorted)/2]
}

func memoryIsFlat(store *tokenstore.Store, texts []string) {
	const times = 10_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resident := residentBytes()
	validate(store, texts, 0, times)
	runtime.ReadMemStats(&after)
	fmt.Printf("\n%d validations: %d objects allocated, %d kB more resident\n", times, after.Mallocs-before.Mallocs,
		(residentBytes()-resident)/1024)
}
