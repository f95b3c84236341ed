// A server and a client of Go's grpc and of its HTTP library, for the tests of the steered path.
//
// deploy/setup.sh test builds it. Messages are bytes as they are, so no step generates code. The service has any name;
// what a method does is in server.go. Its counterpart in Python is grpc_peer.py, with the same methods and stories.
package main

import (
	"fmt"
	"os"
)

const usage = `Usage: go-grpc server ADDRESS...         a gRPC server; one line for each call, and one for its end
       go-grpc http ADDRESS...           an HTTP server: HTTP/1, HTTP/2 at once or by upgrade, one line for each request
       go-grpc log ADDRESS FILE          an HTTP/1 server; a line for each request in a file
       go-grpc client ADDRESS STORY [ARGUMENT]...
Stories: kinds SERVICE, crowd COUNT, give-up, bulk BYTES, uploads COUNT BYTES, storm COUNT, retire, aged MILLISECONDS; each prints JSON`

func main() {
	arguments := os.Args[1:]
	if len(arguments) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	var err error
	switch arguments[0] {
	case "server":
		err = serve(arguments[1:])
	case "http":
		err = serveHTTP(arguments[1:])
	case "log":
		err = serveLogged(arguments[1:])
	case "client":
		err = tell(arguments[1], arguments[2:])
	default:
		err = fmt.Errorf("unknown part %q\n%s", arguments[0], usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
