package sshconfig_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// samples are arguments for every keyword that OpenSSH 9.2 knows: good ones and bad ones.
var samples = func() map[string][]string {
	flags := []string{"yes", "no", "true", "FALSE", "Yes", "maybe", `""`, "yes no", "1"}
	ints := []string{"0", "1", "7", "2147483647", "2147483648", "-1", "+3", "0x10", "a", "5 6", "3.5"}
	times := []string{"0", "1", "90", "1m", "1h30m", "2d", "1W", "1w2d3h4m5s", "none", "1x", "m", "-1", "99999999999", "5 6", "24855d", "24856d"}
	texts := []string{"word", `"two words"`, "'single'", `a\"b`, "a b", `""`, "none", "NONE", "%%x", "a#b", "a #b", `"a # b"`, "a=b", "=a"}
	names := []string{"/a", `/a /b`, `"/a b" /c`, "none", "none /a", "/a none", `/a ""`, "~/x", "/%%/%h", "%z", "${SSHCONFIG_WORD}/x", "${NOT_SET}"}
	commands := []string{"cmd %% arg", `sh -c "a b" # c`, "none", "=x y", `a "b`, "nc a#b", "a  b\t c", "NONE"}
	keys := []string{"ssh-ed25519", "+ssh-rsa", "-ssh-*", "^rsa-sha2-256", "ssh-ed25519,rsa-sha2-512", "bogus", "*ed25519*", "-*", "ssh-ed25519,,x",
		"rsa", "rsa,ssh-ed25519", "+", "^", "", "!ssh-rsa", "ssh-rsa,!ssh-dss", "ecdsa-*,ssh-rsa", "+bogus", "-bogus"}
	m := map[string][]string{
		"AddKeysToAgent":              {"yes", "no", "ask", "confirm", "confirm 5m", "1h", "yes 5m", "confirm x", "x", "5m 6m", "true", "ask 5", "0"},
		"AddressFamily":               {"any", "inet", "inet6", "INET", "yes", "ipv4"},
		"CanonicalDomains":            {"example.com", "A.example b.example.", "none", "none a", "a none", `""`, "-x", "a..b", "a/b", "1x.y"},
		"CanonicalizeHostname":        {"yes", "no", "always", "true", "x"},
		"CanonicalizeMaxDots":         ints,
		"CanonicalizePermittedCNAMEs": {"*.a.example:*.b.example", "*", "none", "a:b c:d", "a", "a:", ":b", "none a:b", "A:B"},
		"Compression":                 {"yes", "no", "true", "x", "YES"},
		"ControlMaster":               {"yes", "no", "auto", "ask", "autoask", "true", "x"},
		"ControlPersist":              {"yes", "no", "true", "0", "10m", "x", "YES", "none"},
		"DynamicForward":              {"1080", "host:1080", "[::1]:1080", "*:1080", ":1080", "/path", "0", "99999", "a:b:c", "1080 x", "host:", "a/b:80", `"1080 "`, "[::1:1080"},
		"EscapeChar":                  {"~", "none", "^A", "^]", "^?", "x", "ab", `" "`, "^^", "%", `\\`, "^@", "^a", "NONE"},
		"FingerprintHash":             {"md5", "SHA256", "sha512", "sha1", "sha3", "sha384"},
		"ForwardAgent":                {"yes", "no", "/path", "$SSHCONFIG_PATH", "${SSHCONFIG_PATH}", "${NOT_SET}", "$a-b", "~/x", "${", "${}", "%r", "maybe", "SSH_AUTH_SOCK"},
		"HostName":                    {"other.example", "%h.example", "%%h", "UPPER.Example", "%n", "127.1", "0x7f.1", "::1", "FE80::1", "::0001", "1.2.3.4", "a%", "010.1.1.1", "1.2.3.256", "a b"},
		"IdentityAgent":               {"none", "SSH_AUTH_SOCK", "/path", "$SSHCONFIG_PATH", "${SSHCONFIG_PATH}/%r", "${NOT_SET}", "$a-b", "~/x", "%z", "$", "${SSHCONFIG_EMPTY}/x"},
		"IPQoS":                       {"af11", "EF", "none", "cs1 cs2", "8", "255", "256", "x", "ef x", "ef cs1 cs2", "le none", "184 0"},
		"LocalForward":                {"8080 host:80", "bind:8080 host:80", "8080 [::1]:80", "*:8080 host:80", ":8080 host:80", "/a /b", "/a host:80", "8080 /b", "8080", "0 host:80", "8080 host:0", "8080 host", "8080 host:80 x", "x:/a /b", "[::1]:8080 host:80", "a\\:b:80 c:81", "8080 :80", "bind:8080 /b", "8080 /b%h", "/a%r /b", "8080 /%z", "/${SSHCONFIG_WORD} /b", "8080 /${NOT_SET}", "8080:host:80", "8080 a:b:80", "8080 host:80:"},
		"LogLevel":                    {"QUIET", "quiet", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "x", "silent"},
		"LogVerbose":                  {"kex.c:*:1000", "a b", "none", "none a", "a none", `""`},
		"PermitRemoteOpen":            {"any", "none", "host:80", "host:*", "a:1 b:2", "any a:1", "a:1 any", "host", "[::1]:80", "host:0", "a/b:80", "*:80", "host:x", ":80"},
		"Port":                        {"22", "2222", "0", "65535", "65536", "ssh", "x", "-1", "+5", "22 23", "0x16", "022"},
		"PreferredAuthentications":    {"publickey", "publickey,password", "", "a,,b", "a b"},
		"ProxyJump":                   {"none", "jump", "user@jump:2222", "a,b,c", "ssh://u@h:22", "ssh://u@h:22/x", "u@[::1]:22,h2", "h:0", "h:x", "@h", ",", "a,", ",a", "1.2.3.4", "ssh://a%20b@h", "ssh://h,u@h2:3", "a # c", "a#c", "a/b", "[::1]", "NONE", "::1", "u@@h", "ssh://u;p@h", "h:"},
		"PubkeyAuthentication":        {"yes", "no", "unbound", "host-bound", "x", "true"},
		"RekeyLimit":                  {"1G", "1g 1h", "default none", "500K", "1.5M", "15", "16", "0", "x", "1X", "1GB", "-1", "1G none", "1G x", "default 30m", "G", "1G 1h x", "8E", "9E", "1.25k", ".5G", "1..5G", "+1M", "1B", "default default"},
		"RemoteForward":               {"8080 host:80", "8080", "0 host:80", "bind:8080 host:80", "/a", "/a /b", "0", "host:0", "8080 host:0", "x", "8080 /b", "bind:0", "[::]:8080", "8080 host", "99999", "/a%h host:80"},
		"RequestTTY":                  {"yes", "no", "force", "auto", "x", "true"},
		"RevokedHostKeys":             {"/a", "none", `"/a b"`, "NONE", `""`},
		"SendEnv":                     {"LANG", "LANG LC_*", "A=B", `""`, "A -A", "-A", "LC_* -LC_X -LC_?"},
		"SessionType":                 {"none", "subsystem", "default", "x"},
		"SetEnv":                      {"A=b", "A=b C=d", `A="b c"`, "A=b A=c", "A", "=x", `"A=b c"`},
		"StreamLocalBindMask":         {"0177", "0777", "01000", "8", "x", "022", "0o22", "7x"},
		"StrictHostKeyChecking":       {"yes", "no", "ask", "off", "accept-new", "x", "true"},
		"SyslogFacility":              {"USER", "daemon", "LOCAL0", "LOCAL7", "LOCAL8", "AUTH", "AUTHPRIV", "x"},
		"Tunnel":                      {"yes", "no", "ethernet", "point-to-point", "x", "true"},
		"TunnelDevice":                {"any", "0", "1:2", "any:3", "3:any", "x", "1:x", ":", "-1", "2147483645", "2147483646", "ANY:ANY"},
		"UpdateHostKeys":              {"yes", "no", "ask", "x"},
		"VerifyHostKeyDNS":            {"yes", "no", "ask", "x"},
		"User":                        {"bob", `"a b"`, "", "a b", "-x", "a;b"},
		"KexAlgorithms":               {"curve25519-sha256", "+diffie-hellman-group1-sha1", "-diffie*", "^ecdh-sha2-nistp256", "bogus", "ecdh-*", "-*", "+bogus", "+", "curve25519-sha256,,x", "-nothing"},
		"Ciphers":                     {"aes128-ctr", "+aes128-cbc", "-aes*", "^aes256-ctr,3des-cbc", "bogus", "aes128-ctr,aes128-ctr", "none", "-*", "^", "aes128-ctr,", ",aes128-ctr"},
		"MACs":                        {"hmac-sha1", "+hmac-md5", "-umac-*", "^hmac-sha2-512", "bogus", "-*", "hmac-sha1,hmac-md5"},
		"IdentityFile":                names, "CertificateFile": names, "GlobalKnownHostsFile": names, "UserKnownHostsFile": names, "ControlPath": names,
		"ConnectTimeout": times, "ServerAliveInterval": times, "ForwardX11Timeout": times,
		"HostKeyAlgorithms": keys, "PubkeyAcceptedAlgorithms": keys, "HostbasedAcceptedAlgorithms": keys, "CASignatureAlgorithms": keys,
		"ProxyCommand": commands, "LocalCommand": commands, "RemoteCommand": append(commands, "echo %h %n %p %r %u %i %d %L %l %k %%", "%z", "%"), "KnownHostsCommand": commands,
	}
	for _, k := range strings.Fields("BatchMode CanonicalizeFallbackLocal CheckHostIP EnableSSHKeysign ClearAllForwardings ExitOnForwardFailure ForwardX11 ForwardX11Trusted GatewayPorts GSSAPIAuthentication GSSAPIDelegateCredentials HashKnownHosts HostbasedAuthentication IdentitiesOnly KbdInteractiveAuthentication NoHostAuthenticationForLocalhost PasswordAuthentication PermitLocalCommand ProxyUseFdpass StdinNull StreamLocalBindUnlink TCPKeepAlive VisualHostKey EnableEscapeCommandline ChallengeResponseAuthentication SkeyAuthentication TISAuthentication KeepAlive") {
		m[k] = flags
	}
	for _, k := range strings.Fields("ConnectionAttempts NumberOfPasswordPrompts ServerAliveCountMax RequiredRSASize") {
		m[k] = ints
	}
	for _, k := range strings.Fields("BindAddress BindInterface HostKeyAlias IgnoreUnknown KbdInteractiveDevices PKCS11Provider SmartcardDevice SecurityKeyProvider XAuthLocation Protocol Cipher UsePrivilegedPort RSAAuthentication CompressionLevel NoSuchKeyword") {
		m[k] = texts
	}
	m["DSAAuthentication"], m["IdentityFile2"] = m["PubkeyAuthentication"], names
	m["PubkeyAcceptedKeyTypes"], m["HostbasedKeyTypes"] = keys, keys
	return m
}()

