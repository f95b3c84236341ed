package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Far longer than anything takes.
const patience = 30 * time.Second

// The names of codes as the specification writes them.
var names = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

func name(code codes.Code) string {
	if int(code) < len(names) {
		return names[code]
	}
	return code.String()
}

type client struct {
	connection *grpc.ClientConn
	told       map[string]any
}

// tell runs a story over one channel and prints what it came to.
func tell(address string, words []string) error {
	if len(words) == 0 {
		return errors.New(usage)
	}
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return err
	}
	defer connection.Close()
	c := &client{connection, map[string]any{}}
	numbers := make([]int, 3)
	for place, word := range words[1:] {
		if place < len(numbers) {
			numbers[place], _ = strconv.Atoi(word)
		}
	}
	switch story := words[0]; {
	case story == "kinds" && len(words) == 2:
		c.kinds(words[1])
	case story == "crowd":
		c.crowd(numbers[0])
	case story == "give-up":
		c.giveUp()
	case story == "bulk":
		c.bulk(numbers[0])
	case story == "uploads":
		c.uploads(numbers[0], numbers[1])
	case story == "storm":
		c.storm(numbers[0])
	case story == "retire":
		c.retire()
	case story == "aged":
		c.aged(time.Duration(numbers[0]) * time.Millisecond)
	default:
		return errors.New(usage)
	}
	return json.NewEncoder(os.Stdout).Encode(c.told)
}

// note tells a code and, if there is one, its message.
func (c *client) note(what string, err error) {
	told := status.Convert(err)
	c.told[what] = strings.TrimSuffix(name(told.Code())+": "+told.Message(), ": ")
}

func within(time time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time)
}

func (c *client) say(method, text string, options ...grpc.CallOption) error {
	ctx, cancel := within(patience)
	defer cancel()
	message, answer := []byte(text), []byte(nil)
	err := c.connection.Invoke(ctx, method, &message, &answer, options...)
	if err == nil && string(answer) != text {
		return fmt.Errorf("%q came back as %q", text, answer)
	}
	return err
}

func (c *client) stream(ctx context.Context, method string) (grpc.ClientStream, error) {
	return c.connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
}

// put sends count messages of a size, and takes their total.
func (c *client) put(method string, count, size int) error {
	ctx, cancel := within(patience)
	defer cancel()
	stream, err := c.stream(ctx, method)
	if err != nil {
		return err
	}
	message := make([]byte, size)
	for number := 0; number < count; number++ {
		// The reason of a failure is told by the answer.
		if stream.SendMsg(&message) != nil {
			break
		}
	}
	_ = stream.CloseSend()
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		return err
	}
	if string(answer) != strconv.Itoa(count*size) {
		return fmt.Errorf("%d bytes became %s", count*size, answer)
	}
	return nil
}

