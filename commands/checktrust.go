package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/trust"
)

// checkIdentity reads this machine's key, if it has one.
func (o *doctorOptions) checkIdentity(context.Context) capabilities.Finding {
	dir, err := stateDir(o.state)
	if err != nil {
		return absent("%v", err)
	}
	id, err := trust.ReadIdentity(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent("%s has no key yet: dconn serve, pair and id make one", dir)
	case err != nil:
		return brokenState(dir, err)
	}
	return fine("%s in %s", id.ID().Short(), dir)
}

// checkDevices reads whom this machine is paired with.
func (o *doctorOptions) checkDevices(context.Context) capabilities.Finding {
	list, err := knownDevices(o.state)
	switch dir, dirErr := stateDir(o.state); {
	case dirErr != nil:
		return absent("%v", dirErr)
	case err != nil:
		return brokenState(dir, err)
	case len(list) == 0:
		return absent("none is paired")
	}
	expired := 0
	for _, d := range list {
		if d.Expired(time.Now()) {
			expired++
		}
	}
	if expired > 0 {
		return fine("%s, %d of them expired", counted(len(list), "device"), expired)
	}
	return fine("%s", counted(len(list), "device"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// brokenState is a file of the state that cannot be used. What nobody can read any
// more is put aside, never deleted.
func brokenState(dir string, err error) capabilities.Finding {
	if loose, ok := errors.AsType[*trust.LooseError](err); ok {
		return failed(loose.Fix, "%v", err)
	}
	if newer, ok := errors.AsType[*trust.VersionError](err); ok {
		return failed("# install dconn anew, or put it aside: mv "+word(newer.Path)+" "+word(newer.Path+".newer"), "%v", err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return failed(fmt.Sprintf("sudo chown -R %d %s", os.Geteuid(), word(dir)), "%v", err)
	}
	return failed("mv "+word(dir)+" "+word(dir+".broken")+" # then pair again", "%v", err)
}
