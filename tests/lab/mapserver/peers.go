// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"go4.org/mem"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// secret is nobody's: the same for the same number, clamped as X25519 wants it.
func secret(id tailcfg.NodeID, kind byte) mem.RO {
	raw := make([]byte, 32)
	binary.BigEndian.PutUint64(raw[8:], uint64(id))
	raw[0], raw[16], raw[31] = kind&^7, kind, 64
	return mem.B(raw)
}

func discoPrivate(id tailcfg.NodeID) key.DiscoPrivate {
	return key.DiscoPrivateFromRaw32(secret(id, 0x88))
}

func nodePublic(id tailcfg.NodeID) key.NodePublic {
	return key.NodePrivateFromRaw32(secret(id, 0x48)).Public()
}

// peer is a node that does not exist, as large as nodes are.
func peer(id tailcfg.NodeID) *tailcfg.Node {
	i := uint32(id - firstPeerID)
	v4 := netip.AddrFrom4([4]byte{100, byte(65 + i>>16), byte(i >> 8), byte(i)})
	addresses := []netip.Prefix{netip.PrefixFrom(v4, 32),
		netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("fd7a:115c:a1e0:1::%x:%x", i>>16, i&0xffff)), 128)}
	online := i%4 != 0
	name := fmt.Sprintf("host-%d", i)
	node := &tailcfg.Node{
		ID: id, StableID: tailcfg.StableNodeID("nLab" + strconv.Itoa(int(id)) + "CNTRL"), Name: name + ".lab.example.",
		User: userID, Key: nodePublic(id), DiscoKey: discoPrivate(id).Public(), Addresses: addresses, AllowedIPs: addresses,
		Endpoints: []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 41641),
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), 41641),
		},
		HomeDERP: 900, Cap: 138, Created: created, Online: &online, MachineAuthorized: true,
		Hostinfo: (&tailcfg.Hostinfo{OS: "linux", Hostname: name, Services: []tailcfg.Service{
			{Proto: tailcfg.PeerAPI4, Port: 40001}, {Proto: tailcfg.PeerAPI6, Port: 40001}}}).View(),
		CapMap: tailcfg.NodeCapMap{"https://tailscale.com/cap/file-sharing-target": nil},
	}
	if !online {
		node.LastSeen = &created
	}
	return node
}

// relays is a map of one region. Without an address it is one that nobody can reach.
func relays(derp, name string, stun int) *tailcfg.DERPMap {
	at, err := netip.ParseAddrPort(derp)
	if err != nil {
		at = netip.MustParseAddrPort("192.0.2.1:443")
	}
	if name == "" {
		name = at.Addr().String()
	}
	return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{900: {
		RegionID: 900, RegionCode: "lab", RegionName: "Lab", Nodes: []*tailcfg.DERPNode{{
			Name: "900a", RegionID: 900, HostName: name, IPv4: at.Addr().String(), IPv6: "none",
			DERPPort: int(at.Port()), STUNPort: stun, InsecureForTests: true,
		}},
	}}}
}
