package sshconfig_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nacre-ssh/nacre/sshconfig"
)

const exampleConfig = `# Machines of the shop.
Host web-*
    HostName %h.shop.example
    Port 2222 # behind the gateway
    ProxyJump gate.shop.example

Host *
    User deploy
    IdentityFile ~/.ssh/shop
    ConnectTimeout 1m30s
`

// A Loader reads files, trees and bytes. Load reads ~/.ssh/config and /etc/ssh/ssh_config.
func ExampleLoader_Load() {
	loader := &sshconfig.Loader{
		Files:   []sshconfig.File{{Name: "config", Data: []byte(exampleConfig)}},
		Options: []string{"ConnectTimeout=10"}, // as ssh -o ConnectTimeout=10
		Local:   sshconfig.Local{User: "bob", Home: "/home/bob"},
	}
	config, err := loader.Load(context.Background(), "web-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(config.User, config.HostName, config.Port, config.ConnectTimeout, config.ProxyJump)

	files, err := config.Expand("IdentityFile", nil)
	fmt.Println(files, err)

	// Output:
	// deploy web-1.shop.example 2222 10s [gate.shop.example]
	// [/home/bob/.ssh/shop] <nil>
}

// Explain says which line gives a value.
func ExampleConfig_Explain() {
	loader := &sshconfig.Loader{Files: []sshconfig.File{{Name: "config", Data: []byte(exampleConfig)}}}
	config, err := loader.Load(context.Background(), "eve@web-1")
	if err != nil {
		log.Fatal(err)
	}
	for _, keyword := range []string{"Port", "User", "Compression"} {
		for _, setting := range config.Explain(keyword) {
			fmt.Println(setting)
		}
	}

	// Output:
	// port 2222 (config line 4)
	// user eve (command line)
	// compression no (default)
}

// SetHost changes a value and leaves the comments.
func ExampleSetHost() {
	before := "# the shop\nHost web-1\n    Port 22 # for now\n"
	after, err := sshconfig.SetHost([]byte(before), "web-1",
		sshconfig.Option{Keyword: "Port", Value: "2222"}, sshconfig.Option{Keyword: "User", Value: "deploy"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(after))

	// Output:
	// # the shop
	// Host web-1
	//     Port 2222 # for now
	//     User deploy
}
