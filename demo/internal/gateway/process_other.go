//go:build !linux

package gateway

import "os/exec"

// dieWithParent has nothing to offer here: only a parent that was killed outright leaves its
// gateway behind, since an interrupt from the terminal reaches both.
func dieWithParent(*exec.Cmd) {}
