package commands

import (
	"os"
	"slices"
	"strings"

	"github.com/deskconn/dconn/router/trust"
)

// occasion is what a command is run for: a call or an event.
type occasion struct {
	uri    string
	peer   string // who calls or published
	args   []any
	kwargs map[string]any
}

// maxArgsEnv is how much JSON is handed over in the environment, in bytes.
const maxArgsEnv = 64 << 10

// document is the JSON of the arguments, a line.
func (o *occasion) document() ([]byte, error) {
	return jsonLine(map[string]any{"args": orEmptyList(o.args), "kwargs": orEmptyDict(o.kwargs)})
}

// environment is this process's own, and what there is to know.
func (o *occasion) environment(document []byte) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "DCONN_ARGS_") || strings.HasPrefix(e, codeEnv+"=")
	})
	env = append(env, "DCONN_URI="+o.uri, "DCONN_CALLER="+o.peer, "DCONN_CALLER_DEVICE="+o.device())
	if len(document) > maxArgsEnv {
		return append(env, "DCONN_ARGS_TRUNCATED=1")
	}
	return append(env, "DCONN_ARGS_JSON="+strings.TrimSuffix(string(document), "\n"))
}

// device is the id of the paired device that is the peer, "" on one machine.
func (o *occasion) device() string {
	if _, err := trust.ParseID(o.peer); err != nil {
		return ""
	}
	return o.peer
}

// texts are the arguments as placeholders and $1 show them.
func (o *occasion) texts() (args []string, kwargs map[string]string, err error) {
	for _, v := range o.args {
		t, err := plainText(v)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, t)
	}
	kwargs = map[string]string{}
	for k, v := range o.kwargs {
		if kwargs[k], err = plainText(v); err != nil {
			return nil, nil, err
		}
	}
	return args, kwargs, nil
}
