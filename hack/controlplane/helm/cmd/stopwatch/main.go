// Command stopwatch runs a command COUNT times and prints the medians of wall time and of CPU time, and the largest
// memory: stopwatch COUNT COMMAND...
//
// What the command prints goes nowhere, unless it runs once only. A program of its own, and a small one: until a child
// has become the command it has the memory of its parent, and that counts.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stopwatch:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: stopwatch COUNT COMMAND...")
	}
	count, command := args[0], args[1:]
	turns, err := strconv.Atoi(count)
	if err != nil || turns < 1 {
		return fmt.Errorf("%q is no count", count)
	}
	var walls, cpus []time.Duration
	var peakKiB int64
	for range turns {
		child := exec.Command(command[0], command[1:]...)
		child.Stderr = os.Stderr
		if turns == 1 {
			child.Stdout = os.Stdout
		}
		began := time.Now()
		if err := child.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
		walls = append(walls, time.Since(began))
		cpus = append(cpus, child.ProcessState.UserTime()+child.ProcessState.SystemTime())
		if usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peakKiB = max(peakKiB, usage.Maxrss)
		}
	}
	fmt.Printf("wall %s ms  CPU %s ms  peak %.1f MiB\n", median(walls), median(cpus), float64(peakKiB)/1024)
	return nil
}

func median(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("%.1f (least %.1f)", milliseconds(times[len(times)/2]), milliseconds(times[0]))
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
