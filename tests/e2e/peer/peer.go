// A program such as pods run: it serves mutual TLS, calls others without end, and loads its
// volume's files again for each connection, on either side.
//
//	peer FOLDER
//
// Serves TLS on :8443. On :8080, over HTTP, /call?name=NAME&address=ADDRESS:PORT makes it call that
// peer from then on, and / reports the outcome of all connections as JSON.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Long enough that a busy machine is no failure.
const patience = 20 * time.Second

// Between two calls to the same peer.
const pace = 50 * time.Millisecond

type report struct {
	sync.Mutex
	// Connections made and answered, and connections accepted and served.
	Calls, Served int
	Failures      []string
	// The issuers of the certificates that peers have shown, as clients and as servers.
	Issuers map[string]int
}

func (r *report) note(side string, peer *x509.Certificate, err error) {
	r.Lock()
	defer r.Unlock()
	if err != nil {
		r.Failures = append(r.Failures, fmt.Sprintf("%s: %s: %v", time.Now().Format(time.RFC3339Nano), side, err))
		return
	}
	r.Issuers[peer.Issuer.CommonName]++
	if side == "called" {
		r.Calls++
	} else {
		r.Served++
	}
}

// Certificate, key and anchors that belong together.
func load(folder string) (*tls.Certificate, *x509.CertPool, error) {
	for {
		pair, pool, err := loadGeneration(folder)
		// A generation that is swapped out meanwhile does not exist any more; then there is a newer one.
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		return pair, pool, err
	}
}

func loadGeneration(folder string) (*tls.Certificate, *x509.CertPool, error) {
	generation, err := filepath.EvalSymlinks(folder + "/..data")
	if err != nil {
		// Never absent: it is swapped by a rename.
		return nil, nil, fmt.Errorf("..data: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(generation+"/tls.crt", generation+"/tls.key")
	if err != nil {
		return nil, nil, err
	}
	anchors, err := os.ReadFile(generation + "/ca.crt")
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(anchors) {
		return nil, nil, errors.New("ca.crt holds no certificate")
	}
	return &pair, pool, nil
}

func serve(folder string, connection net.Conn) (*x509.Certificate, error) {
	connection.SetDeadline(time.Now().Add(patience))
	pair, pool, err := load(folder)
	if err != nil {
		return nil, err
	}
	session := tls.Server(connection, &tls.Config{
		Certificates:           []tls.Certificate{*pair},
		ClientCAs:              pool,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
	})
	defer session.Close()
	if err := session.Handshake(); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(session, make([]byte, 5)); err != nil {
		return nil, err
	}
	_, err = session.Write([]byte("pong\n"))
	return session.ConnectionState().PeerCertificates[0], err
}

func call(folder, name, address string) (*x509.Certificate, error) {
	pair, pool, err := load(folder)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: patience}
	session, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{
		Certificates: []tls.Certificate{*pair},
		RootCAs:      pool,
		ServerName:   name,
	})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	session.SetDeadline(time.Now().Add(patience))
	if _, err := session.Write([]byte("ping\n")); err != nil {
		return nil, err
	}
	// With TLS 1.3 a server reports only now that it rejects the client.
	answer, err := io.ReadAll(session)
	if err != nil {
		return nil, err
	}
	if string(answer) != "pong\n" {
		return nil, fmt.Errorf("answered %q", answer)
	}
	return session.ConnectionState().PeerCertificates[0], nil
}

func main() {
	folder := os.Args[1]
	outcomes := &report{Failures: []string{}, Issuers: map[string]int{}}
	listener, err := net.Listen("tcp", ":8443")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				panic(err)
			}
			go func() {
				shown, err := serve(folder, connection)
				outcomes.note("served", shown, err)
			}()
		}
	}()
	http.HandleFunc("/call", func(_ http.ResponseWriter, request *http.Request) {
		name, address := request.FormValue("name"), request.FormValue("address")
		go func() {
			for ; ; time.Sleep(pace) {
				shown, err := call(folder, name, address)
				outcomes.note("called", shown, err)
			}
		}()
	})
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		outcomes.Lock()
		defer outcomes.Unlock()
		json.NewEncoder(answer).Encode(outcomes)
	})
	panic(http.ListenAndServe(":8080", nil))
}
