// Command empty does nothing: what the Go runtime and the kernel cost alone.
package main

func main() {}
