package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// authority signs every certificate of one instance.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// writePKI makes the authority, the serving certificates, the service account key and a kubeconfig per identity.
func (i *instance) writePKI() error {
	ca, err := i.newAuthority()
	if err != nil {
		return err
	}
	serving := x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := i.issue(ca, "serving", serving); err != nil {
		return err
	}
	if err := i.writeServiceAccountKey(); err != nil {
		return err
	}
	// All are system:masters; the user names tell them apart in the audit log.
	for file, user := range map[string]string{
		"admin":              "admin",
		"controller-manager": "system:kube-controller-manager",
		"scheduler":          "system:kube-scheduler",
		"kwok":               "system:kwok",
		"services":           "system:pintle-cluster",
		"kubelet-client":     "system:kube-apiserver",
	} {
		client := x509.Certificate{
			Subject:     pkix.Name{CommonName: user, Organization: []string{"system:masters"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if err := i.issue(ca, file, client); err != nil {
			return err
		}
		if err := i.writeKubeconfig(file); err != nil {
			return err
		}
	}
	return os.Rename(i.path("pki", "admin.kubeconfig"), i.path("kubeconfig"))
}

func (i *instance) newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "pintle test cluster"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	return authority{certificate, key}, i.writePair("ca", der, key)
}

func (i *instance) issue(ca authority, file string, template x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template.NotBefore = ca.certificate.NotBefore
	template.NotAfter = ca.certificate.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return err
	}
	return i.writePair(file, der, key)
}

func (i *instance) writePair(file string, certificate []byte, key *ecdsa.PrivateKey) error {
	if err := os.WriteFile(i.path("pki", file+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o644); err != nil {
		return err
	}
	return i.writeKey(file, key)
}

func (i *instance) writeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return i.writeKey("service-account", key)
}

func (i *instance) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(i.path("pki", file+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func (i *instance) writeKubeconfig(file string) error {
	content := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: pintle
clusters:
- name: pintle
  cluster:
    server: https://%s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: pintle
  context: {cluster: pintle, user: %s, namespace: default}
`, address(i.ports.APIServer), i.base64("ca.crt"), file, i.base64(file+".crt"), i.base64(file+".key"), file)
	return os.WriteFile(i.path("pki", file+".kubeconfig"), []byte(content), 0o600)
}

// base64 encodes a file of the pki folder, which this program wrote a moment ago.
func (i *instance) base64(file string) string {
	data, err := os.ReadFile(i.path("pki", file))
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(data)
}