func sampled() []string {
	var list []string
	for k := range samples {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func one(name, config, host string, options ...string) oracleCase {
	return oracleCase{name: name, files: map[string]string{"config": config}, options: options, host: host}
}

// firstSamples gives the first sample of every keyword.
func firstSamples() []oracleCase {
	var list []oracleCase
	for _, k := range sampled() {
		list = append(list, one(k, k+" "+samples[k][0]+"\n", "host"))
	}
	return list
}

// keywordCases gives every sample in a file, and again in a way that depends on the sample's number.
func keywordCases() []oracleCase {
	var list []oracleCase
	for _, k := range sampled() {
		for i, v := range samples[k] {
			list = append(list, one(k, k+" "+v+"\n", "host"))
			other := samples[k][(i+1)%len(samples[k])]
			switch i % 6 {
			case 0:
				list = append(list, one(k, "", "host", k+"="+v))
			case 1:
				list = append(list, one(k, "Host other\n  "+k+" "+v+"\nHost host\n"+k+" = "+other+"\n", "host"))
			case 2:
				list = append(list, one(k, k+"\t"+v+" # comment\n"+strings.ToUpper(k)+" "+other, "host"))
			case 3:
				list = append(list, one(k, k+" "+other, "host", k+" "+v))
			case 4:
				list = append(list, one(k, `"`+k+`" `+v+"  \t\r\nMatch final\n"+k+" "+other, "host"))
			case 5:
				list = append(list, one(k, "  "+k+"="+v+"\n"+k+" "+v, "user@host"))
			}
		}
	}
	return list
}

// randomCases are files of random blocks, with Includes, precedence and options.
func randomCases(n int) []oracleCase {
	var list []oracleCase
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		c := oracleCase{name: fmt.Sprint("seed ", seed), files: make(map[string]string), host: pick(r, []string{"host", "web-1", "a.example.com", "HOST", "bob@host", "1.2.3.4", "::1", "ssh://eve@host:99", "x"})}
		for f := range 1 + r.IntN(4) {
			name := "config"
			if f > 0 {
				name = fmt.Sprintf("inc/%d.conf", f)
			}
			c.files[name] = randomFile(r, f)
		}
		for range r.IntN(3) {
			c.options = append(c.options, randomLine(r, 0))
		}
		list = append(list, c)
	}
	return list
}

var patterns = []string{"*", "host", "web-?", "*.example.com", "!host", "h*t", "x", `"host"`, "!*.com *", "other", "HOST", "a.example.com 1.2.3.4"}

func randomFile(r *rand.Rand, depth int) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		switch r.IntN(7) {
		case 0:
			fmt.Fprintf(&b, "Host %s\n", pick(r, patterns))
		case 1:
			fmt.Fprintf(&b, "Match %s\n", randomMatch(r))
		case 2:
			fmt.Fprintf(&b, "Include %s\n", pick(r, []string{"DIR/inc/*.conf", "DIR/inc/?.conf", "DIR/inc/[12].conf", "DIR/none*", fmt.Sprintf("DIR/inc/%d.conf", depth+1), "DIR/inc"}))
			if depth > 0 {
				return b.String() // no loops of files here
			}
		default:
			b.WriteString(pick(r, []string{"", "  ", "\t"}) + randomLine(r, 30) + "\n")
		}
	}
	return b.String()
}

