package main

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// serveHTTP answers every request with its protocol, method, path and the size of its body.
func serveHTTP(addresses []string) error {
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		say("request %s %s %s from %s", request.Proto, request.Method, request.URL.Path, request.RemoteAddr)
		size, _ := io.Copy(io.Discard, request.Body)
		fmt.Fprintf(writer, "%s %s %s %d\n", request.Proto, request.Method, request.URL.Path, size)
	})
	failed := make(chan error)
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		say("serving %s", address)
		server := &http.Server{Handler: h2c.NewHandler(handler, &http2.Server{MaxConcurrentStreams: 250})}
		go func() { failed <- server.Serve(listener) }()
	}
	return <-failed
}
