package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// identityFile holds the key and the certificate, in one file so that there is
// never one without the other.
const identityFile = "identity.pem"

// Identity is a machine's own key, with the certificate that shows it.
type Identity struct {
	certificate tls.Certificate
	id          ID
}

// ID names this machine.
func (i *Identity) ID() ID { return i.id }

// Certificate is what TLS shows to the peer; it signs with the key.
func (i *Identity) Certificate() tls.Certificate { return i.certificate }

// OpenIdentity reads the identity in dir, which is made at its first use. A file
// that others may read is a *LooseError.
func OpenIdentity(dir string) (*Identity, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	id, err := readIdentity(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	err = locked(dir, func() error {
		if id, err = readIdentity(dir); !errors.Is(err, fs.ErrNotExist) {
			return err // somebody was faster
		}
		data, err := newIdentity()
		if err != nil {
			return err
		}
		if err := writePrivate(dir, identityFile, data); err != nil {
			return err
		}
		id, err = readIdentity(dir)
		return err
	})
	return id, err
}

// newIdentity makes a P-256 key and a certificate that says nothing but the key.
// Its dates mean nothing: a machine without a clock could not judge them.
func newIdentity() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "dconn"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "never", RFC 5280 section 4.1.2.5
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: pkcs8}, {Type: "CERTIFICATE", Bytes: cert}} {
		if err := pem.Encode(&file, block); err != nil {
			return nil, err
		}
	}
	return file.Bytes(), nil
}

// ReadIdentity reads the identity in dir, and makes none: fs.ErrNotExist says that
// there is none yet. A file that others may read is a *LooseError.
func ReadIdentity(dir string) (*Identity, error) {
	if err := checkMode(dir, 0o022, "0700"); err != nil {
		return nil, err
	}
	return readIdentity(dir)
}

func readIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	if _, err := os.Lstat(path); err != nil {
		return nil, err
	}
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("%s: not a key with its certificate: %w", path, err)
	}
	return &Identity{certificate: pair, id: IDOf(pair.Leaf)}, nil
}
