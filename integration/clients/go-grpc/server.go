package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Messages of a call are bytes as they are.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "raw" }

// A connection is told to go away at this age. No call of a story may fail by it.
const age = 2 * time.Second

type server struct {
	address string
	retired chan struct{}
}

// serve runs a server at each address until one fails.
func serve(addresses []string) error {
	failed := make(chan error)
	for _, address := range addresses {
		one := &server{address, make(chan struct{})}
		go func() { failed <- one.run() }()
	}
	return <-failed
}

// run serves. One that retires ends in order, and its heir takes its place at once.
func (s *server) run() error {
	failed := make(chan error)
	for {
		listener, err := s.listen()
		if err != nil {
			return err
		}
		running := grpc.NewServer(
			grpc.ForceServerCodec(raw{}),
			grpc.UnknownServiceHandler(s.handle),
			grpc.MaxRecvMsgSize(64<<20),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, MaxConnectionAge: s.age()}),
		)
		say("serving %s", s.address)
		go func() {
			if err := running.Serve(listener); err != nil {
				failed <- err
			}
		}()
		select {
		case err := <-failed:
			return err
		case <-s.retired:
			go running.GracefulStop()
		}
	}
}

// listen waits for the address: the server before may not have let it go yet.
func (s *server) listen() (net.Listener, error) {
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		listener, err := net.Listen("tcp", s.address)
		if err == nil || time.Since(start) > 10*time.Second {
			return listener, err
		}
	}
}

// age of connections: the story "aged" asks for port 50052.
func (s *server) age() time.Duration {
	if _, port, _ := net.SplitHostPort(s.address); port == "50052" {
		return age
	}
	return 0
}

func (s *server) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	from, _ := peer.FromContext(stream.Context())
	say("call %s from %s", method, from.Addr)
	err := s.call(path.Base(method), stream)
	// What the client has given up is told by its context, whatever the last send came to.
	if given := stream.Context().Err(); given != nil {
		err = status.FromContextError(given).Err()
	}
	say("end %s %s", method, name(status.Code(err)))
	return err
}

func (s *server) call(method string, stream grpc.ServerStream) error {
	switch method {
	case "Say": // one message comes back
		message := new([]byte)
		if err := stream.RecvMsg(message); err != nil {
			return err
		}
		return stream.SendMsg(message)
	case "Put": // the answer is the number of bytes that came
		count := 0
		err := each(stream, func(message []byte) error { count += len(message); return nil })
		if err != nil {
			return err
		}
		answer := []byte(strconv.Itoa(count))
		return stream.SendMsg(&answer)
	case "Get": // "COUNT SIZE" asks for messages
		message := new([]byte)
		if err := stream.RecvMsg(message); err != nil {
			return err
		}
		var count, size int
		if _, err := fmt.Sscan(string(*message), &count, &size); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		filled := bytes.Repeat([]byte{'x'}, size)
		for ; count > 0; count-- {
			if err := stream.SendMsg(&filled); err != nil {
				return err
			}
		}
		return nil
	case "Chat": // each message comes back
		return each(stream, func(message []byte) error { return stream.SendMsg(&message) })
	case "Wait": // one message comes back, and nothing more until the client gives the call up
		message := new([]byte)
		if err := stream.RecvMsg(message); err != nil {
			return err
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	case "Stall": // no answer at all until the client gives the call up
		<-stream.Context().Done()
		return stream.Context().Err()
	case "Retire": // this server ends in order, another one takes its place
		s.retired <- struct{}{}
		answer := []byte("retiring")
		return stream.SendMsg(&answer)
	}
	return status.Error(codes.Unimplemented, method)
}

// each reads all messages of a stream.
func each(stream grpc.ServerStream, work func([]byte) error) error {
	for {
		message := new([]byte)
		err := stream.RecvMsg(message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = work(*message)
		}
		if err != nil {
			return err
		}
	}
}

var output sync.Mutex

// say writes one line at once.
func say(format string, arguments ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", arguments...)
}
