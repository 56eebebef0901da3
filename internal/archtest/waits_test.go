package archtest_test

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waitsNever are the functions and methods with an exported name, those of
// unexported types included, that wait for no peer and for no other goroutine,
// or no longer than they say, as Close does. All others stand in a table of
// their package's tests, a waittest.Calls. Package sshtest is left out: its
// servers wait for the client under test.
var waitsNever = map[string]string{
	".": `
		NewClient NewMemory Command Client.Command Client.Conn Client.Transport
		Client.Close
		Cmd.StdinPipe Cmd.StdoutPipe Cmd.StderrPipe stdinPipe.Close outputPipe.Close stdout.Close
		NoMemory.Get NoMemory.Put lru.Get lru.Put
		buffer.Write tail.Write lockedWriter.Write sourceReader.Read SplitTarget grace.Done grace.Err`,
	"transport": `
		Client FixedHostKey HostKeyFunc.VerifyHostKey fixedHostKey.HostKeyAlgorithms fixedHostKey.VerifyHostKey
		Conn.Close Conn.Done Conn.Extension Conn.HostKeyProof Conn.LocalAddr Conn.RemoteAddr Conn.SessionID Conn.State State.PostQuantum Conn.NotifyWait Conn.PacketBuffer Conn.TryBatch`,
	"userauth": `
		None Password PasswordFunc PasswordChange PublicKeys PublicKeysFunc InsecureSHA1 Agent KeyboardInteractive
		Hostbased GSSAPIWithMIC Choose KeyName Reply.Allows
		Exchange.Allowed Exchange.Extension Exchange.HostKeyProof Exchange.LastKey Exchange.Name Exchange.Probes
		Exchange.Record Exchange.SessionID Exchange.SignedData Exchange.Tried Exchange.User
		none.Name passwords.Name passwords.Names publicKeys.Name keyboardInteractive.Name hostbased.Name
		gssapi.Name choose.Name`,
	"userauth/identity": `
		AgentSocket InProcess SystemAgent Forwarded Method
		method.Name key.PublicKey key.Algorithms key.Interactive
		agentKey.PublicKey agentKey.Algorithms agentKey.Interactive pipe.LocalAddr pipe.RemoteAddr`,
	"connection": `
		New Conn.Close Conn.Done Conn.HandleOpen Conn.HandleRequest Open.Conn Open.ExtraData Open.Type Request.Conn
		Channel.AtEOF Channel.Close Channel.CloseRead Channel.CloseWrite Channel.Done Channel.Stderr
		Channel.SetDeadline Channel.SetReadDeadline Channel.SetWriteDeadline Stderr.Close`,
	"connection/sshconn": `
		New conn.Close channel.Close channel.CloseWrite channel.Stderr incoming.ChannelType incoming.ExtraData
		metadata.Algorithms metadata.ClientVersion metadata.LocalAddr metadata.RemoteAddr metadata.ServerVersion
		metadata.SessionID metadata.User`,
	"connection/hostkeys": `Handler`,
	"channel": `
		Session.Close listener.Close listener.Addr conn.LocalAddr conn.RemoteAddr nameAddr.Network`,
	"knownhosts": `
		Load LoadFS Parse Fingerprint
		DB.Add DB.Authorities DB.HostKeyAlgorithms DB.Skipped DB.VerifyHostKey Pin.VerifyHostKey Callback.VerifyHostKey
		LoadRevocations ParseRevocations Revocations.VerifyHostKey InsecureAcceptAny.VerifyHostKey
		Policy.HostKeyAlgorithms Policy.LearnHostKey Terminal`,
	"sshconfig": `
		UserFile SystemFile SetHost Shell Config.Expand Config.Explain Config.Settings Forward.IsDynamic`,
}

// plain are the methods that describe a value.
var plain = []string{"Error", "Unwrap", "Is", "Timeout", "Temporary", "String"}

// TestWaits requires every exported call to stand either in its package's table
// of waits, or in waitsNever.
func TestWaits(t *testing.T) {
	exported, tables := make(map[string][]string), make(map[string][]string)
	for _, f := range sources(t) {
		switch {
		case f.internal() || f.below("examples") || f.below("sshtest"):
		case f.test:
			tables[f.dir] = append(tables[f.dir], waitTable(t, f)...)
		default:
			exported[f.dir] = append(exported[f.dir], exportedCalls(f)...)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(exported)) {
		never := strings.Fields(waitsNever[dir])
		for _, name := range exported[dir] {
			assert.NotEqualf(t, slices.Contains(never, name), slices.Contains(tables[dir], name),
				"%s: %s has to stand in the package's waittest.Calls, or in waitsNever of waits_test.go", dir, name)
		}
		for _, name := range slices.Concat(never, tables[dir]) {
			assert.Containsf(t, exported[dir], name, "%s: there is no such function or method", dir)
		}
	}
}

// exportedCalls returns the functions and methods with an exported name.
func exportedCalls(f *file) (names []string) {
	for _, decl := range f.syntax.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		switch {
		case !ok || !fn.Name.IsExported():
		case fn.Recv == nil:
			names = append(names, fn.Name.Name)
		case !slices.Contains(plain, fn.Name.Name):
			typ := fn.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			names = append(names, typ.(*ast.Ident).Name+"."+fn.Name.Name)
		}
	}
	return names
}

// waitTable returns the calls named by the keys of a waittest.Calls.
func waitTable(t *testing.T, f *file) (names []string) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if typ, ok := table.Type.(*ast.SelectorExpr); !ok || typ.Sel.Name != "Calls" {
			return true
		}
		for _, row := range table.Elts {
			key, err := strconv.Unquote(row.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
			require.NoError(t, err)
			name, _, _ := strings.Cut(key, ",")
			names = append(names, name)
		}
		return true
	})
	return names
}
