# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion for sluice, sluice-dataplane and sluice-controlplane in bash.  Needs no helpers of the
# bash-completion package; tests/functional/completion_test.py compares it with the programs' help.

# COMPREPLY: the words of $1 that begin with what was typed.
_sluice_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# COMPREPLY: names of files (-f) or folders (-d).
_sluice_names() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# The value of option $1.  False: it takes none.
_sluice_value() {
	case $1 in
	--config | --ca-file | -w) _sluice_names -f ;;
	--run-dir | --state-dir | --key-dir) _sluice_names -d ;;
	--accept-risk) _sluice_words 'tailscaled all' ;;
	--login-server | --auth-key | --hostname | --advertise-routes | --advertise-tags | --timeout | --size | --peer | --port | -c) ;;
	*) return 1 ;;
	esac
}

_sluice() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev='' command=''
	local commands='up down login logout set status routes capture doctor ping netcheck ip whois debug run reload check import genkey
		pubkey genpsk version help'
	local settings='--hostname --accept-routes --advertise-routes --snat-subnet-routes --accept-dns --shields-up
		--ca-file --run-dir --help'

	COMPREPLY=()
	((COMP_CWORD == 0)) || prev=${COMP_WORDS[COMP_CWORD - 1]}
	# bash takes --config=FILE for three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]] && ((COMP_CWORD >= 2)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if _sluice_value "$prev"; then return; fi

	case ${COMP_WORDS[0]##*/} in
	sluice-dataplane | sluice-controlplane)
		_sluice_words '--config --run-dir --state-dir --check --version --help'
		return
		;;
	esac

	((COMP_CWORD < 2)) || command=${COMP_WORDS[1]}
	case $command in
	'') _sluice_words "$commands --version --help" ;;
	up | login)
		_sluice_words "$settings --login-server --auth-key --advertise-tags --force-reauth --reset --qr --timeout
			--accept-risk --config --state-dir"
		;;
	set) _sluice_words "$settings" ;;
	run) _sluice_words '--config --run-dir --state-dir --help' ;;
	status) _sluice_words '--peers --ports --drops --flows --dataplane --json --active --self --header --run-dir
		--help' ;;
	ping) _sluice_words '--timeout --until-direct --size --tsmp --icmp --peerapi --run-dir --help' ;;
	capture) _sluice_words '--peer --port --run-dir --help' ;;
	doctor) _sluice_words '--json --config --run-dir --help' ;;
	netcheck | whois | routes) _sluice_words '--json --run-dir --help' ;;
	version) _sluice_words '--daemon --json --run-dir --help' ;;
	debug)
		if [[ $cur != -* ]]; then
			_sluice_words 'map derp paths'
		else
			_sluice_words '--json --run-dir --help'
		fi
		;;
	check | import)
		if [[ $cur != -* ]]; then
			_sluice_names -f
		elif [[ $command == check ]]; then
			_sluice_words '--print --run-dir --help'
		else
			_sluice_words '--key-dir --force --run-dir --help'
		fi
		;;
	down | logout | ip | reload | genkey | pubkey | genpsk) _sluice_words '--run-dir --help' ;;
	help) ((COMP_CWORD > 2)) || _sluice_words "${commands% help} config" ;;
	esac
}

complete -F _sluice sluice sluice-dataplane sluice-controlplane
