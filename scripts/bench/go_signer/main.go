// Serves IssueCertificate of ../../../proto/certificate_service.proto with nothing around the
// cryptography: no authentication, policy, inventory or log. What a service in Go can reach at
// most, as a reference for the benchmark.
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

const validity = 24 * time.Hour

// rawBytes hands messages on as they came, so that they are read and written by hand: cheaper than
// generated code, and no generator is needed.
type rawBytes struct{}

func (rawBytes) Name() string                        { return "proto" }
func (rawBytes) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (rawBytes) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// request is what is signed of an IssueCertificateRequest.
type request struct {
	csr             []byte
	namespace, name string
}

func readRequest(message []byte) (request, error) {
	var read request
	err := eachField(message, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			read.csr = value
		case 2:
			return eachField(value, func(number protowire.Number, value []byte) error {
				switch number {
				case 1:
					read.namespace = string(value)
				case 2:
					read.name = string(value)
				}
				return nil
			})
		}
		return nil
	})
	return read, err
}

// eachField calls with each field of a message that consists of strings, bytes and messages.
func eachField(message []byte, call func(protowire.Number, []byte) error) error {
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 || kind != protowire.BytesType {
			return errors.New("a field is not as the proto file has it")
		}
		value, rest := protowire.ConsumeBytes(message[length:])
		if rest < 0 {
			return protowire.ParseError(rest)
		}
		if err := call(number, value); err != nil {
			return err
		}
		message = message[length+rest:]
	}
	return nil
}

func appendField(message []byte, number protowire.Number, value []byte) []byte {
	message = protowire.AppendTag(message, number, protowire.BytesType)
	return protowire.AppendBytes(message, value)
}

type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (s *signer) issue(message []byte) ([]byte, error) {
	asked, err := readRequest(message)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(asked.csr)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	serialNumber, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	commonName := fmt.Sprintf("%s.%s.svc.cluster.local", asked.name, asked.namespace)
	now := time.Now()
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serialNumber,
		Subject:               pkix.Name{CommonName: commonName},
		DNSNames:              []string{commonName, asked.name},
		NotBefore:             now.Add(-5 * time.Minute),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, s.certificate, csr.PublicKey, s.key)
	if err != nil {
		return nil, err
	}
	answer := appendField(nil, 1, leaf)
	return appendField(answer, 2, appendField(nil, 1, s.certificate.Raw)), nil
}

func load(certificateFile, keyFile string) (*signer, error) {
	certificatePem, err := os.ReadFile(certificateFile)
	if err != nil {
		return nil, err
	}
	keyPem, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	certificateBlock, _ := pem.Decode(certificatePem)
	keyBlock, _ := pem.Decode(keyPem)
	if certificateBlock == nil || keyBlock == nil {
		return nil, errors.New("expected PEM")
	}
	certificate, err := x509.ParseCertificate(certificateBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	return &signer{certificate: certificate, key: key.(crypto.Signer)}, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go-signer CA-CERTIFICATE CA-KEY")
	}
	ca, err := load(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	handle := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var message []byte
		if err := decode(&message); err != nil {
			return nil, err
		}
		answer, err := ca.issue(message)
		return &answer, err
	}
	server := grpc.NewServer(grpc.ForceServerCodec(rawBytes{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "certservice.v1.CertificateService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "IssueCertificate", Handler: handle}},
	}, ca)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"event\":\"ready\",\"address\":%q}\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
