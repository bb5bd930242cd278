package gate_test

import (
	"errors"
	"testing"

	"kaito.sh/kaito/internal/runner/gate"
)

func TestGateRefusesOneTooMany(t *testing.T) {
	t.Parallel()
	g := gate.New(2)
	first, err := g.Enter()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Enter(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Enter(); !errors.Is(err, gate.ErrFull) {
		t.Fatalf("third request: %v, want ErrFull", err)
	}
	first()
	first() // leaving twice counts once
	if got := g.InFlight(); got != 1 {
		t.Fatalf("in flight = %d, want 1", got)
	}
	if _, err := g.Enter(); err != nil {
		t.Fatalf("after one left: %v", err)
	}
}

func TestClosedGateWaitsForTheLast(t *testing.T) {
	t.Parallel()
	g := gate.New(2)
	leave, err := g.Enter()
	if err != nil {
		t.Fatal(err)
	}
	idle := g.Close()
	if _, err := g.Enter(); !errors.Is(err, gate.ErrClosed) {
		t.Fatalf("after Close: %v, want ErrClosed", err)
	}
	select {
	case <-idle:
		t.Fatal("idle while a request is inside")
	default:
	}
	leave()
	<-idle
	<-g.Close()
}