// randomLine is a good line most of the time, or a bad line in a chance of one to bad.
func randomLine(r *rand.Rand, bad int) string {
	keywords := sampled()
	for {
		k := pick(r, keywords)
		v := pick(r, samples[k][:min(4, len(samples[k]))])
		if bad > 0 && r.IntN(bad) == 0 {
			v = pick(r, samples[k])
		}
		if !slices.Contains([]string{"NoSuchKeyword", "CanonicalizeHostname", "CanonicalizePermittedCNAMEs"}, k) {
			return k + pick(r, []string{" ", "=", " = ", "\t"}) + v
		}
	}
}

func randomMatch(r *rand.Rand) string {
	criteria := []string{"host host", "host *.com,h*", "originalhost host,web-*", "user root", "user bob,eve", "localuser root", "localuser !root,*", "exec true", "exec false", `exec "test %h = host"`, "final", "canonical", "!final", "!host host", "!exec false", "host=host", `exec "test '%r' = bob"`, "user=root"}
	if r.IntN(8) == 0 {
		return pick(r, []string{"all", "!all", "final all", "canonical all", "host", "bogus x", "all host x", ""})
	}
	words := make([]string, 1+r.IntN(3))
	for i := range words {
		words[i] = pick(r, criteria)
	}
	return strings.Join(words, " ")
}

