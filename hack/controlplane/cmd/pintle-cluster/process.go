package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a started program, known by its pid and the moment it began: a pid alone may be somebody else's by now.
type process struct {
	name    string
	pid     int
	started string
}

// start runs a program detached from the calling shell, its output in logs/NAME.log, its identity in pids/NAME, what was
// run in commands/NAME.
func (i *instance) start(name, program string, args ...string) error {
	log, err := os.OpenFile(i.path("logs", name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program, args...)
	command.Dir = i.dir
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Env = append(os.Environ(), "KUBECONFIG=")
	if err := command.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", name, err)
	}
	// Reaped here as long as up runs, so that a part that dies at once is seen as gone and not as a zombie.
	go func() { _ = command.Wait() }()
	line, err := json.Marshal(append([]string{program}, args...))
	if err != nil {
		return err
	}
	if err := os.WriteFile(i.path("commands", name), append(line, '\n'), 0o644); err != nil {
		return err
	}
	identity := fmt.Sprintf("%d %s\n", command.Process.Pid, processStart(command.Process.Pid))
	return os.WriteFile(i.path("pids", name), []byte(identity), 0o644)
}

// processes lists what start recorded, dead or alive, by name.
func (i *instance) processes() []process {
	files, _ := filepath.Glob(i.path("pids", "*"))
	sort.Strings(files)
	var found []process
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, started, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
		number, err := strconv.Atoi(pid)
		if err != nil {
			continue
		}
		found = append(found, process{name: filepath.Base(file), pid: number, started: started})
	}
	return found
}

func (p process) alive() bool {
	return p.started != "" && processStart(p.pid) == p.started
}

// stop kills without ceremony: what these processes hold in memory is thrown away with the folder anyway.
func (p process) stop() error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %s (pid %d): %w", p.name, p.pid, err)
	}
	for deadline := time.Now().Add(10 * time.Second); p.alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s (pid %d) does not end", p.name, p.pid)
		}
	}
	return nil
}

// processStart names the moment a process began, in whatever form the system gives it; empty if it is gone or a zombie.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if _, err := os.Stat("/proc/self/stat"); err == nil {
			return ""
		}
		// Systems without /proc.
		output, _ := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
		return strings.TrimSpace(string(output))
	}
	// proc(5): the second field, the command in parentheses, may itself hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, startTime = 0, 19
	if len(fields) <= startTime || fields[state] == "Z" {
		return ""
	}
	return fields[startTime]
}

// logTail is the end of a part's log, for the message that says it failed.
func (i *instance) logTail(name string) string {
	data, err := os.ReadFile(i.path("logs", name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return strings.Join(lines, "\n")
}
