package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// describe puts in the place of each certificate and private key in a text what it is: all that can be told of it but
// its random numbers. What two texts with different keys have to have in common is then the same.
func describe(text string) string {
	blocks := pemBlocks(text)
	var out strings.Builder
	rest := text
	for _, block := range blocks {
		before, after, _ := strings.Cut(rest, block.text)
		out.WriteString(before)
		out.WriteString(block.describe(blocks))
		rest = after
	}
	out.WriteString(rest)
	return out.String()
}

type block struct {
	text        string
	certificate *x509.Certificate
	key         crypto.Signer
	problem     error
}

func pemBlocks(text string) []*block {
	var blocks []*block
	rest := []byte(text)
	for {
		found, after := pem.Decode(rest)
		if found == nil {
			return blocks
		}
		whole := rest[:len(rest)-len(after)]
		begin := strings.LastIndex(string(whole), "-----BEGIN "+found.Type+"-----")
		// The text from BEGIN to the line break after END: that it is there, and where, is seen as well.
		blocks = append(blocks, newBlock(string(whole[begin:]), found))
		rest = after
	}
}

func newBlock(text string, found *pem.Block) *block {
	b := &block{text: text}
	var key any
	switch found.Type {
	case "CERTIFICATE":
		b.certificate, b.problem = x509.ParseCertificate(found.Bytes)
		return b
	case "RSA PRIVATE KEY":
		key, b.problem = x509.ParsePKCS1PrivateKey(found.Bytes)
	case "EC PRIVATE KEY":
		key, b.problem = x509.ParseECPrivateKey(found.Bytes)
	case "PRIVATE KEY":
		key, b.problem = x509.ParsePKCS8PrivateKey(found.Bytes)
	default:
		b.problem = fmt.Errorf("a block of type %q", found.Type)
	}
	if b.problem == nil {
		b.key = key.(crypto.Signer)
	}
	return b
}

func (b *block) describe(all []*block) string {
	ending := ""
	if strings.HasSuffix(b.text, "\n") {
		ending = "\n"
	}
	switch {
	case b.problem != nil:
		return fmt.Sprintf("[broken: %v]", b.problem) + ending
	case b.key != nil:
		return fmt.Sprintf("[%s key, PEM %s]", describePublic(b.key.Public()), strings.SplitN(b.text, "\n", 2)[0]) + ending
	default:
		return describeCertificate(b.certificate, all) + ending
	}
}

func describePublic(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d exponent %d", key.N.BitLen(), key.E)
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return fmt.Sprintf("%T", key)
	}
}

func describeCertificate(c *x509.Certificate, all []*block) string {
	var out strings.Builder
	fmt.Fprintf(&out, "[certificate v%d %s of %s\n", c.Version, c.SignatureAlgorithm, describePublic(c.PublicKey))
	fmt.Fprintf(&out, "  subject %v issuer %v\n", c.Subject, c.Issuer)
	fmt.Fprintf(&out, "  valid %s to %s\n", c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
	fmt.Fprintf(&out, "  CA %v %v usage %b %v\n", c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage)
	fmt.Fprintf(&out, "  names %q %v\n", c.DNSNames, c.IPAddresses)
	for _, extension := range c.Extensions {
		fmt.Fprintf(&out, "  extension %v critical %v bytes %d\n", extension.Id, extension.Critical, len(extension.Value))
	}
	serial := c.SerialNumber
	fmt.Fprintf(&out, "  serial number fits %v\n", serial.Sign() >= 0 && serial.BitLen() <= 128)
	for place, other := range all {
		if other.certificate != nil {
			if c.CheckSignatureFrom(other.certificate) == nil {
				fmt.Fprintf(&out, "  signed by block %d, key id matches %v\n", place, string(c.AuthorityKeyId) == string(other.certificate.SubjectKeyId))
			}
			roots := x509.NewCertPool()
			roots.AddCert(other.certificate)
			for _, name := range append([]string{""}, c.DNSNames...) {
				options := x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now().Add(time.Minute)}
				if chains, err := c.Verify(options); err == nil {
					fmt.Fprintf(&out, "  verified for %q by block %d in %d\n", name, place, len(chains))
				}
			}
		}
		if other.key != nil {
			public := other.key.Public().(interface{ Equal(crypto.PublicKey) bool })
			if public.Equal(c.PublicKey) {
				fmt.Fprintf(&out, "  has the key of block %d\n", place)
			}
		}
	}
	return out.String() + "]"
}
