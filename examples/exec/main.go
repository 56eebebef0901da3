// Exec runs a command on a server, as ssh does: standard input, output and error
// are streamed, and the exit status is the status of the command.
//
//	go run ./examples/exec [-i keyfile] [-known-hosts file] [-fingerprint fp] [-password-env VAR] user@host[:port] command…
//
// For errors of its own, and for a command killed by a signal, Exec prints one line
// on standard error and exits with 255.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/examples/internal/login"
	"github.com/nacre-ssh/nacre/userauth"
)

func main() {
	err := run(os.Args[1:])
	var exit *channel.ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit) && exit.Signal == "":
		os.Exit(exit.Status & 0xff)
	default:
		fmt.Fprintln(os.Stderr, "exec:", login.OneLine(err))
		os.Exit(255)
	}
}

func run(args []string) error {
	var flags login.Flags
	set := flag.NewFlagSet("exec", flag.ContinueOnError)
	var password *string
	set.Func("password-env", "environment `variable` that holds the password", func(name string) error {
		value, ok := os.LookupEnv(name)
		if !ok {
			return fmt.Errorf("%s is not set", name)
		}
		password = &value
		return nil
	})
	if err := flags.Parse(set, "[flags] user@host[:port] command…", args); err != nil {
		return err
	}
	if set.NArg() < 2 {
		return errors.New("a target and a command are needed; -h shows the flags")
	}
	hostKey, err := flags.HostKey()
	if err != nil {
		return err
	}
	ctx, stop := login.Interruptible()
	defer stop()
	methods, err := flags.Auth(ctx)
	if err != nil {
		return err
	}
	if password != nil {
		methods = append(methods, userauth.Password(*password), userauth.KeyboardInteractive(answer(*password)))
	}

	// The program names its command before it connects, so that the command can
	// leave together with the login.
	config := &nacre.Config{HostKey: hostKey, Auth: methods}
	cmd := nacre.Command(ctx, set.Arg(0), config, strings.Join(set.Args()[1:], " "))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// answer gives the password to a server with keyboard-interactive authentication,
// if there is a single question whose answer is not shown.
func answer(password string) func(context.Context, userauth.Challenge) ([]string, error) {
	return func(_ context.Context, c userauth.Challenge) ([]string, error) {
		switch {
		case len(c.Prompts) == 0:
			return nil, nil
		case len(c.Prompts) == 1 && !c.Prompts[0].Echo && c.Attempt <= 1:
			return []string{password}, nil
		default:
			return nil, fmt.Errorf("%w: the server asks another question than the password", userauth.ErrSkip)
		}
	}
}
