package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Mosquitto is a broker of our own.
type Mosquitto struct {
	Daemon *exec.Cmd
	Port   int // of 127.0.0.1
	Socket string
}

// mosquittoConf raises every limit that would make mosquitto drop a message,
// and has it say who subscribes.
const mosquittoConf = `listener %d 127.0.0.1
listener 0 %s
user root
allow_anonymous true
persistence false
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
max_inflight_bytes 0
memory_limit 0
log_dest stderr
log_type error
log_type subscribe
`

// StartMosquitto returns once a broker listens. There must be one: see Need.
func (r *Rig) StartMosquitto(ctx context.Context) (*Mosquitto, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(r.Dir, "mosquitto.conf")
	m := &Mosquitto{Daemon: exec.Command("mosquitto", "-c", conf), Port: port, Socket: filepath.Join(r.Dir, "mosquitto.sock")}
	if err := os.WriteFile(conf, fmt.Appendf(nil, mosquittoConf, port, m.Socket), 0o600); err != nil {
		return nil, err
	}
	if err := r.Start(m.Daemon); err != nil {
		return nil, err
	}
	if err := Accepts(ctx, "unix", m.Socket); err != nil {
		return nil, r.NotReady(m.Daemon, err)
	}
	return m, nil
}
