// Package ctxerr makes the error of a call that a context has ended.
package ctxerr

import (
	"context"
	"errors"
	"fmt"
)

// Of returns the error of a context that has ended, joined with its cause where
// the cause says more. Callers find both with errors.Is. Of returns nil while
// ctx has not ended.
func Of(ctx context.Context) error {
	err := ctx.Err() // first: ctx may end at any moment
	if err == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Join adds the cause of a context that has ended to an error, unless the error
// has the cause already.
func Join(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
