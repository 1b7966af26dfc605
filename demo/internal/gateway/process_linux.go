package gateway

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process when its parent ends, however that happens. A Ctrl-C
// is the parent's alone, which then stops the gateway in order.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