// get takes count messages of a size.
func (c *client) get(method string, count, size int) error {
	ctx, cancel := within(patience)
	defer cancel()
	stream, err := c.stream(ctx, method)
	if err != nil {
		return err
	}
	message := []byte(fmt.Sprintf("%d %d", count, size))
	if err := stream.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_ = stream.CloseSend()
	for came := 0; ; came += len(message) {
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) && came == count*size {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// chat has three messages come back, one after the other; met is called between the first and the second.
func (c *client) chat(method string, met func()) error {
	ctx, cancel := within(patience)
	defer cancel()
	stream, err := c.stream(ctx, method)
	if err != nil {
		return err
	}
	for number := 0; number < 3; number++ {
		message, answer := []byte(strconv.Itoa(number)), []byte(nil)
		_ = stream.SendMsg(&message)
		if err := stream.RecvMsg(&answer); err != nil {
			return err
		}
		if string(answer) != string(message) {
			return fmt.Errorf("%s came back as %s", message, answer)
		}
		if number == 0 {
			met()
		}
	}
	_ = stream.CloseSend()
	err = stream.RecvMsg(new([]byte))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// kinds makes a call of each kind.
func (c *client) kinds(service string) {
	method := func(name string) string { return "/" + service + "/" + name }
	c.note("say", c.say(method("Say"), "hello"))
	c.note("put", c.put(method("Put"), 100, 10_000))
	c.note("get", c.get(method("Get"), 100, 10_000))
	c.note("chat", c.chat(method("Chat"), func() {}))
}

// crowd has count calls open at the same time: of even number those of a service, of odd number those of another one.
func (c *client) crowd(count int) {
	var open, done sync.WaitGroup
	open.Add((count + 1) / 2)
	var lock sync.Mutex
	for number := 0; number < count; number++ {
		done.Add(1)
		go func(number int) {
			defer done.Done()
			service, met := "lab.Echo", func() { open.Done(); open.Wait() }
			if number%2 == 1 {
				service, met = "lab.Secret", func() {}
			}
			err := c.chat("/"+service+"/Chat", met)
			lock.Lock()
			defer lock.Unlock()
			key := service + " " + name(status.Code(err))
			before, _ := c.told[key].(int)
			c.told[key] = before + 1
		}(number)
	}
	done.Wait()
}

// giveUp lets one call run into its deadline and cancels another one, once the server has begun with them.
func (c *client) giveUp() {
	wait := func(time time.Duration, cancelled bool) error {
		ctx, cancel := within(time)
		defer cancel()
		stream, err := c.stream(ctx, "/lab.Echo/Wait")
		if err != nil {
			return err
		}
		message := []byte("x")
		_ = stream.SendMsg(&message)
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		if cancelled {
			cancel()
		}
		return stream.RecvMsg(&message)
	}
	c.note("deadline", wait(time.Second, false))
	c.note("cancel", wait(patience, true))
	c.note("after", c.say("/lab.Echo/Say", "hello"))
}

// bulk moves bytes in messages of one MiB, first down, then up.
func (c *client) bulk(bytes int) {
	c.note("get", c.get("/lab.Echo/Get", bytes>>20, 1<<20))
	c.note("put", c.put("/lab.Echo/Put", bytes>>20, 1<<20))
}

// uploads sends into calls that are denied, and meanwhile makes others.
func (c *client) uploads(count, bytes int) {
	codes := map[string]int{}
	for number := 0; number < count; number++ {
		var other sync.WaitGroup
		other.Add(1)
		go func() {
			defer other.Done()
			codes["Say "+name(status.Code(c.say("/lab.Echo/Say", "hello")))]++
		}()
		err := c.put("/lab.Secret/Put", bytes>>16, 1<<16)
		other.Wait()
		codes["Put "+name(status.Code(err))]++
	}
	for code, times := range codes {
		c.told[code] = times
	}
}

// storm has count calls without an answer given up at once, while another one goes on.
func (c *client) storm(count int) {
	codes := map[string]int{}
	err := c.chat("/lab.Echo/Chat", func() {
		ctx, cancel := within(patience)
		defer cancel()
		calls := make([]grpc.ClientStream, 0, count)
		for len(calls) < count {
			stream, err := c.stream(ctx, "/lab.Echo/Stall")
			if err != nil {
				c.note("stall", err)
				return
			}
			message := []byte("x")
			_ = stream.SendMsg(&message)
			calls = append(calls, stream)
		}
		cancel()
		for _, stream := range calls {
			codes[name(status.Code(stream.RecvMsg(new([]byte))))]++
		}
	})
	c.note("chat", err)
	for code, times := range codes {
		c.told["stall "+code] = times
	}
}

// retire has the server end in order while a call is open. The call goes on, and the next one finds the server's heir.
func (c *client) retire() {
	err := c.chat("/lab.Echo/Chat", func() {
		c.note("retire", c.say("/lab.Echo/Retire", "retiring"))
		c.note("next", c.say("/lab.Echo/Say", "hello", grpc.WaitForReady(true)))
	})
	c.note("chat", err)
}

// aged makes calls one after the other at a server that limits the age of connections.
func (c *client) aged(during time.Duration) {
	codes := map[string]int{}
	for start := time.Now(); time.Since(start) < during; {
		codes[name(status.Code(c.say("/lab.Echo/Say", "hello")))]++
	}
	for code, times := range codes {
		c.told[code] = times
	}
}
