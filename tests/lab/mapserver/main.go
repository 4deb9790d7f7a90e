// SPDX-License-Identifier: BSD-3-Clause

// mapserver is a coordination server for tests: the real transport (Noise, HTTP/2, zstd) by the reference's own code, and
// maps of any size, which it changes when it is told to.
//
//	mapserver -listen 198.18.0.2:80 -commands 127.0.0.1:8080 -derp 198.18.1.2:443 -derp-name rly.lab.test -stun 3478
//
// Whoever registers is let in, with any auth key or none, and gets an address 100.64.0.N. Members see each other, and as
// many peers besides as were asked for, which do not exist: addresses from 100.65.0.1 on, with keys made from their
// numbers, so that a run is like the one before. Nothing is kept; who is not known is sent to register.
//
// Commands, by HTTP; each answers when all streams have the message, with one JSON object:
//
//	/peers?n=10000        that many peers from now on; every stream gets a full map
//	/drop?n=10000         the same, but streams end, so that members have to come back for it
//	/patch?id=N           one peer has other endpoints (PeersChangedPatch)
//	/add, /remove?id=N    one peer more (PeersChanged), one peer less (PeersRemoved)
//	/members              who has registered
//	/ping?to=IP:PORT&member=N&ms=2     the first of the peers sends disco pings to a member, each so many milliseconds,
//	                      until /pongs; the member answers as to anybody in its map
//	/pongs                how long the pongs took: count, lost, median, maximum
//
// Times are nanoseconds of CLOCK_BOOTTIME: `written` is when the last byte of the message was handed to the socket.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

const (
	firstPeerID = 1000 // below are members
	userID      = 7
	keepAlive   = 50 * time.Second
	maxRequest  = 4 << 20
)

func boottime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		log.Fatal(err)
	}
	return ts.Nano()
}

// A member is a client that has registered.
type member struct {
	node    *tailcfg.Node
	machine key.MachinePublic
	stream  chan message // nil: it follows no map now
	end     context.CancelFunc
}

// A message for a stream, and where to say that it is out.
type message struct {
	response *tailcfg.MapResponse
	done     chan<- sent
}

type sent struct {
	Member  tailcfg.NodeID `json:"member"`
	Bytes   int            `json:"bytes"`
	Packed  int            `json:"packed"`
	Written int64          `json:"written"`
}

type server struct {
	private  key.MachinePrivate
	derpMap  *tailcfg.DERPMap
	mu       sync.Mutex
	members  map[key.NodePublic]*member
	nextID   tailcfg.NodeID
	n        int                     // peers that do not exist
	removed  map[tailcfg.NodeID]bool // of them
	revision int                     // of endpoints that were changed
	pinger   *pinger
}

type machineKey struct{}

func (s *server) serveKey(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(&tailcfg.OverTLSPublicKeyResponse{PublicKey: s.private.Public()})
}

func (s *server) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, s.private, nil)
	if err != nil {
		log.Printf("upgrade: %v", err)
		return
	}
	defer conn.Close()
	inner := http.NewServeMux()
	inner.HandleFunc("POST /machine/register", s.serveRegister)
	inner.HandleFunc("POST /machine/map", s.serveMap)
	inner.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{
		Context:    context.WithValue(r.Context(), machineKey{}, conn.Peer()),
		BaseConfig: &http.Server{Handler: inner},
	})
}

func readRequest(r *http.Request, into any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (s *server) serveRegister(w http.ResponseWriter, r *http.Request) {
	var request tailcfg.RegisterRequest
	if err := readRequest(r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !request.Expiry.IsZero() && request.Expiry.Before(time.Now()) {
		delete(s.members, request.NodeKey)
	} else if s.members[request.NodeKey] == nil {
		s.members[request.NodeKey] = s.newMember(&request, r.Context().Value(machineKey{}).(key.MachinePublic))
	}
	json.NewEncoder(w).Encode(&tailcfg.RegisterResponse{
		User:              tailcfg.User{ID: userID, DisplayName: "Lab"},
		Login:             tailcfg.Login{ID: userID, LoginName: "lab@example", DisplayName: "Lab"},
		MachineAuthorized: true,
	})
}

func (s *server) newMember(request *tailcfg.RegisterRequest, machine key.MachinePublic) *member {
	for _, m := range s.members { // the same machine with another key keeps its place
		if m.machine == machine {
			delete(s.members, m.node.Key)
			m.node.Key = request.NodeKey
			return m
		}
	}
	s.nextID++
	addresses := []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, byte(s.nextID)}), 32),
		netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("fd7a:115c:a1e0::%x", int64(s.nextID))), 128),
	}
	name := "member"
	if request.Hostinfo != nil && request.Hostinfo.Hostname != "" {
		name = request.Hostinfo.Hostname
	}
	online := true
	return &member{machine: machine, node: &tailcfg.Node{
		ID: s.nextID, StableID: tailcfg.StableNodeID(strconv.Itoa(int(s.nextID))),
		Name: fmt.Sprintf("%s.lab.example.", name), User: userID, Key: request.NodeKey, Machine: machine,
		Addresses: addresses, AllowedIPs: addresses, Hostinfo: (&tailcfg.Hostinfo{Hostname: name}).View(),
		Created: time.Now().Truncate(time.Second), MachineAuthorized: true, Online: &online, Cap: request.Version,
	}}
}

