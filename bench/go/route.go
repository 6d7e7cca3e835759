package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"tokenstore.example/tokenstore"
)

// compareRoutes asks an open and a guarded route by turns, over loopback, by eight clients with connections that are kept.
func compareRoutes(store *tokenstore.Store, texts []string) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	open, guarded := httptest.NewServer(answer), httptest.NewServer(tokenstore.Require(store, scope)(answer))
	defer open.Close()
	defer guarded.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	perSecond := func(url string) float64 {
		const clients, each = 8, 250
		var wait sync.WaitGroup
		began := time.Now()
		for c := 0; c < clients; c++ {
			wait.Add(1)
			go func(from int) {
				defer wait.Done()
				for i := 0; i < each; i++ {
					request, err := http.NewRequest("GET", url, nil)
					check(err)
					request.Header.Set("Authorization", "Bearer "+texts[(from+i)%population])
					response, err := client.Do(request)
					check(err)
					if response.StatusCode != 200 {
						log.Fatal(response.Status)
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}(c * 1009)
		}
		wait.Wait()
		return clients * each / time.Since(began).Seconds()
	}
	var opens, guardeds, ratios []float64
	for round := 0; round < rounds; round++ {
		var o, g float64
		if round%2 == 0 {
			o, g = perSecond(open.URL), perSecond(guarded.URL)
		} else {
			g, o = perSecond(guarded.URL), perSecond(open.URL)
		}
		opens, guardeds, ratios = append(opens, o), append(guardeds, g), append(ratios, g/o)
	}
	fmt.Printf("\nnet/http: open %.0f requests a second, guarded %.0f, ratio %.3f\n", median(opens), median(guardeds), median(ratios))
}

// residentBytes is what the process has of the machine's memory.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	check(err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	check(err)
	return pages * int64(os.Getpagesize())
}
