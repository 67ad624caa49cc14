// The oracle: answers what real Helm, Sprig, text/template and go-yaml make of a case.
//
// Cases come as one JSON object a line, answers go out in the same order, one a line. A case that fails answers with
// the error as Helm words it, one that panics with the panic. Texts that are not UTF-8 go as "base64:…", both ways.
//
// What differs from run to run is fixed for every case, so that another implementation can be given the same:
//   - the clock stands at 2000-01-01T00:00:00Z (the fake clock of testing/synctest, which the libraries read);
//   - crypto/rand.Reader and the source of github.com/google/uuid are the stream of random.go, from its start;
//   - the local time zone is UTC; there is no cluster and no network behind lookup and getHostByName.
//
// Not fixed, because the libraries take them from elsewhere: randInt and shuffle (math/rand), the keys that genCA and its
// like make, ECDSA signatures, and the order of Go's maps in keys and values.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// Case is one question. Kind says which of the fields count.
type Case struct {
	Kind string `json:"kind"`
	// files, chart: the files of the chart by path.
	Files map[string]Text `json:"files"`
	// files, chart, values: a values file.
	Values Text `json:"values"`
	// files, chart, set: words for --set and its like, as pairs of the flag's name and its value.
	Set [][2]string `json:"set"`
	// files, chart: the release is an upgrade.
	Upgrade bool `json:"upgrade"`
	// files, chart: version of Kubernetes; empty for Helm's own default.
	KubeVersion string `json:"kubeVersion"`
	// files: describe certificates and keys in the output instead of giving them; describe: the text to describe.
	Describe bool `json:"describe"`
	Text     Text `json:"text"`
}

// Answer is what came of a case: exactly one of its parts.
type Answer struct {
	Files map[string]Text `json:"files,omitzero"`
	Text  *Text           `json:"text,omitzero"`
	Error *Text           `json:"error,omitzero"`
	Panic *Text           `json:"panic,omitzero"`
}

// Text is a string of any bytes.
type Text string

const notUTF8 = "base64:"

func (t Text) MarshalJSON() ([]byte, error) {
	text := string(t)
	if !utf8.ValidString(text) || strings.HasPrefix(text, notUTF8) {
		text = notUTF8 + base64.StdEncoding.EncodeToString([]byte(text))
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return []byte(out.String()), err
}

func (t *Text) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if encoded, found := strings.CutPrefix(text, notUTF8); found {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		*t = Text(decoded)
		return err
	}
	*t = Text(text)
	return nil
}

func main() {
	// Helm warns of values of other types than the chart's, and TZ must not matter.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	time.Local = time.UTC
	// Endless recursion ends the process in any case; soon is better.
	debug.SetMaxStack(128 << 20)
	// synctest wants a test to run in; its bubble is where the clock stands still. What the test's runner has to say goes
	// to the standard error, and once all is answered there is nothing for it to say.
	answers := os.Stdout
	os.Stdout = os.Stderr
	everything := func(_, _ string) (bool, error) { return true, nil }
	bubble := func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			answerAll(os.Stdin, answers)
			os.Exit(0)
		})
	}
	testing.Main(everything, []testing.InternalTest{{Name: "oracle", F: bubble}}, nil, nil)
}

func answerAll(in io.Reader, out io.Writer) {
	reader := bufio.NewReaderSize(in, 1<<20)
	writer := bufio.NewWriterSize(out, 1<<20)
	defer writer.Flush()
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if err := encoder.Encode(answerLine(line)); err != nil {
				fmt.Fprintln(os.Stderr, "oracle: cannot write:", err)
				os.Exit(1)
			}
		}
		if err != nil {
			return
		}
		// Whoever asks may wait for this answer, and the next case may end the process.
		writer.Flush()
	}
}

func answerLine(line []byte) Answer {
	var c Case
	if err := json.Unmarshal(line, &c); err != nil {
		return refusal(fmt.Errorf("oracle: this line is no case: %w", err))
	}
	return c.answer()
}

func (c *Case) answer() (answer Answer) {
	defer func() {
		if cause := recover(); cause != nil {
			text := Text(fmt.Sprint(cause))
			answer = Answer{Panic: &text}
		}
	}()
	startRandom()
	var files map[string]string
	var text string
	var err error
	switch c.Kind {
	case "files":
		files, err = c.renderFiles()
	case "chart":
		text, err = c.template()
	case "set":
		text, err = c.setValues()
	case "values":
		text, err = c.readValues()
	case "describe":
		text = describe(string(c.Text))
	case "functions":
		text = functionNames()
	default:
		err = fmt.Errorf("oracle: no kind %q of case", c.Kind)
	}
	if err != nil {
		return refusal(err)
	}
	if files != nil {
		answer.Files = map[string]Text{}
		for path, content := range files {
			if c.Describe {
				content = describe(content)
			}
			answer.Files[path] = Text(content)
		}
		return answer
	}
	result := Text(text)
	return Answer{Text: &result}
}

func refusal(err error) Answer {
	text := Text(err.Error())
	return Answer{Error: &text}
}
