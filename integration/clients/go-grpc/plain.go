package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

// serveLogged is Go's HTTP server without a mux: every request, CONNECT too, is answered by 200, and a line with its method and
// target goes into a file.
func serveLogged(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("%s", usage)
	}
	file, err := os.OpenFile(arguments[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	printable := func(letter rune) rune {
		if letter < ' ' || letter > '~' {
			return '?'
		}
		return letter
	}
	answer := func(response http.ResponseWriter, request *http.Request) {
		said := strings.Map(printable, request.Method+" "+request.RequestURI) + "\n"
		file.WriteString(said)
		io.Copy(io.Discard, request.Body)
		io.WriteString(response, "ok "+said)
	}
	server := http.Server{Addr: arguments[0], Handler: http.HandlerFunc(answer), ErrorLog: log.New(io.Discard, "", 0)}
	return server.ListenAndServe()
}
