package sshconfig

import (
	"errors"
	"strings"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// hostName finds the host to connect to: HostName, then the canonical form of an address or a name.
func (s *state) hostName() error {
	c := s.config
	if c.HostName != "" {
		host, _, err := syntax.Expand(c.HostName, map[byte]string{'h': s.host}, nil)
		if err != nil {
			return s.failAt("hostname", 0, err)
		}
		s.host = host
	}
	// An address has a usual form with or without CanonicalizeHostname.
	addr, isAddr := syntax.ParseAddress(s.host, string(c.AddressFamily))
	if !isAddr {
		s.host = syntax.Lower(s.host)
	}
	enabled := c.CanonicalizeHostname != No
	found := false
	switch {
	case isAddr:
		if addr != "" && !strings.EqualFold(addr, s.host) {
			s.host = addr
		}
		found = addr != ""
	case enabled:
		var err error
		if found, err = s.canonicalize(); err != nil {
			return err
		}
	}
	// An alias may lead to another name even where no domain was tried.
	if !found && len(c.CanonicalizePermittedCNAMEs) > 0 && s.mayLookup() {
		if err := s.followBare(); err != nil {
			return err
		}
	}
	// Blocks for the new name count from the final pass on.
	s.wantFinal = s.wantFinal || enabled
	return nil
}

// direct reports whether the client looks up the host itself. A proxy or a jump host does so otherwise.
func (s *state) direct() bool {
	return (s.config.ProxyCommand == "" || strings.EqualFold(s.config.ProxyCommand, "none")) && len(s.config.ProxyJump) == 0
}

// mayLookup reports whether the files allow a lookup for a host behind a proxy, or the host is not behind one.
func (s *state) mayLookup() bool { return s.direct() || s.config.CanonicalizeHostname == "always" }

// canonicalize looks for the host in the CanonicalDomains.
func (s *state) canonicalize() (found bool, err error) {
	if !s.mayLookup() {
		return false, nil
	}
	var names []string
	if strings.HasSuffix(s.host, ".") {
		// A dot at the end says that the name is complete.
		names = []string{s.host}
	} else {
		if strings.Count(s.host, ".") > s.config.CanonicalizeMaxDots {
			return false, nil
		}
		for _, domain := range s.config.CanonicalDomains {
			if strings.EqualFold(domain, "none") {
				break
			}
			names = append(names, s.host+"."+domain+".")
		}
	}
	for _, name := range names {
		cname, found, err := s.lookup(name)
		if err != nil {
			return false, err
		}
		if found {
			s.host = strings.TrimSuffix(name, ".")
			s.follow(cname)
			return true, nil
		}
	}
	if !s.config.CanonicalizeFallbackLocal {
		return false, s.failAt("canonicalizefallbacklocal", 0, errors.New("host "+syntax.Quote(s.host)+" is not found in any domain"))
	}
	return false, nil
}

// followBare looks up the host without a domain, for CanonicalizePermittedCNAMEs.
func (s *state) followBare() error {
	cname, found, err := s.lookup(s.host)
	if err != nil {
		return err
	}
	if !found && s.direct() {
		return s.failAt("canonicalizepermittedcnames", 0, errors.New("host "+syntax.Quote(s.host)+" is not found"))
	}
	if found {
		s.follow(cname)
	}
	return nil
}

// follow takes the canonical name where a rule permits.
func (s *state) follow(cname string) {
	if cname == "" || cname == s.host || s.config.CanonicalizeHostname == No || !s.mayLookup() {
		return
	}
	for _, rule := range s.config.CanonicalizePermittedCNAMEs {
		if syntax.MatchList(s.host, syntax.Lower(rule.Source)) == 1 && syntax.MatchList(cname, syntax.Lower(rule.Target)) == 1 {
			s.host = syntax.Lower(cname)
			return
		}
	}
}

// lookup asks Loader.Lookup. A canonical name with characters that no host has is dropped.
func (s *state) lookup(name string) (cname string, found bool, err error) {
	if s.Lookup == nil {
		asking := "canonicalizehostname"
		if !s.isSet(asking) {
			asking = "canonicalizepermittedcnames"
		}
		return "", false, s.failAt(asking, 0, errors.New("no function finds hosts: set Loader.Lookup"))
	}
	network := "ip"
	switch s.config.AddressFamily {
	case "inet":
		network = "ip4"
	case "inet6":
		network = "ip6"
	}
	cname, err = s.Loader.Lookup(s.ctx, network, name)
	if ended := ctxerr.Of(s.ctx); ended != nil {
		return "", false, ended
	}
	if err != nil {
		return "", false, nil
	}
	// The name server is a stranger: its answer becomes a part of tokens.
	if cname, err = syntax.ParseDomain(cname); err != nil {
		return "", true, nil
	}
	return cname, true, nil
}