func matchCases() []oracleCase {
	var list []oracleCase
	for _, m := range []string{"all", "ALL", "!all", "host host", "host other", "host other,host", "host *,!host", "!host other", "host HOST", "originalhost host", "originalhost new",
		"host new.example", "user root", "user bob", "!user bob", "localuser root", "localuser x,ro*", "exec true", "exec false", "!exec true", `exec "exit 3"`, "exec 'test %n = host'",
		`exec "test %h = new.example"`, `exec "test %p = 22"`, `exec "test %r = bob"`, `exec "test %u = root"`, `exec "test %d = /root"`, `exec "test %i = 0"`, `exec "test %L%l = vmvm"`, `exec "test %k = new.example"`,
		"exec %z", "exec", "host", "final", "canonical", "final host new.example", "!final", "!canonical", "final all", "canonical all", "host host all", "all host x", "final canonical all", "host x # comment", "# c", "exec false exec exit",
		`host "host"`, `host ""`, "bogus", "bogus x", "host=host", "user=bob", "exec=true", "host=", "final user bob host new.example", "host=host,x user bob", `exec "true # x"`, "host  host\tuser bob"} {
		list = append(list, one(m, "Match "+m+"\nPort 7\n", "host"),
			one(m, "User bob\nHostName new.example\nMatch "+m+"\nPort 7\n", "host"),
			one(m, "Host host\nHostName new.example\nUser bob\nMatch "+m+"\nPort 7\nMatch all\nPort 8\nBatchMode yes\n", "bob@host"))
	}
	return list
}

