package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
)

// Pair pairs the daemon on Socket with whoever uses the state directory dir, who
// calls it device and may use there what dconn pair gives by default.
func (r *Rig) Pair(ctx context.Context, dconn, device, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shows := exec.CommandContext(ctx, dconn, "pair", "--socket", r.Socket(), "-o", "ndjson")
	shows.Env = r.Env()
	out, err := shows.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shows.Start(); err != nil {
		return err
	}
	err = r.typeCode(ctx, json.NewDecoder(out), dconn, device, dir)
	if err != nil {
		cancel()
	}
	_, _ = io.Copy(io.Discard, out)
	if ended := shows.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("dconn pair: %w", ended)
	}
	return err
}

// typeCode is the end of the pairing that is told the code.
func (r *Rig) typeCode(ctx context.Context, shown *json.Decoder, dconn, device, dir string) error {
	var window struct {
		Code      string
		Addresses []string
	}
	if err := shown.Decode(&window); err != nil || len(window.Addresses) == 0 {
		return fmt.Errorf("dconn pair showed no code and where to type it: %+v, %v", window, err)
	}
	types := exec.CommandContext(ctx, dconn, "pair", "--state", dir, "--name", device, window.Addresses[0])
	types.Env = append(r.Env(), "DCONN_PAIR_CODE="+window.Code)
	if said, err := types.CombinedOutput(); err != nil {
		return fmt.Errorf("dconn pair %s: %w\n%s", window.Addresses[0], err, said)
	}
	return nil
}
