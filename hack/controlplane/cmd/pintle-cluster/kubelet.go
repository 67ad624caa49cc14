package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// logsAnnotation on a Pod holds what its containers print; logsAnnotation + "." + CONTAINER is for one of them.
const logsAnnotation = "simulated.pintle.dev/logs"

// kubelet answers the one question the API server asks of a node here: the log of a container.
// KWOK can answer it too, but only from files that are named before the Pod exists.
type kubelet struct{ api *apiClient }

func (i *instance) newKubelet() (*http.Server, error) {
	api, err := i.apiClient("services")
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(i.path("pki", "serving.crt"), i.path("pki", "serving.key"))
	if err != nil {
		return nil, err
	}
	authorities, err := i.authorities()
	if err != nil {
		return nil, err
	}
	k := &kubelet{api: api}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLogs)
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "simulated nodes answer nothing but kubectl logs", http.StatusNotImplemented)
	})
	return &http.Server{Addr: address(i.ports.Kubelet), Handler: routes, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
	}}, nil
}

type podObject struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Status struct {
		InitContainerStatuses []containerStatus `json:"initContainerStatuses"`
		ContainerStatuses     []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	Name      string         `json:"name"`
	Image     string         `json:"image"`
	State     containerState `json:"state"`
	LastState containerState `json:"lastState"`
}

type containerState struct {
	Waiting *struct {
		Reason string `json:"reason"`
	} `json:"waiting"`
	Running *struct {
		StartedAt time.Time `json:"startedAt"`
	} `json:"running"`
	Terminated *struct {
		ExitCode  int       `json:"exitCode"`
		StartedAt time.Time `json:"startedAt"`
	} `json:"terminated"`
}

func (k *kubelet) containerLogs(w http.ResponseWriter, r *http.Request) {
	var pod podObject
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s", url.PathEscape(r.PathValue("namespace")), url.PathEscape(r.PathValue("pod")))
	if err := k.api.do(http.MethodGet, path, "", nil, &pod); err != nil {
		status := http.StatusInternalServerError
		var answered *apiError
		if errors.As(err, &answered) {
			status = answered.status
		}
		http.Error(w, err.Error(), status)
		return
	}
	query := r.URL.Query()
	text, err := pod.logs(r.PathValue("pod"), r.PathValue("container"), query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(text))
	if query.Get("follow") == "true" && pod.running(r.PathValue("container")) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func (p *podObject) container(name string) *containerStatus {
	for _, list := range [][]containerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for index := range list {
			if list[index].Name == name {
				return &list[index]
			}
		}
	}
	return nil
}

func (p *podObject) running(container string) bool {
	status := p.container(container)
	return status != nil && status.State.Running != nil
}

// logs are the lines of one container as the query wants them. Refusals use the kubelet's own words.
func (p *podObject) logs(pod, container string, query url.Values) (string, error) {
	status := p.container(container)
	if status == nil {
		return "", fmt.Errorf("container %q in pod %q is not available", container, pod)
	}
	state := status.State
	if query.Get("previous") == "true" || state.Waiting != nil {
		if status.LastState.Terminated == nil {
			if state.Waiting != nil {
				return "", fmt.Errorf("container %q in pod %q is waiting to start: %s", container, pod, waitingText(state.Waiting.Reason))
			}
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", container, pod)
		}
		state = status.LastState
	}
	lines := p.lines(container, state)
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	var text strings.Builder
	for _, line := range lines {
		if query.Get("timestamps") == "true" {
			text.WriteString(state.startedAt().UTC().Format(time.RFC3339Nano) + " ")
		}
		text.WriteString(line + "\n")
	}
	if limit, err := strconv.Atoi(query.Get("limitBytes")); err == nil && limit < text.Len() {
		return text.String()[:limit], nil
	}
	return text.String(), nil
}

func (p *podObject) lines(container string, state containerState) []string {
	for _, key := range []string{logsAnnotation + "." + container, logsAnnotation} {
		if text, ok := p.Metadata.Annotations[key]; ok {
			return strings.Split(strings.TrimRight(text, "\n"), "\n")
		}
	}
	lines := []string{container + ": started"}
	if state.Terminated != nil && state.Terminated.ExitCode != 0 {
		lines = append(lines, fmt.Sprintf("%s: fatal: simulated failure, exit code %d", container, state.Terminated.ExitCode))
	}
	return lines
}

func (s containerState) startedAt() time.Time {
	switch {
	case s.Running != nil:
		return s.Running.StartedAt
	case s.Terminated != nil:
		return s.Terminated.StartedAt
	}
	return time.Time{}
}

func waitingText(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	}
	return reason
}
