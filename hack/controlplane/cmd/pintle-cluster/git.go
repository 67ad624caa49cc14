package main

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// newGitAndCharts serves, on one port:
//
//	/NAME.git        a bare repository of the folder git/, for clone and push; a push to a name that does not exist makes it
//	/charts/FILE     a file of the folder charts/, for use as a Helm HTTP repository
//	/auth/…          the same two behind basic authentication
func (i *instance) newGitAndCharts() (http.Handler, error) {
	git, err := newGitHandler(i.path("git"))
	if err != nil {
		return nil, err
	}
	open := http.NewServeMux()
	open.Handle("/charts/", http.StripPrefix("/charts/", http.FileServer(http.Dir(i.path("charts")))))
	open.Handle("/", git)
	all := http.NewServeMux()
	all.Handle("/auth/", http.StripPrefix("/auth", requireLogin(open)))
	all.Handle("/", open)
	return all, nil
}

func requireLogin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(testUser+":"+testPassword)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="pintle test server"`)
			http.Error(w, "login required", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var repositoryPath = regexp.MustCompile(`^/([A-Za-z0-9][A-Za-z0-9._/-]*\.git)(/.*)$`)

type gitHandler struct {
	root     string
	program  string
	creating sync.Mutex
}

func newGitHandler(root string) (*gitHandler, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	return &gitHandler{root: root, program: program}, nil
}

// gitEnvironment holds what a repository of the tests allows; the user's own git configuration has no say.
var gitEnvironment = []string{
	"GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_CONFIG_COUNT=5",
	"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
	"GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true",
	"GIT_CONFIG_KEY_2=uploadpack.allowFilter", "GIT_CONFIG_VALUE_2=true",
	"GIT_CONFIG_KEY_3=init.defaultBranch", "GIT_CONFIG_VALUE_3=main",
	// Without it a push starts a background gc that outlives the request.
	"GIT_CONFIG_KEY_4=receive.autogc", "GIT_CONFIG_VALUE_4=false",
}

func (g *gitHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := repositoryPath.FindStringSubmatch(r.URL.Path)
	if match == nil || strings.Contains(r.URL.Path, "..") {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("service") == "git-receive-pack" {
		if err := g.createIfMissing(match[1]); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	// CGI needs the length of the body beforehand, and git sends larger packs in chunks.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	handler := cgi.Handler{
		Path: g.program,
		Args: []string{"http-backend"},
		Dir:  g.root,
		Env:  append([]string{"GIT_PROJECT_ROOT=" + g.root}, gitEnvironment...),
	}
	handler.ServeHTTP(w, r)
}

func (g *gitHandler) createIfMissing(name string) error {
	g.creating.Lock()
	defer g.creating.Unlock()
	folder := filepath.Join(g.root, name)
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	command := exec.Command(g.program, "init", "--quiet", "--bare", folder)
	command.Env = append(os.Environ(), gitEnvironment...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot create %s: %w: %s", name, err, output)
	}
	return nil
}
