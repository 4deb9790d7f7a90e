// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tailscale.com/disco"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const pinging tailcfg.NodeID = firstPeerID // the peer in whose name pings are sent

// A pinger asks a member for pongs, again and again, and keeps how long each took.
type pinger struct {
	conn   *net.UDPConn
	shared key.DiscoShared
	public key.DiscoPublic
	quit   chan struct{}
	mu     sync.Mutex
	out    map[[12]byte]time.Time
	took   []time.Duration
	sent   int
}

func startPinger(to netip.AddrPort, member key.DiscoPublic, each time.Duration) (*pinger, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	private := discoPrivate(pinging)
	p := &pinger{conn: conn, shared: private.Shared(member), public: private.Public(), quit: make(chan struct{}),
		out: map[[12]byte]time.Time{}}
	go p.send(each)
	go p.receive()
	return p, nil
}

func (p *pinger) send(each time.Duration) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
		}
		ping := &disco.Ping{NodeKey: nodePublic(pinging)}
		rand.Read(ping.TxID[:])
		datagram := p.public.AppendTo([]byte(disco.Magic))
		datagram = append(datagram, p.shared.Seal(ping.AppendMarshal(nil))...)
		p.mu.Lock()
		p.out[ping.TxID] = time.Now()
		p.sent++
		p.mu.Unlock()
		p.conn.Write(datagram)
	}
}

func (p *pinger) receive() {
	buffer := make([]byte, 2048)
	for {
		n, err := p.conn.Read(buffer)
		now := time.Now()
		if err != nil {
			select {
			case <-p.quit:
				return
			default:
				continue // refused: it is not there yet
			}
		}
		if n <= len(disco.Magic)+32 || !disco.LooksLikeDiscoWrapper(buffer[:n]) {
			continue
		}
		text, ok := p.shared.Open(buffer[len(disco.Magic)+32 : n])
		if !ok {
			continue
		}
		message, err := disco.Parse(text)
		if pong, ok := message.(*disco.Pong); ok && err == nil {
			p.take(pong.TxID, now)
		}
	}
}

func (p *pinger) take(id [12]byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.out[id]; ok {
		p.took = append(p.took, now.Sub(at))
		delete(p.out, id)
	}
}

type pongs struct {
	Sent     int     `json:"sent"`
	Received int     `json:"received"`
	MedianMs float64 `json:"median_ms"`
	MaxMs    float64 `json:"max_ms"`
	Late     int     `json:"over_10ms"`
}

func (p *pinger) stop() pongs {
	time.Sleep(200 * time.Millisecond) // for the last ones
	close(p.quit)
	p.conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	result := pongs{Sent: p.sent, Received: len(p.took)}
	if len(p.took) == 0 {
		return result
	}
	slices.Sort(p.took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	result.MedianMs, result.MaxMs = ms(p.took[len(p.took)/2]), ms(p.took[len(p.took)-1])
	for _, d := range p.took {
		if d > 10*time.Millisecond {
			result.Late++
		}
	}
	return result
}
