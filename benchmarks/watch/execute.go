// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// Execute runs one command; RSS is its peak in KiB, which is never reported lower than
// this program's own, because the kernel counts what a child was before its exec.
func execute(asked *request, given *answer) error {
	var stdout, stderr bytes.Buffer
	command := exec.Command(asked.Command[0], asked.Command[1:]...)
	command.Env = asked.Env
	command.Stdin = strings.NewReader(asked.Stdin)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	given.Output = stdout.String()
	if command.ProcessState != nil {
		if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
			given.RSS = usage.Maxrss
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s%s", err, given.Output, stderr.String())
	}
	return nil
}
