// Command nexusclient makes one WAMP call through nexus's own client package,
// as its examples do. That package is imported here only as the peer we measure
// ourselves against; dconn does not use it.
//
//	nexusclient SOCKET URI
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/transport/serialize"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nexusclient:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: nexusclient SOCKET URI")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.ConnectNet(ctx, "unix://"+args[0], client.Config{
		Realm:         "deskconn",
		Serialization: serialize.CBOR,
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	result, err := c.Call(ctx, args[1], nil, nil, nil, nil)
	if err != nil {
		return err
	}
	if len(result.Arguments) == 0 {
		return errors.New("the result is empty")
	}
	fmt.Println(result.Arguments[0])
	return nil
}