func syntaxCases() []oracleCase {
	var list []oracleCase
	for _, text := range []string{"Port 7", "Port=7", "Port = 7", "Port\t=\t7", "Port==7", "Port  7  ", "\"Port\" 7", "Po\"rt\" 7", "Port\"7\"", "Port \"7", "Port '7'", "Port 7 # c", "Port 7#c", "#Port 7", " # Port", "Port", "Port ", "Port=", "=Port 7", "= Port 7", "Port 7\f", "Port 7\v", "\fPort 7", "Port 7\r",
		"Port \x007", "Po\x00rt 7", "", "\x00", "\n\n", "Port #7", "Port \\7", "User a\\ b", "User a\\\\b", `User "a\"b"`, `User 'a"b'`, `User "a'b"`, `User a" "b`, `User ""a`, `User "" a`, "User \xff\xfe", "User é", "IgnoreUnknown Foo\nFoo bar", "IgnoreUnknown F*,!Fox\nFox bar", "Foo bar\nIgnoreUnknown Foo", "IgnoreUnknown foo\nFoo", "IgnoreUnknown foo\nfoo \"a", "Host", "Host \"\"", "Host a\x00b", "HOST host\nport 7", "host=host\nport=7", "Host host other\nPort 7", "Host\thost\tother\nPort 7", "Host other !host\nPort 7", "Host * !host\nPort 7", "Host !other\nPort 7", "Host \"host\"\nPort 7", "Host # c\nPort 7", "Include", "Include \"\"", "Include /nonexistent", "Include ~/nonexistent", "Include relative-nonexistent", "Include DIR/a DIR/b", "Include DIR/[ab]", "Include DIR/[!a]", "Include DIR/loop", "Include ~nobody-here/x", "Include DIR/bad", "Host x\nInclude DIR/bad", "Host x\nInclude DIR/a\nPort 9", "Match host x\nInclude DIR/b\nMatch all\nPort 9", "Include DIR/hostblock\nPort 9", "Include DIR/deep0", "Include DIR/.hidden", "Include DIR/*hidden", "Include DIR/h*", "Include DIR", "IdentityFile /a\nIdentityFile /a\nIdentityFile /b", "SendEnv A\nSendEnv B -A\nMatch final\nPort 1", "SendEnv A B\nMatch final", "SetEnv A=1\nSetEnv B=2",
		"ProxyJump a\nProxyCommand b", "ProxyCommand b\nProxyJump a", "ProxyCommand none\nProxyJump a", "ProxyJump a,b\nProxyJump c", "ProxyJump host", "ProxyJump root@host:22", "ProxyJump x@host", "LocalForward 1 a:1\nLocalForward 1 a:1\nClearAllForwardings no", "LocalForward 1 a:1\nClearAllForwardings yes\nTunnel yes", "UpdateHostKeys ask\nRequestTTY no", "UpdateHostKeys ask\nLogLevel QUIET", "UpdateHostKeys ask\nRemoteCommand x", "UserKnownHostsFile ~/.ssh/known_hosts", "UserKnownHostsFile /x", "VerifyHostKeyDNS yes", "CanonicalizeHostname yes", "CanonicalizeHostname yes\nHostName A.B.C\nMatch canonical\nPort 3", "CanonicalizeHostname yes\nProxyCommand x\nCanonicalDomains d\nHost host\nPort 4", "CanonicalizeHostname no\nHost host\nPort 4\nHost HOST\nPort 5", "HostName %h.new\nMatch final host host.new\nPort 9\nHost host.new\nPort 10\nMatch final\nPort 11", "Match final\nHostName again", "ControlPath /x/%C", "ControlPath ~/%r@%h:%p-%n", "ControlPath %%%d%i%k%L%l%u", "HostKeyAlias Alias\nControlPath /%k", "RekeyLimit 1G\nRekeyLimit 2G 1h", "ForwardAgent no\nForwardAgent /x", "ConnectTimeout none\nConnectTimeout 5", "ServerAliveInterval none\nServerAliveInterval 5", "ConnectTimeout 5\nConnectTimeout none", "Host other\nSyslogFacility LOCAL1\nStreamLocalBindMask 0", "StreamLocalBindMask 1\nStreamLocalBindMask 2", "CertificateFile /%h\nIdentityFile ${NOT_SET}", "ConnectionAttempts 0", "RemoteCommand a\nSessionType none", "Port 7\nPort x", "Host x\nPort x", "Host x\nNoSuch y", "AddressFamily inet\nHostName ::1", "AddressFamily inet6\nHostName 1.2.3.4", "Protocol 2", "Cipher x", "RhostsRSAAuthentication yes", "LogLevel\nPort 1", "User %u", "User ${SSHCONFIG_WORD}",
		"KbdInteractiveDevices a,b", "GSSAPIKeyExchange yes", "UseKeychain yes", "Host h?st\nPort 7", "Host h*\nPort 1\nHost *t\nPort 2\nUser z", "Match user root\nUser bob\nMatch user bob\nPort 5", strings.Repeat("IdentityFile /a\n", 101), manyFiles(100), manyFiles(101)} {
		c := one("syntax", text+"\n", "host")
		if !strings.Contains(text, "DIR") {
			list = append(list, c)
			continue
		}
		for name, content := range map[string]string{"a": "Port 10\n", "b": "Port 11\nUser inc\n", "bad": "Port x\n", "loop": "Include DIR/loop\n", "hostblock": "Host other\nPort 12\n", ".hidden": "Port 13\n", "xhidden": "Port 14"} {
			c.files[name] = content
		}
		for i := range 18 {
			c.files[fmt.Sprint("deep", i)] = fmt.Sprintf("Include DIR/deep%d\n", i+1)
		}
		list = append(list, c)
	}
	for _, host := range []string{"a;b", "-x", "a$b", "a b", "`x`", "user@", "@host", "us;er@host", "-u@host", "a@b@host", "ssh://", "ssh://h/", "ssh://h/p", "ssh://h:0", "ssh://u@h:1", "ssh://[::1]:2", "Host.Example", "1.2", "0x1", "fe80::1%lo", "fe80::1%none", "host.", "a,b", "h\tx", "u v@h", "us%er@h"} {
		list = append(list, one("destination", "ControlPath /%h/%r/%n\nPort 3\n", host), one("destination", "HostName %h.x\n", host, "User=o"))
	}
	return list
}

