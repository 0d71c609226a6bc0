// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const block = 64 << 10

func serve(address string) error {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			buffer := make([]byte, block)
			for {
				if _, err := connection.Read(buffer); err != nil {
					return
				}
			}
		}()
	}
}

// Connect opens and closes connections until Count are made or Seconds have passed;
// Amount is how many a second. They end by a reset, so that no TIME_WAIT uses ports up.
func connect(asked *request, given *answer) error {
	var made int64
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	start := time.Now()
	deadline := start.Add(time.Duration(asked.Seconds * float64(time.Second)))
	for i := 0; i < asked.Workers; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; i < asked.Count/asked.Workers; i++ {
				connection, err := net.DialTimeout("tcp4", asked.Address, time.Second)
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
				connection.(*net.TCPConn).SetLinger(0)
				connection.Close()
				atomic.AddInt64(&made, 1)
				if time.Now().After(deadline) {
					return
				}
			}
		}()
	}
	all.Wait()
	given.Amount = float64(made) / time.Since(start).Seconds()
	return failed
}

// Stream sends over one connection for Seconds; Amount is bytes a second.
func stream(asked *request, given *answer) error {
	connection, err := net.DialTimeout("tcp4", asked.Address, time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	start := time.Now()
	deadline := start.Add(time.Duration(asked.Seconds * float64(time.Second)))
	connection.SetDeadline(deadline.Add(time.Second))
	sent, buffer := 0, make([]byte, block)
	for time.Now().Before(deadline) && err == nil {
		var n int
		n, err = connection.Write(buffer)
		sent += n
	}
	given.Amount = float64(sent) / time.Since(start).Seconds()
	return err
}