func (s *server) serveMap(w http.ResponseWriter, r *http.Request) {
	var request tailcfg.MapRequest
	if err := readRequest(r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	m := s.members[request.NodeKey]
	if m == nil || m.machine != r.Context().Value(machineKey{}).(key.MachinePublic) {
		s.mu.Unlock()
		http.Error(w, "node not found", http.StatusNotFound)
		return
	}
	// A stream of a client that sends updates besides says nothing about it.
	if !request.ReadOnly && !(request.Stream && request.Version >= 68) {
		s.takeFacts(m, &request)
	}
	if !request.Stream {
		s.mu.Unlock()
		w.WriteHeader(http.StatusOK)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if m.end != nil {
		m.end() // its stream before
	}
	stream := make(chan message, 16)
	m.stream, m.end = stream, cancel
	first := s.fullMap(m)
	s.mu.Unlock()
	follow(ctx, w, m.node.ID, request.Compress == "zstd", stream, first)
	s.mu.Lock()
	if m.stream == stream {
		m.stream, m.end = nil, nil
	}
	s.mu.Unlock()
}

// takeFacts tells the others what is new.
func (s *server) takeFacts(m *member, request *tailcfg.MapRequest) {
	m.node.DiscoKey, m.node.Endpoints, m.node.Cap = request.DiscoKey, nil, request.Version
	m.node.Endpoints = append(m.node.Endpoints, request.Endpoints...)
	if request.Hostinfo != nil {
		m.node.Hostinfo = request.Hostinfo.View()
		if info := request.Hostinfo.NetInfo; info != nil && info.PreferredDERP != 0 {
			m.node.HomeDERP = info.PreferredDERP
		}
	}
	for _, other := range s.members {
		if other != m && other.stream != nil {
			other.tell(&tailcfg.MapResponse{PeersChanged: []*tailcfg.Node{m.node.Clone()}}, nil)
		}
	}
}

// tell never waits: who does not read has to come back.
func (m *member) tell(response *tailcfg.MapResponse, done chan<- sent) bool {
	if m.stream == nil {
		return false
	}
	select {
	case m.stream <- message{response, done}:
		return true
	default:
		m.end()
		return false
	}
}

// follow writes messages until the client goes.
func follow(ctx context.Context, w http.ResponseWriter, id tailcfg.NodeID, packs bool, stream <-chan message,
	first *tailcfg.MapResponse) {
	w.WriteHeader(http.StatusOK)
	next := message{response: first}
	for {
		report, err := write(w, packs, next.response)
		report.Member = id
		if err != nil {
			log.Printf("member %d: %v", id, err)
			return
		}
		if next.done != nil {
			next.done <- report
		} else if next.response == first {
			say("map", report)
		}
		select {
		case <-ctx.Done():
			return
		case next = <-stream:
		case <-time.After(keepAlive):
			next = message{response: &tailcfg.MapResponse{KeepAlive: true}}
		}
	}
}

func write(w http.ResponseWriter, packs bool, response *tailcfg.MapResponse) (sent, error) {
	text, err := json.Marshal(response)
	if err != nil {
		return sent{}, err
	}
	packed := text
	if packs {
		packed = zstdframe.AppendEncode(nil, text, zstdframe.FastestCompression)
	}
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(packed)))
	if _, err := w.Write(append(frame, packed...)); err != nil {
		return sent{}, err
	}
	err = http.NewResponseController(w).Flush()
	return sent{Bytes: len(text), Packed: len(packed), Written: boottime()}, err
}

// ---------- maps ----------

func (s *server) fullMap(m *member) *tailcfg.MapResponse {
	response := &tailcfg.MapResponse{
		Node: m.node.Clone(), DERPMap: s.derpMap, Domain: "lab.example", CollectServices: "false",
		DNSConfig:    &tailcfg.DNSConfig{Domains: []string{"lab.example"}, Proxied: true},
		UserProfiles: []tailcfg.UserProfile{{ID: userID, LoginName: "lab@example", DisplayName: "Lab"}},
		PacketFilters: map[string][]tailcfg.FilterRule{"base": {{
			SrcIPs:   []string{"*"},
			DstPorts: []tailcfg.NetPortRange{{IP: "*", Ports: tailcfg.PortRangeAny}},
		}}},
	}
	for _, other := range s.members {
		if other != m {
			response.Peers = append(response.Peers, other.node.Clone())
		}
	}
	for i := range s.n {
		if id := tailcfg.NodeID(firstPeerID + i); !s.removed[id] {
			response.Peers = append(response.Peers, peer(id))
		}
	}
	return response
}

