// Exec runs one command on a server, as ssh does: standard input, output and
// error are streamed, and its exit status is that of the command.
//
//	go run ./examples/exec [-i keyfile] [-known-hosts file] [-fingerprint fp] [-password-env VAR] user@host[:port] command…
//
// It exits with 255 for errors of its own, and for a command that was ended by
// a signal, with one line on standard error that says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/examples/internal/login"
	"github.com/nacre-ssh/nacre/userauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *channel.ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit) && exit.Signal == "":
		os.Exit(exit.Status & 0xff)
	default:
		fmt.Fprintln(os.Stderr, "exec:", err)
		os.Exit(255)
	}
}

func run(ctx context.Context, args []string) error {
	var flags login.Flags
	set := flag.NewFlagSet("exec", flag.ContinueOnError)
	passwordEnv := set.String("password-env", "", "environment `variable` that holds the password")
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
	methods, err := flags.Auth()
	if err != nil {
		return err
	}
	defer flags.Close()
	if *passwordEnv != "" {
		password, ok := os.LookupEnv(*passwordEnv)
		if !ok {
			return fmt.Errorf("-password-env: %s is not set", *passwordEnv)
		}
		methods = append(methods, userauth.Password(password), userauth.KeyboardInteractive(answer(password)))
	}

	client, err := nacre.Dial(ctx, set.Arg(0), &nacre.Config{HostKey: hostKey, Auth: methods})
	if err != nil {
		return err
	}
	defer client.Close()
	cmd := client.Command(ctx, strings.Join(set.Args()[1:], " "))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// answer gives the password to a server that asks for it by
// keyboard-interactive authentication: by one question, whose answer it hides.
func answer(password string) func(context.Context, userauth.Challenge) ([]string, error) {
	return func(_ context.Context, c userauth.Challenge) ([]string, error) {
		switch {
		case len(c.Prompts) == 0:
			return nil, nil
		case len(c.Prompts) == 1 && !c.Prompts[0].Echo && c.Attempt <= 1:
			return []string{password}, nil
		default:
			return nil, fmt.Errorf("%w: the server asks something else than the password", userauth.ErrSkip)
		}
	}
}
