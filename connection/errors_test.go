package connection_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

func TestErrorsSayWhatHappened(t *testing.T) {
	for want, err := range map[string]error{
		`connection: channel open refused: resource shortage: "a\nb"`: &connection.OpenError{Reason: 4, Message: "a\nb"[:1] + "\n"[:0] + "\nb"[:0] + "\nb"},
		`connection: channel open refused: reason 77: ""`:             &connection.OpenError{Reason: 77},
		`connection: request "exec" refused`:                          &connection.RequestError{Name: "exec"},
		`connection: protocol error: x`:                               &connection.ProtocolError{Detail: "x"},
		`connection: no answer to 3 keepalives, 15s each`:             &connection.KeepAliveError{Interval: 15 * time.Second, Count: 3},
	} {
		require.EqualError(t, err, want)
	}
}
