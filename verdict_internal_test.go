package slidingjwt

import (
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// A request that comes while another one takes the first look goes on with the keys that New has read.
func TestJudgeDuringFirstLook(t *testing.T) {
	c := CreateConfig()
	c.SigningSecret = minted.Secret
	in, err := newInstance(c)
	if err != nil {
		t.Fatal(err)
	}
	if !in.memory.startLook() { // As another request does, which has not ended it.
		t.Fatal("no first look is due")
	}
	if _, r := judge(in, "Bearer "+minted.Token(t, minted.Valid()), time.Since(epoch)); r != nil {
		t.Errorf("got %s, want it served", r.code)
	}
	if keysource.Current(in.own).Signer == nil {
		t.Error("got no signer")
	}
}
