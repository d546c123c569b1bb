// Command nexuscli makes one WAMP call as a command line would that is built
// from the packages dconn is built from (cobra, viper, go-pretty) and nexus's
// own client package: what dconn would cost without a transport and a session
// of its own. It is only measured; dconn uses none of it.
//
//	nexuscli call SOCKET URI
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/transport/serialize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/viper"
)

func main() {
	settings := viper.New()
	settings.SetEnvPrefix("nexuscli")
	settings.AutomaticEnv()
	root := &cobra.Command{Use: "nexuscli", SilenceUsage: true}
	cmd := &cobra.Command{
		Use:  "call SOCKET URI",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return call(args[0], args[1], settings.GetString("output"))
		},
	}
	cmd.Flags().StringP("output", "o", "raw", "raw or table")
	root.AddCommand(cmd)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

func call(socket, uri, output string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.ConnectNet(ctx, "unix://"+socket, client.Config{
		Realm: "deskconn", Serialization: serialize.CBOR,
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	result, err := c.Call(ctx, uri, nil, nil, nil, nil)
	if err != nil {
		return err
	}
	if len(result.Arguments) == 0 {
		return errors.New("the result is empty")
	}
	if output == "table" {
		t := table.NewWriter()
		t.AppendRow(table.Row(result.Arguments))
		fmt.Println(t.Render())
		return nil
	}
	fmt.Println(result.Arguments[0])
	return nil
}