// tellAll waits until it is written, for ten seconds.
func (s *server) tellAll(response func(m *member) *tailcfg.MapResponse) []sent {
	done := make(chan sent, 64)
	waiting := 0
	s.mu.Lock()
	for _, m := range s.members {
		if m.tell(response(m), done) {
			waiting++
		}
	}
	s.mu.Unlock()
	reports := []sent{}
	for late := time.After(10 * time.Second); waiting > 0; waiting-- {
		select {
		case report := <-done:
			reports = append(reports, report)
		case <-late:
			return reports
		}
	}
	return reports
}

// ---------- commands ----------

func say(what string, value any) {
	text, _ := json.Marshal(map[string]any{"event": what, "value": value})
	fmt.Println(string(text))
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.FormValue(name)); err == nil {
		return n
	}
	return otherwise
}

func (s *server) setPeers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.removed = n, map[tailcfg.NodeID]bool{}
}

func (s *server) peers(r *http.Request) (any, error) {
	s.setPeers(number(r, "n", 0))
	return s.tellAll(s.fullMap), nil
}

func (s *server) drop(r *http.Request) (any, error) {
	s.setPeers(number(r, "n", 0))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.end != nil {
			m.end()
		}
	}
	return len(s.members), nil
}

func (s *server) patch(r *http.Request) (any, error) {
	id := tailcfg.NodeID(number(r, "id", firstPeerID))
	s.mu.Lock()
	s.revision++
	endpoint := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 200}), uint16(1024+s.revision%60000))
	s.mu.Unlock()
	return s.tellAll(func(*member) *tailcfg.MapResponse {
		return &tailcfg.MapResponse{PeersChangedPatch: []*tailcfg.PeerChange{{NodeID: id,
			Endpoints: []netip.AddrPort{endpoint}}}}
	}), nil
}

func (s *server) add(*http.Request) (any, error) {
	s.mu.Lock()
	id := tailcfg.NodeID(firstPeerID + s.n)
	s.n++
	s.mu.Unlock()
	return s.tellAll(func(*member) *tailcfg.MapResponse {
		return &tailcfg.MapResponse{PeersChanged: []*tailcfg.Node{peer(id)}}
	}), nil
}

func (s *server) remove(r *http.Request) (any, error) {
	id := tailcfg.NodeID(number(r, "id", firstPeerID))
	s.mu.Lock()
	s.removed[id] = true
	s.mu.Unlock()
	return s.tellAll(func(*member) *tailcfg.MapResponse {
		return &tailcfg.MapResponse{PeersRemoved: []tailcfg.NodeID{id}}
	}), nil
}

func (s *server) list(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{}
	for _, m := range s.members {
		list = append(list, map[string]any{"id": m.node.ID, "name": m.node.Name, "addresses": m.node.Addresses,
			"endpoints": m.node.Endpoints, "home": m.node.HomeDERP, "follows": m.stream != nil,
			"has_disco_key": !m.node.DiscoKey.IsZero(), "hostinfo": m.node.Hostinfo})
	}
	return list, nil
}

func (s *server) ping(r *http.Request) (any, error) {
	to, err := netip.ParseAddrPort(r.FormValue("to"))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinger != nil {
		return nil, errors.New("somebody pings already")
	}
	for _, m := range s.members {
		if int(m.node.ID) == number(r, "member", 1) {
			s.pinger, err = startPinger(to, m.node.DiscoKey, time.Duration(number(r, "ms", 2))*time.Millisecond)
			return "pinging", err
		}
	}
	return nil, errors.New("no such member")
}

func (s *server) pongs(*http.Request) (any, error) {
	s.mu.Lock()
	p := s.pinger
	s.pinger = nil
	s.mu.Unlock()
	if p == nil {
		return nil, errors.New("nobody pings")
	}
	return p.stop(), nil
}

func (s *server) commands() http.Handler {
	mux := http.NewServeMux()
	for path, command := range map[string]func(*http.Request) (any, error){
		"/peers": s.peers, "/drop": s.drop, "/patch": s.patch, "/add": s.add, "/remove": s.remove, "/members": s.list,
		"/ping": s.ping, "/pongs": s.pongs,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			value, err := command(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			json.NewEncoder(w).Encode(map[string]any{"value": value})
		})
	}
	return mux
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where members come")
	commands := flag.String("commands", "127.0.0.1:8081", "where commands come")
	derp := flag.String("derp", "", "address and port of a relay, whose certificate nobody checks; or nothing")
	derpName := flag.String("derp-name", "", "its host name, as its certificate has it")
	stun := flag.Int("stun", -1, "its STUN port")
	n := flag.Int("peers", 0, "peers that do not exist")
	flag.Parse()
	s := &server{private: key.NewMachine(), derpMap: relays(*derp, *derpName, *stun), members: map[key.NodePublic]*member{}, n: *n,
		removed: map[tailcfg.NodeID]bool{}}
	outer := http.NewServeMux()
	outer.HandleFunc("/key", s.serveKey)
	outer.HandleFunc("/ts2021", s.serveUpgrade)
	ready := make(chan error, 2)
	for address, handler := range map[string]http.Handler{*listen: outer, *commands: s.commands()} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		go func() { ready <- http.Serve(l, handler) }()
	}
	say("ready", os.Getpid())
	log.Fatal(<-ready)
}
