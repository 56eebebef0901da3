package userauth_test

import (
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// A1: the server grants access before any request.
func TestSuccessWithoutARequestIsNone(t *testing.T) {
	p := verdicts()
	p.queue = [][]byte{success}
	e := requireError(t, authenticate(t, p, userauth.Agent(nil)))
	require.ErrorIs(t, e.Tried[0].Err, userauth.ErrSkip)
	require.NotContains(t, p.events, "read")
}

// Each bound on a server's messages, at the bound and one beyond.
func TestBoundsOnWhatTheServerSays(t *testing.T) {
	const last = "other@example.com"
	list := func(n int) []byte { return failure(append(slices.Repeat([]string{"m"}, n-1), last)...) }
	sized := func(n int) []byte { return failure(strings.Repeat("x", n-len(failure("", last))), last) }
	prompts := func(n int) []byte { return infoRequest("", "", slices.Repeat([]string{"p"}, n)...) }
	one := func(packet []byte) [][][]byte { return [][][]byte{{packet}, {success}} }
	for name, test := range map[string]struct {
		bound  int
		answer func(n int) [][][]byte // to each request or message
		says   string
	}{
		"names":  {256, func(n int) [][][]byte { return one(list(n)) }, "failure message has 257 methods, more than 256"},
		"list":   {8 << 10, func(n int) [][][]byte { return one(sized(n)) }, "failure message of 8193 bytes is longer than 8192"},
		"banner": {1024, func(n int) [][][]byte { return [][][]byte{append(slices.Repeat([][]byte{banner("x")}, n), success)} }, "more than 1024 banners"},
		"prompt": {100, func(n int) [][][]byte { return one(prompts(n)) }, "challenge has 101 prompts, more than 100"},
		"rounds": {32, func(n int) [][][]byte { return append(slices.Repeat([][][]byte{{prompts(0)}}, n), [][]byte{success}) }, "more than 32 challenges"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []userauth.Challenge
			require.NoError(t, authenticate(t, script(test.answer(test.bound)...), answers(&asked), other{}))
			e := requireError(t, authenticate(t, script(test.answer(test.bound+1)...), answers(&asked), other{}))
			require.ErrorAs(t, e, new(*userauth.ProtocolError))
			require.ErrorContains(t, e, test.says)
		})
	}
}

// A4: the last request may still be granted.
func TestSixtyFourRequestsAreMade(t *testing.T) {
	made := 0
	p := newPeer(func([]byte) [][]byte {
		if made++; made == 64 {
			return [][]byte{success}
		}
		return [][]byte{partial("token@example.com")}
	})
	require.NoError(t, authenticate(t, p, token("x")))
	require.Equal(t, 64, made)
}

// A4: a server allows more and more methods, or used methods again.
func TestListsThatGrowAreGivenUp(t *testing.T) {
	for name, answer := range map[string]func(n int) []byte{
		"longer each time": func(n int) []byte { return partial(slices.Repeat([]string{"token@example.com", "password"}, n)...) },
		"100000 names":     func(int) []byte { return failure(slices.Repeat([]string{"password"}, 100_000)...) },
		"always the same":  func(int) []byte { return failure("password", "token@example.com", "keyboard-interactive") },
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			p := newPeer(func([]byte) [][]byte { n++; return [][]byte{answer(n)} })
			before := heap()
			var asked []userauth.Challenge
			e := requireError(t, authenticate(t, p, userauth.Password("sesame"), token("x"), answers(&asked)))
			require.LessOrEqual(t, len(p.requests(t)), 64)
			passwords := slices.DeleteFunc(p.methods(t), func(name string) bool { return name != "password" })
			require.Len(t, passwords, 1)
			require.Less(t, len(e.Error()), 8<<10)
			require.Less(t, heap()-before, int64(8<<20))
		})
	}
}

// endless is a Transport whose server repeats a message for ever.
type endless struct {
	*peer
	packet []byte
	read   int
}

func (e *endless) ReadPacket() ([]byte, error) { e.read++; return e.packet, nil }

// A7 and A8: the login ends soon, and nothing is kept.
func TestFloodsEndTheLogin(t *testing.T) {
	big := strings.Repeat("\xff\x1b", 16<<10)
	for name, test := range map[string]struct {
		packet []byte
		most   int // packets read
	}{
		"A8 banners":          {banner("hello"), 1025},
		"A8 large banners":    {banner(big), 1025},
		"A8 empty banners":    {banner(""), 1025},
		"A7 challenges":       {infoRequest("", ""), 33},
		"A7 large challenges": {infoRequest(big, big, big, big), 33},
		"A4 failures":         {failure("keyboard-interactive"), 4},
		"A4 partial success":  {partial("keyboard-interactive"), 4},
	} {
		t.Run(name, func(t *testing.T) {
			p := &endless{peer: verdicts(), packet: test.packet}
			shown := 0
			before := heap()
			yes := userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) ([]string, error) {
				require.Less(t, len(c.Name)+len(c.Instruction), 33<<10)
				return make([]string, len(c.Prompts)), nil
			})
			requireError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", Methods: []userauth.Method{yes}, Banner: func(text string) { shown += len(text) },
			}))
			require.LessOrEqual(t, p.read, test.most)
			require.LessOrEqual(t, shown, 64<<10)
			require.Less(t, heap()-before, int64(8<<20))
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A14: an agent lists malformed keys. The server judges them like others.
func TestAgentWithAKeyThatIsNone(t *testing.T) {
	good := ed25519Signer(t)
	blobs := [][]byte{
		ssh.Marshal(struct{ Type, Rest string }{"ssh-ed25519", "garbage"}),
		ssh.Marshal(struct{ Type string }{"\x1b[2J,"}),
		good.PublicKey().Marshal(),
	}
	list := binary.BigEndian.AppendUint32([]byte{12}, uint32(len(blobs)))
	for _, blob := range blobs {
		list = append(list, ssh.Marshal(struct{ Blob, Comment string }{string(blob), "x"})...)
	}
	a := dialAgent(t, func(c io.ReadWriter) error {
		var request [5]byte
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return err
		}
		_, err := c.Write(ssh.Marshal(struct{ Reply []byte }{list}))
		return err
	})
	p := keyServer(t)
	e := requireError(t, authenticate(t, p, userauth.Agent(a)))
	require.NotContains(t, e.Error(), "\x1b")
	require.Equal(t, []string{"query ssh-ed25519"}, p.keyRequests(t), "the last one could not sign")
	require.Len(t, e.Tried, 3)
}
