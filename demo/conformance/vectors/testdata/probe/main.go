package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/slidingjwt/slidingjwt"
)

// main answers questions, one JSON value each, in the order that they come.
func main() {
	questions := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := json.NewEncoder(os.Stdout)
	for {
		var q struct {
			Set, Alg, KeyID  string
			Input, Signature []byte
		}
		err := questions.Decode(&q)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(err)
		}
		if err := answers.Encode(slidingjwt.Probe(q.Set, q.Alg, q.KeyID, string(q.Input), string(q.Signature))); err != nil {
			panic(err)
		}
	}
}
