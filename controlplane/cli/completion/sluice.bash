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
	--config) _sluice_names -f ;;
	--run-dir | --state-dir | --key-dir) _sluice_names -d ;;
	*) return 1 ;;
	esac
}

_sluice() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev='' command=''
	local commands='run status reload check import genkey pubkey genpsk help'

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
	run) _sluice_words '--config --run-dir --state-dir --help' ;;
	status) _sluice_words '--dataplane --json --run-dir --help' ;;
	check | import)
		if [[ $cur != -* ]]; then
			_sluice_names -f
		elif [[ $command == check ]]; then
			_sluice_words '--print --run-dir --help'
		else
			_sluice_words '--key-dir --force --run-dir --help'
		fi
		;;
	reload | genkey | pubkey | genpsk) _sluice_words '--run-dir --help' ;;
	help) ((COMP_CWORD > 2)) || _sluice_words "${commands% help} config" ;;
	esac
}

complete -F _sluice sluice sluice-dataplane sluice-controlplane
