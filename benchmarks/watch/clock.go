// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// A clock is a file of a control group: cpuacct.usage in nanoseconds (cgroup-v1), or
// cpu.stat, whose first line is usage_usec in microseconds (cgroup-v2).
type clock string

func (c clock) read() time.Duration {
	content, err := os.ReadFile(string(c))
	if err != nil {
		return 0
	}
	unit := time.Nanosecond
	text, _, _ := strings.Cut(string(content), "\n")
	if strings.HasPrefix(text, "usage_usec ") {
		text, unit = strings.TrimPrefix(text, "usage_usec "), time.Microsecond
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(number) * unit
}
