package wire_test

import (
	"testing"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestMain(m *testing.M) { sshtest.Main(m) }
