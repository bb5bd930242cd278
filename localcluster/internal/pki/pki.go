// Package pki makes the cluster's keys and certificates. What is there and still
// good is kept; what runs out soon, was signed by another authority or names
// other addresses is made anew.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kaito.sh/kaito/localcluster/internal/record"
)

const (
	authorityYears = 10
	leafYears      = 1
	// renewBefore is how long before its end a certificate is made anew.
	renewBefore = 60 * 24 * time.Hour
)

// Store is the folder of keys and certificates.
type Store struct {
	dir string
	now func() time.Time
}

// New is a store in dir; now dates the certificates.
func New(dir string, now func() time.Time) Store { return Store{dir: dir, now: now} }

// Authority signs certificates.
type Authority struct {
	store Store
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
}

// Leaf is one certificate to have.
type Leaf struct {
	// File is the name of the .crt and .key files.
	File string
	// Name is the common name: the user.
	Name string
	// Groups are the organizations: the user's groups.
	Groups []string
	// Hosts are names and addresses that it serves.
	Hosts []string
}

// Cert is the path of a certificate.
func (s Store) Cert(name string) string { return filepath.Join(s.dir, name+".crt") }

// Key is the path of a private key.
func (s Store) Key(name string) string { return filepath.Join(s.dir, name+".key") }

// SigningKey makes a private key without a certificate, once.
func (s Store) SigningKey(name string) error {
	if _, err := os.Stat(s.Key(name)); err == nil {
		return nil
	}
	_, der, err := newKey()
	if err != nil {
		return fmt.Errorf("make key %q: %w", name, err)
	}
	return writePEM(s.Key(name), "EC PRIVATE KEY", der)
}

// Authority loads the authority of that name, or makes it.
func (s Store) Authority(name string) (*Authority, error) {
	cert, key, err := s.load(name)
	if err == nil && cert.NotAfter.After(s.now().Add(renewBefore)) {
		return &Authority{store: s, cert: cert, key: key}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load authority %q: %w", name, err)
	}
	t := s.template(name, authorityYears)
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	t.IsCA, t.BasicConstraintsValid = true, true
	key, keyDER, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make authority %q: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make authority %q: %w", name, err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority %q: %w", name, err)
	}
	return &Authority{store: s, cert: cert, key: key}, s.save(name, der, keyDER)
}

// Issue makes the leaf unless a good one is there.
func (a *Authority) Issue(l Leaf) error {
	have, _, err := a.store.load(l.File)
	if err == nil && a.stillGood(have, l) {
		return nil
	}
	key, keyDER, err := newKey()
	if err != nil {
		return fmt.Errorf("make certificate %q: %w", l.File, err)
	}
	t := a.store.template(l.Name, leafYears)
	t.Subject.Organization = l.Groups
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, h := range l.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("make certificate %q: %w", l.File, err)
	}
	return a.store.save(l.File, der, keyDER)
}

func (a *Authority) stillGood(c *x509.Certificate, l Leaf) bool {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return c.CheckSignatureFrom(a.cert) == nil &&
		c.NotAfter.After(a.store.now().Add(renewBefore)) &&
		c.Subject.CommonName == l.Name &&
		sameSet(c.Subject.Organization, l.Groups) &&
		sameSet(hosts, l.Hosts)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (s Store) template(name string, years int) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil { // crypto/rand ends the program before it gets here
		serial = big.NewInt(s.now().UnixNano())
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    s.now().Add(-time.Hour),
		NotAfter:     s.now().AddDate(years, 0, 0),
	}
}

func (s Store) load(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	crt, err := readPEM(s.Cert(name))
	if err != nil {
		return nil, nil, err
	}
	k, err := readPEM(s.Key(name))
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(crt)
	if err != nil {
		return nil, nil, fmt.Errorf("read %q: %w", s.Cert(name), err)
	}
	key, err := x509.ParseECPrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("read %q: %w", s.Key(name), err)
	}
	return cert, key, nil
}

// save writes the key first: a certificate without its key is never left behind.
func (s Store) save(name string, cert, key []byte) error {
	if err := writePEM(s.Key(name), "EC PRIVATE KEY", key); err != nil {
		return err
	}
	return writePEM(s.Cert(name), "CERTIFICATE", cert)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(k)
	return k, der, err
}

func writePEM(path, kind string, der []byte) error {
	mode := fs.FileMode(0o600)
	if kind == "CERTIFICATE" {
		mode = 0o644
	}
	return record.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, _ := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("read %q: it holds no PEM block", path)
	}
	return p.Bytes, nil
}
