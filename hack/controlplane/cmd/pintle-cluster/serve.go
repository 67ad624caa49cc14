package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/bcrypt"
)

// serve is the process beside the control plane: both registries, Git and charts over HTTP, and the kubelet's port.
func (i *instance) serve() error {
	logrus.SetLevel(logrus.WarnLevel)
	access, err := i.openAccessLog()
	if err != nil {
		return err
	}
	registry := i.newRegistry("registry", nil)
	registryAuth, err := i.newRegistryWithLogin()
	if err != nil {
		return err
	}
	git, err := i.newGitAndCharts()
	if err != nil {
		return err
	}
	kubelet, err := i.newKubelet()
	if err != nil {
		return err
	}
	registry = access.record("registry", i.withFaults("registry", registry))
	registryAuth = access.record("registry-auth", i.withFaults("registry-auth", registryAuth))
	git = access.record("git", i.withFaults("git", git))

	failed := make(chan error)
	serve := func(port int, handler http.Handler) {
		go func() { failed <- http.ListenAndServe(address(port), handler) }()
	}
	serveTLS := func(port int, handler http.Handler) {
		go func() {
			failed <- http.ListenAndServeTLS(address(port), i.path("pki", "serving.crt"), i.path("pki", "serving.key"), handler)
		}()
	}
	serve(i.ports.Registry, registry)
	serve(i.ports.RegistryAuth, registryAuth)
	serve(i.ports.Git, git)
	serveTLS(i.ports.RegistryTLS, registry)
	serveTLS(i.ports.GitTLS, git)
	go func() { failed <- kubelet.ListenAndServeTLS("", "") }()
	return <-failed
}

func (i *instance) newRegistry(folder string, auth configuration.Auth) http.Handler {
	config := &configuration.Configuration{
		Version: configuration.MajorMinorVersion(0, 1),
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": i.path(folder)},
			"delete":     configuration.Parameters{"enabled": true},
			// Uploads that were given up are nobody's problem: the folder goes with the instance.
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
		Auth: auth,
	}
	config.HTTP.Secret = "uploads of one test instance"
	config.Catalog.MaxEntries = 1000
	return handlers.NewApp(context.Background(), config)
}

func (i *instance) newRegistryWithLogin() (http.Handler, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(testPassword), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	file := i.path("htpasswd")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s:%s\n", testUser, hash), 0o600); err != nil {
		return nil, err
	}
	auth := configuration.Auth{"htpasswd": configuration.Parameters{"realm": "pintle test registry", "path": file}}
	return i.newRegistry("registry-auth", auth), nil
}

// accessLog has one line per request to a registry or the Git server, so that a test can count fetches:
// time, server, status, method, path with query.
type accessLog struct {
	mutex sync.Mutex
	file  *os.File
}

func (i *instance) openAccessLog() (*accessLog, error) {
	file, err := os.OpenFile(i.path("access.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return &accessLog{file: file}, err
}

func (a *accessLog) record(server string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri := r.URL.RequestURI() // before next, which may rewrite it
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		a.mutex.Lock()
		defer a.mutex.Unlock()
		fmt.Fprintf(a.file, "%s %s %d %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), server, recorder.status, r.Method, uri)
	})
}

// withFaults lets a test break a server for some paths: each line of the file faults/SERVER is a status and a path
// prefix ("503 /v2/team-a/"), read anew for every request.
func (i *instance) withFaults(server string, next http.Handler) http.Handler {
	file := i.path("faults", server)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		faults, _ := os.ReadFile(file)
		for line := range strings.Lines(string(faults)) {
			status, prefix, _ := strings.Cut(strings.TrimSpace(line), " ")
			if code, err := strconv.Atoi(status); err == nil && code >= 200 && strings.HasPrefix(r.URL.Path, prefix) {
				http.Error(w, "fault asked for by "+file, code)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what the real writer can do.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (i *instance) clientTransport(identity string) (*http.Transport, error) {
	authorities, err := i.authorities()
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(i.path("pki", identity+".crt"), i.path("pki", identity+".key"))
	if err != nil {
		return nil, err
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{certificate}}}, nil
}

func (i *instance) authorities() (*x509.CertPool, error) {
	data, err := os.ReadFile(i.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate", i.path("pki", "ca.crt"))
	}
	return pool, nil
}
