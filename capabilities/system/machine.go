package system

import "golang.org/x/sys/unix"

// machine is the hardware type uname(2) reports, "x86_64" or "aarch64"; it has
// no file in /proc.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Machine[:])
}
