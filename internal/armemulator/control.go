package armemulator

import (
	"encoding/json"
	"io"
	"net/http"
)

// Quotas are those in force.
func (e *Emulator) Quotas() Quotas {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Quotas
}

// SetQuotas replaces all quotas; pools that are there stay.
func (e *Emulator) SetQuotas(q Quotas) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.Quotas = q
	e.save()
}

// Control answers a person or a script that plays with the emulator: what was counted,
// which pools there are, faults and quotas. It is no part of Azure, checks no identity, and
// belongs on an address of its own.
func (e *Emulator) Control() http.Handler {
	mux := http.NewServeMux()
	show := func(path string, get func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, get()) })
	}
	show("/healthz", func() any { return "ok" })
	show("/counts", func() any { return e.Counts() })
	show("/pools", func() any { return append([]map[string]any{}, e.Pools()...) })
	show("/faults", func() any { return e.Faults() })
	show("/quotas", func() any { return e.Quotas() })
	show("/messages", func() any { return e.messages })
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var faults []Fault
		if err == nil {
			faults, err = ParseFaults(data)
		}
		if err == nil {
			err = e.Inject(faults...)
		}
		done(w, err)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		e.ClearFaults()
		done(w, nil)
	})
	mux.HandleFunc("PUT /quotas", func(w http.ResponseWriter, r *http.Request) {
		var q Quotas
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&q)
		if err == nil {
			e.SetQuotas(q)
		}
		done(w, err)
	})
	return mux
}

// done says that a change was made, or why not.
func done(w http.ResponseWriter, err error) {
	if err != nil {
		write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
