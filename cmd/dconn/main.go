// Command dconn makes IPC on the local network scriptable: see README.md.
package main

import (
	"os"

	"github.com/deskconn/dconn/commands"
)

func main() { os.Exit(commands.Main()) }
