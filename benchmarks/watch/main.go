// SPDX-License-Identifier: Apache-2.0

// Command watch runs calls and measures them, one line of JSON for each request:
// through libcni ("add", "check", "del" of a list, for one attachment or several at
// once), as plain processes ("exec"), and as TCP connections ("connect", "stream").
//
//	watch CLOCK          answers requests from stdin until it ends
//	watch serve ADDRESS  accepts TCP connections and reads what comes
//
// CLOCK is the file that tells the CPU time of the control group that it is in, ""
// where there is none. The program stays, so that its own start is in no figure.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Settle is for what goes on when a call has returned, an exiting child for example:
// it belongs to the CPU time, not to the time that the caller waited.
const settle = 25 * time.Millisecond

type request struct {
	Operation   string
	List        string
	Path        string
	Attachments []attachment
	Command     []string
	Env         []string
	Stdin       string
	Address     string
	Seconds     float64
	Count       int
	Workers     int
}

type answer struct {
	Wall   float64 `json:"wall"`
	CPU    float64 `json:"cpu"`
	RSS    int64   `json:"rss"`
	Amount float64 `json:"amount"`
	Output string  `json:"output"`
	Error  string  `json:"error"`
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, serve(os.Args[2]))
		os.Exit(1)
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: watch CLOCK | watch serve ADDRESS")
		os.Exit(2)
	}
	requests := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		var asked request
		if requests.Decode(&asked) != nil {
			return
		}
		answers.Encode(measured(clock(os.Args[1]), &asked))
	}
}

func measured(cpu clock, asked *request) *answer {
	given := &answer{}
	before, start := cpu.read(), time.Now()
	err := perform(asked, given)
	given.Wall = time.Since(start).Seconds()
	time.Sleep(settle)
	given.CPU = (cpu.read() - before).Seconds()
	if err != nil {
		given.Error = err.Error()
	}
	return given
}

func perform(asked *request, given *answer) error {
	switch asked.Operation {
	case "add", "check", "del":
		return attach(asked)
	case "exec":
		return execute(asked, given)
	case "connect":
		return connect(asked, given)
	case "stream":
		return stream(asked, given)
	}
	return fmt.Errorf("unknown operation %q", asked.Operation)
}