func manyFiles(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "IdentityFile /%d\n", i)
	}
	return b.String()
}

// bob is the local machine of the tests without ssh.
var bob = sshconfig.Local{User: "bob", Home: "/home/bob", UID: "1000", Host: "desk.example.com"}

// loader returns a Loader for the content of a user's file, with the test's environment.
func loader(content string) *sshconfig.Loader {
	return &sshconfig.Loader{Files: []sshconfig.File{{Name: "config", Data: []byte(content)}}, Local: bob, Getenv: getenv}
}

func load(tb testing.TB, content, host string) *sshconfig.Config {
	tb.Helper()
	config, err := loader(content).Load(tb.Context(), host)
	require.NoError(tb, err, content)
	return config
}

// refuse returns the error for a configuration that Load refuses.
func refuse(tb testing.TB, content, host string) error {
	tb.Helper()
	config, err := loader(content).Load(tb.Context(), host)
	require.Error(tb, err, "%s\n%v", content, config)
	return err
}

// tokenCases are lines of random pieces, for the lexer.
func tokenCases(n int) []oracleCase {
	keywords := strings.Split("User,IdentityFile,Host,Match host,LocalForward,RemoteForward,DynamicForward,ProxyJump,RekeyLimit,ConnectTimeout,SetEnv,SendEnv,"+
		"PermitRemoteOpen,CanonicalDomains,EscapeChar,TunnelDevice,IPQoS,StreamLocalBindMask,HostName,RemoteCommand,ControlPath,IdentityAgent,Port,"+
		"UserKnownHostsFile,Match,IgnoreUnknown,Ciphers,HostKeyAlgorithms,Include", ",")
	pieces := []string{"a", "b", "host", "1", "22", "80", " ", "  ", "\t", "\"", "'", "\\", "#", " #", "=", ":", "/", "[", "]", ",", "@", "%h", "%%", "%", "${SSHCONFIG_WORD}", "$",
		"~", "*", "?", "!", "-", "+", "^", "none", "any", "yes", ".", "x", "K", "1m", "ssh://", "!host", "user", "root", "all", "final", "aes128-ctr", "ssh-ed25519", "é", "\x01"}
	var list []oracleCase
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		var b strings.Builder
		for range 1 + r.IntN(2) {
			b.WriteString(pick(r, []string{"", " ", "\t", "\""}) + pick(r, keywords) + pick(r, []string{" ", "=", "  ", " = ", "\t"}))
			for range 1 + r.IntN(5) {
				b.WriteString(pick(r, pieces))
			}
			b.WriteString(pick(r, []string{"\n", "\r\n", " \n", " # c\n"}))
		}
		list = append(list, one("pieces", b.String()+"Port 7\n", pick(r, []string{"host", "a", "b.x"})))
	}
	return list
}
