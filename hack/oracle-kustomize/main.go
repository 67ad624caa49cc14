// Command oracle-kustomize asks Kustomize what post-renderers make of objects.
//
//	oracle-kustomize keys               prints where patches merge lists, and which kinds have no namespace
//	oracle-kustomize answer FILE        fills in the expected results of the cases in FILE
//	oracle-kustomize generate N SEED    prints N made-up cases with their results
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle-kustomize:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "keys":
		return printKeys()
	case len(args) == 2 && args[0] == "answer":
		return answerFile(args[1])
	case len(args) == 3 && args[0] == "generate":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		seed, err := strconv.ParseUint(args[2], 10, 64)
		if err != nil {
			return err
		}
		return generate(count, seed)
	}
	return fmt.Errorf("usage: oracle-kustomize keys | answer FILE | generate N SEED")
}

// answerFile reads cases, one a line, and writes them back with Kustomize's results. Lines that begin with # stay.
func answerFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		var c Case
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		if err := printCase(&out, c.answered()); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}
